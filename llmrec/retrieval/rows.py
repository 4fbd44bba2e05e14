"""What a row of the item store holds: the catalogue's fields, the words to search, the vectors; checked and brought to
the store's columns."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec import schema
from llmrec.errors import DatasetError, InputError, Problem
from llmrec.retrieval.filters import Field, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float32]

WORDS = "words"
SEARCHED = ("title", "brand", "categories", "description")
TYPES: Mapping[str, pl.DataType] = {
    "text": pl.String(),
    "texts": pl.List(pl.String),
    "whole": pl.Int64(),
    "number": pl.Float64(),
    "flag": pl.Boolean(),
    "day": pl.Date(),
    "time": pl.Datetime("us"),
}
STOP_WORDS = (
    "a an and are as at be been but by can do for from had has have he her his if in into is it its me my no not of on "
    "or our s she so such t than that the their them then there these they this to us was we were what which who will "
    "with would you your"
)
BLOCK = 65_536
ACCENTS = re.compile("[\u0300-\u036f]")
APOSTROPHES = re.compile("['’`´\x00]")


@dataclass(frozen=True)
class Layout:
    """The columns of a store: each field with its column and type, each kind of vector with its column and width."""

    columns: Mapping[str, str]
    types: Mapping[str, str]
    vector_columns: Mapping[str, str]
    widths: Mapping[str, int]

    @classmethod
    def of(cls, items: pl.DataFrame, vectors: Mapping[str, Floats]) -> "Layout":
        """The layout that keeps this catalogue and these vectors."""
        types = {name: _type(dtype) for name, dtype in items.schema.items()}
        widths = {kind: _width(kind, array) for kind, array in vectors.items()}
        taken = {WORDS}
        columns = {name: _column(name, taken) for name in types}
        return cls(columns, types, {kind: _column(f"{kind}_vector", taken) for kind in widths}, widths)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "Layout":
        """The layout that a store's page describes."""
        fields, vectors = content["fields"], content["vectors"]
        if unknown := {field["type"] for field in fields.values()} - set(TYPES):
            raise ValueError(f"unknown types {', '.join(map(str, unknown))}")
        return cls(
            {name: field["column"] for name, field in fields.items()},
            {name: field["type"] for name, field in fields.items()},
            {kind: vector["column"] for kind, vector in vectors.items()},
            {kind: int(vector["width"]) for kind, vector in vectors.items()},
        )

    def content(self) -> dict[str, Any]:
        """What `read` reads."""
        return {
            "fields": {name: {"column": self.columns[name], "type": self.types[name]} for name in self.columns},
            "vectors": {
                kind: {"column": self.vector_columns[kind], "width": self.widths[kind]} for kind in self.widths
            },
        }

    @property
    def fields(self) -> dict[str, Field]:
        """The fields as filters see them."""
        return {name: Field(self.columns[name], kind_of(TYPES[self.types[name]])) for name in self.columns}

    def vector_column(self, kind: str) -> str:
        """The column of a kind of vector, or an error that names those there are."""
        if kind not in self.vector_columns:
            raise InputError(
                f"This store has no {kind!r} vectors. It has {', '.join(self.vector_columns) or 'none at all'}"
            )
        return self.vector_columns[kind]

    def names(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of the table under the catalogue's own names."""
        return frame.select(pl.col(column).alias(name) for name, column in self.columns.items())


def sound_items(items: pl.DataFrame) -> pl.DataFrame:
    """Items in the columns of the contract, with one id each; everything that is wrong with them is one error."""
    frame, problems = schema.conform_items(items)
    if not any(problem.severity == "error" for problem in problems):
        problems += schema.check_items(frame)
    if any(problem.severity == "error" for problem in problems):
        raise DatasetError("The catalogue", problems)
    return frame


def stored(items: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Sound items in the columns and types of a store."""
    if unknown := [name for name in items.columns if name not in layout.columns]:
        raise InputError(
            f"The items have {', '.join(map(repr, unknown))}, which the store does not keep (it keeps "
            f"{', '.join(layout.columns)}). Leave it out, or build the index anew"
        )
    columns: list[pl.Series] = []
    problems: list[Problem] = []
    for name, column in layout.columns.items():
        dtype = TYPES[layout.types[name]]
        given = items[name] if name in items.columns else pl.Series(name, [None] * len(items), dtype=dtype)
        kept = _cast(given, dtype)
        if (lost := given.is_not_null() & kept.is_null() & ~_not_a_number(given)).any():
            row = int(lost.arg_true()[0])
            what = f"{name} {str(given[row])[:40]!r} is not what the store keeps there ({layout.types[name]})"
            problems.append(Problem("items", what, "Correct or empty it", (row + 1,), int(lost.sum())))
        columns.append(kept.alias(column))
    if problems:
        raise DatasetError("The catalogue", problems)
    return pl.DataFrame(columns)


def sound_vectors(vectors: Mapping[str, Floats], layout: Layout, count: int) -> dict[str, tuple[Floats, Any]]:
    """Vectors at unit length with the mask of those that are missing (all NaN, or all zero: no direction)."""
    return {kind: _unit(kind, vectors[kind], layout, count) for kind in vectors}


def unit(vector: npt.ArrayLike, kind: str, width: int) -> Floats:
    """A query's vector at unit length."""
    array = np.asarray(vector)
    if array.shape != (width,) or array.dtype.kind not in "fiu":
        raise InputError(
            f"A query among {kind!r} vectors takes {width} numbers, but got "
            f"{'x'.join(map(str, array.shape)) or 'one value'} of {array.dtype}"
        )
    wide = array.astype(np.float64)
    largest = np.abs(wide).max()
    if not np.isfinite(largest):
        raise InputError(f"The query among {kind!r} vectors has components that are not finite numbers")
    if largest == 0:
        raise InputError(f"The query among {kind!r} vectors is all zeros and has no direction")
    wide /= largest
    return (wide / np.linalg.norm(wide)).astype(np.float32)


def arrow(frame: pl.DataFrame, layout: Layout, vectors: Mapping[str, tuple[Floats, Any]]) -> "pa.Table":
    """Stored items with their words and vectors as an Arrow table."""
    import pyarrow as pa

    table = _plain(frame.to_arrow())
    table = table.append_column(WORDS, pa.array(words_of(layout.names(frame), layout), pa.string()))
    for kind, column in layout.vector_columns.items():
        array, missing = vectors.get(kind) or absent(len(frame), layout.widths[kind])
        values = pa.array(np.ascontiguousarray(array).reshape(-1))
        table = table.append_column(
            column, pa.FixedSizeListArray.from_arrays(values, layout.widths[kind], mask=pa.array(missing))
        )
    return table


def _plain(table: "pa.Table") -> "pa.Table":
    """Texts with 32-bit offsets: LanceDB has no index over ids with longer ones."""
    import pyarrow as pa

    plain = {pa.large_string(): pa.string(), pa.large_list(pa.large_string()): pa.list_(pa.string())}
    return table.cast(pa.schema([(column.name, plain.get(column.type, column.type)) for column in table.schema]))


def absent(count: int, width: int) -> tuple[Floats, Any]:
    """Vectors that are not there."""
    return np.zeros((count, width), dtype=np.float32), np.ones(count, dtype=bool)


def words_of(items: pl.DataFrame, layout: Layout) -> list[str]:
    """All that full-text search reads of each item, folded: its usual fields first, then its attributes in words."""
    attributes = [name for name in layout.types if name not in schema.ITEM_COLUMNS and layout.types[name] == "text"]
    parts = [
        pl.col(name).list.join(" ") if layout.types[name] == "texts" else pl.col(name)
        for name in (*SEARCHED, *attributes)
    ]
    joined = items.select(pl.concat_str(parts, separator=" \n", ignore_nulls=True).alias(WORDS))[WORDS]
    return [folded(text) for text in joined.to_list()]


def folded(text: str) -> str:
    """Text as it is indexed and asked for: small letters without accents; an apostrophe parts words."""
    if not text.isascii():
        plain = unicodedata.normalize("NFKD", text.encode("utf-8", "replace").decode())
        text = unicodedata.normalize("NFC", ACCENTS.sub("", plain))
    return APOSTROPHES.sub(" ", text.casefold())


def quoted(ids: Iterable[str]) -> str:
    """Item ids as a list in SQL."""
    return ", ".join("'" + item.replace("'", "''") + "'" for item in ids)


def sound_ids(ids: Sequence[str]) -> list[str]:
    """Ids that a store could hold, each once."""
    for item in ids:
        if not isinstance(item, str):
            raise InputError(f"An item id is a text, not {item!r:.60}")
    return [item for item in dict.fromkeys(ids) if item.encode("utf-8", "replace").decode() == item]


def _type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List):
        return "texts"
    if dtype.is_integer() and dtype != pl.UInt64:
        return "whole"
    if dtype.is_numeric():
        return "number"
    named = {pl.Boolean: "flag", pl.Date: "day", pl.Datetime: "time"}
    return named.get(dtype.base_type(), "text")


def _cast(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """A column in the store's type; what cannot be is null."""
    if isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone:
        values = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if isinstance(dtype, pl.List):
        return values.cast(dtype, strict=False).list.drop_nulls()
    if isinstance(dtype, pl.Float64):
        return values.cast(dtype, strict=False).fill_nan(None)
    return values.cast(dtype, strict=False)


def _not_a_number(values: pl.Series) -> pl.Series:
    if values.dtype.is_float():
        return values.is_nan().fill_null(False)
    return pl.repeat(False, len(values), eager=True)


def _column(name: str, taken: set[str]) -> str:
    """A plain column name that is not taken yet, ignoring case: a table cannot have every name that a field has."""
    plain = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_") or "field"
    column, number = plain, 2
    while column in taken:
        column, number = f"{plain}_{number}", number + 1
    taken.add(column)
    return column


def _width(kind: str, array: Floats) -> int:
    if np.ndim(array) != 2 or np.shape(array)[1] == 0:
        raise InputError(f"The {kind!r} vectors have shape {np.shape(array)}. Give one row an item")
    return int(np.shape(array)[1])


def _unit(kind: str, given: Floats, layout: Layout, count: int) -> tuple[Floats, Any]:
    layout.vector_column(kind)
    array = np.asarray(given, dtype=np.float32)
    width = layout.widths[kind]
    if _width(kind, array) != width:
        raise InputError(f"The {kind!r} vectors are {array.shape[1]} wide, but the store keeps {width}")
    if len(array) != count:
        raise InputError(f"There are {len(array):,} {kind!r} vectors for {count:,} items. Give one row an item")
    kept, missing = absent(count, width)
    for start in range(0, count, BLOCK):  # in blocks, or a million wide vectors would need their memory several times
        block = array[start : start + BLOCK]
        largest = np.abs(block).max(axis=1)
        nothing = np.isnan(block).all(axis=1) | (largest == 0)
        wrong = ~np.isfinite(largest) & ~nothing
        if wrong.any():
            raise InputError(
                f"{kind!r} vectors hold NaN or infinity in some components, the first in row "
                f"{start + int(wrong.argmax()) + 1}. An item without a vector is a row of NaN alone"
            )
        sound = block[~nothing] / largest[~nothing, None]  # first, or tiny and huge ones lose their length
        kept[start : start + BLOCK][~nothing] = sound / np.linalg.norm(sound, axis=1, keepdims=True)
        missing[start : start + BLOCK] = nothing
    return kept, missing
