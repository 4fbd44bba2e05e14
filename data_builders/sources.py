"""What the builders of real datasets share: the frame of a script, and reading files with errors that help."""

import argparse
import codecs
import csv
import gzip
import io
import json
import logging
import os
import sys
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from llmrec.errors import DatasetError, InputError, LlmrecError
from llmrec.schema import nearest

if TYPE_CHECKING:
    from llmrec.dataset import Dataset

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
ROWS_A_CHUNK = 100_000
COLUMNS_TOLD = 30
UNIT = "\x1f"


def parser(doc: str | None, script: str, *, ratings: bool = False, needs_out: bool = True) -> argparse.ArgumentParser:
    """The command line of a builder: its docstring as help, and the options that all builders have."""
    made = described(doc, script)
    made.add_argument("--out", type=Path, required=needs_out, metavar="FOLDER", help="the dataset folder to write")
    made.add_argument("--core", type=_core, default=0, metavar="K", help="keep people and items with K interactions")
    if ratings:
        help = "keep interactions rated so or better, and none without a rating"
        made.add_argument("--min-rating", type=float, metavar="R", help=help)
    help = "leave out rows that cannot be used, counted, instead of stopping"
    made.add_argument("--drop-bad-rows", action="store_true", help=help)
    made.add_argument("--overwrite", action="store_true", help="replace a dataset that stands there")
    return made


