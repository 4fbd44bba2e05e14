"""What a mapping file may say: every key of it, and which values make sense."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from llmrec.errors import ConfigError
from llmrec.schema import ITEM_COLUMNS
from mapped.columns import UNITS, check_zone


@dataclass(frozen=True)
class ItemColumns:
    """Which column of the items file is what. A list of columns is joined."""

    item: str
    """The column with the item's id."""
    title: Any = None
    description: Any = None
    categories: Any = None
    brand: str | None = None
    price: str | None = None

    def __post_init__(self) -> None:
        for name in ("title", "description", "categories"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, str) or _texts(value)):
                raise ConfigError(f"{name} is {value!r}: it should be a column or a list of columns")


@dataclass(frozen=True)
class Items:
    """The catalogue. Without a file it is made of what the interactions file says about each item."""

    columns: ItemColumns
    """The columns of the catalogue, at least item."""
    file: Path | None = None
    attributes: Any = ()
    category_separator: str | None = None
    decimal: Literal[".", ","] = "."
    encoding: str = "utf-8"
    delimiter: str | None = None
    quotes: bool = True

    def __post_init__(self) -> None:
        kept = self.attributes
        renamed = isinstance(kept, Mapping) and _texts(list(kept)) and _texts(list(kept.values()))
        if not (kept == "all" or renamed or not kept or _texts(kept)):
            raise ConfigError(f"attributes is {kept!r}: it should be a list of columns, or name: column pairs, or all")
        if taken := [name for name in kept if name in ITEM_COLUMNS and kept != "all"]:
            raise ConfigError(f"attributes has {taken[0]!r}, a field of its own. Map it under columns, or rename it")


@dataclass(frozen=True)
class EventColumns:
    """Which column of the interactions file is what."""

    user: str
    """The column with the person's id."""
    item: str
    """The column with the item's id."""
    timestamp: str | None = None
    rating: str | None = None
    review: str | None = None
    summary: str | None = None


@dataclass(frozen=True)
class Interactions:
    """Who took, bought, rated or read what, and when."""

    file: Path
    """The file with one interaction a row."""
    columns: EventColumns
    """The columns of the log: user, item, timestamp, and rating, review, summary where there are any."""
    time: str = "auto"
    time_zone: str = "UTC"
    rating_scale: tuple[float, float] | None = None
    encoding: str = "utf-8"
    delimiter: str | None = None
    quotes: bool = True

    def __post_init__(self) -> None:
        known = {"auto", "iso", "order", "row", *UNITS}
        if self.time not in known and "%" not in self.time:
            raise ConfigError(f"time is {self.time!r}: it can be {', '.join(sorted(known))} or a pattern with %")
        if (self.time == "row") == (self.columns.timestamp is not None):
            raise ConfigError("columns.timestamp is needed, unless time: row says that rows are in the order of time")
        check_zone(self.time_zone)


@dataclass(frozen=True)
class Images:
    """Where an item's picture is: a file named by a pattern, or an address in a column."""

    folder: Path
    """The folder with the pictures, or for addresses the folder to keep what was fetched."""
    path: str | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.address is None):
            raise ConfigError("images: say either path (a pattern such as '{item}.jpg') or address (a column)")
        self.names()

    def names(self) -> list[str]:
        """The columns that the pattern names; {item} is the item's id."""
        try:
            parsed = [(name, form, way) for _, name, form, way in string.Formatter().parse(self.path or "")]
        except ValueError as error:
            raise ConfigError(f"path is {self.path!r}: {error}. Write it like photos/{{item}}.jpg") from None
        names = [name for name, _, _ in parsed if name is not None]
        if self.path and (not names or any(not name or form or way for name, form, way in parsed if name is not None)):
            raise ConfigError(f"path is {self.path!r}: name a column in it, like '{{item}}.jpg' or '{{photo}}'")
        return names


@dataclass(frozen=True)
class TableMapping:
    """A whole mapping file."""

    name: str
    """A name for the dataset."""
    interactions: Interactions
    """The section with the log: file and columns."""
    items: Items | None = None
    images: Images | None = None
    licence: str = "not told"
    source: str = "own tables"


def _texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, str) for one in value)
