"""The tables of a dataset: their columns, and everything that can be wrong with them, found in one go."""

import difflib
from collections.abc import Mapping
from typing import Any

import polars as pl

from llmrec.errors import Problem

VERSION = 1

ITEM_COLUMNS: Mapping[str, Any] = {
    "item": pl.String,
    "title": pl.String,
    "description": pl.String,
    "categories": pl.List(pl.String),
    "brand": pl.String,
    "price": pl.Float64,
    "image": pl.String,
}
INTERACTION_COLUMNS: Mapping[str, Any] = {
    "user": pl.String,
    "item": pl.String,
    "timestamp": pl.Int64,
    "rating": pl.Float32,
    "review": pl.String,
    "summary": pl.String,
}
CLOCKS = ("ms", "order")
EARLIEST, LATEST = 0, 4_102_444_800_000  # 1970 to 2100 in milliseconds
SECONDS_LOOK_LIKE = 10_000_000_000  # all times below this: seconds since 1970, not milliseconds
NAMED_ROWS = 5


def conform_items(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Bring an item table to the contract's columns and types; what cannot be brought is a problem."""
    problems = _missing(frame, ("item",), "items")
    for name in frame.columns:
        if name not in ITEM_COLUMNS and (near := nearest(name, ITEM_COLUMNS)):
            problems.append(
                Problem(
                    "items",
                    f"column {name!r} is kept as a free attribute",
                    f"If it is meant to be {near!r}, rename it",
                    severity="warning",
                )
            )
        if name not in ITEM_COLUMNS and frame.schema[name].is_nested():
            problems.append(
                Problem(
                    "items",
                    f"attribute column {name!r} is a {frame.schema[name]}",
                    "An attribute is one text, number or yes/no an item: split it into columns of its own",
                )
            )
    return _conform(frame, ITEM_COLUMNS, "items", problems), problems


def conform_interactions(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """Bring an interaction table to the contract's columns and types; what cannot be brought is a problem."""
    problems = _missing(frame, ("user", "item", "timestamp"), "interactions")
    for name in frame.columns:
        if name not in INTERACTION_COLUMNS:
            near = nearest(name, INTERACTION_COLUMNS)
            hint = f"Did you mean {near!r}? " if near else ""
            known = ", ".join(INTERACTION_COLUMNS)
            problems.append(Problem("interactions", f"unknown column {name!r}", f"{hint}The columns are {known}"))
    if "timestamp" in frame.columns and frame.schema["timestamp"].is_temporal():
        frame = frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ms")).dt.epoch("ms"))
    known_only = frame.select([name for name in frame.columns if name in INTERACTION_COLUMNS])
    return _conform(known_only, INTERACTION_COLUMNS, "interactions", problems), problems


def check_items(frame: pl.DataFrame, file: str = "items") -> list[Problem]:
    """Everything wrong with the values of a conforming item table."""
    found = _Finder(frame, file)
    found.error(blank("item"), "the item id is missing", "Give every item an id")
    found.error(
        pl.col("item").is_not_null() & ~pl.col("item").is_first_distinct(),
        "the item id has been used before",
        "Keep one row an item",
    )
    found.error(
        pl.col("price").is_not_null() & ~((pl.col("price") >= 0) & pl.col("price").is_finite()),
        "the price is negative or not a number",
        "Leave it empty where it is not known",
    )
    found.warning(blank("title"), "the item has no title", "It is shown by its other fields and its picture")
    return found.problems


def check_interactions(
    frame: pl.DataFrame,
    file: str = "interactions",
    *,
    clock: str = "ms",
    rating_scale: tuple[float, float] | None = None,
) -> list[Problem]:
    """Everything wrong with the values of a conforming interaction table, but for unknown items."""
    found = _Finder(frame, file)
    found.error(blank("user"), "the user id is missing", "Give every interaction its user")
    found.error(blank("item"), "the item id is missing", "Give every interaction its item")
    found.error(pl.col("timestamp").is_null(), "the timestamp is missing", "Give every interaction its time")
    if clock == "ms":
        found.error(
            ~pl.col("timestamp").is_between(EARLIEST, LATEST),
            f"the timestamp is outside 1970 to 2100 (milliseconds, {EARLIEST} to {LATEST})",
            "Check the unit of time of the source",
        )
        found.problems += seconds_for_milliseconds(frame, file)
    else:
        found.error(pl.col("timestamp") < 0, "the position is negative", "Count positions from 0 or 1")
    found.error(
        ~pl.col("rating").is_finite(), "the rating is not a finite number", "Leave it empty where there is none"
    )
    if rating_scale:
        low, high = rating_scale
        found.error(
            ~pl.col("rating").is_between(low, high) & pl.col("rating").is_finite(),
            f"the rating is outside {low:g} to {high:g}",
            "Correct it, or give the scale that the ratings really have",
        )
    return found.problems


def seconds_for_milliseconds(frame: pl.DataFrame, file: str = "interactions") -> list[Problem]:
    """The problem of a log whose times are so early that they must be seconds."""
    newest = frame["timestamp"].max()
    if not (isinstance(newest, int) and 0 < newest < SECONDS_LOOK_LIKE):
        return []
    what = f"all timestamps lie before 27 April 1970 (largest {newest})"
    return [Problem(file, what, "Are they seconds? Multiply by 1000")]


def blank(column: str) -> pl.Expr:
    """Whether a text is missing or only white space."""
    return pl.col(column).is_null() | (pl.col(column).str.strip_chars() == "")


def nearest(name: str, known: Mapping[str, Any]) -> str | None:
    """The known name that somebody most likely meant."""
    stem = name.lower().replace("_", "").replace(" ", "")
    for candidate in known:
        if stem in (candidate, candidate + "s", candidate + "id", candidate.rstrip("s"), candidate + "path"):
            return candidate
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.75)
    return close[0] if close else None


class _Finder:
    """Collects problems of one table; rows are only looked up where there is something to name."""

    def __init__(self, frame: pl.DataFrame, file: str):
        self.frame = frame
        self.file = file
        self.problems: list[Problem] = []

    def error(self, wrong: pl.Expr, what: str, remedy: str) -> None:
        self._look(wrong, what, remedy, warning=False)

    def warning(self, wrong: pl.Expr, what: str, remedy: str) -> None:
        self._look(wrong, what, remedy, warning=True)

    def _look(self, wrong: pl.Expr, what: str, remedy: str, *, warning: bool) -> None:
        mask = self.frame.select(wrong.fill_null(False).alias("wrong"))["wrong"]
        count = int(mask.sum())
        if count:
            rows = tuple(row + 1 for row in mask.arg_true()[:NAMED_ROWS].to_list())
            severity = "warning" if warning else "error"
            self.problems.append(Problem(self.file, what, remedy, rows, count, severity))  # type: ignore[arg-type]


def _missing(frame: pl.DataFrame, names: tuple[str, ...], file: str) -> list[Problem]:
    return [
        Problem(file, f"there is no column {name!r} (columns: {', '.join(frame.columns) or 'none'})", "It is required")
        for name in names
        if name not in frame.columns
    ]


def _conform(frame: pl.DataFrame, columns: Mapping[str, Any], file: str, problems: list[Problem]) -> pl.DataFrame:
    """Cast known columns, add those that are not there as nulls, put them first; extra columns follow as they are."""
    for name, dtype in columns.items():
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype).alias(name))
        elif frame.schema[name] != dtype:
            frame = _cast(frame, name, dtype, file, problems)
    extra = [name for name in frame.columns if name not in columns]
    return frame.select([*columns, *extra])


def _cast(frame: pl.DataFrame, name: str, dtype: Any, file: str, problems: list[Problem]) -> pl.DataFrame:
    before = frame[name]
    try:
        after = before.cast(dtype, strict=False)
    except (pl.exceptions.PolarsError, TypeError):
        after = pl.Series(name, [None] * len(frame), dtype=dtype)
    lost = before.is_not_null() & after.is_null()
    if lost.any():
        rows = lost.arg_true()[:NAMED_ROWS].to_list()
        seen = str(before[rows[0]])[:40]
        what = f"{name} {seen!r} cannot be read as {_kind(dtype)}"
        problems.append(Problem(file, what, "Correct or empty it", tuple(row + 1 for row in rows), int(lost.sum())))
    return frame.with_columns(after.alias(name))


def _kind(dtype: Any) -> str:
    return {pl.String: "text", pl.Int64: "a whole number", pl.Float64: "a number", pl.Float32: "a number"}.get(
        dtype, str(dtype)
    )
