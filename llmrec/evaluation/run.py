"""Lets systems rank on a split and measures what they did, with certainty, slices and paired comparisons."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.errors import InputError
from llmrec.evaluation.direct import CASES, FEW_CASES, Chances, Pairs, calibrate
from llmrec.evaluation.once import sharing
from llmrec.log import Codes
from llmrec.metrics import Gains, gains, pessimistic_ranks, spread
from llmrec.progress import Progress
from llmrec.retrieval.retriever import Floats, Retriever, best, leave_out
from llmrec.significance import Difference, Interval, compare, holm, intervals
from llmrec.significance import Floats as Means
from llmrec.splits import TRAIN, Part, Split, most_taken, sampled_candidates

Protocol = Literal["full", "sampled", "cold"]
LISTED = 20
SAMPLED = 99
CEILINGS = (50, 100, 200)
AMONG = (1, 5, 10)
AMONG_TOLD = ("hr@1", "hr@5", "ndcg@5", "hr@10", "ndcg@10")
"""What P5 and VIP5 tell of one target among 99 sampled items."""
MAIN = ("ndcg@10", "hr@10")
"""The measures that systems are compared by; a test of every measure would only look for luck."""
BATCH, SMALLEST = 256, 16
HELD = 64_000_000  # scores of one system that are held at a time, where items are many
FEWEST = 10  # people of whom a slice can tell something


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
    def offered(self) -> npt.NDArray[np.int64]:
        """The items that are ranked: all of them, or under `cold` those that nobody had taken in training."""
        if self.protocol == "cold":
            return self.split.cold.astype(np.int64)
        return np.arange(len(self.split.log.items))

    @cached_property
    def trained(self) -> npt.NDArray[np.int64]:
        """How often each item was taken in the training rows."""
        log = self.split.log
        return np.bincount(log.item[self.split.part == TRAIN], minlength=len(log.items))


@dataclass(frozen=True)
class Run:
    """What one system, fitted once, did with every case."""

    ranks: npt.NDArray[np.int64]
    lists: npt.NDArray[np.int64]
    """The first items of each list, -1 where there are fewer."""
    wins: Means
    """1 where a target scores above an item drawn from what the same person did not take, 0.5 for a tie, 0 else."""
    surprises: Means | None
    """How little its scores, made chances on validation, say which of the two was taken; None without validation."""
    among: npt.NDArray[np.int64] | None = None
    """The ranks of the targets among 99 sampled items, beside those among all; None where they are not told."""
    seed: int = 0
    """What the system was fitted with."""


@dataclass(frozen=True)
class Ranked:
    """What one system did, as the mean of its runs: one for each seed that it was fitted with."""

    name: str
    runs: tuple[Run, ...]

    @property
    def ranks(self) -> npt.NDArray[np.int64]:
        """The ranks of the first run."""
        return self.runs[0].ranks

    @property
    def lists(self) -> npt.NDArray[np.int64]:
        """The lists of the first run."""
        return self.runs[0].lists

    @property
    def wins(self) -> Means:
        """Of each pair, the mean over runs; its mean is the AUC."""
        return np.asarray(np.mean([run.wins for run in self.runs], axis=0), dtype=np.float64)

    @property
    def surprises(self) -> Means | None:
        """Of each pair, the mean over runs; its mean is the log-loss."""
        told = [run.surprises for run in self.runs if run.surprises is not None]
        return np.asarray(np.mean(told, axis=0), dtype=np.float64) if told else None

    @cached_property
    def gains(self) -> Gains:
        """Measures of each case, each the mean over runs."""
        each = self._each
        return Gains(each[0].names, np.mean([one.values for one in each], axis=0))

    @cached_property
    def _each(self) -> list[Gains]:
        return [gains(run.ranks) for run in self.runs]

    def found(self, depth: int) -> float:
        """The share of targets among the first so many: no reranker of that many candidates can hit more often."""
        return float(np.mean([run.ranks <= depth for run in self.runs]))

    def deviation(self) -> dict[str, float] | None:
        """The standard deviation over seeds of the main measures; None for a single run."""
        if len(self.runs) < 2:
            return None
        return {name: float(np.std([one.means()[name] for one in self._each], ddof=1)) for name in MAIN}


@dataclass(frozen=True)
class Slice:
    """Some of the cases, by what they have in common."""

    by: str
    name: str
    mask: npt.NDArray[np.bool_]

    @property
    def people(self) -> int:
        """How many of the cases."""
        return int(self.mask.sum())

    @property
    def missing(self) -> str | None:
        """Why nothing is told of them."""
        who = "1 person" if self.people == 1 else f"{self.people} people"
        return None if self.people >= FEWEST else f"{who}: too few to tell"


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
    if protocol == "cold" and not len(split.cold):
        raise InputError(
            f"The {split.name} split keeps no items new. Make an index that does: "
            "llmrec index DATASET --out FOLDER split=cold-items"
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
    """Let one system rank. All items but the person's own stand against the target, 99 of them, or the new ones."""
    return rank_all([system], cases, seed=seed, progress=progress)[0]


