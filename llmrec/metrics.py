"""What a ranking is worth: hits, gains, and what it does to a catalogue. Ties count against the ranker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int64]
Codes = npt.NDArray[Any]

CUTS = (1, 5, 10, 20)


def pessimistic_ranks(scores: npt.NDArray[Any], targets: Codes) -> Ranks:
    """The rank of each row's target among the row's scores, from 1; whoever ties with it stands before it.

    A score that is not a number is the lowest, so that a model that breaks down is not rewarded.
    """
    clean = np.where(np.isnan(scores), -np.inf, scores)
    own = np.take_along_axis(clean, np.asarray(targets, dtype=np.int64)[:, None], axis=1)
    return np.asarray((clean >= own).sum(axis=1), dtype=np.int64)


@dataclass(frozen=True)
class Gains:
    """Measures of each person, by name such as `ndcg@10`: what is averaged, resampled and compared."""

    names: tuple[str, ...]
    values: Floats
    """One row a person, one column a measure."""

    def column(self, name: str) -> Floats:
        """One measure of every person."""
        return self.values[:, self.names.index(name)]

    def means(self) -> dict[str, float]:
        """The mean of each measure over people."""
        return dict(zip(self.names, self.values.mean(axis=0).tolist(), strict=True))


def gains(ranks: Ranks, starts: Ranks | None = None, cuts: Sequence[int] = CUTS) -> Gains:
    """Each person's hit rate, recall and NDCG at the cuts, and the reciprocal rank of the best hit.

    `ranks` are those of the items that are right, grouped by person; `starts` says where each person begins (by
    default every person has one). Ranks of one person must differ, as places in one list do.
    """
    starts = np.arange(len(ranks)) if starts is None else np.asarray(starts)
    if not len(ranks):
        names = [f"{name}@{cut}" for cut in cuts for name in ("hr", "recall", "ndcg")]
        return Gains((*names, "mrr"), np.zeros((0, 3 * len(cuts) + 1)))
    wanted = np.diff(np.append(starts, len(ranks)))
    columns: dict[str, Floats] = {}
    ideal = np.cumsum(1 / np.log2(np.arange(2, max(int(wanted.max()), max(cuts)) + 2)))
    for cut in cuts:
        inside = ranks <= cut
        found = np.add.reduceat(inside.astype(np.float64), starts)
        gain = np.add.reduceat(np.where(inside, 1 / np.log2(ranks + 1), 0.0), starts)
        columns[f"hr@{cut}"] = (found > 0).astype(np.float64)
        columns[f"recall@{cut}"] = found / wanted
        columns[f"ndcg@{cut}"] = gain / ideal[np.minimum(wanted, cut) - 1]
    columns["mrr"] = 1 / np.minimum.reduceat(ranks, starts).astype(np.float64)
    return Gains(tuple(columns), np.column_stack(list(columns.values())))


@dataclass(frozen=True)
class Spread:
    """What a system's lists do to a catalogue; none of it says whether they are right."""

    coverage: float
    """Share of the items that are ranked that stands on anybody's list."""
    gini: float | None
    """0 where all items that are ranked are shown equally often, 1 where one takes it all."""
    novelty: float | None
    """Mean surprise of a shown item in bits: minus log2 of the share of people who took it in training."""
    popularity_lift: float | None
    """How many times as popular a shown item is as one of the same person's history; the median over people."""
    lift_people: int
    """How many people that is of: who has no history of items that were taken in training, or no list, is left out."""
    missing: dict[str, str]
    """Why a figure is None, by its name."""


def spread(
    lists: Codes,
    histories_popularity: Floats,
    popularity: npt.NDArray[Any],
    people: int,
    offered: npt.NDArray[Any] | None = None,
) -> Spread:
    """Measure lists of item codes (one row a person; -1 for an empty place) against training counts of the items.

    `offered` are the items that are ranked, by default all of them.
    """
    offered = np.arange(len(popularity)) if offered is None else offered
    shown = lists[lists >= 0]
    counts = np.bincount(shown, minlength=len(popularity))[offered].astype(np.float64)
    share = (popularity + 1) / (people + 1)  # an item that nobody took is as surprising as one that one person took
    mean_shown = np.array([popularity[row[row >= 0]].mean() if (row >= 0).any() else np.nan for row in lists])
    known = np.isfinite(mean_shown) & (histories_popularity > 0)
    lift = mean_shown[known] / histories_popularity[known]
    missing = {}
    if not len(shown):
        missing = dict.fromkeys(("gini", "novelty", "popularity_lift"), "nothing stands on any list")
    elif not popularity[offered].any():
        missing = dict.fromkeys(("novelty", "popularity_lift"), "nothing that is ranked was ever taken in training")
    elif not len(lift):
        missing["popularity_lift"] = "nobody who has a list has a history of items that were taken in training"
    return Spread(
        coverage=float((counts > 0).mean()),
        gini=None if "gini" in missing else gini(counts),
        novelty=None if "novelty" in missing else float(-np.log2(share[shown]).mean()),
        popularity_lift=None if "popularity_lift" in missing else float(np.median(lift)),
        lift_people=0 if "popularity_lift" in missing else len(lift),
        missing=missing,
    )


def gini(counts: Floats) -> float:
    """How unequal non-negative counts are."""
    ordered = np.sort(counts)
    total, size = ordered.sum(), len(ordered)
    if total <= 0:
        return 0.0
    return float((2 * np.arange(1, size + 1) - size - 1) @ ordered / (size * total))


def surprise(probabilities: Floats, labels: npt.NDArray[np.bool_]) -> Floats:
    """The surprise in nats of each that was taken or was not; its mean is the log-loss."""
    held = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return np.asarray(-np.where(labels, np.log(held), np.log1p(-held)), dtype=np.float64)


def rmse(told: Floats, true: Floats) -> float:
    """Root mean square error."""
    return float(np.sqrt(np.mean((told - true) ** 2)))


def mae(told: Floats, true: Floats) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(told - true)))
