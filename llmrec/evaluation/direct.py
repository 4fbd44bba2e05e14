"""Whether a person would take an item: chances made of scores by two numbers that are fitted on validation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.metrics import surprise

Floats = npt.NDArray[np.float64]

COIN = float(np.log(2))
"""The log-loss of whoever always says one half."""
CASES = 1_000
"""Validation targets that the two numbers are fitted on, at most."""
FEW_CASES = 50
"""And so many of them, or as many as are measured, where only a few people are asked."""
BELOW = 0.1
"""How far below the lowest score an item without any is put, in standard deviations of the scores."""


@dataclass(frozen=True)
class Pairs:
    """Scores of the items that people took, and beside each that of an item which the same person did not take."""

    taken: Floats
    other: Floats

    @property
    def scores(self) -> Floats:
        """All scores, the taken first."""
        return np.concatenate([self.taken, self.other])

    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        """Which of them were taken."""
        return np.arange(len(self.taken) + len(self.other)) < len(self.taken)

    def wins(self) -> Floats:
        """Of each pair 1 where the taken item scores higher, 0.5 for a tie, 0 else; their mean is the AUC.

        Scores of different people are never compared. One that is not a number is the lowest.
        """
        taken, other = (np.where(np.isnan(scores), -np.inf, scores) for scores in (self.taken, self.other))
        return np.asarray((taken > other) + 0.5 * (taken == other), dtype=np.float64)

    def surprises(self, chances: Callable[[Floats], Floats]) -> Floats:
        """Of each pair the mean surprise at what was taken and what was not; their mean is the log-loss."""
        both = surprise(chances(self.scores), self.labels)
        return np.asarray(both.reshape(2, -1).mean(axis=0), dtype=np.float64)


@dataclass(frozen=True)
class Chances:
    """The chance that an item of this score is taken: a logistic of the score, as Platt does."""

    slope: float
    level: float
    lowest: float
    highest: float

    def __call__(self, scores: Floats) -> Floats:
        """Scores outside those that it was fitted on count as the nearest of them: nothing is known about them."""
        logits = self.slope * held(scores, self.lowest, self.highest) + self.level
        return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float64)


def held(scores: Floats, lowest: float, highest: float) -> Floats:
    """Scores within bounds; one that is not a number counts as the lowest, as it does in a ranking."""
    return np.asarray(np.clip(np.where(np.isnan(scores), lowest, scores), lowest, highest), dtype=np.float64)


def calibrate(pairs: Pairs) -> Chances:
    """Fit slope and level. Targets are drawn a little towards one half, so that a clean cut has a finite slope.

    An item on no list scores minus infinity: it is put just below the lowest score that there is.
    """
    from scipy.optimize import minimize

    scores, labels = pairs.scores, pairs.labels
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return Chances(0.0, 0.0, 0.0, 0.0)
    scale = float(finite.std()) or 1.0
    lowest, highest = float(finite.min()) - BELOW * scale, float(finite.max())
    middle = float(np.median(finite))
    told = (held(scores, lowest, highest) - middle) / scale
    wanted = np.where(labels, (labels.sum() + 1) / (labels.sum() + 2), 1 / ((~labels).sum() + 2))

    def loss(numbers: Floats) -> tuple[float, Floats]:
        logits = numbers[0] * told + numbers[1]
        gap = 1 / (1 + np.exp(-np.clip(logits, -500, 500))) - wanted
        value = (np.logaddexp(0, logits) - wanted * logits).mean()
        return float(value), np.array([(gap * told).mean(), gap.mean()])

    found: Any = minimize(loss, np.zeros(2), jac=True, method="BFGS")
    slope = float(found.x[0]) / scale
    return Chances(slope, float(found.x[1]) - slope * middle, lowest, highest)
