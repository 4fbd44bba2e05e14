"""Popularity: what most people take, overall or of late; the floor of every comparison and the answer to a newcomer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmrec.log import Codes
from llmrec.splits import TRAIN, Split

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Popularity:
    """One score an item, the same for everybody."""

    worth: Floats
    name: str = "popularity"

    def score(self, histories: Sequence[Codes]) -> Floats:
        """Scores of all items, one row a history."""
        return np.broadcast_to(self.worth, (len(histories), len(self.worth))).copy()


def fit(split: Split) -> Popularity:
    """Count training rows."""
    counts = np.bincount(split.log.item[split.part == TRAIN], minlength=len(split.log.items))
    return Popularity(counts.astype(np.float32))


def fit_recent(split: Split, *, half_life: float = 0.05) -> Popularity:
    """Count training rows; each loses half its weight with every share `half_life` of all that comes after it.

    Age is counted in rows and not in days, so that it means the same in a log of a week and in one of ten years.
    """
    trained = split.part == TRAIN
    time, item = split.log.time[trained], split.log.item[trained]
    later = len(time) - np.searchsorted(np.sort(time), time, side="right")
    weight = 0.5 ** (later / max(1.0, half_life * len(time)))
    worth = np.bincount(item, weights=weight, minlength=len(split.log.items))
    return Popularity(worth.astype(np.float32), name="recent popularity")
