"""A light reader of histories: it asks for the next item by the mean of those before it, at hardly any cost.

It teaches the item words before a language model is tuned, and the language model while it is: the reader's opinion of
all items says more of a position than the one item that somebody happened to take there.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

DROPOUT = 0.1


class LightReader(nn.Module):
    """From the mean of what was read to a question, straight and through one layer."""

    def __init__(self, hidden: int, rank: int):
        super().__init__()
        self.settle = nn.LayerNorm(hidden)
        self.think = nn.Sequential(
            nn.Linear(hidden, 2 * rank), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(2 * rank, rank)
        )
        self.ask = nn.Linear(hidden, rank, bias=False)

    def forward(self, vectors: Tensor, there: Tensor) -> Tensor:
        """One question a position, from the vectors up to it; places that are not `there` are passed over."""
        count = there.cumsum(dim=1).clamp(min=1)
        mean = self.settle((vectors * there[..., None]).cumsum(dim=1) / count[..., None])
        asked: Tensor = self.ask(mean) + self.think(mean)
        return asked


@dataclass(frozen=True)
class Teacher:
    """A reader that has learnt, with the item words that it learnt by; both stand still."""

    reader: LightReader
    read: Tensor = field(repr=False)
    write: Tensor = field(repr=False)
    vocabulary: int

    @torch.no_grad()
    def questions(self, tokens: Tensor) -> Tensor:
        """What it asks for at each position of lines of tokens, of which those from `vocabulary` on are items."""
        there = tokens >= self.vocabulary
        asked: Tensor = self.reader(self.read[(tokens - self.vocabulary).clamp(min=0)], there)
        return asked
