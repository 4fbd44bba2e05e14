"""Materials: how each catches the light, and its texture."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .layers import Field

Texture = NDArray[np.float32]
WHITE = (255, 255, 255)
FINEST = 1.5  # pixels to a unit of 100 at least, or else a weave could not be seen


@dataclass(frozen=True)
class Surface:
    """How a material answers light; 0 is none and 1 is full."""

    dark: float = 0.62  # brightness of the side away from the light
    gloss: float = 0.0
    tight: float = 12.0  # how small the highlight is
    sheen: float = 0.0  # light along the edges, as on pile
    bands: float = 0.0  # mirrored bright and dark, as on metal
    glint: tuple[int, int, int] = WHITE


SURFACES = {
    "cotton": Surface(dark=0.55),
    "linen": Surface(dark=0.58),
    "wool": Surface(dark=0.56),
    "denim": Surface(dark=0.6),
    "leather": Surface(dark=0.45, gloss=0.62, tight=9),
    "velvet": Surface(dark=0.5, sheen=0.62),
    "porcelain": Surface(dark=0.68, gloss=1.0, tight=70),
    "stoneware": Surface(dark=0.55),
    "wood": Surface(dark=0.6, gloss=0.16, tight=14),
    "wicker": Surface(dark=0.62),
    "brass": Surface(dark=0.5, gloss=0.9, tight=26, bands=1.0, glint=(255, 238, 178)),
}


def lit(facing: Field, light: tuple[float, float, float], surface: Surface) -> tuple[Field, Field]:
    """Brightness and highlight, each 0 to 1, over the coarse sheet."""
    sun = np.array(light, dtype=np.float32)
    sun /= np.linalg.norm(sun)
    facing_sun = np.clip(_towards(facing, sun), 0, 1)
    bright = surface.dark + (1 - surface.dark) * np.clip(facing_sun * 1.25, 0, 1)
    eye = np.array((0, 0, 1), dtype=np.float32)
    halfway = (sun + eye) * np.array((1, 0.4, 1), dtype=np.float32)  # studio lamps are tall: upright walls shine too
    halfway /= np.linalg.norm(halfway)
    shine = surface.gloss * np.clip(_towards(facing, halfway), 0, 1) ** surface.tight
    if surface.sheen:
        edge = (1 - facing[..., 2]) ** 1.1
        bright = bright * (0.78 + 0.22 * np.clip(edge * 2, 0, 1))
        shine = shine + surface.sheen * np.clip(edge * 1.5, 0, 1) * (0.45 + 0.55 * facing_sun)
    if surface.bands:
        mirrored = facing[..., 0] * 5.2 + facing[..., 1] * 1.3
        wave = 0.5 + 0.5 * np.cos(mirrored * 1.5 + 1.4)
        bright = bright * (1 - surface.bands * 0.42 * (1 - wave))
        shine = shine + surface.bands * 0.5 * np.clip(wave - 0.72, 0, 1) / 0.28
    if surface.tight > 50:  # a glaze also mirrors the far window
        back = np.array([0.72, 0.1, 0.69], dtype=np.float32)
        shine = shine + 0.3 * np.clip(_towards(facing, back), 0, 1) ** 60
    return bright, np.clip(shine, 0, 1)


def _towards(facing: Field, way: NDArray[np.float32]) -> Field:
    """The cosine to a direction. Written out: a matrix product may round differently on another machine."""
    return facing[..., 0] * way[0] + facing[..., 1] * way[1] + facing[..., 2] * way[2]


@lru_cache(maxsize=32)
def texture(material: str, side: int) -> Image.Image | None:
    """What darkens the body over the whole sheet, 255 for nothing; none where the material is even."""
    if material not in TEXTURES:
        return None
    values = TEXTURES[material](sheet(side))
    return Image.fromarray(np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8))


@dataclass(frozen=True, eq=False)
class Sheet:
    """The x and y of every pixel, from 0 to extent."""

    x: Texture
    y: Texture
    extent: float


def sheet(side: int) -> Sheet:
    """A sheet of 100 units; of fewer where there are few pixels, so that stitches are large enough to be seen."""
    extent = min(100.0, side / FINEST)
    x = np.broadcast_to(np.linspace(0, extent, side, endpoint=False, dtype=np.float32)[None, :], (side, side))
    return Sheet(x, x.T, extent)


def noise(wide: float, high: float, at: Sheet, seed: int) -> Texture:
    """Smooth noise from 0 to 1 whose grains are that many units wide and high."""
    cells = (max(2, round(at.extent / wide)), max(2, round(at.extent / high)))
    grains = np.random.default_rng(seed).random((cells[1], cells[0]), dtype=np.float32)
    return np.asarray(Image.fromarray(grains).resize(at.x.shape, Image.Resampling.BICUBIC))


def _linen(at: Sheet) -> Texture:
    threads = 0.5 - 0.25 * np.cos(at.x * 2 * np.pi / 1.5) - 0.25 * np.cos(at.y * 2 * np.pi / 1.5)
    slubs = np.maximum(noise(11, 0.9, at, 1), noise(0.9, 11, at, 2))
    return 1.04 - 0.2 * threads - 0.34 * np.clip(slubs - 0.45, 0, 1)


def _wool(at: Sheet) -> Texture:
    column = np.abs((at.x / 3.4) % 1 - 0.5)  # 0.5 between the columns of stitches, 0 in their middle
    row = (at.y / 2.5 - column * 1.5) % 1
    stitch = np.clip(np.abs(row - 0.5) * 3.2 - 0.75, 0, 1)
    groove = np.clip((column - 0.38) * 8, 0, 1)
    return 1.0 - 0.3 * stitch - 0.26 * groove - 0.1 * noise(1.2, 1.2, at, 3)


def _denim(at: Sheet) -> Texture:
    twill = 0.5 + 0.5 * np.cos((at.x * 1.15 + at.y) * 2 * np.pi / 1.75)
    flecks = noise(0.5, 1.6, at, 4)
    return 1.0 - 0.2 * twill - 0.24 * flecks * (0.4 + noise(14, 20, at, 5))


def _leather(at: Sheet) -> Texture:
    pebbles = noise(1.0, 1.0, at, 6) + 0.6 * noise(1.9, 1.7, at, 7)
    return 1.0 - 0.13 * np.clip(np.abs(pebbles - 0.8) * -5 + 1, 0, 1)


def _velvet(at: Sheet) -> Texture:
    return 1.0 - 0.1 * noise(4, 9, at, 8) - 0.12 * noise(0.6, 1.5, at, 9)


def _stoneware(at: Sheet) -> Texture:
    specks = np.clip((noise(1.0, 1.0, at, 10) - 0.9) * 14, 0, 1)
    return 1.0 - 0.1 * noise(7, 5, at, 11) - 0.62 * specks


def _wood(at: Sheet) -> Texture:
    bend = 3.4 * noise(18, 60, at, 12) + 0.7 * noise(4, 30, at, 13)
    rings = (at.x * 0.13 + bend) % 1
    grain = np.clip(1 - np.abs(rings - 0.5) * 3.4, 0, 1)
    return 1.0 - 0.32 * grain - 0.16 * noise(0.55, 12, at, 14)


def _wicker(at: Sheet) -> Texture:
    wide, high = 5.2, 3.2
    column = np.floor(at.x / wide)
    odd = column % 2
    bulge = np.sin(np.pi * ((at.x / wide) % 1))
    strand = np.sin(np.pi * ((at.y / high + odd * 0.5) % 1))
    stake = np.clip(1 - np.abs((at.x / wide) % 1 - 0.5) * 2.0, 0, 1)
    return 0.34 + 0.66 * np.clip(strand, 0, 1) ** 0.55 * (0.5 + 0.5 * bulge**0.7) + 0.04 * stake


def _brass(at: Sheet) -> Texture:
    return 1.0 - 0.1 * noise(22, 0.5, at, 15) - 0.05 * noise(50, 1.4, at, 16)


TEXTURES: dict[str, Callable[[Sheet], Texture]] = {
    "linen": _linen,
    "wool": _wool,
    "denim": _denim,
    "leather": _leather,
    "velvet": _velvet,
    "stoneware": _stoneware,
    "wood": _wood,
    "wicker": _wicker,
    "brass": _brass,
}
