"""A dataset folder: items, interactions and pictures as plain Parquet and files, with a page that describes them."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from llmrec import schema
from llmrec.artifact import read_json, staged, write_json
from llmrec.errors import DatasetError, InputError, Problem
from llmrec.log import Log, chronological, encode, in_core, numbered
from llmrec.pictures import picture_faults, suffix

log = logging.getLogger(__name__)

MARKER = "dataset.json"
ITEMS, INTERACTIONS, IMAGES, TRUTH = "items.parquet", "interactions.parquet", "images", "truth"
FLAT_FOLDER = 20_000
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Dataset:
    """An opened dataset. Nothing is read until it is asked for; the tables are lazy Polars frames."""

    folder: Path
    info: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, folder: Path | str) -> "Dataset":
        """Open a dataset folder; only its description and the Parquet headers are looked at."""
        folder = Path(folder)
        remedy = "Make one with a script in data_builders/, such as: python data_builders/atelier.py --out work/atelier"
        info = read_json(folder, MARKER, kind="a dataset", remedy=remedy)
        version = info.get("schema")
        if version != schema.VERSION:
            newer = isinstance(version, int) and version > schema.VERSION
            advice = "Upgrade llmrec" if newer else "Build the dataset again"
            raise InputError(f"{folder} has schema version {version}, this llmrec reads {schema.VERSION}. {advice}")
        for file in (ITEMS, INTERACTIONS):
            _parquet_columns(folder / file)
        return cls(folder, info)

    @property
    def name(self) -> str:
        """The name that the dataset goes by."""
        return str(self.info["name"])

    @property
    def clock(self) -> str:
        """`ms` where timestamps are milliseconds since 1970, `order` where they only say what came first."""
        return str(self.info["clock"])

    @property
    def fingerprint(self) -> str:
        """A hash of all tables and pictures: what a run was trained on can be told by it."""
        return str(self.info["fingerprint"])

    @property
    def items(self) -> pl.LazyFrame:
        """The catalogue, one row an item."""
        return pl.scan_parquet(self.folder / ITEMS)

    @property
    def interactions(self) -> pl.LazyFrame:
        """The log, ordered by person and time."""
        return pl.scan_parquet(self.folder / INTERACTIONS)

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """The catalogue's free attributes: its columns beyond those that every dataset has."""
        return tuple(name for name in self.items.collect_schema() if name not in schema.ITEM_COLUMNS)

    @cached_property
    def log(self) -> Log:
        """The log as arrays; see `llmrec.log`."""
        rows = self.interactions.select("user", "item", "timestamp").collect()
        items = self.items.select("item").collect()["item"]
        if rows.is_empty():
            empty = np.zeros(0, dtype=np.int64)
            return Log(rows["user"], items, np.zeros(1, dtype=np.int64), empty.astype(np.int32), empty)
        told = self.info.get("counts", {}).get("interactions")
        if told != len(rows):
            raise InputError(
                f"{self.folder} has {len(rows):,} interactions where {MARKER} counts {told}: it was changed since it "
                f"was built. Build it again, or look closer: llmrec validate {self.folder}"
            )
        first = (rows["user"] != rows["user"].shift()).fill_null(True)
        starts = np.append(first.arg_true().cast(pl.Int64).to_numpy(), len(rows)).astype(np.int64)
        codes = encode(rows["item"], items).astype(np.int32)
        if (codes < 0).any():
            unknown = rows["item"][int((codes < 0).argmax())]
            raise InputError(
                f"{self.folder} has interactions with items that are not in its catalogue, such as {unknown!r}. Build "
                f"it again, or look closer: llmrec validate {self.folder}"
            )
        return Log(rows["user"].filter(first), items, starts, codes, rows["timestamp"].to_numpy())

    def picture(self, image: str | None) -> Path | None:
        """The file of an item's `image` value."""
        return self.folder / image if image else None