def rank_all(
    systems: Sequence[Retriever],
    cases: Cases,
    *,
    seed: int = 0,
    chances_too: bool = True,
    progress: Progress | None = None,
) -> list[Ranked]:
    """Let systems rank side by side: what several of them ask of the same part is scored once a batch.

    Without `chances_too` nobody of validation is asked, and there is no log-loss.
    """
    systems = sharing(systems)
    count = len(systems)
    known = min(CASES, max(FEW_CASES, len(cases))) if chances_too else 0
    chances = _calibrated(systems, cases.split, cases.protocol, known, seed, progress) if known else []
    sampled, beside = cases.protocol == "sampled", samples(cases)
    candidates = _candidates(cases, seed) if sampled or beside else None
    others = _others(cases, seed)
    ranks, among = (np.empty((count, len(cases)), dtype=np.int64) for _ in range(2))
    lists = np.full((count, len(cases), LISTED), -1, dtype=np.int64)
    pairs = np.empty((count, len(cases), 2))
    for place, some, scores in _scored(systems, cases, "ranking", progress):
        targets = cases.target[some].astype(np.int64)
        firsts = best(scores, LISTED)[0]
        lists[place, some, : firsts.shape[1]] = firsts
        pairs[place, some] = np.take_along_axis(scores, np.column_stack([targets, others[some]]), axis=1)
        ranks[place, some] = pessimistic_ranks(scores, targets)
        if candidates is not None:
            drawn = np.take_along_axis(scores, candidates[some].astype(np.int64), axis=1)
            among[place, some] = pessimistic_ranks(drawn, np.zeros(len(targets), dtype=np.int64))
    ranked = []
    for place, system in enumerate(systems):
        direct = Pairs(*pairs[place, others >= 0].T)
        surprises = direct.surprises(chances[place]) if chances else None
        own = among[place] if sampled else ranks[place]
        run = Run(own, lists[place], direct.wins(), surprises, among[place] if beside else None)
        ranked.append(Ranked(system.name, (run,)))
    return ranked


def over_seeds(fits: Sequence[Sequence[Ranked]], seeds: Sequence[int]) -> list[Ranked]:
    """The same systems fitted with these seeds, each as one system with as many runs."""
    runs: dict[str, list[Run]] = {one.name: [] for one in fits[0]}
    for fit, seed in zip(fits, seeds, strict=True):
        for one in fit:
            runs[one.name] += [replace(run, seed=seed) for run in one.runs]
    return [Ranked(name, tuple(some)) for name, some in runs.items()]


