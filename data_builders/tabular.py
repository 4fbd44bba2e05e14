"""Makes a dataset of your own tables: CSV, JSON lines or Parquet, with a mapping that says which column is what.

Paths in the mapping are relative to the mapping. --init looks at your files and writes a first mapping to correct;
tabular.example.yaml explains every key.

examples:
  python data_builders/tabular.py --init items.csv orders.csv > mapping.yaml
  python data_builders/tabular.py mapping.yaml --out work/shop
  python data_builders/tabular.py mapping.yaml --out work/shop --core 5 --min-rating 4 --drop-bad-rows --overwrite
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fetching
import polars as pl
import sources
from mapped import columns
from mapped.guess import guess_mapping
from mapped.mapping import EventColumns, Images, Interactions, ItemColumns, Items, TableMapping
from mapped.tables import read_table

from llmrec.config import load_config
from llmrec.dataset import Dataset, write_dataset
from llmrec.errors import DatasetError, InputError, LlmrecError, Problem
from llmrec.progress import Progress, shown_progress
from llmrec.schema import ITEM_COLUMNS, NAMED_ROWS

log = logging.getLogger(__name__)


@dataclass
class Tables:
    """What was read from the files: both tables in the contract's columns, and what was noticed on the way."""

    items: pl.DataFrame
    events: pl.DataFrame
    pictures: pl.DataFrame
    """The item ids with the columns that the pictures' pattern or address names."""
    time: str
    problems: list[Problem] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> None:
    parser = sources.parser(__doc__, "tabular.py", ratings=True, needs_out=False)
    parser.add_argument("mapping", type=Path, nargs="?", metavar="mapping.yaml", help="what is where in your files")
    parser.add_argument(
        "--init", type=Path, nargs="+", metavar="FILE", help="look at these files and print a mapping to start from"
    )
    options = parser.parse_args(arguments)
    if options.init and options.mapping:
        parser.error(f"--init prints to the screen: add > {options.mapping} instead")
    if options.init:
        try:
            print(guess_mapping(options.init, Path.cwd()), end="")
        except LlmrecError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        return
    if options.mapping is None or options.out is None:
        parser.error("a mapping and --out are needed. To get a mapping: --init items.csv orders.csv > mapping.yaml")
    sources.run(build, options)


def build(options: argparse.Namespace) -> Dataset:
    """Read the mapping and the files it names, and write the dataset."""
    mapping = load_config(TableMapping, options.mapping)
    base = options.mapping.parent
    tables = read(mapping, base)
    images: Mapping[str, Path] = {}
    fetch_faults: dict[str, int] = {}
    with shown_progress() as progress:
        if mapping.images and mapping.images.path:
            images, outside = files_by_pattern(mapping.images, base / mapping.images.folder, tables.pictures)
            tables.problems += outside
        if tables.problems and not options.drop_bad_rows:
            raise DatasetError(mapping.name, tables.problems)
        for problem in tables.problems:
            log.warning("%s", problem)
        events, badly_rated = sources.well_rated(tables.events, options.min_rating)
        if mapping.images and mapping.images.address:
            images, fetch_faults = fetched(mapping.images, base, tables.pictures, events, options.core, progress)
        files = [base / mapping.interactions.file]
        files.insert(0, base / mapping.items.file if mapping.items and mapping.items.file else files[0])
        return write_dataset(
            options.out,
            tables.items,
            events,
            name=mapping.name,
            licence=mapping.licence,
            source=mapping.source,
            images=images,
            clock="order" if tables.time in ("order", "row") else "ms",
            rating_scale=mapping.interactions.rating_scale,
            files=(str(files[0]), str(files[1])),
            notes={
                "mapping": options.mapping.name,
                "times read as": tables.time,
                "time zone": mapping.interactions.time_zone,
                "left out": {"interactions rated too low": badly_rated, **fetch_faults},
            },
            progress=progress,
            **sources.written(options),
        )


def read(mapping: TableMapping, base: Path) -> Tables:
    """Read both files and bring their columns to the contract."""
    section = mapping.interactions
    path = base / section.file
    own_file = mapping.items is not None and mapping.items.file is not None
    about = mapping.items or Items(columns=ItemColumns(item=section.columns.item))
    in_pictures = picture_columns(mapping.images)
    wanted = [name for name in vars(section.columns).values() if name]
    everything = about.attributes == "all"
    if not own_file:
        wanted += [*item_columns(about), *in_pictures]
    raw = read_table(path, None if everything and not own_file else unique(wanted), **how(section))
    events, time, problems = events_of(raw, section, str(path))
    if own_file:
        items_path = base / Path(str(about.file))
        needed = None if everything else unique([*item_columns(about), *in_pictures])
        catalogue = read_table(items_path, needed, **how(about))
    else:
        items_path = path
        if everything:
            taken = set(vars(section.columns).values()) - {about.columns.item}
            raw = raw.drop([name for name in raw.columns if name in taken])
        first = pl.all().drop_nulls().first()
        item = pl.col(about.columns.item)
        catalogue = raw.filter(item.is_not_null()).group_by(about.columns.item, maintain_order=True).agg(first)
    items, more = items_of(catalogue, about, in_pictures, str(items_path))
    for name in in_pictures:
        sources.column_named(name, catalogue.columns, str(items_path))
    pictures = pl.DataFrame(
        [columns.ids(catalogue[about.columns.item]).alias("{item}"), *catalogue.select(in_pictures)]
    )
    return Tables(items, events, pictures, time, problems + more)


