"""What a tuned model says, held against what people said and did: each task on held-out rows, beside plain answers.

A figure that cannot be computed says why. Shares and means carry 95 % intervals over rows; figures of a whole corpus
(BLEU, distinct words, coverage) have none.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.evaluation.evidence import ELSE, PLACEBO, Told, evidence
from llmrec.evaluation.hearing import BY_LABEL, Case, Hearing, number
from llmrec.evaluation.ratings import guesses
from llmrec.evaluation.wording import bleu, distinct, rouge, words
from llmrec.features import words_of
from llmrec.metrics import auc
from llmrec.prompts import clean
from llmrec.retrieval.retriever import Retriever
from llmrec.significance import holm, intervals
from llmrec.splits import TRAIN
from llmrec.tasks import REVIEW_LIMIT, TASKS
from llmrec.tuning.telling import mute

Values = npt.NDArray[np.float64]
Figure = dict[str, float | None]

EXPLAINED, HEADLINE, NUMBERED = 64, 16, 8
"""The most tokens of an explanation, of a headline and of a rating."""
SHOWN = 8
FEWEST = 2
NAME = 2  # words that a title has at least, where finding it in a text means the item
MODEL, CHECKED, WORDS = "model", "model, checked", "model, by item words"
CHANCE = "by chance"
NO_WORDS = "reviewers agree on too little to tell which words speak of items"
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


def explaining(hearing: Hearing, cases: Sequence[Case]) -> dict[str, Any]:
    """Explanations of what people took, against what they wrote of it afterwards."""
    features = hearing.source.features
    heard = hearing.said(cases, EXPLAINED)
    texts = {MODEL: heard, CHECKED: hearing.checked(cases, heard, EXPLAINED)}
    texts["somebody else's review"] = _others(hearing, cases)
    texts["what reviewers agree on, listed"] = [_listed(features.agreed(case.item)) for case in cases]
    texts["the catalogue's own text"] = [clean(hearing.own[case.item], REVIEW_LIMIT) for case in cases]
    titles = hearing.source.shelf.titles
    texts["a sentence of the title"] = [f"I took the {titles[case.item]} because I like it." for case in cases]
    own = "the person's own review"
    texts[own] = [case.draft.happening.review for case in cases]
    references = [case.example.answer for case in cases]
    known = [features.known(case.item, hearing.own[case.item]) for case in cases]
    wanted = [features.counts.keys() & words_of(text) for text in references]
    named = _names(titles)
    rows = []
    for name, said in texts.items():
        found = [features.counts.keys() & words_of(text) for text in said]
        figures: dict[str, Figure] = {}
        if name != own:
            figures |= likenesses(said, references)
        figures |= variety(said)
        if features.counts:
            every = set().union(*wanted)
            figures["features covered"] = whole(len(every & set().union(*found)) / max(1, len(every)))
            figures["names a feature of theirs"] = share(bool(a & b) for a, b in zip(found, wanted, strict=True))
            figures["names what nobody says"] = share(bool(a - b) for a, b in zip(found, known, strict=True))
        figures["names what was not taken"] = share(
            bool(_named(text, named) - {titles[item] for item in (case.item, *case.history)})
            for text, case in zip(said, cases, strict=True)
        )
        rows.append({"name": name, "figures": figures})
    notes = [] if features.counts else [f"Features cannot be held against anything: {NO_WORDS}."]
    notes.append(
        "What somebody really chose a thing for is known of drawn shops alone: benchmarks/explaining.py asks there."
    )
    told = _side_by_side(hearing, cases, references, texts)
    return {"rows": rows, "notes": notes, "shown": told, "evidence": _evidence(hearing, cases, texts[CHECKED])}


def _evidence(hearing: Hearing, cases: Sequence[Case], texts: Sequence[str]) -> list[dict[str, Any]]:
    """The short reason that is served at once, and the model's own sentences, each held against the history."""
    features = hearing.source.features
    longest = hearing.opened.ranking.longest
    brands = [words_of(str(fields["brand"] or "")) for fields in hearing.source.shelf.fields]
    short = [
        Told(case.history, case.item, features.reason(case.history[-longest:], case.item, brands[case.item]))
        for case in cases
    ]
    said = [
        Told(case.history, case.item, features.counts.keys() & words_of(text))
        for case, text in zip(cases, texts, strict=True)
    ]
    found = [
        evidence(hearing, name, [one for one in reasons if one.words], against)
        for name, reasons in (("the short reason", short), (CHECKED, said))
        for against in (ELSE, PLACEBO)
    ]
    told = [one for one in found if not one["missing"]]
    for one, p in zip(told, holm([one["gap"]["p"] for one in told]), strict=True):
        one["corrected"] = p
    for one in found:
        one["missing"] = one["missing"] if features.counts else NO_WORDS
    return found


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
    return {"rows": rows, "notes": [], "shown": _side_by_side(hearing, cases, wanted, texts)}


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
    if "shown" in cases[0].draft.context and "the shown kind" not in judges:
        notes.append("Whether a thing of the shown kind is named cannot be told: the catalogue has no categories.")
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
    """Yes or no to a single item: what was taken next, or one drawn at random."""
    cases = [case for case in cases if case.example.answer == case.example.label]
    liked = np.array([case.example.label == "yes" for case in cases])
    if len(cases) < FEWEST or liked.all() or not liked.any():
        return {"rows": [], "missing": "too few of its wordings are answered by yes and by no"}
    odds = hearing.yes(cases)
    rows = [{"name": MODEL, "figures": {"AUC": whole(auc(odds, liked)), "right": share((odds > 0) == liked)}}]
    by_words = hearing.scores([np.asarray(case.history, dtype=np.int32) for case in cases])
    if by_words is not None:
        told = by_words[np.arange(len(cases)), [case.item for case in cases]]
        rows.append({"name": WORDS, "figures": {"AUC": whole(auc(told, liked))}})
    often = np.bincount(hearing.source.split.log.item[hearing.source.split.part == TRAIN], minlength=len(hearing.own))
    count = often[[case.item for case in cases]].astype(np.float64)
    rows.append({"name": "popularity", "figures": {"AUC": whole(auc(count, liked))}})
    return {"rows": rows, "notes": []}