def write_dataset(
    out: Path | str,
    items: pl.DataFrame | pl.LazyFrame,
    interactions: pl.DataFrame | pl.LazyFrame,
    *,
    name: str,
    licence: str,
    source: str,
    images: Mapping[str, Path | bytes] | Iterable[tuple[str, Path | bytes]] = (),
    clock: Literal["ms", "order"] = "ms",
    rating_scale: tuple[float, float] | None = None,
    core: int = 0,
    bad_rows: Literal["error", "drop"] = "error",
    overwrite: bool = False,
    notes: Mapping[str, Any] | None = None,
    truth: Mapping[str, pl.DataFrame] | None = None,
    tie_seed: int = 0,
    files: tuple[str, str] = ("items", "interactions"),
    progress: Progress | None = None,
) -> Dataset:
    """Check two tables and pictures, and write them as a dataset folder that is whole or absent.

    `images` pairs item ids with files to copy or encoded bytes; a missing or broken one is counted and the item kept.
    Rows that break the contract raise one `DatasetError` that names them all, or are dropped and counted with
    `bad_rows="drop"`. Exact repeats and interactions with unknown items are dropped and counted. `core` keeps the
    k-core of people and items. `truth` holds tables for evaluation only, written to `truth/`, which no other stage
    reads. `files` names the sources in messages.
    """
    catalogue, problems = schema.conform_items(items.lazy().collect())
    events, more = schema.conform_interactions(interactions.lazy().collect(engine="streaming"))
    problems += more
    if any(problem.severity == "error" for problem in problems):
        raise DatasetError(name, _named(problems, files))
    catalogue, item_problems, bad_items = _sound_items(catalogue, bad_rows)
    events, event_problems, bad_events = _sound_interactions(events, bad_rows, clock, rating_scale)
    problems += item_problems + event_problems
    if catalogue.is_empty():
        problems.append(Problem("items", "there is no item", "A dataset needs at least one"))
    if any(problem.severity == "error" for problem in problems):
        raise DatasetError(name, _named(problems, files))

    catalogue, events, dropped = _ordered(catalogue, events, core, tie_seed, files, name)
    if clock == "ms" and (left := schema.seconds_for_milliseconds(events)):
        raise DatasetError(name, _named(left, files))  # only rows that were left out had plausible times
    dropped |= {"unusable_items": bad_items, "unusable_interactions": bad_events}
    for what, count in dropped.items():
        if count:
            log.warning("%s: %s rows dropped (%s)", name, f"{count:,}", what.replace("_", " "))
    with staged(Path(out), marker=MARKER, holds=(ITEMS, INTERACTIONS, IMAGES, TRUTH), overwrite=overwrite) as folder:
        pairs = images.items() if isinstance(images, Mapping) else images
        catalogue, pictures, faults, digests, left_out = _write_images(folder, catalogue, pairs, progress)
        problems += left_out
        catalogue.write_parquet(folder / ITEMS, compression="zstd", statistics=True)
        events.write_parquet(folder / INTERACTIONS, compression="zstd", compression_level=1, row_group_size=500_000)
        for label, table in (truth or {}).items():
            (folder / TRUTH).mkdir(exist_ok=True)
            table.write_parquet(folder / TRUTH / f"{label}.parquet")
        warnings = [problem for problem in problems if problem.severity == "warning"]
        info = {
            "schema": schema.VERSION,
            "name": name,
            "licence": licence,
            "source": source,
            "clock": clock,
            "rating_scale": list(rating_scale) if rating_scale else _seen_scale(events),
            "counts": {
                "items": len(catalogue),
                "users": int((events["user"] != events["user"].shift()).fill_null(True).sum()),
                "interactions": len(events),
                "pictures": pictures,
                "ratings": len(events) - events["rating"].null_count(),
                "reviews": len(events) - events["review"].null_count(),
            },
            "core": core,
            "dropped": {what: count for what, count in dropped.items() if count},
            "picture_faults": faults,
            "warnings": [str(problem) for problem in _named(warnings, files)],
            "fingerprint": fingerprint(folder, digests),
            "notes": dict(notes or {}),
        }
        write_json(folder / MARKER, info)
    return Dataset.open(out)


def fingerprint(folder: Path, digests: Mapping[str, str] | None = None) -> str:
    """Hash the names and bytes of everything in a dataset folder but its description; `digests` spares known files."""
    known = digests or {}
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MARKER)
    total = hashlib.sha256()
    for path in paths:
        name = path.relative_to(folder).as_posix()
        total.update(f"{name} {known.get(name) or _digest(path)}\n".encode())
    return f"sha256:{total.hexdigest()}"


def validate(folder: Path | str, progress: Progress | None = None) -> tuple[Dataset, list[Problem]]:
    """Check everything about a dataset folder: tables, ids, order, pictures, counts and fingerprint."""
    dataset = Dataset.open(folder)
    items, problems = schema.conform_items(_read(dataset.folder / ITEMS))
    events, more = schema.conform_interactions(_read(dataset.folder / INTERACTIONS))
    problems += more
    scale = dataset.info.get("rating_scale")
    problems += schema.check_items(items)
    problems += schema.check_interactions(events, clock=dataset.clock, rating_scale=tuple(scale) if scale else None)
    problems += _dangling(items, events)
    problems += _out_of_order(events)
    problems += _image_problems(dataset.folder, items, progress)
    counts = {"items": len(items), "interactions": len(events)}
    for what, seen in counts.items():
        if (told := dataset.info.get("counts", {}).get(what)) != seen:
            problems.append(Problem(MARKER, f"counts {told} {what}, but there are {seen}", "Build the dataset again"))
    if fingerprint(dataset.folder) != dataset.info.get("fingerprint"):
        what = "the fingerprint does not fit: files were changed, added or removed since the dataset was built"
        problems.append(Problem(MARKER, what, "Build the dataset again from its source"))
    return dataset, _named(problems, (ITEMS, INTERACTIONS))


