"""What is said of items as tokens: the catalogue's own text, and reviews where a recipe asks for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Texts:
    """Tokens of each item's text, and of the reviews that people wrote of it."""

    own: list[list[int]] = field(repr=False)
    reviews: list[list[list[int]]] = field(repr=False)
    marks: tuple[int, int, int]
    """The ids of padding, beginning and end."""
    length: int
    drawn: int
    """Reviews that are read with a text."""

    def known(self) -> npt.NDArray[np.bool_]:
        """Which items have anything to read."""
        return np.array([bool(own or said) for own, said in zip(self.own, self.reviews, strict=True)], dtype=bool)

    def batch(
        self, items: Places, rng: np.random.Generator, *, forget: float = 0.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens of these items' texts, less a share left out at random, and which of them count."""
        pad, begin, end = self.marks
        rows = [[begin, *self._line(item, rng, forget)[: self.length - 2], end] for item in items.tolist()]
        ids = np.full((len(rows), max(map(len, rows))), pad, dtype=np.int64)
        for line, row in zip(ids, rows, strict=True):
            line[: len(row)] = row
        found = torch.from_numpy(ids)
        return found, (found != pad).long()

    def _line(self, item: int, rng: np.random.Generator, forget: float) -> list[int]:
        said = self.reviews[item]
        chosen = rng.permutation(len(said))[: self.drawn].tolist() if said else []
        # Reviews stand first: they would be what is cut off, and they speak of looks where descriptions seldom do.
        line = [token for place in chosen for token in said[place]] + self.own[item]
        if not forget:
            return line
        return [token for token, chance in zip(line, rng.random(len(line)), strict=True) if chance >= forget]


def tokens(tokenizer: Any, own: Sequence[str], said: Sequence[Sequence[str]], *, length: int, drawn: int) -> Texts:
    """Read all texts once."""

    def ids(texts: Sequence[str]) -> list[list[int]]:
        return list(tokenizer(list(texts), add_special_tokens=False)["input_ids"]) if texts else []

    marks = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    return Texts(ids(own), [ids(one) for one in said], marks, length, drawn)
