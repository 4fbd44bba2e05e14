"""What a silhouette is made of: smooth outlines, parts in drawing order, and the places where trims go.

Everything is measured on a sheet of 100 by 100, y downwards, so that a silhouette is the same at every size.
"""

from dataclasses import dataclass, field
from math import cos, hypot, pi, sin
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# A point is (x, y), or (x, y, 0) for a sharp corner: the curve runs smoothly through all others.
Point = tuple[float, ...]
Outline = NDArray[np.float64]
# What a part is painted with: the piece's own colour, pattern and material for the body, a fixed tint for the rest.
Paint = Literal["body", "shade", "inside", "ivory", "steel", "gold", "wood", "dark"]
Form = Literal["soft", "turned", "flat"]

STEPS = 10  # straight pieces that a curve between two points is made of


@dataclass(frozen=True, eq=False)
class Line:
    """A fold, a seam or a rib; strength 1 is black, 0 invisible."""

    points: Outline
    width: float = 0.7
    strength: float = 0.4


@dataclass(frozen=True, eq=False)
class Part:
    """One closed outline, lit by its form: soft like a cushion, turned like a vase, or flat."""

    outline: Outline
    paint: Paint = "body"
    form: Form = "soft"
    shade: float = 1.0
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, eq=False)
class Shape:
    """A silhouette: parts from back to front, and where its trims go."""

    parts: tuple[Part, ...]
    edges: tuple[Outline, ...]  # piping runs along them, stitching a little inside
    hems: tuple[Outline, ...]  # tassels hang from them
    bow: tuple[float, float] = (50, 50)
    buttons: Outline = field(default_factory=lambda: np.array([(50.0, 30.0), (50.0, 70.0)]))
    stands: bool = False  # on the ground, or else before a wall


def smooth(*points: Point, closed: bool = True) -> Outline:
    """The curve through the points: cubic pieces whose tangents follow the neighbours, broken at corners."""
    count = len(points)
    spots = [np.array(point[:2], dtype=float) for point in points]
    pieces = []
    t = np.linspace(0, 1, STEPS, endpoint=False)[:, None]
    for index in range(count if closed else count - 1):
        after = (index + 1) % count
        chord = spots[after] - spots[index]
        length = hypot(*chord)
        leaving = chord if _is_corner(points, index, closed) else length * _direction(spots, index)
        arriving = chord if _is_corner(points, after, closed) else length * _direction(spots, after)
        if leaving is chord and arriving is chord:
            pieces.append(spots[index][None, :])
            continue
        pieces.append(
            (2 * t**3 - 3 * t**2 + 1) * spots[index]
            + (t**3 - 2 * t**2 + t) * leaving
            + (3 * t**2 - 2 * t**3) * spots[after]
            + (t**3 - t**2) * arriving
        )
    if not closed:
        pieces.append(spots[-1][None, :])
    return np.concatenate(pieces)


def _is_corner(points: tuple[Point, ...], index: int, closed: bool) -> bool:
    return len(points[index]) == 3 or (not closed and index in (0, len(points) - 1))


def _direction(spots: list[Outline], index: int) -> Outline:
    way = spots[(index + 1) % len(spots)] - spots[index - 1]
    return way / (hypot(*way) or 1.0)


def path(*points: Point) -> Outline:
    """An open curve."""
    return smooth(*points, closed=False)


def both(*right: Point) -> Outline:
    """A closed outline from its right half, given from the top on the middle line to the bottom."""
    left = [(100 - point[0], *point[1:]) for point in reversed(right) if point[0] != 50]
    return smooth(*right, *left)


def across(*right: Point) -> Outline:
    """An open curve from its right half, given from the middle line outwards."""
    left = [(100 - point[0], *point[1:]) for point in reversed(right) if point[0] != 50]
    return smooth(*left, *right, closed=False)


def flip(outline: Outline) -> Outline:
    """The same on the other side of the middle line."""
    return np.stack([100 - outline[:, 0], outline[:, 1]], axis=1)