def _sound_items(frame: pl.DataFrame, bad_rows: str) -> tuple[pl.DataFrame, list[Problem], int]:
    problems = schema.check_items(frame)
    if bad_rows == "drop" and any(problem.severity == "error" for problem in problems):
        usable = frame.filter(~schema.blank("item")).unique("item", keep="first", maintain_order=True)
        price = pl.when((pl.col("price") >= 0) & pl.col("price").is_finite()).then("price")
        return usable.with_columns(price), _warned(problems), len(frame) - len(usable)
    return frame, problems, 0


def _sound_interactions(
    frame: pl.DataFrame, bad_rows: str, clock: str, scale: tuple[float, float] | None
) -> tuple[pl.DataFrame, list[Problem], int]:
    def check(rows: pl.DataFrame) -> list[Problem]:
        return schema.check_interactions(rows, clock=clock, rating_scale=scale)

    problems = check(frame)
    if bad_rows == "drop" and any(problem.severity == "error" for problem in problems):
        low, high = scale or (float("-inf"), float("inf"))
        rating = pl.when(pl.col("rating").is_between(low, high) & pl.col("rating").is_finite()).then("rating")
        in_time = pl.col("timestamp").is_between(0, schema.LATEST if clock == "ms" else 2**62)
        usable = frame.filter(~schema.blank("user"), ~schema.blank("item"), in_time.fill_null(False))
        usable = usable.with_columns(rating)
        left = [problem for problem in check(usable) if problem.severity == "error"]
        return usable, left or _warned(problems), len(frame) - len(usable)
    return frame, problems, 0


