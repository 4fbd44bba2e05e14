"""What a tuned model says, held against what people said and did: each task on held-out rows, beside plain answers.

A figure that cannot be computed says why. Each carries a 95 % interval over rows, but for distinct words and coverage,
which are of all texts together.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.evaluation.explained import explaining
from llmrec.evaluation.figures import FEWEST, Figure, Values, errors, likenesses, mean, share, variety
from llmrec.evaluation.hearing import BY_LABEL, MODEL, Case, Hearing, number, side_by_side
from llmrec.evaluation.ratings import guesses
from llmrec.evaluation.wording import words
from llmrec.retrieval.retriever import Retriever
from llmrec.splits import TRAIN
from llmrec.tasks import TASKS
from llmrec.tuning.telling import mute

HEADLINE, NUMBERED = 16, 8
"""The most tokens of a headline and of a rating."""
WORDS = "model, by item words"
CHANCE = "by chance"
BETWEEN = re.compile(r"\s+")


def speech(hearing: Hearing, retriever: Retriever, count: int, *, name: str = MODEL) -> dict[str, Any]:
    """All tasks of one model on at most `count` held-out rows each, as plain values."""
    content: dict[str, Any] = {"name": name, "asked": count, "tasks": [], "evidence": [], "missing": None}
    if not hearing.opened.recipe.talks.count:
        content["missing"] = "tuned without conversations (talks.count=0), so it has not learnt to speak"
        return content
    content["missing"] = mute(hearing.opened.ranking.ranker, hearing.opened.write)
    if content["missing"]:
        return content
    learnt = hearing.opened.recipe.talks.examples.tasks
    for task in TASKS:
        told: dict[str, Any] = {"task": task, "cases": 0, "measures": [], "rows": [], "notes": [], "shown": []}
        content["tasks"].append(told)
        if not learnt.get(task):
            told["missing"] = f"the run learnt no conversations of this kind (talks.examples.tasks.{task})"
            continue
        if not hearing.wordings(task):
            told["missing"] = "no wording of its prompts has an answer that can be held against anything"
            continue
        cases = hearing.cases(task, count)
        told["cases"] = len(cases)
        told["missing"] = None if len(cases) >= FEWEST else f"{len(cases)} held-out rows serve it"
        if len(cases) < FEWEST:
            continue
        if task == "explanation":
            told |= explaining(hearing, cases)
            content["evidence"] = told.pop("evidence")
        elif task in BY_LABEL:
            told |= choosing(hearing, retriever, cases)
        else:
            told |= {"rating": rating, "summary": summing_up, "direct": liking}[task](hearing, cases)
        told["measures"] = list(dict.fromkeys(name for row in told["rows"] for name in row["figures"]))
    return content


def rating(hearing: Hearing, cases: Sequence[Case]) -> dict[str, Any]:
    """Ratings as the model says them, beside means and leanings."""
    low, high = (float(end) for end in hearing.source.scale)
    true = np.array([case.draft.happening.rating for case in cases], dtype=np.float64)
    split = hearing.source.split
    ratings = hearing.source.texts["rating"].to_numpy().astype(np.float64)
    plain = guesses(split, ratings, np.array([case.draft.happening.row for case in cases]))
    told = [number(text, low, high) for text in hearing.said(cases, NUMBERED)]
    usual = next(iter(plain.values()))
    said = np.array([mean if one is None else one for one, mean in zip(told, usual, strict=True)])
    rows = [{"name": MODEL, "figures": {**errors(said, true), "no number": share(one is None for one in told)}}]
    rows += [{"name": name, "figures": errors(values, true)} for name, values in plain.items()]
    return {"rows": rows, "notes": ["An answer without a number counts as the mean of all ratings."]}


def summing_up(hearing: Hearing, cases: Sequence[Case]) -> dict[str, Any]:
    """Headlines of reviews, against those that people gave."""
    wanted = [case.example.answer for case in cases]
    usual = max(1, round(float(np.mean([len(words(text)) for text in wanted]))))
    texts = {MODEL: hearing.said(cases, HEADLINE)}
    reviews = [case.draft.happening.review for case in cases]
    texts[f"the first {usual} words of the review"] = [" ".join(BETWEEN.split(text)[:usual]) for text in reviews]
    rows = [{"name": name, "figures": {**likenesses(said, wanted), **variety(said)}} for name, said in texts.items()]
    return {"rows": rows, "notes": [], "shown": side_by_side(hearing, cases, wanted, texts)}


def choosing(hearing: Hearing, retriever: Retriever, cases: Sequence[Case]) -> dict[str, Any]:
    """Which candidate is named: the right one, one that meets the wish, one of the shown thing's kind."""
    offered = np.array([case.example.candidates for case in cases])
    # What the prompt tells of the person, which is nothing in some wordings: nobody may know more than the model.
    histories = [np.asarray(case.example.history, dtype=np.int32) for case in cases]
    opinions: dict[str, npt.NDArray[Any]] = {MODEL: hearing.choices(cases)}
    by_words = hearing.scores(histories)
    if by_words is not None:
        opinions[WORDS] = np.take_along_axis(by_words, offered, axis=1)
    opinions[retriever.name] = np.take_along_axis(retriever.score(histories), offered, axis=1)
    right = np.array([[code == case.item for code in row] for row, case in zip(offered, cases, strict=True)])
    judges = {"the right one": right, **_judges(hearing, cases, offered)}
    rows = []
    for name, told in opinions.items():
        # Where several are equal, none of them is preferred.
        first = told == told.max(axis=1, keepdims=True)
        rows.append({"name": name, "figures": {what: _met(first, holds) for what, holds in judges.items()}})
    anyone = np.ones_like(right)
    rows.append({"name": CHANCE, "figures": {what: _met(anyone, holds) for what, holds in judges.items()}})
    notes = []
    if any("shown" in case.draft.context for case in cases) and "the shown kind" not in judges:
        notes.append("Whether a thing of the shown kind is named cannot be told: the catalogue has no categories.")
    if any("wish" in case.draft.context for case in cases) and "meets the wish" not in judges:
        notes.append("Whether a wish is met cannot be told: the catalogue has no field that one could be made of.")
    return {"rows": rows, "notes": notes}


