"""A light reader of histories: it asks for the next item by the mean of those before it, at hardly any cost.

It teaches the item words before a language model is tuned, and the language model while it is: the reader's opinion of
all items says more of a position than the one item that somebody happened to take there. Kept in the run, it is also
the plain recommender that the language model must beat.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from llmrec.errors import InputError
from llmrec.script import APART

DROPOUT = 0.1
FILE = "reader.safetensors"
READ, WRITE, READER = "read", "write", "reader."


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
        """What it asks for at each position of lines of tokens, of which those from `vocabulary` on are items.

        An item of several tokens is read at its first, as a whole.
        """
        there = (tokens >= self.vocabulary) & (tokens < self.vocabulary + APART)
        asked: Tensor = self.reader(self.read[(tokens - self.vocabulary).clamp(min=0) * there], there)
        return asked

    def save(self, folder: Path) -> None:
        """Write the reader and its tables into a folder."""
        from safetensors.torch import save_file

        state = {READER + name: value for name, value in self.reader.state_dict().items()}
        tables = {READ: self.read, WRITE: self.write, **state}
        save_file({name: value.detach().cpu().contiguous() for name, value in tables.items()}, folder / FILE)

    @classmethod
    def load(cls, folder: Path, vocabulary: int, device: torch.device | str = "cpu") -> "Teacher | None":
        """Read it from a folder; None where there is none."""
        from safetensors.torch import load_file

        if not (folder / FILE).exists():
            return None
        try:
            found = load_file(folder / FILE, device=str(device))
            read, write = found.pop(READ), found.pop(WRITE)
            reader = LightReader(read.shape[1], write.shape[1]).to(device)
            reader.load_state_dict({name.removeprefix(READER): value for name, value in found.items()})
        except Exception as error:  # whatever the reader of the format raises on missing or broken tables
            raise InputError(
                f"{folder / FILE} is not whole ({error}). Remove it to do without, or tune again"
            ) from error
        return cls(reader.eval().requires_grad_(False), read, write, vocabulary)
