"""One page for a suite: what can be said, a table with intervals, and quality against cost."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from llmrec.compare.results import Found
from llmrec.page import page_template

WIDE, HIGH, LEFT, BELOW, ABOVE = 520, 300, 58, 44, 16
"""Of a plot, and the room on its left, below it and above."""
TICKS = 4


def page(content: Mapping[str, Any], found: Sequence[Found]) -> str:
    """The whole page; it carries everything within itself."""
    plots = [plot(found, "minutes of tuning", lambda one: one.costs.minutes)]
    if all(one.costs.memory for one in found):
        plots.append(plot(found, "memory while tuning, GiB", lambda one: one.costs.memory / 1024))
    plots.append(plot(found, "millions of tuned parameters", lambda one: one.costs.trained / 1e6))
    placed = [one for one in found if one.at is not None and one.at > 0]
    numbers = {one.name: number for number, one in enumerate(found, 1)}
    along = None
    if len(placed) > 1:
        along = plot(placed, content["along"], lambda one: float(one.at or 0), doubling=True, numbers=numbers)
    return str(page_template("compare.html").render(content=content, plots=plots, along=along))


def plot(
    found: Sequence[Found],
    unit: str,
    cost: Callable[[Found], float],
    *,
    doubling: bool = False,
    numbers: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Where each cell stands by what it costs and how well it ranks, in a drawing of WIDE by HIGH.

    With `doubling` each doubling is as wide as any other. `numbers` are the cells' own where only some are drawn.
    """
    numbers = numbers or {one.name: number for number, one in enumerate(found, 1)}
    low, high = min(one.interval.low for one in found), max(one.interval.high for one in found)
    room = max(high - low, 1e-9)
    costs = [cost(one) for one in found]
    first, most = (min(costs), max(costs)) if doubling else (0.0, max([*costs, 1e-9]))
    marks = np.geomspace(first, most, TICKS) if doubling else np.linspace(0, most, TICKS)

    def across(value: float) -> float:
        share = math.log(value / first) / max(math.log(most / first), 1e-9) if doubling else value / most
        return round(LEFT + 12 + (WIDE - LEFT - 48) * share, 1)

    def down(value: float) -> float:
        return round(HIGH - BELOW - 8 - (HIGH - BELOW - ABOVE - 8) * (value - low) / room, 1)

    return {
        "wide": WIDE,
        "high": HIGH,
        "left": LEFT,
        "unit": unit,
        "rows": [{"at": down(value), "says": f"{value:.3f}"} for value in np.linspace(low, high, TICKS)],
        "columns": [{"at": across(value), "says": f"{value:.2g}"} for value in marks.tolist()],
        "points": [
            {
                "name": one.name,
                "number": numbers[one.name],
                "mean": one.interval.mean,
                "x": across(cost(one)),
                "y": down(one.interval.mean),
                "top": down(one.interval.high),
                "bottom": down(one.interval.low),
                "kind": "best" if numbers[one.name] == 1 else "base" if one.gap is None else "",
            }
            for one in found
        ],
    }