def pair(part: Part) -> tuple[Part, Part]:
    """A part and its mirror image."""
    lines = tuple(Line(flip(line.points), line.width, line.strength) for line in part.lines)
    return part, Part(flip(part.outline), part.paint, part.form, part.shade, lines)


def fold(*points: Point, width: float = 0.7, strength: float = 0.3) -> Line:
    return Line(path(*points), width, strength)


def folds(*points: Point, width: float = 0.7, strength: float = 0.3) -> tuple[Line, Line]:
    """A fold on both sides."""
    line = fold(*points, width=width, strength=strength)
    return line, Line(flip(line.points), width, strength)


def fan(
    tops: tuple[float, float, float], bottoms: tuple[float, float, float], count: int, strength: float = 0.25
) -> tuple[Line, ...]:
    """Folds that spread from (left, right, y) at the top to (left, right, y) at the bottom."""
    return tuple(
        fold(
            (tops[0] + (tops[1] - tops[0]) * share, tops[2]),
            (bottoms[0] + (bottoms[1] - bottoms[0]) * share, bottoms[2]),
            strength=strength,
        )
        for share in ((index + 0.5) / count for index in range(count))
    )


def ellipse(x: float, y: float, wide: float, high: float, start: float = 0.0, end: float = 2.0) -> Outline:
    """An ellipse, or the arc of it between two angles in half turns (0 is right, 0.5 is down)."""
    steps = np.linspace(start * pi, end * pi, 18 if wide < 4 else 44, endpoint=end - start < 2)
    return np.stack([x + wide * np.cos(steps), y + high * np.sin(steps)], axis=1)


def box(left: float, top: float, right: float, bottom: float, round_by: float = 0.0) -> Outline:
    """A rectangle with round corners."""
    corners = []
    for x, y, angle in ((right, top, -0.5), (right, bottom, 0.0), (left, bottom, 0.5), (left, top, 1.0)):
        middle_x = x - round_by if x == right else x + round_by
        middle_y = y - round_by if y == bottom else y + round_by
        for step in (0.0, 0.125, 0.25, 0.375, 0.5) if round_by else (0.0,):
            turn = (angle + step) * pi
            corners.append((middle_x + round_by * cos(turn), middle_y + round_by * sin(turn)))
    return np.array(corners)


def tube(points: Outline, width: float, end_width: float | None = None) -> Outline:
    """The outline of a band along a curve: a handle, a strap, a spout."""
    way = np.gradient(points, axis=0)
    way /= np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-9)[:, None]
    widths = np.linspace(width, width if end_width is None else end_width, len(points))[:, None] / 2
    side = np.stack([-way[:, 1], way[:, 0]], axis=1) * widths
    return np.concatenate([points + side, (points - side)[::-1]])


def lathe(x: float, *profile: Point, top: float = 0.0, bottom: float = 3.0) -> Outline:
    """A turned body from (half width, y) down its right side; `top` and `bottom` are how deep its end discs look."""
    right = path(*((x + point[0], *point[1:]) for point in profile))
    left = np.stack([2 * x - right[::-1, 0], right[::-1, 1]], axis=1)
    first, last = profile[0], profile[-1]
    base = ellipse(x, last[1], last[0], bottom, 0.0, 1.0) if bottom else right[-1:]
    lid = ellipse(x, first[1], first[0], top, 1.0, 2.0) if top else right[:1]
    return np.concatenate([right, base, left, lid])


def ring(x: float, y: float, wide: float, high: float) -> Outline:
    """The near half of a circle around a turned body, from left to right."""
    return ellipse(x, y, wide, high, 0.0, 1.0)[::-1]


def along(points: Outline, count: int, inset: float = 0.0) -> Outline:
    """Points at equal distances along a curve; `inset` leaves that share free at both ends."""
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    wanted = np.linspace(inset * steps[-1], (1 - inset) * steps[-1], count)
    return np.stack([np.interp(wanted, steps, points[:, axis]) for axis in (0, 1)], axis=1)


def long(points: Outline) -> float:
    """The length of a curve."""
    return float(np.hypot(*np.diff(points, axis=0).T).sum())