def events_of(raw: pl.DataFrame, section: Interactions, file: str) -> tuple[pl.DataFrame, str, list[Problem]]:
    """The log in the contract's columns, and how its times were read."""
    named: EventColumns = section.columns
    made = [columns.ids(raw[named.user]).alias("user"), columns.ids(raw[named.item]).alias("item")]
    problems: list[Problem] = []
    time = section.time
    if named.timestamp is None:
        stamps = pl.Series(range(len(raw)), dtype=pl.Int64)
    else:
        stamps, time, problems = columns.moments(raw[named.timestamp], section.time, section.time_zone, file)
    made.append(stamps.alias("timestamp"))
    if named.rating:
        ratings, more = columns.numbers(raw[named.rating], "the rating", file)
        problems = problems + more
        made.append(ratings.alias("rating"))
    for name, column in (("review", named.review), ("summary", named.summary)):
        if column:
            made.append(columns.words([raw[column]]).alias(name))
    return pl.DataFrame(made), time, problems


def items_of(raw: pl.DataFrame, about: Items, in_pictures: list[str], file: str) -> tuple[pl.DataFrame, list[Problem]]:
    """The catalogue in the contract's columns, with its attributes."""
    named = about.columns
    made = [columns.ids(raw[named.item]).alias("item")]
    problems: list[Problem] = []
    for name, told in (("title", named.title), ("description", named.description), ("brand", named.brand)):
        if told:
            made.append(columns.words([raw[column] for column in listed(told)]).alias(name))
    if named.categories:
        parts = [raw[column] for column in listed(named.categories)]
        made.append(columns.categories(parts, about.category_separator).alias("categories"))
    if named.price:
        price, problems = columns.prices(raw[named.price], about.decimal, file)
        made.append(price.alias("price"))
    kept = about.attributes
    if kept == "all":
        mapped = {*item_columns(about), *in_pictures, *ITEM_COLUMNS}
        kept = [name for name in raw.columns if name not in mapped]
    renamed = dict(kept) if isinstance(kept, Mapping) else {name: name for name in kept}
    made += [columns.attribute(raw[column]).alias(name) for name, column in renamed.items()]
    return pl.DataFrame(made), problems


def files_by_pattern(images: Images, folder: Path, rows: pl.DataFrame) -> tuple[dict[str, Path], list[Problem]]:
    """Each item's picture file; a path that leaves the folder is a problem, one that names no file is left to count."""
    sources.existing(folder, "folder")
    found: dict[str, Path] = {}
    outside: list[tuple[int, str]] = []
    for number, row in enumerate(rows.iter_rows(named=True), 1):
        values = {("item" if name == "{item}" else name): value for name, value in row.items()}
        if any(value is None or not str(value).strip() for value in values.values()):
            continue
        told = str(images.path).format_map(values)
        path = folder / told
        if "\0" in told or Path(told).is_absolute() or Path(os.path.normpath(told)).parts[:1] == ("..",):
            outside.append((number, told))
        elif path.suffix:
            found[str(values["item"])] = path
        else:
            candidates = (path.with_name(path.name + suffix) for suffix in sources.PICTURE_SUFFIXES)
            found[str(values["item"])] = next((one for one in candidates if one.is_file()), path)
    if found and not any(path.is_file() for path in found.values()):
        example = next(iter(found.values()))
        raise InputError(f"no item's picture is in {folder}: {example} does not exist, for one. Correct images.path")
    if not outside:
        return found, []
    what = f"the picture {outside[0][1][:60]!r} leaves the folder {folder}"
    rows_named = tuple(number for number, _ in outside[:NAMED_ROWS])
    return found, [Problem("items", what, "Use paths inside images.folder", rows_named, len(outside))]


def fetched(
    images: Images, base: Path, rows: pl.DataFrame, events: pl.DataFrame, core: int, progress: Progress
) -> tuple[dict[str, Path], dict[str, int]]:
    """Fetch the pictures of those items that the dataset will hold."""
    kept = sources.kept_items(events, core) if core > 1 else None
    told = dict(rows.select("{item}", images.address).drop_nulls().iter_rows())
    addresses = {
        item: address.strip() for item, address in told.items() if address.strip() and (kept is None or item in kept)
    }
    result = fetching.fetch(addresses, base / images.folder, progress=progress)
    return result.pictures, {f"pictures whose address {fault}": count for fault, count in result.faults.items()}


def picture_columns(images: Images | None) -> list[str]:
    """The columns of the catalogue that say where a picture is."""
    if images is None:
        return []
    return [images.address] if images.address else [name for name in images.names() if name != "item"]


def item_columns(about: Items) -> list[str]:
    """All columns that the catalogue's section names."""
    named = [column for value in vars(about.columns).values() if value for column in listed(value)]
    kept = about.attributes
    return named + ([] if kept == "all" else list(kept.values()) if isinstance(kept, Mapping) else list(kept))


def listed(value: Any) -> list[str]:
    """One column or several, as a list."""
    return [value] if isinstance(value, str) else list(value)


def unique(names: list[str]) -> list[str]:
    """Names without repeats, in order."""
    return list(dict.fromkeys(names))


def how(section: Items | Interactions) -> dict[str, Any]:
    """How a section says that its file is written."""
    delimiter = "\t" if section.delimiter in ("\\t", "tab") else section.delimiter
    return {"encoding": section.encoding, "delimiter": delimiter, "quotes": section.quotes}


if __name__ == "__main__":
    main()