def described(doc: str | None, script: str) -> argparse.ArgumentParser:
    """A command line with a docstring as its help and no option yet."""
    summary, _, examples = (doc or "").partition("\nexamples:")
    return argparse.ArgumentParser(
        prog=f"python data_builders/{script}",
        description=summary,
        epilog=f"examples:{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _core(text: str) -> int:
    """The number of --core; argparse turns the error into its own message."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def run(build: "Callable[[argparse.Namespace], Dataset]", options: argparse.Namespace) -> None:
    """Build, sum up what was made, and turn foreseen errors into one message and an exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        if options.out.exists() and not options.overwrite:
            raise InputError(f"{options.out} exists already. Take another --out, or add --overwrite to replace it")
        dataset = build(options)
    except LlmrecError as error:
        print(f"error: {error}", file=sys.stderr)
        in_rows = isinstance(error, DatasetError) and any(problem.rows for problem in error.problems)
        if in_rows and not options.drop_bad_rows:
            print("To leave such rows out, counted, add --drop-bad-rows", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        sys.exit(130)
    print(summary(dataset))


def written(options: argparse.Namespace) -> dict[str, Any]:
    """The common options as `write_dataset` takes them."""
    return {
        "core": options.core,
        "bad_rows": "drop" if options.drop_bad_rows else "error",
        "overwrite": options.overwrite,
    }


def summary(dataset: "Dataset") -> str:
    """What a dataset holds, what was left out on the way, and what to do next."""
    info = dataset.info
    counts = info["counts"]
    made = (
        f"{dataset.folder}: {counts['items']:,} items with {counts['pictures']:,} pictures, "
        f"{counts['users']:,} people, {counts['interactions']:,} interactions, "
        f"{counts['ratings']:,} ratings, {counts['reviews']:,} reviews"
    )
    left_out = {what.replace("_", " "): count for what, count in info["dropped"].items()}
    left_out |= {f"pictures: {fault}": count for fault, count in info["picture_faults"].items()}
    left_out |= {what: count for what, count in info["notes"].get("left out", {}).items() if count}
    lines = [made, *(f"  left out: {count:,} {what}" for what, count in left_out.items())]
    lines += [f"  warning: {warning}" for warning in info["warnings"]]
    lines.append(f"Next: llmrec audit {dataset.folder}")
    return "\n".join(lines)


def well_rated(frame: pl.DataFrame, least: float | None) -> tuple[pl.DataFrame, int]:
    """The interactions with a rating of at least `least`, and how many were left out."""
    if least is None:
        return frame, 0
    if "rating" not in frame.columns:
        raise InputError("--min-rating needs ratings, and there are none here. Leave it out, or name their column")
    kept = frame.filter(pl.col("rating").cast(pl.Float64, strict=False) >= least)
    if kept.is_empty():
        raise InputError(f"no interaction is rated {least:g} or better. Ask for a smaller --min-rating")
    return kept, len(frame) - len(kept)


def existing(path: Path, what: str = "file") -> Path:
    """The path, when there is such a file (or folder) with something in it."""
    there = path.is_dir() if what == "folder" else path.is_file()
    if there and what == "file" and not path.stat().st_size:
        raise InputError(f"{path} is empty. Fetch or export it again")
    if there:
        return path
    if path.exists():
        raise InputError(f"{path} is not a {what}. Check the path")
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = nearest(path.name, dict.fromkeys(beside))
    advice = f"Did you mean {path.parent / near}?" if near else "Check the path"
    raise InputError(f"{path} does not exist. {advice}")


def shown(text: str, most: int = 60) -> str:
    """Text out of a file as a message can hold it: what is unprintable is escaped, and the rest cut."""
    safe = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text[:most])
    return f"{safe}..." if len(text) > most else safe


def check_columns(names: Collection[str], columns: Sequence[str], where: str) -> None:
    """One error for all columns that a file has not, with the nearest of each. A mapping says what each is for."""
    missing = [name for name in names if name not in columns]
    if not missing:
        return
    use = names if isinstance(names, Mapping) else {}
    told = ", ".join(f"'{shown(name)}'" + (f" ({use[name]})" if name in use else "") for name in missing)
    lower = {column.lower(): column for column in columns}
    near = {name: lower[close] for name in missing if (close := nearest(name, lower))}
    meant = [f"'{shown(column)}'" + (f" for '{shown(name)}'" if missing[1:] else "") for name, column in near.items()]
    advice = f"Did you mean {', '.join(meant)}?" if meant else "Name one of these"
    has = ", ".join(shown(column, 40) for column in columns[:COLUMNS_TOLD])
    rest = f" and {len(columns) - COLUMNS_TOLD} more" if len(columns) > COLUMNS_TOLD else ""
    raise InputError(f"{where} has no column {told}. Its columns are: {has}{rest}. {advice}")


def leads_out(folder: Path, path: Path) -> bool:
    """Whether a path, with its links followed, is outside the folder; the folder may be a link itself."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))  # bears links in a circle


def opened(path: Path) -> io.BufferedIOBase:
    """A file for reading bytes, unpacked on the way where its name ends with .gz."""
    existing(path)
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def start_of(path: Path, size: int) -> bytes:
    """The first bytes of a file, unpacked; all of them with a size of -1."""
    try:
        with opened(path) as file:
            return file.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}). Is it whole? Fetch it again") from error


def text_of(path: Path, encoding: str = "utf-8", remedy: str = "Give its encoding, such as latin-1") -> str:
    """A whole file as text without a byte order mark; a wrong encoding is told with its line and byte."""
    try:
        with opened(path) as file:
            content = file.read()
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        seen = content[error.start]
        raise InputError(f"{path}, line {line}: byte 0x{seen:02x} is not {encoding}. {remedy}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}). Fetch it again") from error


def delimited(
    path: Path,
    *,
    separator: str = ",",
    encoding: str = "utf-8",
    header: Sequence[str] | None = None,
    columns: Collection[str] | None = None,
    quoted: bool = True,
    remedy: str = "Give its encoding, such as latin-1",
) -> pl.DataFrame:
    """Read separated text with every value as text. `header` names the columns of a file without a first line of names.

    Plain UTF-8 files are scanned, so that only the wanted `columns` take memory.
    """
    source: Path | io.BytesIO = existing(path)
    plain = codecs.lookup(encoding).name == "utf-8" and path.suffix != ".gz"
    if not plain or len(separator) > 1:
        source = io.BytesIO(_split_by_one(text_of(path, encoding, remedy), separator).encode())
    try:
        frame = pl.scan_csv(
            source,
            separator=separator if len(separator) == 1 else UNIT,
            infer_schema=False,
            has_header=header is None,
            new_columns=list(header) if header else None,
            quote_char='"' if quoted else None,
        )
        known = frame.collect_schema().names()
        if columns is not None:
            check_columns(columns, known, str(path))
            frame = frame.select(list(columns))
        table = frame.collect()
    except pl.exceptions.NoDataError:
        raise InputError(f"{path} is empty. Fetch or export it again") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        text_of(path, encoding, remedy)  # says so where the encoding is to blame
        raise InputError(f"{path} cannot be read: {_broken_line(path, separator, encoding, quoted, error)}") from None
    if table.is_empty():
        raise InputError(f"{path} has a line of column names and no rows. Export it again")
    return table


def _split_by_one(text: str, separator: str) -> str:
    """Polars and csv split at one character: a longer separator becomes one that no text holds."""
    return text.replace(separator, UNIT) if len(separator) > 1 else text


def _broken_line(path: Path, separator: str, encoding: str, quoted: bool, error: Exception) -> str:
    """Find the line that broke a separated file; only looked for when there is one."""
    csv.field_size_limit(2**31 - 1)
    text = io.StringIO(_split_by_one(text_of(path, encoding), separator), newline="")
    mark = separator if len(separator) == 1 else UNIT
    rows = csv.reader(text, delimiter=mark, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    width, begins = 0, 1
    for row in rows:
        width = width or len(row)
        if row and len(row) > width:
            return (
                f"line {begins} has {len(row)} values where the first line has {width}. Check the delimiter and quotes"
            )
        begins = rows.line_num + 1
    return f"{shown(str(error).splitlines()[0], 200)}. Look for a quotation mark that is never closed"


def json_lines(
    path: Path, *, read: Callable[[str], Any] = json.loads, encoding: str = "utf-8"
) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Pairs of line number and object; None for a line that holds none, which the caller counts or refuses."""
    wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))  # its line ends are more than a byte
    try:
        with opened(path) as file:
            lines = (line.encode() for line in text_of(path, encoding).split("\n")) if wide else file
            for number, raw in enumerate(lines, 1):
                if not raw.strip():
                    continue
                try:
                    text = raw.decode("utf-8" if wide else encoding).lstrip("\ufeff")
                    row = read(text)
                except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                    row = None  # a UnicodeDecodeError is a ValueError
                yield number, row if isinstance(row, dict) else None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}). Is it whole? Fetch it again") from error


