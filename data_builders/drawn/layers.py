"""A silhouette as masks and as a field of surface directions, kept for the next picture that needs it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .accessories import ACCESSORIES
from .canvas import Line, Outline, Paint, Part, Shape
from .clothes import CLOTHES
from .home import HOME
from .kitchen import KITCHEN
from .shoes import SHOES
from .skirts import SKIRTS

SILHOUETTES: dict[tuple[str, str], Callable[[], Shape]] = {
    **CLOTHES,
    **SKIRTS,
    **SHOES,
    **ACCESSORIES,
    **KITCHEN,
    **HOME,
}

FIELD = 96  # light changes slowly over a body, so its field is coarse and the same for every size
OVERSAMPLING = 2
OUTLINE_WIDTH = 1.0
OUTLINE_INK, INNER_INK = 95, 120  # brightness left of 255 around the whole thing and around its parts
CAST = 0.34  # how dark the shadow is that a part casts on what lies behind it

Field = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Layers:
    """Masks of one silhouette; `ink` darkens by its outlines, folds and inner shadows."""

    alpha: Image.Image
    ink: Image.Image
    body: Image.Image
    others: tuple[tuple[Paint, Image.Image], ...]
    bottom: float


@lru_cache(maxsize=64)
def shape_of(kind: str, silhouette: str) -> Shape:
    if (kind, silhouette) not in SILHOUETTES:
        known = ", ".join(f"{other} ({kind})" for kind, other in SILHOUETTES)
        raise ValueError(f"no {kind!r} is drawn as {silhouette!r}. There are {known}")
    return SILHOUETTES[kind, silhouette]()


def scaled(outline: Outline, scale: float) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in outline * scale]


def stroke(ink: ImageDraw.ImageDraw, line: Outline, width: float, scale: float, value: int) -> None:
    """A line with round joints; at least one pixel wide."""
    ink.line(scaled(line, scale), fill=value, width=max(1, round(width * scale)), joint="curve")


@lru_cache(maxsize=64)
def layers(kind: str, silhouette: str, side: int) -> Layers:
    """The silhouette's masks on a sheet of that many pixels."""
    shape = shape_of(kind, silhouette)
    large = side * OVERSAMPLING
    scale = large / 100
    alpha, ink = Image.new("L", (large, large), 0), Image.new("L", (large, large), 255)
    paints: dict[Paint, Image.Image] = {"body": Image.new("L", (large, large), 0)}
    for part in shape.parts:
        mask = _mask(part, large)
        ink = ImageChops.multiply(ink, _cast_shadow(mask))
        _ink_part(ink, part, mask, scale)
        corners = scaled(part.outline, scale)
        alpha.paste(255, mask=mask)
        ImageDraw.Draw(alpha).line([*corners, corners[0]], 255, max(1, round(OUTLINE_WIDTH * scale)), "curve")
        if part.paint not in paints:
            paints[part.paint] = Image.new("L", (large, large), 0)
        for paint, painted in paints.items():
            painted.paste(255 if paint == part.paint else 0, mask=mask)
    _ink_outline(ink, alpha, scale)
    small = {paint: painted.reduce(OVERSAMPLING) for paint, painted in paints.items()}
    return Layers(
        alpha=alpha.reduce(OVERSAMPLING),
        ink=ink.reduce(OVERSAMPLING),
        body=small.pop("body"),
        others=tuple(small.items()),
        bottom=max(float(part.outline[:, 1].max()) for part in shape.parts),
    )


def _mask(part: Part, side: int) -> Image.Image:
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).polygon(scaled(part.outline, side / 100), fill=255)
    return mask


def _cast_shadow(mask: Image.Image) -> Image.Image:
    """Darkness below and right of a part, as a factor: what it lies on will be multiplied by it."""
    side = mask.width
    coarse = mask.resize((128, 128), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(1.8))
    moved = ImageChops.offset(coarse, 1, 2)
    moved.paste(0, (0, 0, 128, 2))
    return moved.point([round(255 - CAST * value) for value in range(256)]).resize(
        (side, side), Image.Resampling.BILINEAR
    )


