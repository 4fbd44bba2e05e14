"""Items that resemble what a person took, by any vectors of their content: text, pictures, or both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from llmrec.log import Codes
from llmrec.retrieval.neighbours import read_weights

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Content:
    """Scores an item by its likeness to the last items of a history; knows items that nobody has taken yet."""

    read: Callable[[], Floats] = field(repr=False)
    """Gives one row an item, of length 1; zeros for an item without content. Called when scores are first asked for."""
    name: str
    recent: int = 10
    decay: float = 0.7

    @cached_property
    def vectors(self) -> Floats:
        """One row an item."""
        return self.read()

    def score(self, histories: Sequence[Codes]) -> Floats:
        """Scores of all items, one row a history; -inf where the item or the whole history has no content."""
        profiles = self.profiles(histories)
        scores = profiles @ self.vectors.T
        scores[:, ~self.vectors.any(axis=1)] = -np.inf
        scores[~profiles.any(axis=1)] = -np.inf
        return np.asarray(scores, dtype=np.float32)

    def profiles(self, histories: Sequence[Codes]) -> Floats:
        """The mean vector of each history's last items, the last ones weighing most."""
        weights = read_weights(histories, len(self.vectors), self.recent, self.decay)
        return unit(np.asarray(weights @ self.vectors))


def unit(vectors: npt.NDArray[np.floating]) -> Floats:
    """Rows of length 1; a row of zeros stays as it is."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), dtype=np.float32)
