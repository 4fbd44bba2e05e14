"""Draws a piece of the atelier as a studio picture: the look says what is seen, the seed how it is placed and lit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import cos, radians, sin

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from .canvas import Paint
from .layers import Field, Layers, directions, layers, shape_of
from .patterns import pattern_mask
from .surfaces import SURFACES, Surface, lit, noise, sheet, texture
from .trims import trim_mask
from .vocabulary import COLOURS, Look

Rgb = tuple[int, int, int]

# Wall and floor. Pale and grey enough that no colour of a piece is lost on them.
BACKDROPS: tuple[tuple[Rgb, Rgb], ...] = (
    ((246, 242, 236), (226, 219, 209)),
    ((228, 236, 242), (205, 216, 225)),
    ((246, 232, 229), (228, 209, 205)),
    ((232, 239, 228), (210, 220, 205)),
    ((240, 231, 246), (219, 208, 227)),
    ((238, 238, 238), (214, 214, 216)),
)
TINTS: dict[Paint, Rgb] = {
    "ivory": (244, 238, 226),
    "steel": (176, 182, 190),
    "gold": (206, 168, 84),
    "wood": (168, 118, 74),
}
CLAY: Rgb = (196, 164, 132)  # the unglazed foot of stoneware
THREAD: Rgb = (228, 176, 92)  # the topstitching of denim
FOOT = 8.0  # how high the unglazed foot is, of 100
CONTRAST = 118.0  # least distance of the accent from the colour, so that a pattern can be seen
_HALF = [value // 2 for value in range(256)]
_HALFWAY = [(value + 255) // 2 for value in range(256)]
_COOL = [min(255, round(value + 0.1 * (255 - value) * value / 255)) for value in range(256)]  # shadows are bluish
SHADOW = 64  # shadows are soft, so they are made at this size and enlarged
LARGEST_SMOOTHED = 512  # above this a picture is drawn at its own size: there are pixels enough


@dataclass(frozen=True)
class Mood:
    """What the seed decides."""

    backdrop: int
    light: tuple[float, float, float]
    tilt: float  # in degrees
    zoom: float
    shift: tuple[float, float]  # of 100
    brightness: float


def draw(look: Look, seed: int, size: int = 256) -> Image.Image:
    """A square picture of the look; the same look, seed and size give the same pixels."""
    mood = _mood(seed)
    side = 5 * size // 4 if size <= LARGEST_SMOOTHED else size
    piece, alpha = _piece(look, mood, side)
    shape = shape_of(look.kind, look.silhouette)
    if not shape.stands:
        mood = replace(mood, tilt=1.6 * mood.tilt)  # what hangs may hang askew
    piece, alpha = (_placed(layer, mood, 92.0 if shape.stands else 50.0, size) for layer in (piece, alpha))
    picture = _backdrop(mood.backdrop, size).copy()
    bottom = layers(look.kind, look.silhouette, side).bottom
    picture.paste((58, 50, 60), mask=_ground_shadow(alpha, mood, bottom) if shape.stands else _wall_shadow(alpha))
    picture.paste(piece, mask=alpha)
    return picture


def contact_sheet(looks: Sequence[Look], columns: int = 8, size: int = 128) -> Image.Image:
    """Many looks side by side, each with its place in the sequence as its seed."""
    rows = -(-len(looks) // columns)
    sheet = Image.new("RGB", (columns * size, rows * size), "white")
    for index, look in enumerate(looks):
        sheet.paste(draw(look, index, size), (index % columns * size, index // columns * size))
    return sheet


def _mood(seed: int) -> Mood:
    random = np.random.default_rng([20, seed])
    low, high = np.array([-0.75, -0.85, -1.6, 0.95, -1.6, -1.2, 0.95]), np.array([-0.4, -0.6, 1.6, 1.02, 1.6, 0.8, 1.0])
    left, up, tilt, zoom, right, down, bright = (float(value) for value in random.uniform(low, high))
    return Mood(int(random.integers(len(BACKDROPS))), (left, up, 0.75), tilt, zoom, (right, down), bright)


def _piece(look: Look, mood: Mood, side: int) -> tuple[Image.Image, Image.Image]:
    """The thing alone, upright and centred, and its mask; colours run on beyond the mask so that edges stay clean."""
    masks = layers(look.kind, look.silhouette, side)
    surface = SURFACES[look.material]
    base = _scaled(COLOURS[look.colour], mood.brightness * _gain(COLOURS[look.colour]))
    accent = contrasting(COLOURS[look.accent], base)
    colours = Image.new("RGB", (side, side), base)
    figures = pattern_mask(look.pattern, side)
    if figures:
        colours.paste(accent, mask=figures)
    if look.material == "stoneware":
        colours.paste(CLAY, (0, round((masks.bottom - FOOT) * side / 100), side, side))
    for paint, mask in masks.others:
        colours.paste(_tint(paint, base), mask=mask)
    ink = masks.ink
    weave = texture(look.material, side)
    if weave:
        ink = ImageChops.multiply(ink, ImageChops.lighter(weave, ImageChops.invert(masks.body)))
    bright, shine = _light(directions(look.kind, look.silhouette), mood, surface, side)
    ink = ImageChops.multiply(ink, bright)
    alpha = _fuzzy(masks, side) if look.material == "wool" else masks.alpha
    if look.material == "denim":
        seams = trim_mask(look.kind, look.silhouette, "topstitching", side)
        if seams:
            colours.paste(THREAD, mask=ImageChops.multiply(seams.fill, masks.body))
    for paint, mask in masks.others:
        if paint == "inside":
            shine.paste(0, mask=mask)
    trim = trim_mask(look.kind, look.silhouette, look.trim, side)
    if trim:
        colours.paste(accent, mask=trim.fill)
        ink.paste(ImageChops.multiply(trim.ink, bright.point(_HALFWAY)), mask=trim.fill)
        shine.paste(0, mask=trim.fill)
        alpha = ImageChops.lighter(alpha, trim.fill)
    colours = ImageChops.multiply(colours, Image.merge("RGB", (ink, ink, ink.point(_COOL))))
    colours.paste(surface.glint, mask=ImageChops.multiply(shine, masks.ink))
    return colours, alpha


def _light(facing: Field, mood: Mood, surface: Surface, side: int) -> tuple[Image.Image, Image.Image]:
    both = (
        Image.fromarray((values * 255 + 0.5).clip(0, 255).astype(np.uint8))
        for values in lit(facing, mood.light, surface)
    )
    bright, shine = (image.resize((side, side), Image.Resampling.BICUBIC) for image in both)
    return bright, shine


def _fuzzy(masks: Layers, side: int) -> Image.Image:
    """A mask with a hairy rim."""
    soft = masks.alpha.resize((128, 128), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(1.1))
    return ImageChops.lighter(
        masks.alpha, ImageChops.multiply(soft.resize((side, side), Image.Resampling.BILINEAR), _hair(side))
    )


@lru_cache(maxsize=4)
def _hair(side: int) -> Image.Image:
    return Image.fromarray((np.clip(noise(0.7, 0.7, sheet(side), 17) * 3 - 1.2, 0, 1) * 235).astype(np.uint8))


def _gain(colour: Rgb) -> float:
    """Light and folds only darken, so the sheet is brighter than the colour it shows; dark ones most, to show folds."""
    return 1.08 + 0.55 * max(0.0, 1 - sum(colour) / 360)


def _tint(paint: Paint, base: Rgb) -> Rgb:
    factor = {"shade": 0.74, "dark": 0.42, "inside": 0.36}.get(paint)
    return TINTS[paint] if factor is None else _scaled(base, factor)


def _scaled(colour: Rgb, factor: float) -> Rgb:
    red, green, blue = (max(0, min(255, round(part * factor))) for part in colour)
    return red, green, blue


def contrasting(accent: Rgb, base: Rgb) -> Rgb:
    """The accent, made lighter or darker until it can be told from the base."""
    brighter = sum(accent) > sum(base)
    towards = 255 if sum(base) < 300 or (brighter and sum(base) < 560) else 0
    for step in range(11):
        moved = tuple(round(part + (towards - part) * step * 0.06) for part in accent)
        if sum((one - other) ** 2 for one, other in zip(moved, base, strict=True)) ** 0.5 >= CONTRAST:
            break
    red, green, blue = moved
    return red, green, blue


def _placed(layer: Image.Image, mood: Mood, pivot: float, size: int) -> Image.Image:
    """The layer at the picture's size, tilted and scaled about a point on the middle line, then shifted."""
    unit, step = layer.width / 100, layer.width / size
    turn, x, y = radians(mood.tilt), 50 * unit, pivot * unit
    along, across = cos(turn) / mood.zoom, sin(turn) / mood.zoom
    right, down = x + mood.shift[0] * unit, y + mood.shift[1] * unit
    matrix = (
        *(along * step, across * step, x - along * right - across * down),
        *(-across * step, along * step, y + across * right - along * down),
    )
    return layer.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


