"""Trims as masks: piping, buttons, tassels, a bow or stitching, where the silhouette has its place for them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from .canvas import Outline, Shape, along, ellipse, long, path, smooth
from .layers import OVERSAMPLING, Layers, layers, scaled, shape_of, stroke

DARK, MIDDLE = 80, 165  # brightness left of 255 in a trim's outlines and creases


@dataclass(frozen=True, eq=False)
class Trim:
    """Where the trim's colour is, and what darkens it."""

    fill: Image.Image
    ink: Image.Image


@dataclass(frozen=True, eq=False)
class _Pens:
    fill: ImageDraw.ImageDraw
    ink: ImageDraw.ImageDraw
    scale: float

    def line(self, points: Outline, width: float, rim: float = 0.0) -> None:
        if rim:
            stroke(self.fill, points, width + 2 * rim, self.scale, 255)
            stroke(self.ink, points, width + 2 * rim, self.scale, DARK)
        stroke(self.fill, points, width, self.scale, 255)
        stroke(self.ink, points, width, self.scale, 255)

    def solid(self, outline: Outline, rim: float = 0.8, shade: int = 255) -> None:
        corners = scaled(outline, self.scale)
        width = max(1, round(rim * self.scale))
        self.fill.polygon(corners, fill=255)
        self.ink.polygon(corners, fill=shade)
        for pen, value in ((self.fill, 255), (self.ink, DARK)):
            pen.line([*corners, corners[0]], value, width, "curve")

    def crease(self, points: Outline, width: float = 0.6, value: int = MIDDLE) -> None:
        stroke(self.ink, points, width, self.scale, value)


@lru_cache(maxsize=128)
def trim_mask(kind: str, silhouette: str, trim: str, side: int) -> Trim | None:
    """The trim of one silhouette on a sheet of that many pixels; none for none."""
    if trim == "none":
        return None
    shape = shape_of(kind, silhouette)
    large = side * OVERSAMPLING
    fill, ink = Image.new("L", (large, large), 0), Image.new("L", (large, large), 255)
    pens = _Pens(ImageDraw.Draw(fill), ImageDraw.Draw(ink), large / 100)
    if trim == "piping":
        for edge in shape.edges:
            pens.line(edge, 2.5, rim=0.55)
    elif trim == "stitching":
        _dashes(pens, shape, layers(kind, silhouette, side), inset=3.2, dash=3.4, gap=2.2, width=1.7, rim=0.4)
    elif trim == "topstitching":  # denim has it whatever the trim; finer, so that the two are not mistaken
        _dashes(pens, shape, layers(kind, silhouette, side), inset=1.7, dash=1.3, gap=0.7, width=0.5)
    elif trim == "buttons":
        _buttons(pens, shape.buttons)
    elif trim == "tassels":
        for hem in shape.hems:
            _tassels(pens, hem)
    elif trim == "bow":
        _bow(pens, *shape.bow)
    else:
        raise ValueError(f"no trim is called {trim!r}. There are none, piping, buttons, tassels, bow, stitching")
    fill, ink = fill.reduce(OVERSAMPLING), ink.reduce(OVERSAMPLING)
    if trim in ("stitching", "topstitching"):
        fill = ImageChops.multiply(fill, layers(kind, silhouette, side).alpha)
    return Trim(fill, ink)


def _dashes(
    pens: _Pens,
    shape: Shape,
    masks: Layers,
    *,
    inset: float,
    dash: float,
    gap: float,
    width: float,
    rim: float = 0.0,
) -> None:
    for edge in shape.edges:
        inner = _inset(edge, masks, inset)
        count = max(2, round(long(inner) / (dash + gap)))
        fine = along(inner, count * 12)
        keep = max(2, round(12 * dash / (dash + gap)))
        for start in range(0, count * 12, 12):
            pens.line(fine[start : start + keep], width, rim)


def _inset(edge: Outline, masks: Layers, distance: float) -> Outline:
    """The edge moved to the side on which more of the whole thing lies, or else more of its body."""
    points = along(edge, max(8, round(long(edge))))
    way = np.gradient(points, axis=0)
    way /= np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-9)[:, None]
    side = np.stack([-way[:, 1], way[:, 0]], axis=1) * distance
    whole, body = np.asarray(masks.alpha), np.asarray(masks.body)

    def covered(moved: Outline) -> float:
        column, row = np.clip(moved * len(body) / 100, 0, len(body) - 1).astype(int).T
        return 2 * float(whole[row, column].mean()) + float(body[row, column].mean())

    return max((points + side, points - side), key=covered)


def _buttons(pens: _Pens, line: Outline) -> None:
    for x, y in along(line, min(6, max(3, round(long(line) / 9)))):
        pens.solid(ellipse(x, y, 2.9, 2.9), rim=0.8)
        pens.crease(ellipse(x, y, 1.8, 1.8, 0.8, 1.7), 0.5)
        for hole in (-0.7, 0.7):
            pens.ink.polygon(scaled(ellipse(x + hole, y, 0.4, 0.4), pens.scale), fill=DARK)


def _tassels(pens: _Pens, hem: Outline) -> None:
    pens.line(hem, 1.2, rim=0.4)
    for x, y in along(hem, max(3, round(long(hem) / 7) + 1), inset=0.03):
        skirt = smooth((x - 0.9, y + 2.6, 0), (x + 0.9, y + 2.6, 0), (x + 2.1, y + 8.6, 0), (x - 2.1, y + 8.6, 0))
        pens.solid(skirt, rim=0.6)
        for lean in (-0.9, 0, 0.9):
            pens.crease(path((x + lean * 0.4, y + 3.2), (x + lean, y + 8.4)), 0.45)
        pens.solid(ellipse(x, y + 1.9, 1.4, 1.4), rim=0.6)


def _bow(pens: _Pens, x: float, y: float) -> None:
    for side in (-1, 1):
        tail = [(0.5, 0.5, 0), (4.2, 5), (7.6, 11.5, 0), (5.2, 11, 0), (3.6, 12.8, 0), (1.8, 7)]
        pens.solid(smooth(*((x + side * point[0], y + point[1], *point[2:]) for point in tail)), shade=225)
        loop = [(0.5, -1.2, 0), (5, -6), (10.2, -6.2), (11.4, -1), (10.4, 4), (5.4, 4), (0.5, 1.2, 0)]
        pens.solid(smooth(*((x + side * point[0], y + point[1], *point[2:]) for point in loop)))
        pens.crease(path((x + side * 2, y - 0.6), (x + side * 5.4, y - 1.8), (x + side * 7.6, y - 1.4)))
        pens.crease(path((x + side * 2, y + 0.7), (x + side * 5, y + 1.6)))
    pens.solid(ellipse(x, y, 2.3, 2.7))
