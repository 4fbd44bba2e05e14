"""Patterns as masks: where a cloth or a glaze shows its accent colour."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .canvas import Outline

Ink = ImageDraw.ImageDraw

OVERSAMPLING = 2
CHECK_THREAD = 130  # how strong one band of a check is, of 255; two that cross are full


@lru_cache(maxsize=32)
def pattern_mask(pattern: str, side: int) -> Image.Image | None:
    """A mask of the whole sheet, 255 where the figures are; none for plain."""
    if pattern == "plain":
        return None
    if pattern not in FIGURES:
        raise ValueError(f"no pattern is called {pattern!r}. There are plain, {', '.join(FIGURES)}")
    large = Image.new("L", (side * OVERSAMPLING, side * OVERSAMPLING), 0)
    FIGURES[pattern](ImageDraw.Draw(large), side * OVERSAMPLING / 100)
    return large.reduce(OVERSAMPLING)


def _grid(step: float, rise: float) -> list[tuple[float, float, int]]:
    """Points of a staggered grid over the sheet, numbered, with one through its middle."""
    rows, columns = int(60 / rise) + 1, int(60 / step) + 1
    return [
        (50 + column * step + (step / 2 if row % 2 else 0), 50 + row * rise, row * 7 + column * 3)
        for row in range(-rows, rows + 1)
        for column in range(-columns, columns + 1)
    ]


def _fill(ink: Ink, outline: Outline, scale: float, value: int = 255) -> None:
    ink.polygon([tuple(point) for point in outline * scale], fill=value)


def _disc(ink: Ink, x: float, y: float, reach: float, scale: float, value: int = 255) -> None:
    ink.ellipse([(x - reach) * scale, (y - reach) * scale, (x + reach) * scale, (y + reach) * scale], fill=value)


def _stripes(ink: Ink, scale: float) -> None:
    for index in range(-1, 14):
        ink.rectangle([0, (index * 8.4 + 2) * scale, 100 * scale, (index * 8.4 + 5.2) * scale], fill=255)


def _dots(ink: Ink, scale: float) -> None:
    for x, y, _ in _grid(10.5, 6.6):
        _disc(ink, x, y, 2.5, scale)


def _check(ink: Ink, scale: float) -> None:
    bands = [(50 + index * 10.5, 50 + index * 10.5 + 5.25) for index in range(-6, 6)]
    for start, end in bands:
        ink.rectangle([0, start * scale, 100 * scale, end * scale], fill=CHECK_THREAD)
        ink.rectangle([start * scale, 0, end * scale, 100 * scale], fill=CHECK_THREAD)
    for top, bottom in bands:
        for left, right in bands:
            ink.rectangle([left * scale, top * scale, right * scale, bottom * scale], fill=255)


def _floral(ink: Ink, scale: float) -> None:
    for x, y, number in _grid(17, 9.5):
        for petal in range(5):
            angle = 2 * np.pi * petal / 5 + number
            _disc(ink, x + 2.9 * np.cos(angle), y + 2.9 * np.sin(angle), 2.05, scale)
        _disc(ink, x, y, 1.5, scale, 0)


def _zigzag(ink: Ink, scale: float) -> None:
    for row in range(-1, 11):
        points = [(x, row * 10.5 + (6 if index % 2 else 0)) for index, x in enumerate(np.arange(-4.0, 108.0, 5.6))]
        ink.line([(x * scale, y * scale) for x, y in points], fill=255, width=round(2.7 * scale), joint="curve")


def _leaf(x: float, y: float, angle: float, length: float) -> NDArray[np.float64]:
    t = np.linspace(0, 1, 14)
    belly = 0.27 * length * np.sin(np.pi * t) ** 0.9
    blade = np.concatenate([np.stack([t * length, belly], 1), np.stack([t * length, -belly], 1)[::-1]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return blade @ turn + (x, y)


def _leaves(ink: Ink, scale: float) -> None:
    for x, y, number in _grid(15.5, 11.5):
        lean = 0.35 if number % 2 else -0.35
        foot = (x, y + 5)
        for angle, length in (
            (-np.pi / 2 + lean, 9.5),
            (-np.pi / 2 + lean + 1.25, 7.5),
            (-np.pi / 2 + lean - 1.25, 7.5),
        ):
            _fill(ink, _leaf(*foot, angle, length), scale)
            tip = (foot[0] + np.cos(angle) * length * 0.8, foot[1] + np.sin(angle) * length * 0.8)
            ink.line([foot[0] * scale, foot[1] * scale, tip[0] * scale, tip[1] * scale], 0, max(1, round(0.45 * scale)))


def _stars(ink: Ink, scale: float) -> None:
    for x, y, number in _grid(14.5, 8.2):
        angles = np.arange(10) * np.pi / 5 - np.pi / 2 + (0.3 if number % 2 else -0.2)
        reach = np.where(np.arange(10) % 2, 1.75, 4.6)
        _fill(ink, np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1), scale)


FIGURES: dict[str, Callable[[Ink, float], None]] = {
    "stripes": _stripes,
    "dots": _dots,
    "check": _check,
    "floral": _floral,
    "zigzag": _zigzag,
    "leaves": _leaves,
    "stars": _stars,
}
