"""Lets systems rank on a split and measures what they did, with certainty, slices and paired comparisons."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.errors import InputError
from llmrec.log import Codes
from llmrec.metrics import Gains, Spread, auc, gains, pessimistic_ranks, spread
from llmrec.progress import Progress
from llmrec.retrieval.retriever import Retriever, best, leave_out
from llmrec.significance import Difference, Interval, compare, holm, intervals
from llmrec.splits import TRAIN, Part, Split, sampled_candidates

Protocol = Literal["full", "sampled"]
LISTED = 20
CEILINGS = (50, 100, 200)
MAIN = ("ndcg@10", "hr@10")
"""The measures that systems are compared by; a test of every measure would only look for luck."""
BATCH = 256
FEWEST = 10  # people that a slice needs to be shown


@dataclass(frozen=True)
class Cases:
    """Who is asked: one row a target, with the person's history before it."""

    split: Split
    part: Part
    protocol: Protocol
    row: npt.NDArray[np.int64]
    user: npt.NDArray[np.int32]
    target: Codes
    histories: Sequence[Codes]

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def trained(self) -> npt.NDArray[np.int64]:
        """How often each item was taken in the training rows."""
        log = self.split.log
        return np.bincount(log.item[self.split.part == TRAIN], minlength=len(log.items))


@dataclass(frozen=True)
class Ranked:
    """What one system did with every case."""

    name: str
    ranks: npt.NDArray[np.int64]
    lists: npt.NDArray[np.int64]
    """The first items of each list, -1 where there are fewer."""
    auc: float
    """The chance that a target scores above an item drawn at random."""

    @cached_property
    def gains(self) -> Gains:
        """Measures of each case."""
        return gains(self.ranks)

    def found(self, depth: int) -> float:
        """The share of targets among the first so many: no reranker of that many candidates can hit more often."""
        return float((self.ranks <= depth).mean())


@dataclass(frozen=True)
class Slice:
    """Some of the cases, by what they have in common."""

    by: str
    name: str
    mask: npt.NDArray[np.bool_]


def cases_of(split: Split, part: Part = "test", *, protocol: Protocol = "full", limit: int | None = None) -> Cases:
    """All targets of a part; people without any history are asked too, since they come to every shop."""
    found = list(split.cases(part))
    if limit is not None and limit < len(found):
        places = np.sort(np.random.default_rng(0).permutation(len(found))[:limit])
        found = [found[place] for place in places]
    if not found:
        raise InputError(
            f"The {split.name} split has no {part} targets. Take another split, or a dataset with more rows"
        )
    rows = np.array([row for row, _, _ in found], dtype=np.int64)
    return Cases(
        split=split,
        part=part,
        protocol=protocol,
        row=rows,
        user=split.log.user_of_rows()[rows],
        target=np.array([target for _, _, target in found], dtype=np.int32),
        histories=[history for _, history, _ in found],
    )


def rank(system: Retriever, cases: Cases, *, seed: int = 0, progress: Progress | None = None) -> Ranked:
    """Let one system rank. Under `full` all items but the person's own stand against the target; under `sampled` 99."""
    candidates = _candidates(cases, seed) if cases.protocol == "sampled" else None
    rng = np.random.default_rng(seed)
    others = rng.integers(len(cases.split.log.items), size=len(cases))
    ranks, lists, own, other = [], [], [], []
    for begin in range(0, len(cases), BATCH):
        some = slice(begin, begin + BATCH)
        histories, targets = cases.histories[some], cases.target[some].astype(np.int64)
        scores = leave_out(system.score(histories), histories)
        lists.append(_filled(best(scores, LISTED)[0]))
        own.append(np.take_along_axis(scores, targets[:, None], axis=1)[:, 0])
        other.append(np.take_along_axis(scores, others[some, None], axis=1)[:, 0])
        if candidates is not None:
            scores = np.take_along_axis(scores, candidates[some].astype(np.int64), axis=1)
            targets = np.zeros(len(targets), dtype=np.int64)
        ranks.append(pessimistic_ranks(scores, targets))
        if progress:
            progress(f"ranking by {system.name}", min(begin + BATCH, len(cases)), len(cases))
    values = np.nan_to_num(np.concatenate([*own, *other]).astype(np.float64), neginf=-1e30)
    labels = np.arange(len(values)) < len(cases)
    return Ranked(system.name, np.concatenate(ranks), np.concatenate(lists), auc(values, labels))


