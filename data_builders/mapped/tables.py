"""Reads one table of any kind: CSV and its relatives, JSON lines, Parquet."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import sources

from llmrec.errors import InputError
from mapped import encodings

DELIMITED = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
JSON = (".jsonl", ".ndjson", ".json")
ENCODING_REMEDY = "Set encoding: in the mapping, such as encoding: latin-1 or encoding: cp1252"


def read_table(
    path: Path,
    columns: Collection[str] | None,
    *,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    quotes: bool = True,
) -> pl.DataFrame:
    """Read the wanted columns (or all); values of separated files stay text. Columns may say what each is for."""
    sources.existing(path)
    kind = kind_of(path)
    if kind == "parquet":
        return _parquet(path, columns)
    encodings.check(path, encoding)
    if kind == "json":
        return _json(path, columns, encoding)
    separator = delimiter or DELIMITED[path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix.lower()]
    _check_delimiter(path, separator, encoding, columns)
    return sources.delimited(
        path, separator=separator, encoding=encoding, columns=columns, quoted=quotes, remedy=ENCODING_REMEDY
    )


def kind_of(path: Path) -> str:
    """Whether a file is delimited, json or parquet, by its name."""
    suffix = (path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix).lower()
    if suffix in DELIMITED:
        return "delimited"
    if suffix in JSON:
        return "json"
    if suffix in (".parquet", ".pq") and path.suffix != ".gz":
        return "parquet"
    known = ", ".join([*DELIMITED, *JSON, ".parquet"])
    raise InputError(
        f"{path}: files of this kind cannot be read. Export it as one of {known} (all but Parquet: or .gz)"
    )


def _check_delimiter(path: Path, separator: str, encoding: str, columns: Collection[str] | None) -> None:
    """A first line that holds another delimiter but not this one tells more than 'no such column'."""
    first = encodings.text_of_start(sources.start_of(path, 2**20), encoding).partition("\n")[0]
    if separator in first or (columns is not None and len(columns) == 1):
        return
    other = next((mark for mark in (";", "\t", "|", ",") if mark in first), None)
    if other:
        told = "\\t" if other == "\t" else other
        raise InputError(f'{path}: its columns are not separated by {separator!r}. Set delimiter: "{told}"')


def _parquet(path: Path, columns: Collection[str] | None) -> pl.DataFrame:
    try:
        frame = pl.scan_parquet(path)
        known = frame.collect_schema().names()
        sources.check_columns(columns or (), known, str(path))
        table = frame.select(known if columns is None else list(columns)).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"{path} is not a readable Parquet file ({sources.shown(str(error), 200)}). Export it again"
        ) from None
    if table.is_empty():
        raise InputError(f"{path} has no rows. Export it again")
    for name, dtype in table.schema.items():
        if isinstance(getattr(dtype, "inner", dtype), pl.Struct):
            raise InputError(f"{path}: {name!r} is an object, not a value. Write its parts as columns of their own")
    return table


def _json(path: Path, columns: Collection[str] | None, encoding: str) -> pl.DataFrame:
    """Columns of JSON objects, one a line or in one array; keys may be missing here and there."""
    values: dict[str, list[Any]] = {name: [] for name in columns or ()}
    seen: dict[str, None] = {}
    count = 0
    for row in _rows(path, encoding):
        seen |= dict.fromkeys(row)
        if columns is None:
            for name in row:
                values.setdefault(name, [None] * count)
        for name, column in values.items():
            column.append(row.get(name))
        count += 1
    if not count:
        raise InputError(f"{path} has no rows. Export it again")
    sources.check_columns(columns or (), list(seen), str(path))
    return pl.DataFrame([_series(name, column, path) for name, column in values.items()])


def _rows(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    start = encodings.text_of_start(sources.start_of(path, 256), encoding)
    if start.lstrip("\ufeff\xef\xbb\xbf \r\n\t").startswith("["):
        try:
            content = json.loads(sources.text_of(path, encoding, ENCODING_REMEDY))
        except ValueError as error:
            raise InputError(f"{path} is not valid JSON ({error}). Export it again") from None
        if not all(isinstance(row, dict) for row in content):
            raise InputError(f"{path} holds a JSON array of something else than objects. Export one object a row")
        yield from content
        return
    for number, row in sources.json_lines(path, encoding=encoding):
        if row is None:
            sources.text_of(path, encoding, ENCODING_REMEDY)
            raise InputError(f'{path}, line {number} is not a JSON object. Write one object a line, like {{"id": 1}}')
        yield row


def _series(name: str, values: list[Any], path: Path) -> pl.Series:
    kinds = {type(value) for value in values} - {type(None)}
    if dict in kinds:
        row = next(row for row, value in enumerate(values, 1) if isinstance(value, dict))
        raise InputError(f"{path}, row {row}: {name!r} is an object, not a value. Write its parts as keys of their own")
    if list in kinds:
        lists = [value if value is None or isinstance(value, list) else [value] for value in values]
        texts = [None if one is None else [None if part is None else str(part) for part in one] for one in lists]
        return pl.Series(name, texts, dtype=pl.List(pl.String))
    if kinds <= {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds <= {int} and all(value is None or abs(value) < 2**62 for value in values):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds <= {int, float}:
        return pl.Series(name, values, dtype=pl.Float64)
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
