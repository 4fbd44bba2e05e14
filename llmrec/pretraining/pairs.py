"""Which items are taken together: counted in the training rows of a split, with popularity divided out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from llmrec.splits import TRAIN, Split

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """A matrix of weights, one row an item: how much more often than by chance the others are taken with it."""

    weights: Any

    def among(self, items: Places) -> Floats:
        """The weights between the items of a batch; none of an item with itself or with its double."""
        table = self.weights[items][:, items].toarray()
        table[items[:, None] == items[None]] = 0
        return np.asarray(table, dtype=np.float32)

    def partners(self, items: Places, rng: np.random.Generator) -> Places:
        """For each item one that is taken with it, drawn by weight; the item itself where there is none."""
        found = items.copy()
        for row, item in enumerate(items.tolist()):
            begin, end = self.weights.indptr[item], self.weights.indptr[item + 1]
            if end > begin:
                reach = np.cumsum(self.weights.data[begin:end])
                found[row] = self.weights.indices[begin + np.searchsorted(reach, rng.random() * reach[-1])]
        return found


def count(split: Split, allowed: npt.NDArray[np.bool_], *, window: int, damping: float) -> Pairs:
    """Count pairs of allowed items in the training rows, each divided by the (damped) counts of both."""
    trained = (split.part == TRAIN) & allowed[split.log.item]
    item, owner = split.log.item[trained].astype(np.int64), split.log.user_of_rows()[trained]
    items = len(split.log.items)
    pairs = sparse.csr_array((items, items), dtype=np.float32)
    for gap in range(1, window + 1):
        same = owner[gap:] == owner[:-gap]
        if not same.any():
            break  # nobody has so long a history
        before, after = item[:-gap][same], item[gap:][same]
        step = sparse.csr_array((np.ones(len(before), dtype=np.float32), (before, after)), shape=(items, items))
        pairs = pairs + step + step.T
    counts = np.bincount(item, minlength=items).astype(np.float32) + damping
    found = pairs.tocoo()
    apart = found.row != found.col
    row, column = found.row[apart], found.col[apart]
    weights = found.data[apart] / (counts[row] * counts[column])
    return Pairs(sparse.csr_array((weights, (row, column)), shape=(items, items), dtype=np.float32))