def table_of(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Any]) -> pl.DataFrame:
    """Rows as a table, packed now and then, so that millions of them take little more memory than the table."""
    frames: list[pl.DataFrame] = []
    pending: dict[str, list[Any]] = {name: [] for name in columns}
    for count, row in enumerate(rows, 1):
        for name, values in pending.items():
            values.append(row.get(name))
        if count % ROWS_A_CHUNK == 0:
            frames.append(pl.DataFrame(pending, schema=dict(columns)))
            pending = {name: [] for name in columns}
    return pl.concat([*frames, pl.DataFrame(pending, schema=dict(columns))])


def pictures_by_id(folder: Path, items: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Pairs of item id and picture for each file of the folder that is named by an item id."""
    files: dict[str, Path] = {}
    for path in sorted(existing(folder, "folder").iterdir()):
        if path.suffix.lower() in PICTURE_SUFFIXES:
            files.setdefault(path.stem, path)
    found = [(item, files[item]) for item in items if item in files]
    if not found:
        seen = next((path.name for path in files.values()), None)
        what = f"its first picture is {seen}" if seen else "it holds no jpg, jpeg, png or webp"
        raise InputError(f"{folder} has no picture named by an item's id ({what}). Name them by item, like 0001.jpg")
    if led_out := [path.name for _, path in found if leads_out(folder, path)]:
        raise InputError(
            f"{folder}: {len(led_out):,} pictures are links that lead out of the folder, such as {led_out[0]}. "
            "Copy the pictures themselves into it"
        )
    yield from found


def kept_items(events: pl.DataFrame, core: int) -> set[str]:
    """The items that stay in the k-core of a log: no other's picture is worth fetching."""
    from llmrec.log import encode, in_core

    rows = events.select("user", "item", "timestamp").drop_nulls().unique()
    if core > 1 and len(rows):
        user, item = (encode(rows[name], rows[name].unique()) for name in ("user", "item"))
        rows = rows.filter(pl.Series(in_core(user, item, user_core=core, item_core=core)))
    return set(rows["item"])