def _ink_part(ink: Image.Image, part: Part, mask: Image.Image, scale: float) -> None:
    drawn = Image.new("L", mask.size, round(255 * part.shade))
    pen = ImageDraw.Draw(drawn)
    for line in part.lines:
        stroke(pen, line.points, line.width, scale, round(255 * part.shade * (1 - line.strength)))
    ink.paste(drawn, mask=mask)
    rim = Line(np.concatenate([part.outline, part.outline[:1]]), OUTLINE_WIDTH * 0.8)
    stroke(ImageDraw.Draw(ink), rim.points, rim.width, scale, INNER_INK)


def _ink_outline(ink: Image.Image, alpha: Image.Image, scale: float) -> None:
    """Darken the rim of the whole thing, so that it stands out from any backdrop."""
    # A box mean is full only where the whole box is: the mask less its rim, much faster than a rank filter.
    inner = alpha.filter(ImageFilter.BoxBlur(max(1, round(OUTLINE_WIDTH * scale / 2)))).point(_FULL)
    ink.paste(OUTLINE_INK, mask=ImageChops.invert(inner))


_FULL = [0] * 255 + [255]


@lru_cache(maxsize=64)
def directions(kind: str, silhouette: str) -> Field:
    """Which way the surface faces at each point of a coarse sheet: x right, y down, z towards the eye."""
    facing = np.zeros((FIELD, FIELD, 3), dtype=np.float32)
    facing[..., 2] = 1
    for part in shape_of(kind, silhouette).parts:
        drawn = _mask(part, FIELD * 4).reduce(4)
        mask = np.asarray(drawn, dtype=np.float32) / 255
        wider = np.asarray(drawn.filter(ImageFilter.GaussianBlur(0.8)), dtype=np.float32)
        weight = np.clip(wider / 127, 0, 1)[..., None]
        own = {"soft": _soft, "turned": _turned, "flat": _flat}[part.form](mask)
        facing = facing * (1 - weight) + own * weight
    return facing / np.linalg.norm(facing, axis=2, keepdims=True)


def _soft(mask: Field) -> Field:
    """Swollen like a cushion: steep at the edges, and a little rounded from side to side."""
    height = np.fft.irfft2(np.fft.rfft2(mask, s=_SWOLLEN_SIZE) * _swelling(), s=_SWOLLEN_SIZE)
    down, right = np.gradient(height[:FIELD, :FIELD].astype(np.float32))
    return np.stack([0.6 * _turned(mask)[..., 0] - right, -down, np.full_like(mask, 0.9)], axis=2)


_SWOLLEN_SIZE = (FIELD + 32, FIELD + 32)  # room around, so that what runs over one side does not come in at the other


@lru_cache(maxsize=1)
def _swelling() -> Field:
    """The transform of a sum of bells, narrow for the edge and wide for the rest: it turns a mask into a height."""
    down = np.fft.fftfreq(_SWOLLEN_SIZE[0])[:, None]
    right = np.fft.rfftfreq(_SWOLLEN_SIZE[1])[None, :]
    widths = (1.7, 3.4, 6.8, 13.0)
    total = sum(0.85 * width * np.exp(-2 * (np.pi * width) ** 2 * (down**2 + right**2)) for width in widths)
    return np.asarray(total, dtype=np.float32)


def _turned(mask: Field) -> Field:
    """Round about an upright axis."""
    columns = np.arange(FIELD, dtype=np.float32)
    covered = mask.sum(axis=1)
    middle = np.where(covered > 0, (mask * columns).sum(axis=1) / np.maximum(covered, 1e-6), FIELD / 2)
    reach = np.maximum(covered / 2, 1.0)
    across = np.clip((columns[None, :] - middle[:, None]) / reach[:, None], -0.97, 0.97)
    steep = np.convolve(np.gradient(reach), np.ones(5) / 5, mode="same")
    return np.stack(
        [across, np.repeat(-np.clip(steep, -0.8, 0.8)[:, None] * 0.8, FIELD, axis=1), np.sqrt(1 - across**2)], axis=2
    )


def _flat(mask: Field) -> Field:
    return np.broadcast_to(np.array([0.05, 0.08, 1.0], dtype=np.float32), (*mask.shape, 3))
