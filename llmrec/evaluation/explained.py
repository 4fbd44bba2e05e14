"""Explanations of a tuned model, held against what people wrote, what the catalogue tells and what they rest on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmrec.evaluation.catalogue import NO_FIELDS, Catalogue
from llmrec.evaluation.claims import NOUN
from llmrec.evaluation.evidence import ELSE, PLACEBO, Told, evidence
from llmrec.evaluation.evidence import FEWEST as ENOUGH
from llmrec.evaluation.figures import Figure, likenesses, mean, share, variety, whole
from llmrec.evaluation.hearing import CHECKED, MODEL, SHOWN, Case, Hearing, side_by_side
from llmrec.evaluation.wording import words
from llmrec.features import words_of
from llmrec.prompts import clean
from llmrec.significance import holm
from llmrec.tasks import REVIEW_LIMIT

EXPLAINED = 64
"""The most tokens of an explanation."""
NAME = 2  # words that a title has at least, where finding it in a text means the item
CITED = f"{CHECKED}: an earlier choice that it names"
NO_WORDS = "reviewers agree on too little to tell which words speak of items"


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
    named = names_of(titles)
    catalogue, reasons = hearing.catalogue, [hearing.reasons(case) for case in cases]
    asked = np.array([bool(one) for one in reasons])
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
            bool(titles_in(text, named) - {titles[item] for item in (case.item, *case.history)})
            for text, case in zip(said, cases, strict=True)
        )
        verdicts = [
            catalogue.judge(text, case.item, case.history, true)
            for text, case, true in zip(said, cases, reasons, strict=True)
        ]
        if catalogue.names:
            figures["contradicts the catalogue"] = share(one.contradictions for one in verdicts)
        if asked.any():
            figures["names a true reason"] = mean(np.array([bool(one.reasons) for one in verdicts])[asked] * 1.0)
        rows.append({"name": name, "figures": figures})
    notes = [] if features.counts else [f"Features cannot be held against anything: {NO_WORDS}."]
    notes += [_said_of_claims(catalogue), _said_of_reasons(hearing, int(asked.sum()))]
    told = side_by_side(hearing, cases, references, texts)
    why = all_evidence(hearing, cases, texts[CHECKED], named)
    return {"rows": rows, "notes": notes, "shown": told, "evidence": why}


def _said_of_claims(catalogue: Catalogue) -> str:
    """What can contradict the catalogue."""
    if not catalogue.names:
        return f"Whether a text contradicts the catalogue cannot be told: {NO_FIELDS}."
    fields = ", ".join("categories" if name == NOUN else name for name in catalogue.of_attribute)
    told = f"What contradicts the catalogue is found by {len(catalogue.names):,} values of its fields ({fields})"
    left = catalogue.everyday
    if not left:
        return f"{told}."
    some = ", ".join(left[:SHOWN])
    return f"{told}; {len(left):,} are no claims, since reviewers use them of items that have another ({some})."


def _said_of_reasons(hearing: Hearing, asked: int) -> str:
    """Of how many rows it is known why they happened."""
    if hearing.truth is None:
        return (
            "What somebody really chose a thing for is known of drawn shops alone: this dataset has no truth/ that "
            "tells it."
        )
    return f"What somebody really chose a thing for is known of {asked:,} of these rows; elsewhere taste had no say."


def all_evidence(
    hearing: Hearing, cases: Sequence[Case], texts: Sequence[str], named: Mapping[str, set[str]]
) -> list[dict[str, Any]]:
    """The short reason that is served at once, and the model's own sentences, each held against the history."""
    features = hearing.source.features
    titles = hearing.source.shelf.titles
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
    for one in found:
        one["missing"] = one["missing"] if features.counts else NO_WORDS
    citing = []
    for case, text in zip(cases, texts, strict=True):
        there = titles_in(text, named)
        cited = {code for code in case.history if titles[code] in there and code != case.item}
        cited |= hearing.catalogue.cited(text, case.item, case.history)
        citing += [Told(case.history, case.item, (), cited)] if cited else []
    by_name = evidence(hearing, CITED, citing, ELSE)
    if len(citing) < ENOUGH:
        by_name["missing"] = f"{len(citing)} of {len(texts)} explanations name an earlier choice without doubt"
    found.append(by_name)
    measured = [one for one in found if not one["missing"]]
    for one, p in zip(measured, holm([one["gap"]["p"] for one in measured]), strict=True):
        one["corrected"] = p
    return found


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


def names_of(titles: Sequence[str]) -> dict[str, set[str]]:
    """The titles that mean an item wherever they stand, by their first word; those of one item only."""
    often = Counter(titles)
    found: dict[str, set[str]] = {}
    for title in titles:
        told = words(title)
        if len(told) >= NAME and often[title] == 1:
            found.setdefault(told[0], set()).add(title)
    return found


def titles_in(text: str, names: Mapping[str, set[str]]) -> set[str]:
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
