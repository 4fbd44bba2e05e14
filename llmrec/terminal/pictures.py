"""Pictures as a terminal is told to draw them: kitty's and iTerm2's protocols, sixel, or half blocks of colour.

A picture is decoded here and drawn anew: nothing of the bytes that a server sent reaches the terminal.
"""

import base64
import io
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from llmrec.pictures import FORMATS, picture_fault

Way = Literal["none", "blocks", "kitty", "iterm", "sixel"]
Colours = Literal["none", "256", "true"]
CHUNK = 4_096  # characters of base64 in one command of kitty's
PALETTE = 128
LEVELS = (0, 95, 135, 175, 215, 255)  # of a colour in the cube of 256


def opened(data: bytes, width: int, height: int) -> Image.Image | None:
    """A picture no larger than that many pixels, on white where it is clear; None where it cannot be used."""
    if picture_fault(data):
        return None
    with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
        image.draft("RGB", (2 * width, 2 * height))
        white = on_white(image)
    share = min(width / white.width, height / white.height)
    size = max(1, round(white.width * share)), max(1, round(white.height * share))
    return white.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3)


def on_white(image: Image.Image) -> Image.Image:
    """A picture with white where it is clear."""
    clear = image.convert("RGBA")
    white = Image.new("RGBA", clear.size, "white")
    white.alpha_composite(clear)
    return white


def blocks(image: Image.Image, colours: Colours = "true") -> list[str]:
    """Lines of ▀, each with two pixels: the upper one is its colour, the lower one what stands behind it."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.uint8)
    lines = []
    for top in range(0, len(pixels), 2):
        line, last = "", ""
        for column in range(pixels.shape[1]):
            style = "38;" + _colour(pixels[top, column], colours)
            if top + 1 < len(pixels):
                style += ";48;" + _colour(pixels[top + 1, column], colours)
            line += "▀" if style == last else f"\x1b[{style}m▀"
            last = style
        lines.append(f"{line}\x1b[0m")
    return lines


def _colour(pixel: npt.NDArray[np.uint8], colours: Colours) -> str:
    red, green, blue = (int(value) for value in pixel)
    if colours == "true":
        return f"2;{red};{green};{blue}"
    places = [min(range(6), key=lambda place: abs(LEVELS[place] - value)) for value in (red, green, blue)]
    number = 16 + 36 * places[0] + 6 * places[1] + places[2]
    grey = min(max(round((red + green + blue) / 3 - 8) // 10, 0), 23)
    cube = sum((LEVELS[place] - value) ** 2 for place, value in zip(places, (red, green, blue), strict=True))
    nearer = sum((8 + 10 * grey - value) ** 2 for value in (red, green, blue)) < cube
    return f"5;{232 + grey if nearer else number}"


def kitty(image: Image.Image, columns: int, rows: int) -> str:
    """One picture over so many cells; the cursor stays, and no answer is asked for."""
    data = base64.standard_b64encode(_png(image)).decode()
    parts = [data[begin : begin + CHUNK] for begin in range(0, len(data), CHUNK)]
    told = []
    for number, part in enumerate(parts):
        more = int(number + 1 < len(parts))
        head = f"a=T,f=100,t=d,q=2,C=1,c={columns},r={rows},m={more}" if number == 0 else f"q=2,m={more}"
        told.append(f"\x1b_G{head};{part}\x1b\\")
    return "".join(told)


def iterm(image: Image.Image, columns: int, rows: int) -> str:
    """One picture over so many cells, as iTerm2 takes it, and others after it."""
    png = _png(image)
    data = base64.standard_b64encode(png).decode()
    size = f"size={len(png)};width={columns};height={rows}"
    return f"\x1b]1337;File=inline=1;{size};preserveAspectRatio=1:{data}\x07"


def sixel(image: Image.Image) -> str:
    """One picture in bands of six lines of pixels, each colour of a band after the other."""
    reduced = image.convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE)
    numbers = np.asarray(reduced)
    palette = reduced.getpalette() or []
    height, width = numbers.shape
    told = [f'\x1bP0;1;0q"1;1;{width};{height}']
    for number in np.unique(numbers).tolist():
        red, green, blue = (round(100 * value / 255) for value in palette[3 * number : 3 * number + 3])
        told.append(f"#{number};2;{red};{green};{blue}")
    for top in range(0, height, 6):
        band = numbers[top : top + 6]
        weights = (1 << np.arange(len(band)))[:, None]
        drawn = []
        for number in np.unique(band).tolist():
            bits = ((band == number) * weights).sum(axis=0)
            drawn.append(f"#{number}{_runs(bits)}")
        told.append("$".join(drawn) + "-")
    return "".join(told) + "\x1b\\"


def _runs(bits: npt.NDArray[np.int64]) -> str:
    """One colour of a band, with runs as their length."""
    ends = [*np.flatnonzero(np.diff(bits)).tolist(), len(bits) - 1]
    told, begin = [], 0
    for end in ends:
        count, character = end + 1 - begin, chr(63 + int(bits[end]))
        told.append(f"!{count}{character}" if count > 3 else character * count)
        begin = end + 1
    return "".join(told)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
