"""Looks at somebody's files and writes a first mapping: what is found is filled in, the rest is left to correct."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl
import sources

from llmrec.errors import InputError
from mapped import columns, encodings
from mapped.dates import Reading, reading_of
from mapped.names import column_for, columns_for, plain, tells_the_future
from mapped.tables import kind_of, read_table

ROWS_LOOKED_AT = 1000
BYTES_LOOKED_AT = 2**20


@dataclass(frozen=True)
class Seen:
    """One file as it looks: how it is written, and its first rows."""

    path: Path
    encoding: str
    delimiter: str | None
    rows: pl.DataFrame


def guess_mapping(files: Sequence[Path], base: Path, to: Path | None = None) -> str:
    """A commented mapping for one file (the log) or two (catalogue and log, in any order).

    Paths in it are relative to `base`, the folder that the mapping is for.
    """
    if len(files) > 2:
        raise InputError("--init takes one file (the log) or two (catalogue and log)")
    seen = [look_at(path) for path in files]
    seen.sort(key=_like_a_log)
    log, items = seen[-1], seen[0] if len(seen) == 2 else None
    names = log.rows.columns
    event = {field: column_for(field, names) for field in ("user", "item", "review", "summary")}
    event["rating"] = _of_numbers(log.rows, columns_for("rating", names))
    found: dict[str, str | None] = {"item": event["item"]}
    if items:
        event["item"], found["item"] = _shared(items.rows, log.rows, event["item"], event["user"])
    event["timestamp"], reading = _times(log.rows, {name for name in event.values() if name})
    about = items or log
    taken = {found["item"]} if items else {name for name in event.values() if name}
    free = [name for name in about.rows.columns if name not in taken]
    fields = {name: column_for(name, free) for name in ("title", "description", "categories", "brand", "image")}
    found |= {"price": _priced(about.rows, columns_for("price", free)), **fields}
    where = to or "mapping.yaml"
    of_paths = "this file" if to else f"{base.resolve()}: write the mapping there, or elsewhere with --to"
    lines = [
        "# Which column is what. Guessed from the files: check every line, then run",
        f"#   python data_builders/tabular.py {where} --out work/shop",
        "# data_builders/tabular.example.yaml explains every key.",
        f"# Paths are relative to {of_paths}.",
        f"name: {_quoted(log.path.stem.split('.')[0] if items is None else about.path.parent.resolve().name)}",
        'licence: "not told"',
        "",
        "interactions:",
        *_written(log, base),
        "  columns:",
        *_lines(event, ("user", "item", "timestamp", "rating", "review", "summary"), "    "),
        *_time_lines(log.rows, event["timestamp"], reading),
        "",
        "items:" if items else "items:  # no file of its own: made of the columns of the log",
        *(_written(items, base) if items else ()),
        "  columns:",
        *_lines(found, ("item", "title", "description", "categories", "brand", "price"), "    "),
        *_value_lines(about.rows, found),
        *_attribute_lines(free, {*found.values(), *event.values()} if not items else {*found.values()}, about.rows),
        *_image_lines(about, found["image"], found["item"], base),
    ]
    return "\n".join(lines) + "\n"


def look_at(path: Path) -> Seen:
    """Find out how a file is written, and read its first rows."""
    kind = kind_of(sources.existing(path))
    if kind == "parquet":
        return Seen(path, "utf-8", None, read_table(path, None).head(ROWS_LOOKED_AT))
    start = sources.start_of(path, BYTES_LOOKED_AT)
    encoding = encodings.recognised(start)
    if encoding is None:
        raise InputError(encodings.no_text(path, start))
    text = encodings.text_of_start(start, encoding)
    if kind == "json":
        if text.lstrip().startswith("["):
            return Seen(path, encoding, None, read_table(path, None, encoding=encoding).head(ROWS_LOOKED_AT))
        rows = [row for _, row in islice(sources.json_lines(path, encoding=encoding), ROWS_LOOKED_AT) if row]
        names = dict.fromkeys(name for row in rows for name, value in row.items() if not isinstance(value, dict))
        made = {name: [None if row.get(name) is None else str(row[name]) for row in rows] for name in names}
        return Seen(path, encoding, None, pl.DataFrame(made))
    first = text.splitlines()[0] if text else ""
    delimiter = max(("\t", ";", "|", ","), key=first.count)
    try:
        frame = pl.read_csv(
            text.encode(),
            separator=delimiter,
            infer_schema=False,
            n_rows=ROWS_LOOKED_AT,
            truncate_ragged_lines=True,
            ignore_errors=True,
        )
    except pl.exceptions.PolarsError as error:
        told = sources.shown(str(error).splitlines()[0], 200)
        raise InputError(f"{path} cannot be read as a table: {told}. Export it again") from None
    return Seen(path, encoding, delimiter, frame)


def _like_a_log(seen: Seen) -> int:
    """How much a file looks like the log: people are in no catalogue, a date or a rating may be."""
    has = {field: column_for(field, seen.rows.columns) is not None for field in ("timestamp", "rating", "review")}
    return sum(has.values()) + 3 * (column_for("user", seen.rows.columns) is not None)


def _of_numbers(rows: pl.DataFrame, names: list[str]) -> str | None:
    """The first column that holds numbers: a "note" is a rating in French and a text elsewhere."""
    for name in names:
        told = columns.as_told(columns.flat(rows[name]))
        if len(told.drop_nulls()) and columns.numbers(told, "", "")[0].count() * 2 >= told.count():
            return name
    return None


def _priced(rows: pl.DataFrame, names: list[str]) -> str | None:
    """The first column whose values can be read as prices, with either decimal mark."""
    for name in names:
        told = columns.as_told(columns.flat(rows[name]))
        if not told.count() or any(2 * len(_price_problems(told, mark)) <= told.count() for mark in (".", ",")):
            return name
    return None


def _times(rows: pl.DataFrame, taken: set[str]) -> tuple[str | None, Reading | None]:
    """The column with times and how to read it: one whose name says so, else one whose values look so."""
    named = columns_for("timestamp", rows.columns)
    free = [name for name in rows.columns if name not in taken]
    for name in named:
        if reading := reading_of(rows[name], named=True):
            return name, reading
    for name in free:
        if reading := reading_of(rows[name], named=False):
            return name, reading
    return (named[0] if named else None), None


def _shared(
    items: pl.DataFrame, log: pl.DataFrame, named: str | None, user: str | None
) -> tuple[str | None, str | None]:
    """The pair of columns through which the log names items: by name, else by the values that both hold."""
    same = column_for("item", items.columns)
    if named and (named in items.columns or same):
        return named, named if named in items.columns else same
    texts = {name: set(columns.flat(log[name]).drop_nulls()) for name in log.columns if name != user}
    best, most = (named, same or (column_for("title", items.columns) and None)), 0
    for name in items.columns:
        ids = columns.flat(items[name]).drop_nulls()
        if ids.n_unique() < len(ids):
            continue
        for other, values in texts.items():
            if (named is None or other == named) and (common := len(values & set(ids))) > most:
                best, most = (other, name), common
    if best[1] is None:
        best = (best[0], next((name for name in items.columns if plain(name) == "id"), None))
    return best


def _written(seen: Seen, base: Path) -> list[str]:
    lines = [f"  file: {_relative(seen.path, base)}"]
    if seen.encoding != "utf-8":
        lines.append(f"  encoding: {seen.encoding}")
    if seen.delimiter is not None:
        lines.append(f"  delimiter: {json.dumps(seen.delimiter)}")
    return lines


def _relative(path: Path, base: Path) -> str:
    """A path as seen from a folder. Links in its folders are followed, for `..` would not lead back through them."""
    place = path.parent.resolve() / path.name if path.name else path.resolve()
    return _quoted(os.path.relpath(place, base.resolve()))


def _quoted(text: str) -> str:
    """A text as YAML reads it back, whatever is in it."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _lines(found: dict[str, str | None], fields: tuple[str, ...], indent: str) -> list[str]:
    lines = []
    for field in fields:
        column = found.get(field)
        if column:
            lines.append(f"{indent}{field}: {_quoted(column)}")
        elif field in ("user", "item", "timestamp"):
            lines.append(f'{indent}{field}: "???"  # not found: write the name of the column')
        else:
            lines.append(f"{indent}# {field}:")
    return lines


