"""Co-occurrence neighbours: items that stand near each other in people's histories, counted and never learnt.

The plainest strong baseline there is: on Amazon's Beauty and Toys it ranks above most published neural models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from llmrec.log import Codes
from llmrec.retrieval.retriever import ndcg, some_cases
from llmrec.splits import TRAIN, Split

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NeighbourRecipe:
    """How co-occurrences are counted and read."""

    window: int = 5
    """Two items count as near up to so many steps apart; the weight of a pair is one over the steps."""
    backward: float = 0.5
    """Weight of the item before, of that of the item after."""
    recent: int = 10
    """The last items of a history that are read."""
    decay: float = 0.7
    """Weight of each item of a history, of that of the one after it."""
    damping: float = 1.0
    """Added to the product of the two items' counts before its root divides a pair's weight."""


RECIPES = (
    NeighbourRecipe(),
    NeighbourRecipe(window=10, damping=5),
    NeighbourRecipe(window=10, backward=0.3, decay=0.6, damping=10),
    NeighbourRecipe(window=10, recent=20, decay=0.85, damping=5),
    NeighbourRecipe(window=50, recent=50, backward=1, decay=0.95, damping=10),
    NeighbourRecipe(window=50, recent=50, backward=1, decay=1, damping=10),
)
"""From tastes that change with every step to tastes that stay."""


@dataclass(frozen=True)
class Neighbours:
    """A matrix of weights from each item to those that are taken near it."""

    recipe: NeighbourRecipe
    weights: Any
    name: str = "neighbours"

    def sparse_scores(self, histories: Sequence[Codes]) -> Any:
        """Scores as a sparse matrix, one row a history; an item that is not there is near nothing in the history."""
        return read_weights(histories, self.weights.shape[0], self.recipe.recent, self.recipe.decay) @ self.weights

    def score(self, histories: Sequence[Codes]) -> Floats:
        """Scores of all items, one row a history; -inf for those that are near nothing in it."""
        scores = self.sparse_scores(histories).toarray()
        return np.where(scores > 0, scores, np.float32(-np.inf)).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write the matrix as plain arrays."""
        sparse.save_npz(folder / "neighbours.npz", self.weights)


def fit(split: Split, recipe: NeighbourRecipe | None = None) -> Neighbours:
    """Count pairs in the training rows."""
    recipe = recipe or NeighbourRecipe()
    trained = split.part == TRAIN
    item, owner = split.log.item[trained].astype(np.int64), split.log.user_of_rows()[trained]
    items = len(split.log.items)
    pairs = sparse.csr_array((items, items), dtype=np.float32)
    for gap in range(1, recipe.window + 1):
        same = owner[gap:] == owner[:-gap]
        before, after = item[:-gap][same], item[gap:][same]
        weight = np.full(len(before), 1 / gap, dtype=np.float32)
        step = sparse.csr_array((weight, (before, after)), shape=(items, items))
        pairs = pairs + step + recipe.backward * step.T
    counts = np.bincount(item, minlength=items).astype(np.float64)
    pairs = pairs.tocoo()
    norm = np.sqrt(counts[pairs.row] * counts[pairs.col] + recipe.damping)
    weights = sparse.csr_array((pairs.data / norm, (pairs.row, pairs.col)), shape=(items, items), dtype=np.float32)
    return Neighbours(recipe, weights)


def tune(split: Split, *, recipes: Sequence[NeighbourRecipe] | None = None, cases: int = 3_000) -> Neighbours:
    """Fit several recipes and keep the one that ranks validation targets best."""
    asked = some_cases(split, "valid", cases)
    fitted = [fit(split, recipe) for recipe in recipes or RECIPES]
    return max(fitted, key=lambda one: ndcg(one, asked))


def read_weights(histories: Sequence[Codes], items: int, recent: int, decay: float) -> Any:
    """A sparse matrix of people by items: the last items of each history, the last one with weight 1."""
    lengths = np.array([min(recent, len(history)) for history in histories], dtype=np.int64)
    ends = np.cumsum(lengths)
    last = [np.asarray(history[-recent:], dtype=np.int64) for history in histories]
    columns = np.concatenate([*last, np.zeros(0, dtype=np.int64)])
    back = np.repeat(ends, lengths) - np.arange(len(columns)) - 1
    starts = np.concatenate([[0], ends])
    data = (decay**back).astype(np.float32)
    return sparse.csr_array((data, columns, starts), shape=(len(histories), items))