@lru_cache(maxsize=16)
def _backdrop(index: int, size: int) -> Image.Image:
    """A wall that is lighter where the lamp shines, and a floor that rises to it without an edge."""
    wall, floor = (np.array(colour, dtype=np.float32) for colour in BACKDROPS[index])
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / max(1, size - 1)
    ground = np.clip((y - 0.66) / 0.16, 0, 1)
    ground = (ground**2 * (3 - 2 * ground))[..., None]
    lamp = np.exp(-((x - 0.36) ** 2 + (y - 0.34) ** 2) / 0.35)[..., None]
    colours = (wall * (1 - ground) + floor * ground) * (0.93 + 0.08 * lamp)
    return Image.fromarray(np.clip(colours + 0.5, 0, 255).astype(np.uint8))


def _ground_shadow(alpha: Image.Image, mood: Mood, bottom: float) -> Image.Image:
    """The thing's own outline, laid down on the floor behind it, and a darker line where it touches the floor."""
    coarse = alpha.resize((SHADOW, SHADOW), Image.Resampling.BOX)
    base = (92 + mood.shift[1] + (bottom - 92) * mood.zoom) * SHADOW / 100
    flat, lean = 0.2, 1.1
    laid = coarse.transform(
        coarse.size,
        Image.Transform.AFFINE,
        (1, lean, -lean * base, 0, 1 / flat, base - base / flat),
        Image.Resampling.BILINEAR,
    ).filter(ImageFilter.GaussianBlur(1.5))
    touch = coarse.copy()
    touch.paste(0, (0, 0, SHADOW, round(base - 3)))
    touch = ImageChops.offset(touch.filter(ImageFilter.GaussianBlur(1.1)), 1, 1)
    shadow = ImageChops.lighter(laid.point([value * 2 // 5 for value in range(256)]), touch.point(_HALF))
    return shadow.resize(alpha.size, Image.Resampling.BICUBIC)


def _wall_shadow(alpha: Image.Image) -> Image.Image:
    coarse = alpha.resize((SHADOW, SHADOW), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(1.6))
    moved = coarse.transform(coarse.size, Image.Transform.AFFINE, (1, 0, -1.7, 0, 1, -2.3))
    return moved.point([value * 2 // 7 for value in range(256)]).resize(alpha.size, Image.Resampling.BICUBIC)