def _judges(
    hearing: Hearing, cases: Sequence[Case], offered: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Which candidates meet a wish, and which are of the kind that was shown; not a number where nobody asked."""
    fields = hearing.source.shelf.fields
    found: dict[str, list[list[float]]] = {"meets the wish": [], "the shown kind": []}
    for case, row in zip(cases, offered.tolist(), strict=True):
        wish, shown = case.draft.wish, case.draft.shown
        kind = fields[shown]["categories"] if shown is not None else None
        met = [float(wish.met(fields[code])) if wish and wish.aspects else np.nan for code in row]
        alike = [float(fields[code]["categories"] == kind) if kind else np.nan for code in row]
        found["meets the wish"].append(met)
        found["the shown kind"].append(alike)
    tables = {name: np.array(table) for name, table in found.items()}
    return {name: table for name, table in tables.items() if np.isfinite(table).any()}


def _met(chosen: npt.NDArray[np.bool_], holds: npt.NDArray[Any]) -> Figure:
    """The share of cases whose choice holds; among equal choices the mean."""
    asked = np.isfinite(holds.astype(np.float64)).all(axis=1)
    picked, true = chosen[asked], holds[asked].astype(np.float64)
    return mean((picked * true).sum(axis=1) / picked.sum(axis=1))


def liking(hearing: Hearing, cases: Sequence[Case]) -> dict[str, Any]:
    """Yes or no to single items: what each person took next, and one drawn from those that they did not take."""
    asked = [case for case in cases if case.example.answer == case.example.label]
    pairs = [(case, other) for case in asked if (other := hearing.other(case))]
    if len(pairs) < FEWEST:
        return {"rows": [], "missing": "too few of its wordings are answered by yes or no"}
    taken = [case if case.example.label == "yes" else other for case, other in pairs]
    drawn = [other if case.example.label == "yes" else case for case, other in pairs]
    items = np.array([[case.item for case in some] for some in (taken, drawn)])
    odds = hearing.yes([*taken, *drawn]).reshape(2, len(pairs))
    right = ((odds[0] > 0).astype(np.float64) + (odds[1] <= 0)) / 2
    rows = [{"name": MODEL, "figures": {"AUC": _preferred(*odds), "right": mean(right)}}]
    by_words = hearing.scores([np.asarray(case.history, dtype=np.int32) for case in taken])
    if by_words is not None:
        rows.append({"name": WORDS, "figures": {"AUC": _preferred(*np.take_along_axis(by_words, items.T, axis=1).T)}})
    often = np.bincount(hearing.source.split.log.item[hearing.source.split.part == TRAIN], minlength=len(hearing.own))
    rows.append({"name": "popularity", "figures": {"AUC": _preferred(*often[items].astype(np.float64))}})
    note = f"AUC is the share of {len(pairs):,} pairs of one person's items, taken and not taken, that are told apart."
    return {"rows": rows, "notes": [note]}


def _preferred(taken: Values, drawn: Values) -> Figure:
    """The share of pairs in which the taken item scores above the other; equal ones count half."""
    return mean((taken > drawn) + (taken == drawn) / 2)
