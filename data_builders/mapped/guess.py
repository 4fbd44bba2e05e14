"""Looks at somebody's files and writes a first mapping: what is found is filled in, the rest is left to correct."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl
import sources

from llmrec.errors import InputError, LlmrecError
from mapped import columns
from mapped.tables import kind_of, read_table

ROWS_LOOKED_AT = 1000
BYTES_LOOKED_AT = 2**20
NAMES = {
    "user": "user userid customer customerid reviewerid memberid visitorid clientid buyer buyerid uid "
    "kunde kundennummer",
    "item": "item itemid sku product productid article articleid asin parentasin movieid videoid ean gtin artikel "
    "artikelnummer iid productcode",
    "timestamp": "timestamp time datetime date createdat orderedat orderdate purchasedat boughtat eventtime "
    "unixreviewtime unixtime ts tdat day when datum",
    "rating": "rating stars score overall bewertung",
    "review": "review reviewtext comment reviewbody text body",
    "summary": "summary headline reviewtitle reviewsummary subject",
    "title": "title name productname prodname producttitle itemname label bezeichnung titel",
    "description": "description desc detaildesc productdescription longdescription shortdescription details plot "
    "beschreibung",
    "categories": "categories category genres genre categorypath group category1 producttype productgroup department "
    "kategorie",
    "brand": "brand manufacturer maker vendor store marke hersteller",
    "price": "price saleprice listprice unitprice cost preis",
    "image": "image imagepath imagefile imageurl imurl photo picture pictureurl thumbnail poster cover img "
    "imagelink bild",
}
LEAKY = re.compile(
    r"avg|average|rank|sales|sold|views|likes|popular|count|num_?rat|rating_?num|bought|clicks", re.IGNORECASE
)


@dataclass(frozen=True)
class Seen:
    """One file as it looks: how it is written, and its first rows."""

    path: Path
    encoding: str
    delimiter: str | None
    rows: pl.DataFrame


def guess_mapping(files: Sequence[Path], base: Path) -> str:
    """A commented mapping for one file (the log) or two (catalogue and log, in any order)."""
    if len(files) > 2:
        raise InputError("--init takes one file (the log) or two (catalogue and log)")
    seen = [look_at(path) for path in files]
    seen.sort(key=_like_a_log)
    log, items = seen[-1], seen[0] if len(seen) == 2 else None
    event = {field: _column(log.rows.columns, field) for field in ("user", "item", "timestamp", "rating", "review")}
    event["summary"] = _column(log.rows.columns, "summary")
    about = items or log
    taken = set() if items else {name for name in event.values() if name}
    free = [name for name in about.rows.columns if name not in taken]
    found = {field: _column(free, field) for field in ("title", "description", "categories", "brand", "price", "image")}
    if items:
        event["item"], found["item"] = _shared(items.rows, log.rows, event["item"], event["user"])
    else:
        found["item"] = event["item"]
    lines = [
        "# Which column is what. Guessed from the files: check every line, then run",
        "#   python data_builders/tabular.py mapping.yaml --out work/shop",
        "# data_builders/tabular.example.yaml explains every key.",
        f"name: {json.dumps(log.path.stem.split('.')[0] if items is None else about.path.parent.resolve().name)}",
        'licence: "not told"',
        "",
        "interactions:",
        *_written(log, base),
        "  columns:",
        *_lines(event, ("user", "item", "timestamp"), "    "),
        *_time_lines(log.rows, event["timestamp"]),
        "",
        "items:" if items else "items:  # no file of its own: made of the columns of the log",
        *(_written(items, base) if items else ()),
        "  columns:",
        *_lines({name: column for name, column in found.items() if name != "image"}, ("item",), "    "),
        *_value_lines(about.rows, found),
        *_attribute_lines(free, {*found.values(), *event.values()}, about.rows),
        *_image_lines(about, found["image"], found["item"], base),
    ]
    return "\n".join(lines) + "\n"


def look_at(path: Path) -> Seen:
    """Find out how a file is written, and read its first rows."""
    kind = kind_of(sources.existing(path))
    if kind == "parquet":
        return Seen(path, "utf-8", None, read_table(path, None).head(ROWS_LOOKED_AT))
    with sources.opened(path) as file:
        start = file.read(BYTES_LOOKED_AT)
    whole = start.rpartition(b"\n")[0] or start
    try:
        text, encoding = whole.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        text, encoding = whole.decode("cp1252", "replace"), "cp1252"
    if kind == "json":
        if text.lstrip().startswith("["):
            return Seen(path, encoding, None, read_table(path, None, encoding=encoding).head(ROWS_LOOKED_AT))
        rows = [row for _, row in islice(sources.json_lines(path, encoding=encoding), ROWS_LOOKED_AT) if row]
        names = dict.fromkeys(name for row in rows for name, value in row.items() if not isinstance(value, dict))
        made = {name: [None if row.get(name) is None else str(row[name]) for row in rows] for name in names}
        return Seen(path, encoding, None, pl.DataFrame(made))
    first = text.splitlines()[0] if text else ""
    delimiter = max(("\t", ";", "|", ","), key=first.count)
    frame = pl.read_csv(
        text.encode(),
        separator=delimiter,
        infer_schema=False,
        n_rows=ROWS_LOOKED_AT,
        truncate_ragged_lines=True,
        ignore_errors=True,
    )
    return Seen(path, encoding, delimiter, frame)


def _like_a_log(seen: Seen) -> int:
    return sum(_column(seen.rows.columns, field) is not None for field in ("user", "timestamp", "rating", "review"))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _column(names: Iterable[str], field: str) -> str | None:
    """The column whose name is the usual one for a field; usual names come most usual first."""
    by_name = {_plain(name): name for name in reversed(list(names))}
    return next((by_name[usual] for usual in NAMES[field].split() if usual in by_name), None)


def _shared(
    items: pl.DataFrame, log: pl.DataFrame, named: str | None, user: str | None
) -> tuple[str | None, str | None]:
    """The pair of columns through which the log names items: by name, else by the values that both hold."""
    same = _column(items.columns, "item")
    if named and (named in items.columns or same):
        return named, named if named in items.columns else same
    texts = {name: set(columns.flat(log[name]).drop_nulls()) for name in log.columns if name != user}
    best, most = (named, same or (_column(items.columns, "title") and None)), 0
    for name in items.columns:
        ids = columns.flat(items[name]).drop_nulls()
        if ids.n_unique() < len(ids):
            continue
        for other, values in texts.items():
            if (named is None or other == named) and (common := len(values & set(ids))) > most:
                best, most = (other, name), common
    if best[1] is None:
        best = (best[0], next((name for name in items.columns if _plain(name) == "id"), None))
    return best


def _written(seen: Seen, base: Path) -> list[str]:
    lines = [f"  file: {json.dumps(os.path.relpath(seen.path, base))}"]
    if seen.encoding != "utf-8":
        lines.append(f"  encoding: {seen.encoding}")
    if seen.delimiter is not None:
        lines.append(f"  delimiter: {json.dumps(seen.delimiter)}")
    return lines


def _lines(found: dict[str, str | None], required: tuple[str, ...], indent: str) -> list[str]:
    lines = []
    for field in [*required, *(name for name in found if name not in required)]:
        column = found.get(field)
        if column:
            lines.append(f"{indent}{field}: {json.dumps(column, ensure_ascii=False)}")
        elif field in required:
            lines.append(f'{indent}{field}: "???"  # not found: write the name of the column')
        else:
            lines.append(f"{indent}# {field}:")
    return lines


def _time_lines(log: pl.DataFrame, name: str | None) -> list[str]:
    if name is None:
        return ["  # time: row  # when there is no column with times and rows are in their order"]
    try:
        _, time, problems = columns.moments(log[name], "auto", "UTC", "")
    except LlmrecError:
        return ["  time: order  # numbers too small to be times"]
    if time == "dates":
        return []
    if problems:
        return [f"  time: '%d.%m.%Y'  # how times such as {str(log[name].drop_nulls()[0])!r} are written; correct it"]
    zone = (
        ["  # time_zone: Europe/Berlin  # where times without a zone were written"]
        if "%" in time or time == "iso"
        else []
    )
    return [f"  time: '{time}'", *zone]


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
    kept = [name for name in left if not LEAKY.search(name)]
    lines = [f"  attributes: {json.dumps(kept, ensure_ascii=False)}"] if kept else []
    if leaky := [name for name in left if LEAKY.search(name)]:
        lines.append(f"  # left out, for they may tell what people did later: {', '.join(leaky)}")
    return lines


def _image_lines(seen: Seen, column: str | None, item: str | None, base: Path) -> list[str]:
    """Where pictures are: addresses in a column, files that a column names, or files named by item."""
    told = columns.flat(seen.rows[column]).drop_nulls().to_list() if column else []
    if told and all(value.startswith(("http://", "https://")) for value in told):
        return ["", "images:", "  folder: fetched  # what is fetched is kept here", f"  address: {json.dumps(column)}"]
    here = seen.path.parent
    folders = [here, *sorted(path for path in here.iterdir() if path.is_dir())]
    for folder in folders if told else ():
        if any((folder / value).is_file() for value in told):
            return _images(os.path.relpath(folder, base), f"{{{column}}}")
    ids = set(columns.ids(seen.rows[item]).drop_nulls()) if item else set()
    for folder in folders:
        names = (path.stem for path in folder.iterdir() if path.suffix.lower() in sources.PICTURE_SUFFIXES)
        if not ids.isdisjoint(names):
            return _images(os.path.relpath(folder, base), "{item}")
    if column:
        return _images(os.path.relpath(here, base), f"{{{column}}}")
    return ["", "# images:", "#   folder: photos", '#   path: "{item}.jpg"']


def _images(folder: str, path: str) -> list[str]:
    return ["", "images:", f"  folder: {json.dumps(folder)}", f"  path: {json.dumps(path)}"]
