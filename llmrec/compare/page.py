"""One page for a suite: what can be said, tables with intervals, and quality against cost."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmrec.compare.results import Found
from llmrec.page import page_template

WIDE, HIGH, LEFT, BELOW, ABOVE = 520, 300, 58, 44, 16
"""Of a plot, and the room on its left, below it and above."""
TICKS = 5
"""At most so many on an axis, but for its beginning."""
APART = 36
"""Between the ticks of places, so that their figures do not touch."""
DOT, DIGIT, LETTER = 5, 10, 12
"""A point's radius; how wide a digit beside it is, and how high."""
BESIDE = [(right, above) for above in (-6, 16, -20, 30) for right in (True, False)]
"""Where a point's number may stand: on its right or left, and how far below it; the first that is free."""


@dataclass(frozen=True)
class Axis:
    """What cells are drawn by."""

    unit: str
    of: Callable[[Any], float | None]
    """A cell's place; None where it is not known."""
    unknown: str
    """Why it may not be."""
    doubling: bool = False
    """Whether each doubling is as wide as any other."""


COSTS = {
    "minutes": Axis(
        "minutes of tuning", lambda one: one.costs.minutes, "stages.json in the work folder does not tell their times"
    ),
    "memory": Axis(
        "memory while tuning, GiB",
        lambda one: one.costs.memory and one.costs.memory / 1024,
        "what tuning held was not seen, which Linux alone tells",
    ),
    "tuned": Axis(
        "millions of tuned parameters",
        lambda one: None if one.costs.trained is None else one.costs.trained / 1e6,
        "the manifests of their runs do not tell it",
    ),
}
"""What a cell costs, by a short name."""


def along(unit: str) -> Axis:
    """What the `at` of cells counts."""
    return Axis(unit, lambda one: one.at, "the suite does not say at what they stand", doubling=True)


def page(content: Mapping[str, Any], found: Sequence[Found]) -> str:
    """The whole page; it carries everything within itself."""
    plots = [plot(found, axis) for axis in COSTS.values()]
    placed = any(one.at is not None for one in found)
    line = plot(found, along(content["along"])) if placed else None
    return str(page_template("compare.html").render(content=content, plots=plots, along=line))


def plot(found: Sequence[Any], axis: Axis) -> dict[str, Any]:
    """Where each cell stands by its place on an axis and how well it ranks, in a drawing of WIDE by HIGH.

    Cells whose place is not known are not drawn, and `missing` says which these are and why.
    """
    numbered = [(number, one, axis.of(one)) for number, one in enumerate(found, 1)]
    known = [(number, one, place) for number, one, place in numbered if place is not None]
    lacking = [str(number) for number, _, place in numbered if place is None]
    told: dict[str, Any] = {"wide": WIDE, "high": HIGH, "left": LEFT, "unit": axis.unit, "rows": [], "columns": []}
    told |= {"points": [], "missing": ""}
    if lacking:
        whom = f"Without {', '.join(lacking)}" if known else "Not drawn"
        told["missing"] = f"{whom}: {axis.unknown}."
    if not known:
        return told
    low, high = min(_ends(one)[0] for _, one, _ in known), max(_ends(one)[1] for _, one, _ in known)
    room = max(high - low, 1e-9)
    places = sorted({place for *_, place in known})
    first, last = (places[0], places[-1]) if axis.doubling else (0.0, max(places[-1], 1e-9))

    def across(value: float) -> float:
        share = math.log(value / first) / max(math.log(last / first), 1e-9) if axis.doubling else value / last
        return round(LEFT + 12 + (WIDE - LEFT - 48) * share, 1)

    def down(value: float) -> float:
        return round(HIGH - BELOW - 8 - (HIGH - BELOW - ABOVE - 8) * (value - low) / room, 1)

    marks = _spread(places, across) if axis.doubling else _round_values(0.0, last)
    told["rows"] = [{"at": down(value), "says": f"{value:.3f}"} for value in _round_values(low, high)]
    told["columns"] = [{"at": across(value), "says": f"{value:,.10g}"} for value in marks]
    told["points"] = [
        {
            "name": one.name,
            "number": number,
            "mean": one.interval.mean,
            "x": across(place),
            "y": down(one.interval.mean),
            "top": down(_ends(one)[1]),
            "bottom": down(_ends(one)[0]),
            "kind": " ".join(["best"] * (number == 1) + ["base"] * (one.gap is None)),
        }
        for number, one, place in known
    ]
    _number(told["points"])
    return told


def _ends(one: Any) -> tuple[float, float]:
    """Of a cell's interval; one person alone has none, and is drawn as a point."""
    span = one.interval
    return (span.mean, span.mean) if math.isnan(span.low) else (span.low, span.high)


def _round_values(low: float, high: float) -> list[float]:
    """Values between two that people count by: steps of 1, 2 or 5 with as many noughts as it takes."""
    if high <= low:
        return [low]
    most = (high - low) / TICKS
    power: float = 10.0 ** math.floor(math.log10(most))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= most * (1 - 1e-9))
    return [
        round(count * step, 12) for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _spread(places: Sequence[float], across: Callable[[float], float]) -> list[float]:
    """Those of the places whose figures have room beside one another."""
    told: list[float] = []
    for place in places:
        if not told or across(place) - across(told[-1]) >= APART:
            told.append(place)
    return told


def _number(points: Sequence[dict[str, Any]]) -> None:
    """Put each point's number where it hides least: no other number, no point, and no line if that can be."""
    taken: list[tuple[float, float, float, float]] = []
    dots = [(one["x"] - DOT, one["y"] - DOT, one["x"] + DOT, one["y"] + DOT) for one in points]
    lines = [(one["x"] - 1, one["top"], one["x"] + 1, one["bottom"]) for one in points]
    for one in points:
        wide = DIGIT * len(str(one["number"]))

        def hides(where: tuple[bool, int], wide: int = wide, one: dict[str, Any] = one) -> int:
            box = _box(one, where, wide)
            found = sum(16 * _meet(box, other) for other in taken) + sum(8 * _meet(box, other) for other in dots)
            return found + sum(_meet(box, other) for other in lines)

        box = _box(one, min(BESIDE, key=hides), wide)
        taken.append(box)
        one["number_x"], one["number_y"] = round(box[0], 1), round(box[3], 1)


def _box(one: Mapping[str, Any], where: tuple[bool, int], wide: int) -> tuple[float, float, float, float]:
    """The room that a point's number takes there: left, top, right and bottom."""
    right, below = where
    left = one["x"] + 8 if right else one["x"] - 8 - wide
    return left, one["y"] + below - LETTER, left + wide, one["y"] + below


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
