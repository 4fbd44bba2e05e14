"""One page for a suite: what can be said, a table with intervals, and quality against cost."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from llmrec.compare.results import Costs, Found
from llmrec.page import page_template

WIDE, HIGH, LEFT, BELOW, ABOVE = 520, 300, 58, 44, 16
"""Of a plot, and the room on its left, below it and above."""
TICKS = 4


def page(content: Mapping[str, Any], found: Sequence[Found]) -> str:
    """The whole page; it carries everything within itself."""
    plots = [plot(found, "minutes of tuning", lambda costs: costs.minutes)]
    if all(one.costs.memory for one in found):
        plots.append(plot(found, "memory while tuning, GiB", lambda costs: costs.memory / 1024))
    plots.append(plot(found, "millions of tuned parameters", lambda costs: costs.trained / 1e6))
    return str(page_template("compare.html").render(content=content, plots=plots))


def plot(found: Sequence[Found], unit: str, cost: Callable[[Costs], float]) -> dict[str, Any]:
    """Where each cell stands by what it costs and how well it ranks, in a drawing of WIDE by HIGH."""
    low, high = min(one.interval.low for one in found), max(one.interval.high for one in found)
    room = max(high - low, 1e-9)
    most = max([*(cost(one.costs) for one in found), 1e-9])

    def across(value: float) -> float:
        return round(LEFT + 12 + (WIDE - LEFT - 48) * value / most, 1)

    def down(value: float) -> float:
        return round(HIGH - BELOW - 8 - (HIGH - BELOW - ABOVE - 8) * (value - low) / room, 1)

    return {
        "wide": WIDE,
        "high": HIGH,
        "left": LEFT,
        "unit": unit,
        "rows": [{"at": down(value), "says": f"{value:.3f}"} for value in np.linspace(low, high, TICKS)],
        "columns": [{"at": across(value), "says": f"{value:.2g}"} for value in np.linspace(0, most, TICKS)],
        "points": [
            {
                "name": one.name,
                "number": number,
                "mean": one.interval.mean,
                "x": across(cost(one.costs)),
                "y": down(one.interval.mean),
                "top": down(one.interval.high),
                "bottom": down(one.interval.low),
                "kind": "best" if number == 1 else "base" if one.gap is None else "",
            }
            for number, one in enumerate(found, 1)
        ],
    }