def _time_lines(log: pl.DataFrame, name: str | None, reading: Reading | None) -> list[str]:
    if name is None:
        return ["  # time: row  # when there is no column with times and rows are in their order"]
    if reading is None:
        told = columns.as_told(columns.flat(log[name])).drop_nulls()
        if len(told) and told.cast(pl.Float64, strict=False).null_count() == 0:
            return ["  time: order  # numbers too small to be times"]
        example = f"such as {sources.shown(told[0])!r} " if len(told) else ""
        return [f"  time: '%d.%m.%Y'  # how times {example}are written was not recognised: correct it"]
    if reading.time == "dates":
        return []
    zone = ["  # time_zone: Europe/Berlin  # where times without a zone were written"]
    line = f'  time: "{reading.time}"' if "%" in reading.time else f"  time: {reading.time}"
    doubt = f"  # {reading.doubt}" if reading.doubt else ""
    return [line + doubt, *(zone if "%" in reading.time or reading.time == "iso" else ())]


def _value_lines(rows: pl.DataFrame, found: dict[str, str | None]) -> list[str]:
    lines = []
    if found["categories"] and not isinstance(rows.schema[found["categories"]], pl.List):
        told = rows[found["categories"]].cast(pl.String).drop_nulls()
        marks = {mark: told.str.contains(mark, literal=True).sum() for mark in (" > ", ">", "|", "/", ";")}
        mark = max(marks, key=lambda one: marks[one])
        if marks[mark] > len(told) / 10:
            lines.append(f"  category_separator: {json.dumps(mark)}")
    if found["price"]:
        unread = {mark: len(_price_problems(rows[found["price"]], mark)) for mark in (".", ",")}
        lines += ['  decimal: ","'] if unread[","] < unread["."] else []
    return lines


