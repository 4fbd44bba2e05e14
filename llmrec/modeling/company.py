"""What comes after such histories by counts of pairs, which a model may learn beside what each person took.

In a short log an item that was taken says little by itself: another could have been. Whoever ranks by co-occurrence
counts knows the others, and a model that learns from those counts as well knows them with nothing to look up.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llmrec.retrieval.index import Index
from llmrec.retrieval.neighbours import Neighbours, fit
from llmrec.script import APART
from llmrec.splits import Split


@dataclass(frozen=True)
class Company:
    """Neighbours as they are counted in the training rows, read from lines of tokens."""

    neighbours: Neighbours = field(repr=False)
    vocabulary: int

    @classmethod
    def of(cls, index: Index, split: Split, vocabulary: int) -> "Company":
        """The neighbours of an index, or those that it would have."""
        known = next((one for one in index.retrievers if isinstance(one, Neighbours)), None)
        return cls(known or fit(split), vocabulary)

    def near(self, tokens: Tensor, asked: Tensor) -> Any:
        """How near all items are to the history up to each place that is asked: a sparse row each.

        Rows come in the order of the places. An item of several tokens is read at its first.
        """
        places = (tokens - self.vocabulary).cpu().numpy()
        histories = []
        for row, wanted in zip(places, asked.cpu().numpy(), strict=True):
            there = (row >= 0) & (row < APART)
            histories += [row[there][:count] for count in there.cumsum()[wanted]]
        return self.neighbours.sparse_scores(histories)


def shares(near: Any, chosen: Tensor | None, correction: Tensor | None, device: torch.device) -> Tensor:
    """Rows of nearness as chances over all items or the `chosen` ones; zeros where none of them is near.

    One that was drawn stands for others as well, for as many as the logarithm in `correction` says.
    """
    some = near if chosen is None else near[:, chosen.cpu().numpy()]
    wished = torch.from_numpy(np.asarray(some.toarray(), dtype=np.float32)).to(device)
    wished = wished if correction is None else wished * correction.exp()
    total = wished.sum(dim=1, keepdim=True)
    return wished / total.where(total > 0, 1.0)
