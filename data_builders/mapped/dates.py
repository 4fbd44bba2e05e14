"""Recognises times by how they look, so that a first mapping can say how to read them."""

import re
from collections import Counter
from dataclasses import dataclass

import polars as pl

from llmrec.errors import LlmrecError
from mapped import columns

MOST_ODD = 0.05
"""Values that are no time, as a share, that a column of times may hold."""
DAY = re.compile(
    r"(?P<one>\d{1,4})(?P<mark>[./-])(?P<two>\d{1,2})(?P=mark)(?P<three>\d{4}|\d{2}|\d)"
    r"(?:(?P<gap>, |[ T])\d{1,2}:\d{2}(?P<second>:\d{2})?(?P<half> ?[AaPp][Mm])?)?"
)
IN_WORDS = ("%d %b %Y", "%b %d, %Y")
CLOCKS = ("", " %H:%M", " %H:%M:%S")
EPOCH = {"s": (946_684_800, 2_208_988_800), "ms": (946_684_800_000, 2_208_988_800_000)}
"""From 2000 to 2039: other numbers are not taken for times unless their column's name says so."""


@dataclass(frozen=True)
class Reading:
    """How the times of a column are to be read, and what is to be checked about it."""

    time: str
    doubt: str = ""


def reading_of(values: pl.Series, *, named: bool) -> Reading | None:
    """How a column's values are read as times; `named`: its name already says that it holds some."""
    if values.dtype.is_temporal():
        return None if values.dtype in (pl.Time, pl.Duration) else Reading("dates")
    if isinstance(values.dtype, pl.List) or values.dtype == pl.Boolean:
        return None
    told = columns.as_told(values).drop_nulls()
    if told.is_empty():
        return None
    numbers = told.cast(pl.Float64, strict=False)
    if numbers.null_count() == 0 and not named and not _in_an_epoch(numbers):
        return None
    found = _by_shape(told.to_list())
    if found:
        return found if _fits(told, found.time) else None
    if _fits(told, "auto"):
        return Reading(columns.moments(told, "auto", "UTC", "")[1])
    patterns = (words + clock for words in IN_WORDS for clock in CLOCKS)
    return next((Reading(pattern) for pattern in patterns if _fits(told, pattern)), None)


def _in_an_epoch(numbers: pl.Series) -> bool:
    return any(bool(numbers.is_between(first, last).all()) for first, last in EPOCH.values())


def _fits(told: pl.Series, time: str) -> bool:
    try:
        _, _, problems = columns.moments(told, time, "UTC", "")
    except LlmrecError:
        return False
    return sum(problem.count for problem in problems) <= MOST_ODD * len(told)


def _by_shape(told: list[str]) -> Reading | None:
    """The pattern of days in figures; whether day or month comes first is seen where one of them is above 12."""
    matches = [match for match in map(DAY.fullmatch, told) if match]
    if len(matches) < (1 - MOST_ODD) * len(told):
        return None
    shapes = Counter(_shape(match) for match in matches)
    shape, count = shapes.most_common(1)[0]
    if shape is None or count < (1 - MOST_ODD) * len(told):
        return None
    mark, year, clock = shape
    if year == "first":
        if mark == "-" and "I" not in clock and "," not in clock and all(len(m["two"]) == 2 for m in matches):
            return None  # ISO 8601, which is read with its fractions and zones
        return Reading(f"%Y{mark}%m{mark}%d{clock}")
    same = [match for match in matches if _shape(match) == shape]
    one, two = (max(int(match[part]) for match in same) for part in ("one", "two"))
    day_first, month_first = f"%d{mark}%m{mark}{year}{clock}", f"%m{mark}%d{mark}{year}{clock}"
    if two > 12:
        return Reading(month_first) if one <= 12 else None
    if one > 12 or mark == ".":
        return Reading(day_first)
    return Reading(day_first, f"or {month_first!r}: no day above 12 tells which of the two comes first. Check it")


def _shape(match: re.Match[str]) -> tuple[str, str, str] | None:
    """The mark between the figures, how the year is written, and the pattern of the time of day."""
    first, last = len(match["one"]), len(match["three"])
    if (first == 4) == (last == 4) or first == 3:
        year = "%y" if first <= 2 and last == 2 else None
    else:
        year = "first" if first == 4 else "%Y"
    if year is None:
        return None
    second = ":%S" if match["second"] else ""
    half = match["half"]
    hour = f"%I:%M{second}{' ' if half.startswith(' ') else ''}%p" if half else f"%H:%M{second}"
    return match["mark"], year, f"{match['gap']}{hour}" if match["gap"] else ""