def _price_problems(values: pl.Series, decimal: str) -> range:
    _, problems = columns.prices(values, decimal, "")
    return range(problems[0].count if problems else 0)


def _attribute_lines(names: list[str], taken: set[str | None], rows: pl.DataFrame) -> list[str]:
    """Columns that are neither a field nor a figure that tells the future."""
    left = [name for name in names if name not in taken and not rows[name].is_null().all()]
    kept = [name for name in left if not tells_the_future(name)]
    lines = [f"  attributes: [{', '.join(map(_quoted, kept))}]"] if kept else []
    if leaky := [sources.shown(name) for name in left if name not in kept]:
        lines.append(f"  # left out, for they may tell what people did later: {', '.join(leaky)}")
    return lines


def _image_lines(seen: Seen, column: str | None, item: str | None, base: Path) -> list[str]:
    """Where pictures are: addresses in a column, files that a column names, or files named by item."""
    told = columns.flat(seen.rows[column]).drop_nulls().to_list() if column else []
    if told and all(value.startswith(("http://", "https://")) for value in told):
        return [
            "",
            "images:",
            "  folder: fetched  # what is fetched is kept here",
            f"  address: {_quoted(str(column))}",
        ]
    here = seen.path.parent
    folders = [here, *sorted(path for path in here.iterdir() if path.is_dir())]
    for folder in folders if told else ():
        if any((folder / value).is_file() for value in told):
            return _images(_relative(folder, base), f"{{{column}}}")
    ids = set(columns.ids(seen.rows[item]).drop_nulls()) if item else set()
    for folder in folders:
        names = (path.stem for path in folder.iterdir() if path.suffix.lower() in sources.PICTURE_SUFFIXES)
        if not ids.isdisjoint(names):
            return _images(_relative(folder, base), "{item}")
    if column:
        return _images(_relative(here, base), f"{{{column}}}")
    return ["", "# images:", "#   folder: photos", '#   path: "{item}.jpg"']


def _images(folder: str, path: str) -> list[str]:
    return ["", "images:", f"  folder: {folder}", f"  path: {_quoted(path)}"]