def _candidates(cases: Cases, seed: int) -> Codes:
    table = sampled_candidates(cases.split, cases.part, seed=seed)
    return table[np.searchsorted(cases.split.rows(cases.part), cases.row)]


def _filled(lists: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    missing = LISTED - lists.shape[1]
    return np.pad(lists, ((0, 0), (0, missing)), constant_values=-1) if missing > 0 else lists


def slices(cases: Cases) -> list[Slice]:
    """Cases by the length of the history and by how often the target was taken in training."""
    length = np.array([len(history) for history in cases.histories])
    taken = cases.trained[cases.target]
    cuts = [("history", "no item", length == 0), ("history", "1 to 4 items", (length > 0) & (length < 5))]
    cuts += [
        ("history", "5 to 9", (length >= 5) & (length < 10)),
        ("history", "10 to 19", (length >= 10) & (length < 20)),
    ]
    cuts += [("history", "20 and more", length >= 20)]
    cuts += [
        ("target", "cold: never taken in training", taken == 0),
        ("target", "1 to 4 times", (taken > 0) & (taken < 5)),
    ]
    cuts += [
        ("target", "5 to 19 times", (taken >= 5) & (taken < 20)),
        ("target", "20 to 99 times", (taken >= 20) & (taken < 100)),
    ]
    cuts += [("target", "100 times and more", taken >= 100)]
    return [Slice(by, name, mask) for by, name, mask in cuts if mask.sum() >= FEWEST]


def summary(ranked: Ranked, cases: Cases, *, seed: int = 0) -> dict[str, Any]:
    """Everything that is told about one system, as plain values."""
    measures = dict(zip(ranked.gains.names, intervals(ranked.gains.values, seed=seed), strict=True))
    chosen = np.column_stack([ranked.gains.column(name) for name in MAIN])
    told: dict[str, Any] = {
        "measures": {name: asdict(value) for name, value in measures.items()},
        "found": {str(depth): ranked.found(depth) for depth in CEILINGS},
        "auc": ranked.auc,
        "spread": asdict(_spread(ranked, cases)),
        "slices": [],
    }
    for part in slices(cases):
        values: list[Interval] = intervals(chosen[part.mask], seed=seed)
        figures = {name: asdict(value) for name, value in zip(MAIN, values, strict=True)}
        told["slices"].append({"by": part.by, "name": part.name, "people": int(part.mask.sum()), "measures": figures})
    return told


def _spread(ranked: Ranked, cases: Cases) -> Spread:
    popularity = cases.trained.astype(np.float64)
    own = np.array([popularity[history].mean() if len(history) else 0.0 for history in cases.histories])
    return spread(ranked.lists[:, :10], own, popularity, people=len(cases.split.log.users))


def comparisons(systems: Sequence[Ranked], *, against: str | None = None, seed: int = 0) -> list[dict[str, Any]]:
    """Each system against one (by default the best by NDCG@10), paired over people, corrected for their number."""
    if len(systems) < 2:
        return []
    chief = next((one for one in systems if one.name == against), None)
    chief = chief or max(systems, key=lambda one: float(one.gains.column("ndcg@10").mean()))
    found: list[tuple[str, str, Difference]] = []
    for other in systems:
        if other is not chief:
            for measure in MAIN:
                gap = compare(chief.gains.column(measure), other.gains.column(measure), seed=seed)
                found.append((other.name, measure, gap))
    corrected = holm([gap.p for _, _, gap in found])
    return [
        {"system": chief.name, "other": other, "measure": measure, **asdict(gap), "corrected": p}
        for (other, measure, gap), p in zip(found, corrected, strict=True)
    ]


def per_person(systems: Sequence[Ranked], cases: Cases) -> pl.DataFrame:
    """One row a case and system: who, what was asked, where it stood, and the first items of the list."""
    log = cases.split.log
    shared = {
        "user": log.users.gather(cases.user),
        "target": log.items.gather(cases.target),
        "history": [len(history) for history in cases.histories],
    }
    return pl.concat(
        pl.DataFrame(
            {
                "system": pl.repeat(system.name, len(cases), eager=True),
                **shared,
                "rank": system.ranks,
                "list": [log.items.gather(line[line >= 0]).to_list() for line in system.lists],
            }
        )
        for system in systems
    )
