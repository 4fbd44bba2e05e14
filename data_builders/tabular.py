"""Makes a dataset of your own tables: CSV, JSON lines or Parquet, with a mapping that says which column is what.

Paths in the mapping are relative to the mapping. --init looks at your files and makes a first mapping to correct: it
is printed, or written with --to. tabular.example.yaml explains every key.

examples:
  python data_builders/tabular.py --init items.csv orders.csv --to mapping.yaml
  python data_builders/tabular.py mapping.yaml --out work/shop
  python data_builders/tabular.py mapping.yaml --out work/shop --core 5 --min-rating 4 --drop-bad-rows --overwrite
"""

import argparse
import logging
import os
import sys
from collections import Counter
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
    emptied: Counter[str] = field(default_factory=Counter)
    """How many values could not be read as what they should be, by field."""


def main(arguments: list[str] | None = None) -> None:
    parser = sources.parser(__doc__, "tabular.py", ratings=True, needs_out=False)
    parser.add_argument("mapping", type=Path, nargs="?", metavar="mapping.yaml", help="what is where in your files")
    parser.add_argument(
        "--init", type=Path, nargs="+", metavar="FILE", help="look at these files and print a mapping to start from"
    )
    parser.add_argument("--to", type=Path, metavar="FILE", help="write the mapping of --init here")
    options = parser.parse_args(arguments)
    if options.init and options.mapping:
        parser.error(f"--init makes a mapping: write --to {options.mapping}")
    if options.to and not options.init:
        parser.error("--to says where --init writes its mapping. The folder of a dataset is --out")
    if options.init:
        try:
            init(options.init, options.to)
        except LlmrecError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        return
    if options.mapping is None or options.out is None:
        parser.error("a mapping and --out are needed. To get a mapping: --init items.csv orders.csv --to mapping.yaml")
    sources.run(build, options)


def init(files: list[Path], to: Path | None) -> None:
    """Guess a mapping, and print it or write it to a file that is not there yet."""
    if to is None:
        print(guess_mapping(files, Path.cwd()), end="")
        return
    sources.existing(to.parent, "folder")
    exists = InputError(f"{to} exists already, and may hold corrections. Take another --to, or remove it first")
    if to.exists():
        raise exists
    mapping = guess_mapping(files, to.parent, to)
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(mapping)
    except FileExistsError:
        raise exists from None
    except OSError as error:
        raise InputError(f"{to} cannot be written ({error.strerror}). Take another --to") from None
    print(f"{to} is written. Check every line of it, then run:")
    print(f"  python data_builders/tabular.py {to} --out work/shop")


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
        emptied = tables.emptied + unusable(tables.items, events, mapping.interactions.rating_scale)
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
                "left out": {
                    "interactions rated too low": badly_rated,
                    **{f"{what} that cannot be used (their rows are kept)": emptied[what] for what in sorted(emptied)},
                    **fetch_faults,
                },
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
    of_log = uses(section.columns, "interactions")
    of_items = uses(about.columns, "items") | dict.fromkeys(kept_columns(about), "items.attributes")
    of_items = merged(of_items, dict.fromkeys(in_pictures, "images"))
    everything = about.attributes == "all"
    items_path = base / Path(str(about.file)) if own_file else path
    faults: list[InputError] = []
    raw = catalogue = pl.DataFrame()
    try:
        raw = table(path, of_log if own_file else merged(of_log, of_items), everything and not own_file, section)
    except InputError as error:
        faults.append(error)
    try:
        catalogue = table(items_path, of_items, everything, about) if own_file else raw
    except InputError as error:
        faults.append(error)
    if faults:
        raise faults[0] if len(faults) == 1 else InputError("\n  - ".join(["both files:", *map(str, faults)]))
    events, time, problems, unread = events_of(raw, section, str(path))
    if not own_file:
        if everything:
            taken = set(vars(section.columns).values()) - {about.columns.item}
            catalogue = raw.drop([name for name in raw.columns if name in taken])
        first = pl.all().drop_nulls().first()
        item = pl.col(about.columns.item)
        catalogue = catalogue.filter(item.is_not_null()).group_by(about.columns.item, maintain_order=True).agg(first)
    items, more = items_of(catalogue, about, in_pictures, str(items_path))
    pictures = pl.DataFrame(
        [columns.ids(catalogue[about.columns.item]).alias("{item}"), *catalogue.select(in_pictures)]
    )
    emptied = Counter({"ratings": unread, "prices": sum(problem.count for problem in more)})
    return Tables(items, events, pictures, time, problems + more, emptied)