def _scored(
    systems: Sequence[Retriever], cases: Cases, doing: str, progress: Progress | None
) -> Iterator[tuple[int, slice, Floats]]:
    """The place of a system, a batch of cases, and its scores of all items with what a person has at the very end."""
    step = max(SMALLEST, min(BATCH, HELD // max(1, len(cases.split.log.items))))
    for begin in range(0, len(cases), step):
        histories = cases.histories[begin : begin + step]
        for place, system in enumerate(systems):
            scores = leave_out(system.score(histories), histories)
            if len(cases.offered) < scores.shape[1]:
                left_out = np.ones(scores.shape[1], dtype=bool)
                left_out[cases.offered] = False
                scores[:, left_out] = -np.inf
            yield place, slice(begin, begin + step), scores
        if progress:
            progress(doing, min(begin + step, len(cases)), len(cases))


def _calibrated(
    systems: Sequence[Retriever], split: Split, protocol: Protocol, limit: int, seed: int, progress: Progress | None
) -> list[Chances]:
    """What makes chances of each system's scores, fitted on validation and never on what is measured."""
    if not len(split.rows("valid")):
        return []
    cases = cases_of(split, "valid", protocol=protocol, limit=limit)
    others = _others(cases, seed)
    pairs = np.empty((len(systems), len(cases), 2))
    for place, some, scores in _scored(systems, cases, "calibrating", progress):
        asked = np.column_stack([cases.target[some].astype(np.int64), others[some]])
        pairs[place, some] = np.take_along_axis(scores, asked, axis=1)
    return [calibrate(Pairs(*both[others >= 0].T)) for both in pairs]


def _others(cases: Cases, seed: int) -> npt.NDArray[np.int64]:
    """For each case an item that the person never takes, each as likely as the others; -1 where there is none."""
    rng = np.random.default_rng(seed)
    offered, all_of_them = cases.offered, set(cases.offered.tolist())
    drawn = offered[rng.integers(len(offered), size=len(cases))]
    for place, user in enumerate(cases.user.tolist()):
        barred = set(cases.split.log.history(user).tolist())
        if all_of_them <= barred:
            drawn[place] = -1
        while drawn[place] in barred:
            drawn[place] = offered[rng.integers(len(offered))]
    return drawn


def by_chance(cases: Cases) -> dict[str, float]:
    """What a random order of the same items would get, in the mean over all orders."""
    offered = np.zeros(len(cases.split.log.items), dtype=bool)
    offered[cases.offered] = True
    sizes = [int(offered.sum() - offered[np.unique(history)].sum()) for history in cases.histories]
    sizes = [SAMPLED + 1] * len(cases) if cases.protocol == "sampled" else sizes
    every = np.maximum(1, np.array(sizes, dtype=np.float64))
    worth = 1 / np.log2(np.arange(10) + 2)
    gained = [worth[: int(one)].sum() for one in every]
    return {"hr@10": float(np.minimum(1, 10 / every).mean()), "ndcg@10": float((gained / every).mean())}


def samples(cases: Cases) -> bool:
    """Whether full ranks can have ranks among 99 sampled items beside them: a person needs so many not taken."""
    return cases.protocol == "full" and most_taken(cases.split, cases.part) + SAMPLED <= len(cases.split.log.items)


def _candidates(cases: Cases, seed: int) -> Codes:
    table = sampled_candidates(cases.split, cases.part, negatives=SAMPLED, seed=seed)
    return table[np.searchsorted(cases.split.rows(cases.part), cases.row)]


def slices(cases: Cases) -> list[Slice]:
    """Cases by the length of the history and by how often the target was taken in training, the smallest ones too."""
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
    return [Slice(by, name, mask) for by, name, mask in cuts]


def summary(ranked: Ranked, cases: Cases, *, seed: int = 0) -> dict[str, Any]:
    """Everything that is told about one system, as plain values."""
    measures = dict(zip(ranked.gains.names, intervals(ranked.gains.values, seed=seed), strict=True))
    chosen = np.column_stack([ranked.gains.column(name) for name in MAIN])
    told: dict[str, Any] = {
        "measures": {name: asdict(value) for name, value in measures.items()},
        "deviation": ranked.deviation(),
        "found": None if cases.protocol == "sampled" else {str(depth): ranked.found(depth) for depth in CEILINGS},
        "pairs": len(ranked.wins),
        "auc": _certain(ranked.wins, seed),
        "log_loss": _certain(ranked.surprises, seed),
        "sampled": _among(ranked),
        "spread": _spread(ranked, cases),
        "slices": [],
    }
    for part in slices(cases):
        figures: dict[str, Any] | None = None
        if not part.missing:
            values: list[Interval] = intervals(chosen[part.mask], seed=seed)
            figures = {name: asdict(value) for name, value in zip(MAIN, values, strict=True)}
        row = {"by": part.by, "name": part.name, "people": part.people, "missing": part.missing, "measures": figures}
        told["slices"].append(row)
    return told


def _among(ranked: Ranked) -> dict[str, float] | None:
    """The measures among 99 sampled items, the mean over runs; None where full ranks have none beside them."""
    told = [gains(run.among, cuts=AMONG).means() for run in ranked.runs if run.among is not None]
    return {name: float(np.mean([one[name] for one in told])) for name in AMONG_TOLD} if told else None


def _certain(values: Means | None, seed: int) -> dict[str, float] | None:
    """A mean over people with its interval; None where fewer than two can be asked."""
    if values is None or len(values) < 2:
        return None
    return asdict(intervals(values[:, None], seed=seed)[0])


def _spread(ranked: Ranked, cases: Cases) -> dict[str, Any]:
    """What the first ten of a system's lists do to the items that are ranked: the mean over the runs that tell it."""
    popularity = cases.trained.astype(np.float64)
    own = np.array([popularity[history].mean() if len(history) else 0.0 for history in cases.histories])
    log = cases.split.log
    people = len(np.unique(log.user_of_rows()[cases.split.part == TRAIN]))
    each = [asdict(spread(run.lists[:, :10], own, popularity, people, cases.offered)) for run in ranked.runs]
    found: dict[str, Any] = {}
    for name in ("coverage", "gini", "novelty", "popularity_lift"):
        told = [one[name] for one in each if one[name] is not None]
        found[name] = float(np.mean(told)) if told else None
    missing = {name: why for name, why in each[0]["missing"].items() if found[name] is None}
    return {**found, "lift_people": max(one["lift_people"] for one in each), "missing": missing}


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
    """One row a case, system and seed: who, what was asked, where it stood, and the first items of the list."""
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
                "seed": pl.repeat(run.seed, len(cases), eager=True, dtype=pl.Int64),
                **shared,
                "rank": run.ranks,
                "list": [log.items.gather(line[line >= 0]).to_list() for line in run.lists],
            }
        )
        for system in systems
        for run in system.runs
    )
