"""What a report cannot tell of these people and items, and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from llmrec.evaluation.run import SAMPLED, Cases, samples
from llmrec.splits import most_taken

SPREAD = {"gini": "Gini", "novelty": "Novelty", "popularity_lift": "Popularity lift"}


def missing(cases: Cases, systems: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each figure that is not there or is not of everybody; `systems` as `report.json` has them."""
    return [*_ceiling(cases), *_among(cases), *_of_pairs(cases, systems), *_of_lists(systems)]


def _ceiling(cases: Cases) -> list[str]:
    if cases.protocol != "sampled":
        return []
    why = "ranks are among 100 sampled items, and a reranker reads the first of a list of all items"
    return [f"The ceiling of a reranker: {why}. Leave --sampled out."]


def _among(cases: Cases) -> list[str]:
    if cases.protocol == "sampled" or samples(cases):
        return []
    if cases.protocol == "cold":
        return ["One among a hundred, as P5 and VIP5 rank: new items stand among new items alone. Leave --cold out."]
    items, taken = len(cases.split.log.items), most_taken(cases.split, cases.part)
    why = f"a person took {taken:,} of {items:,} items, so no {SAMPLED} are left to draw. A larger catalogue has them"
    return [f"One among a hundred, as P5 and VIP5 rank: {why}."]


def _of_pairs(cases: Cases, systems: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    asked = min((one["pairs"] for one in systems), default=len(cases))
    if asked < len(cases):
        had = f"{len(cases) - asked:,} of {len(cases):,} targets have no item beside them that the person did not take"
        left = "are left out" if asked > 1 else "so nothing can be told"
        found.append(f"Would this person take this item: {had}, and {left}. A larger catalogue would have some.")
    if not len(cases.split.rows("valid")):
        why = f"the {cases.split.name} split has no validation targets, and scores are made chances on these alone"
        found.append(f"Log-loss: {why}. Make the index with another split, or of more rows.")
    return found


def _of_lists(systems: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why lists lack a figure: once for all systems, or with the names of those it is about."""
    whose: dict[tuple[str, str], list[str]] = {}
    for one in systems:
        for name, why in one["spread"]["missing"].items():
            whose.setdefault((name, why), []).append(one["name"])
    found = []
    for (name, why), names in whose.items():
        of = "" if len(names) == len(systems) else f" of {', '.join(names)}"
        found.append(f"{SPREAD[name]}{of}: {why}.")
    return found