def table(path: Path, wanted: Mapping[str, str], everything: bool, section: Items | Interactions) -> pl.DataFrame:
    """Read the wanted columns of a file, or all of them, of which those must be there."""
    made = read_table(path, None if everything else wanted, **how(section))
    sources.check_columns(wanted, made.columns, str(path))
    return made


def unusable(items: pl.DataFrame, events: pl.DataFrame, scale: tuple[float, float] | None) -> Counter[str]:
    """How many ratings and prices are numbers but none that a dataset takes; they are emptied with --drop-bad-rows."""
    low, high = scale or (float("-inf"), float("inf"))
    count: Counter[str] = Counter()
    if "rating" in events.columns:
        rating = events["rating"]
        count["ratings"] = len(rating) - int((rating.is_between(low, high) & rating.is_finite()).fill_null(True).sum())
    if "price" in items.columns:
        price = items["price"]
        count["prices"] = len(price) - int(((price >= 0) & price.is_finite()).fill_null(True).sum())
    return count


def events_of(raw: pl.DataFrame, section: Interactions, file: str) -> tuple[pl.DataFrame, str, list[Problem], int]:
    """The log in the contract's columns, how its times were read, what is wrong, and how many ratings are unread."""
    named: EventColumns = section.columns
    made = [columns.ids(raw[named.user]).alias("user"), columns.ids(raw[named.item]).alias("item")]
    problems: list[Problem] = []
    time = section.time
    unread = 0
    if named.timestamp is None:
        stamps = pl.Series(range(len(raw)), dtype=pl.Int64)
    else:
        stamps, time, problems = columns.moments(raw[named.timestamp], section.time, section.time_zone, file)
    made.append(stamps.alias("timestamp"))
    if named.rating:
        ratings, more = columns.numbers(raw[named.rating], "the rating", file)
        problems = problems + more
        unread = sum(problem.count for problem in more)
        made.append(ratings.alias("rating"))
    for name, column in (("review", named.review), ("summary", named.summary)):
        if column:
            made.append(columns.words([raw[column]]).alias(name))
    return pl.DataFrame(made), time, problems, unread


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
            continue
        if not path.suffix:
            candidates = (path.with_name(path.name + suffix) for suffix in sources.PICTURE_SUFFIXES)
            path = next((one for one in candidates if one.is_file()), path)
        if sources.leads_out(folder, path):
            outside.append((number, f"{told} -> {os.path.realpath(path)}"))
        else:
            found[str(values["item"])] = path
    if found and not any(path.is_file() for path in found.values()):
        example = next(iter(found.values()))
        raise InputError(f"no item's picture is in {folder}: {example} does not exist, for one. Correct images.path")
    if not outside:
        return found, []
    what = f"the picture {outside[0][1][:120]!r} leaves the folder {folder}"
    rows_named = tuple(number for number, _ in outside[:NAMED_ROWS])
    remedy = "Use paths inside images.folder, and no links that lead out of it"
    return found, [Problem("items", what, remedy, rows_named, len(outside))]


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
    return [*uses(about.columns, "items"), *kept_columns(about)]


def kept_columns(about: Items) -> list[str]:
    """The columns that are named as attributes."""
    kept = about.attributes
    return [] if kept == "all" else list(kept.values()) if isinstance(kept, Mapping) else list(kept)


def uses(section: ItemColumns | EventColumns, name: str) -> dict[str, str]:
    """Each column that a section names, and the keys that name it."""
    made: dict[str, str] = {}
    for key, value in vars(section).items():
        made = merged(made, dict.fromkeys(listed(value) if value else (), f"{name}.{key}"))
    return made


def merged(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """Two tables of uses as one; a column may have several."""
    return {**first, **{name: f"{first[name]}, {use}" if name in first else use for name, use in second.items()}}


def listed(value: Any) -> list[str]:
    """One column or several, as a list."""
    return [value] if isinstance(value, str) else list(value)


def how(section: Items | Interactions) -> dict[str, Any]:
    """How a section says that its file is written."""
    delimiter = "\t" if section.delimiter in ("\\t", "tab") else section.delimiter
    return {"encoding": section.encoding, "delimiter": delimiter, "quotes": section.quotes}


if __name__ == "__main__":
    main()