def _ordered(
    items: pl.DataFrame, events: pl.DataFrame, core: int, tie_seed: int, files: tuple[str, str], name: str
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Sort both tables, leave out repeats and unknown items, and keep the k-core."""
    items = items.sort("item")
    names = items["item"]
    item = encode(events["item"], names).astype(np.int32)
    known = item >= 0
    if len(events) and not known.any():
        seen, has = events["item"][0], items["item"][0]
        what = f"no interaction names a known item (it says {seen!r} where the catalogue has {has!r})"
        raise DatasetError(name, _named([Problem("interactions", what, "Use the same ids in both")], files))
    user, users = numbered(events["user"])
    time = events["timestamp"].to_numpy()
    order = chronological(user, item, time, seed=tie_seed)
    if not known.all():
        order = order[known[order]]
    user, item, time = user[order], item[order], time[order]
    repeat = np.zeros(len(order), dtype=bool)
    repeat[1:] = (user[1:] == user[:-1]) & (item[1:] == item[:-1]) & (time[1:] == time[:-1])
    kept = np.flatnonzero(~repeat)
    in_the_core = kept
    if core > 1:
        in_the_core = kept[in_core(user[kept], item[kept], user_core=core, item_core=core)]
        if not len(in_the_core):
            what = f"nothing is left of the {core}-core"
            raise DatasetError(name, _named([Problem("interactions", what, "Ask for a smaller core")], files))
        items = items[np.unique(item[in_the_core])]
    dropped = {
        "unknown_items": int((~known).sum()),
        "exact_repeats": int(repeat.sum()),
        "outside_core": len(kept) - len(in_the_core),
    }
    # The ids are taken from the short lists of names, in order: gathering long text columns at random is what costs.
    ordered = events.drop("user", "item")[order[in_the_core]].insert_column(0, users[user[in_the_core]])
    return items, ordered.insert_column(1, names[item[in_the_core]].rename("item")), dropped


def _write_images(
    folder: Path, items: pl.DataFrame, pairs: Iterable[tuple[str, Path | bytes]], progress: Progress | None
) -> tuple[pl.DataFrame, int, dict[str, int], dict[str, str], list[Problem]]:
    """Copy sound pictures into the folder under safe names; say how many, what was wrong (also as warnings that name
    the first few), and their hashes."""
    known = set(items["item"])
    sharded = len(items) > FLAT_FOLDER
    paths: dict[str, str] = {}
    taken: set[str] = set()
    faults: dict[str, int] = {}
    examples: dict[str, list[str]] = {}
    digests: dict[str, str] = {}
    wanted = ((item, source) for item, source in pairs if item in known)
    for done, (item, source, fault) in enumerate(picture_faults(wanted), 1):
        if progress:
            progress("pictures", done, None)
        if fault:
            kind = _kind_of(fault)
            faults[kind] = faults.get(kind, 0) + 1
            if faults[kind] <= schema.NAMED_ROWS:
                place = "" if isinstance(source, bytes) else f" ({str(source)!r})"
                examples.setdefault(kind, []).append(f"{item!r}{place}")
            continue
        path = _image_name(item, suffix(source), taken, sharded)
        content = source if isinstance(source, bytes) else source.read_bytes()
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        digests[path] = hashlib.sha256(content).hexdigest()
        paths[item] = path
    problems = []
    for fault, count in sorted(faults.items()):
        log.warning("%s pictures left out: each %s (the items are kept)", f"{count:,}", fault)
        rest = f" and {count - len(examples[fault]):,} more" if count > len(examples[fault]) else ""
        what = f"{count:,} left out, each {fault}: {', '.join(examples[fault])}{rest}"
        problems.append(Problem("pictures", what, "Their items are kept", count=count, severity="warning"))
    image = pl.Series("image", [paths.get(item) for item in items["item"]], dtype=pl.String)
    return items.with_columns(image), len(paths), dict(sorted(faults.items())), digests, problems


def _image_name(item: str, ending: str, taken: set[str], sharded: bool) -> str:
    """A file name that is safe everywhere: the id where it is plain, else a hash (also when only the case differs)."""
    hashed = hashlib.sha256(item.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    stem = item if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", item) and item.casefold() not in taken else hashed
    taken.add(stem.casefold())
    return f"{IMAGES}/{hashed[:2] + '/' if sharded else ''}{stem}.{ending}"


def _image_problems(folder: Path, items: pl.DataFrame, progress: Progress | None) -> list[Problem]:
    """Pictures that leave the folder are errors; missing and broken ones are counted as warnings."""
    named = [(row, path) for row, path in enumerate(items["image"], 1) if path is not None]
    root = folder.resolve()
    outside = [row for row, path in named if not (root / path).resolve().is_relative_to(root)]
    problems = []
    if outside:
        what = "the image path leaves the dataset's folder"
        rows = tuple(outside[: schema.NAMED_ROWS])
        problems.append(
            Problem("items", what, "Paths are relative to the folder and stay inside it", rows, len(outside))
        )
    barred = set(outside)
    faults: dict[str, list[int]] = {}
    inside = ((row, folder / path) for row, path in named if row not in barred)
    for done, (row, _, fault) in enumerate(picture_faults(inside), 1):
        if progress:
            progress("pictures", done, len(named))
        if fault:
            faults.setdefault(_kind_of(fault), []).append(row)
    for fault, rows_of in faults.items():
        rows = tuple(rows_of[: schema.NAMED_ROWS])
        remedy = "The item is kept and shown without a picture"
        problems.append(Problem("items", f"the picture {fault}", remedy, rows, len(rows_of), "warning"))
    return problems


def _kind_of(fault: str) -> str:
    """A fault without its numbers, to count by."""
    return "is too large" if fault.startswith(("is ", "has ")) and "more than" in fault else fault


def _dangling(items: pl.DataFrame, events: pl.DataFrame) -> list[Problem]:
    unknown = encode(events["item"], items["item"].drop_nulls().unique()) < 0
    rows = tuple(int(row) + 1 for row in np.flatnonzero(unknown)[: schema.NAMED_ROWS])
    if not rows:
        return []
    what = f"the item {events['item'][rows[0] - 1]!r} is not in the catalogue"
    return [Problem("interactions", what, "Add the item or drop the interaction", rows, int(unknown.sum()))]


def _out_of_order(events: pl.DataFrame) -> list[Problem]:
    wrong = events.select(
        (
            (pl.col("user") < pl.col("user").shift())
            | ((pl.col("user") == pl.col("user").shift()) & (pl.col("timestamp") < pl.col("timestamp").shift()))
        )
        .fill_null(False)
        .alias("wrong")
    )["wrong"]
    if not wrong.any():
        return []
    rows = tuple(int(row) + 1 for row in wrong.arg_true()[: schema.NAMED_ROWS])
    what = "rows are not ordered by user, then timestamp"
    return [
        Problem("interactions", what, "Write the dataset with llmrec.dataset.write_dataset", rows, int(wrong.sum()))
    ]


def _named(problems: Sequence[Problem], files: tuple[str, str]) -> list[Problem]:
    names = {"items": files[0], "interactions": files[1]}
    return [replace(problem, file=names.get(problem.file, problem.file)) for problem in problems]


def _warned(problems: Sequence[Problem]) -> list[Problem]:
    return [replace(problem, severity="warning") for problem in problems]


def _seen_scale(events: pl.DataFrame) -> list[float] | None:
    low, high = events["rating"].min(), events["rating"].max()
    return [float(low), float(high)] if isinstance(low, float) and isinstance(high, float) else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parquet_columns(path: Path) -> list[str]:
    try:
        return list(pl.scan_parquet(path).collect_schema())
    except FileNotFoundError:
        raise InputError(f"{path} is missing. Build the dataset again") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file ({error}). Build the dataset again") from error


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}). Build the dataset again") from error