def likenesses(texts: Sequence[str], references: Sequence[str]) -> dict[str, Figure]:
    """How near texts come to those that people wrote."""
    each = np.array([rouge(text, other) for text, other in zip(texts, references, strict=True)])
    found = {"BLEU-4": whole(bleu(texts, references))}
    return found | {name: mean(each[:, at]) for at, name in enumerate(("ROUGE-1", "ROUGE-2", "ROUGE-L"))}


def variety(texts: Sequence[str]) -> dict[str, Figure]:
    """How much is said and how varied it is."""
    return {
        "distinct-1": whole(distinct(texts, 1)),
        "distinct-2": whole(distinct(texts, 2)),
        "words": mean(np.array([len(words(text)) for text in texts], dtype=np.float64)),
        "silent": share(not text for text in texts),
    }


def errors(told: Values, true: Values) -> dict[str, Figure]:
    """RMSE and MAE with their intervals."""
    square, plain = mean((told - true) ** 2), mean(np.abs(told - true))
    return {"RMSE": {end: None if value is None else value**0.5 for end, value in square.items()}, "MAE": plain}


def mean(values: Values) -> Figure:
    """A mean over rows with its interval; of a single row there is none."""
    found = asdict(intervals(values[:, None])[0])
    return {end: value if np.isfinite(value) else None for end, value in found.items()}


def share(holds: Iterable[Any]) -> Figure:
    """The share of rows of which something holds."""
    return mean(np.array([bool(one) for one in holds], dtype=np.float64))


def whole(value: float) -> Figure:
    """A figure of all rows together, which has no interval here."""
    return {"mean": value, "low": None, "high": None}


def _others(hearing: Hearing, cases: Sequence[Case]) -> list[str]:
    """For each case what somebody else said of the item in a training row, cut as its reference is; or nothing."""
    source = hearing.source
    rng = np.random.default_rng(hearing.seed)
    wanted = {case.item for case in cases}
    by_item: dict[int, list[tuple[int, str]]] = {}
    reviews, ratings = source.texts["review"].to_list(), source.texts["rating"].to_list()
    for row in np.flatnonzero(source.train).tolist():
        item = int(source.split.log.item[row])
        if item in wanted and reviews[row] and (ratings[row] is None or ratings[row] > source.middle):
            told = source.features.told(clean(reviews[row], REVIEW_LIMIT), item)
            if told:
                by_item.setdefault(item, []).append((int(source.owner[row]), told))
    found = []
    for case in cases:
        some = [text for user, text in by_item.get(case.item, []) if user != case.example.user]
        found.append(some[int(rng.integers(len(some)))] if some else "")
    return found


def _listed(words: Sequence[str]) -> str:
    return f"I like that it is {', '.join(words)}." if words else ""


def _names(titles: Sequence[str]) -> dict[str, set[str]]:
    """The titles that mean an item wherever they stand, by their first word; those of one item only."""
    often = Counter(titles)
    found: dict[str, set[str]] = {}
    for title in titles:
        told = words(title)
        if len(told) >= NAME and often[title] == 1:
            found.setdefault(told[0], set()).add(title)
    return found


def _named(text: str, names: Mapping[str, set[str]]) -> set[str]:
    """The titles that stand in a text."""
    told = words(text)
    line = f" {' '.join(told)} "
    there = {title: f" {' '.join(words(title))} " for word in set(told) for title in names.get(word, ())}
    found = [title for title in sorted(there, key=lambda title: -len(there[title])) if there[title] in line]
    named = set()
    for title in found:  # the longest first: a title that stands within another's is not named by it
        if there[title] in line:
            named.add(title)
            line = line.replace(there[title], "  ")
    return named


def _side_by_side(
    hearing: Hearing, cases: Sequence[Case], references: Sequence[str], texts: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """The first cases for a person to read: who and what each is about, items by their ids, and all that was said."""
    ids, users = hearing.source.shelf.ids, hearing.dataset.log.users
    return [
        {
            "user": users[case.example.user],
            "item": ids[case.item],
            "history": [ids[code] for code in case.history[-SHOWN:]],
            "own": references[place],
            "texts": {name: said[place] for name, said in texts.items()},
        }
        for place, case in enumerate(cases[:SHOWN])
    ]
