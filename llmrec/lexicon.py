"""Which items a merged model knows, and by which token: read from its folder without its weights."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from llmrec.artifact import read_json
from llmrec.errors import InputError

ITEM = "<|item{}|>"
"""What the token of an item is called in the vocabulary."""
NAMED = re.compile(r"<\|item\d+\|>")
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class StockWords:
    """Which items a stock folder knows: item number i is the token id `first + i`.

    A row without an item is None when it never had one, and empty when its item was removed. Items that take several
    positions have as many rows more, which are only read: all second ones behind all first ones, and so on.
    """

    first: int
    ids: tuple[str | None, ...]
    positions: int = 1

    @property
    def apart(self) -> int:
        """How far the rows of an item lie apart."""
        return len(self.ids)

    def item(self, token: int) -> str | None:
        """The item that a token belongs to."""
        place = token - self.first
        return self.ids[place % self.apart] or None if 0 <= place < self.apart * self.positions else None

    def codes(self) -> dict[str, int]:
        """The number of each item."""
        return {item: number for number, item in enumerate(self.ids) if item}

    def tokens(self) -> dict[str, int]:
        """The token id of each item."""
        return {item: self.first + number for item, number in self.codes().items()}

    def free(self) -> list[int]:
        """The rows for new items; those of removed items come last, for an old prompt may still speak of them."""
        return sorted((number for number, item in enumerate(self.ids) if not item), key=lambda n: self.ids[n] == "")


@dataclass(frozen=True)
class Tables:
    """What the file of the tables says about itself."""

    words: StockWords
    read: str
    write: str
    scale: float
    """What the model multiplies an input row with, which is therefore divided by it here."""


def names_item(text: str) -> bool:
    """Whether a text that a model wrote holds the token of an item, which is no word for people."""
    return NAMED.search(text) is not None


def read_words(folder: Path) -> StockWords:
    """Which items a stock folder knows."""
    return open_tables(folder)[1].words


def weight_index(folder: Path) -> dict[str, Any]:
    """Which file of a stock folder holds which weight."""
    kind, remedy = "a model with item words", "Write one with: llmrec merge RUN --out MODEL"
    return read_json(folder, INDEX, kind=kind, remedy=remedy)


def open_tables(folder: Path) -> tuple[Path, Tables]:
    """The file that the index names for the tables, and what it says about itself."""
    named = {name for name in weight_index(folder)["weight_map"].values() if name.startswith("items-")}
    if len(named) != 1:
        raise InputError(
            f"{folder} is a model without item words: its index names no items-….safetensors. "
            "Write one with: llmrec merge RUN --out MODEL"
        )
    path = Path(folder) / named.pop()
    with safe_open(path, "np") as file:
        about = json.loads(file.metadata()["items"])
    words = StockWords(about["first"], tuple(about["ids"]), about.get("positions", 1))
    return path, Tables(words, about["input"], about["output"], about["scale"])
