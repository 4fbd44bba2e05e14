"""How sure a figure is: intervals by resampling people, paired tests, and Holm's correction for many of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 2_000
FLIPS = 10_000
CHUNK = 4_000_000  # numbers held at a time
MANY = 40_000
SURE = 0.05
"""Below this a corrected p is called a difference."""


@dataclass(frozen=True)
class Interval:
    """A mean over people with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """The first system's mean minus the second's, over the same people."""

    mean: float
    low: float
    high: float
    p: float
    """Chance of a difference this large if the two were exchangeable for every person; two-sided."""


def intervals(values: Floats, *, seed: int = 0) -> list[Interval]:
    """A percentile bootstrap over people (rows), for all measures (columns) at once.

    Above so many people means are normal to the fourth digit, and the interval is taken from the standard error.
    """
    means = values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)
    if len(values) < 2:
        return [Interval(float(mean), float("nan"), float("nan")) for mean in means]
    if len(values) > MANY:
        reach = 1.959964 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
        low, high = means - reach, means + reach
    else:
        low, high = np.quantile(resampled(values, seed=seed) / len(values), [0.025, 0.975], axis=0)
    return [Interval(*map(float, three)) for three in zip(means, low, high, strict=True)]


def resampled(values: Floats, *, seed: int = 0) -> Floats:
    """The sums of all measures over people who are drawn with replacement, one row a resample."""
    drawn = _times_drawn(len(values), seed)
    step = max(1, CHUNK // len(values))
    return np.concatenate([drawn[at : at + step].astype(np.float64) @ values for at in range(0, RESAMPLES, step)])


def compare(first: Floats, second: Floats, *, seed: int = 0) -> Difference:
    """Compare two systems on the same people: a bootstrap interval and a sign-flip randomisation test."""
    if first.shape != second.shape:
        raise ValueError(f"{len(first)} and {len(second)} people: a paired test needs the same ones")
    gap = first - second
    (found,) = intervals(gap[:, None], seed=seed)
    return Difference(found.mean, found.low, found.high, _sign_flip(gap, seed))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down correction: keeps the chance of any false alarm among all comparisons."""
    order = np.argsort(ps, kind="stable")
    corrected = np.empty(len(ps))
    worst = 0.0
    for place, index in enumerate(order):
        worst = max(worst, min(1.0, (len(ps) - place) * ps[index]))
        corrected[index] = worst
    return [float(p) for p in corrected]


@lru_cache(maxsize=24)
def _times_drawn(people: int, seed: int) -> npt.NDArray[np.uint8]:
    """How often each person is drawn in each resample; the same draws serve every system, as a paired design wants."""
    rng = np.random.default_rng(seed)
    drawn = np.empty((RESAMPLES, people), dtype=np.uint8)
    for row in drawn:
        row[:] = np.bincount(rng.integers(people, size=people), minlength=people)
    return drawn


def _sign_flip(gap: npt.NDArray[Any], seed: int) -> float:
    """The share of random sign flips whose mean is at least as far from 0; people without a difference never matter."""
    moved = gap[gap != 0]
    if not len(moved):
        return 1.0
    observed = abs(moved.sum()) - 1e-9
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // len(moved))
    beyond = 0
    for begin in range(0, FLIPS, step):
        signs = rng.integers(0, 2, size=(min(step, FLIPS - begin), len(moved)), dtype=np.int8)
        beyond += int((np.abs((2.0 * signs - 1) @ moved) >= observed).sum())
    return (beyond + 1) / (FLIPS + 1)
