"""The catalogue as prompts see it: one line of text an item, its cost in tokens, its picture, and what is like it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from llmrec.dataset import Dataset
from llmrec.errors import TemplateError
from llmrec.prompts import PICTURE, Prompts, clean
from llmrec.tokens import TokenMeter

TITLE_LIMIT = 120
WORD = "\ue001"
"""Stands where an item stands as one word of the model's vocabulary."""
_DIGIT, _BASE, _PLACES = 0xE400, 1024, 3
_MARKS = re.compile(f"([{PICTURE}{WORD}])")


class Word(NamedTuple):
    """An item as one word of the model's vocabulary."""

    code: int


Piece = str | int | Word
"""A piece of a prompt: text, the code of an item whose picture stands there, or an item's word."""


def numbered(code: int, mark: str = PICTURE) -> str:
    """A mark that knows its item, in private-use characters, which no cleaned text can hold."""
    digits = (code // _BASE**place % _BASE for place in reversed(range(_PLACES)))
    return mark + "".join(chr(_DIGIT + digit) for digit in digits)


def pieces(text: str) -> list[Piece]:
    """A rendered text with numbered marks as text, pictures and item words in their order."""
    words, *marked = _MARKS.split(text)
    found: list[Piece] = [words] if words else []
    for mark, part in zip(marked[::2], marked[1::2], strict=True):
        if not part or not _DIGIT <= ord(part[0]) < _DIGIT + _BASE:
            raise TemplateError("A template prints a picture mark of its own: use the line or the picture it is given")
        code = 0
        for digit in part[:_PLACES]:
            code = code * _BASE + ord(digit) - _DIGIT
        found.append(code if mark == PICTURE else Word(code))
        if len(part) > _PLACES:
            found.append(part[_PLACES:])
    return found


@dataclass(frozen=True)
class Shelf:
    """All items of one dataset, ready to be put into prompts; lists are indexed by item code."""

    dataset: Dataset
    ids: Sequence[str]
    titles: Sequence[str]
    lines: Sequence[str]
    lines_with_picture: Sequence[str]
    tokens: Sequence[int]
    images: Sequence[str | None]
    fields: Sequence[Mapping[str, Any]]
    picture_tokens: int

    @cached_property
    def alike(self) -> Sequence[Sequence[int]]:
        """For each item the codes of its most special category, where those items with a picture are."""
        groups: dict[tuple[str, ...], list[int]] = {}
        keys = [tuple(fields["categories"] or ()) for fields in self.fields]
        for code, key in enumerate(keys):
            if self.images[code]:
                groups.setdefault(key, []).append(code)
        return [groups.get(key, []) for key in keys]

    @cached_property
    def has_alike(self) -> Sequence[bool]:
        """Whether another item with a picture is in the same category, so that somebody could show its picture."""
        return [len(codes) > (image is not None) for codes, image in zip(self.alike, self.images, strict=True)]

    @cached_property
    def costs(self) -> Sequence[int]:
        """The tokens of each item's line with its picture, where it has one."""
        pairs = zip(self.tokens, self.images, strict=True)
        return [tokens + (self.picture_tokens if image else 0) for tokens, image in pairs]

    def cost(self, code: int, picture: bool) -> int:
        """The tokens of an item's line."""
        return self.costs[code] if picture else self.tokens[code]

    def line(self, code: int, picture: bool) -> str:
        """An item's line, with the mark of its picture where it has one and it is wanted."""
        return self.lines_with_picture[code] if picture else self.lines[code]

    def cheapest_price_above(self, price: float) -> int:
        """A round sum that is a little more than a price, as a person would name it."""
        step = 5 if price < 50 else 10 if price < 200 else 50
        return int(np.ceil((price + 0.01) / step) * step)


def stock_shelf(
    dataset: Dataset,
    prompts: Prompts,
    meter: TokenMeter,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Shelf:
    """Render every item's line once, and count the tokens of all of them."""
    table = dataset.items.collect()
    fields = [cleaned_fields(row, dataset.attributes) for row in table.iter_rows(named=True)]
    lines: list[str] = []
    pictured: list[str] = []
    images = table["image"].to_list()
    for code, item in enumerate(fields):
        lines.append(prompts.item_line(item, picture=False))
        marked = (
            prompts.item_line(item, picture=True).replace(PICTURE, numbered(code), 1) if images[code] else lines[-1]
        )
        pictured.append(marked)
        if progress and code % 1000 == 999:
            progress("items", code + 1, len(fields))
    tokens = meter.texts([f"\n{line}" for line in lines])
    return Shelf(
        dataset=dataset,
        ids=table["item"].to_list(),
        titles=[item["title"] or "the item without a title" for item in fields],
        lines=lines,
        lines_with_picture=pictured,
        tokens=tokens.tolist(),
        images=images,
        fields=fields,
        picture_tokens=meter.picture_tokens,
    )


def cleaned_fields(row: Mapping[str, Any], attributes: Sequence[str]) -> dict[str, Any]:
    """An item's fields as safe text; empty ones are None."""
    categories = [text for category in row["categories"] or () if (text := clean(category, 60))]
    return {
        "title": clean(row["title"] or "", TITLE_LIMIT) or None,
        "description": clean(row["description"] or "", 400) or None,
        "categories": categories,
        "brand": clean(row["brand"] or "", 60) or None,
        "price": row["price"],
        "attributes": {
            clean(name.replace("_", " "), 40): value for name in attributes if (value := clean(_written(row[name]), 80))
        },
    }


def _written(value: Any) -> str:
    """An attribute's value as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
