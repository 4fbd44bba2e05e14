"""Pictures as terminals draw them, decoded back into pixels; and text that a terminal could take for commands."""

import base64
import io
import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from terminals import Terminal

from llmrec.terminal.harmless import harmless
from llmrec.terminal.pictures import Colours, blocks, iterm, kitty, opened, sixel

Pixels = npt.NDArray[np.int64]


def scene(width: int = 40, height: int = 30, mode: str = "RGB", kind: str = "PNG") -> bytes:
    """A picture of broad stripes and a gradient."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    layers = [(across * 6) % 256, (down * 8) % 256, ((across // 5) % 2) * 200]
    if mode == "RGBA":
        layers.append((across > width // 2) * 255)
    buffer = io.BytesIO()
    Image.fromarray(np.stack(layers, axis=-1).astype(np.uint8), mode).save(buffer, kind)
    return buffer.getvalue()


def pixels(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB"), dtype=np.int64)


def colour(words: list[str]) -> tuple[int, int, int]:
    """The colour that a terminal shows for 2;R;G;B or 5;N."""
    if words[0] == "2":
        return int(words[1]), int(words[2]), int(words[3])
    number = int(words[1]) - 16
    if number >= 216:
        return (8 + 10 * (number - 216),) * 3
    red, green, blue = ((0, 95, 135, 175, 215, 255)[place] for place in (number // 36, number // 6 % 6, number % 6))
    return red, green, blue


def of_blocks(lines: list[str]) -> Pixels:
    """The pixels of lines of half blocks, as a terminal keeps its colours from one character to the next."""
    rows: list[list[tuple[int, int, int]]] = []
    for line in lines:
        upper, lower = [], []
        front = back = None
        for style, block in re.findall(r"\x1b\[([0-9;]*)m|(▀)", line):
            if block:
                upper.append(front)
                lower.append(back)
                continue
            words = style.split(";")
            if words == ["0"]:
                front = back = None
                continue
            size = 4 if words[1] == "2" else 2
            assert words[0] == "38"
            front = colour(words[1 : 1 + size])
            if len(words) > 1 + size:
                assert words[1 + size] == "48"
                back = colour(words[2 + size :])
        rows += [upper, lower] if None not in lower else [upper]  # type: ignore[list-item]
    return np.asarray(rows, dtype=np.int64)


def of_sixel(text: str) -> Pixels:
    """The pixels of a sixel picture, by the protocol's own rules."""
    head = re.match(r'\x1bP[0-9;]*q"1;1;(\d+);(\d+)', text)
    assert head
    assert text.endswith("\x1b\\")
    width, height = int(head[1]), int(head[2])
    canvas = np.zeros((-(-height // 6) * 6, width, 3), dtype=np.int64)
    palette: dict[int, tuple[int, ...]] = {}
    column, top, number = 0, 0, 0
    for token in re.finditer(
        r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|(\$)|(-)", text[head.end() : -2]
    ):
        if token[1]:
            palette[int(token[1])] = tuple(round(255 * int(token[place]) / 100) for place in (2, 3, 4))
        elif token[5]:
            number = int(token[5])
        elif token[9]:
            column = 0
        elif token[10]:
            column, top = 0, top + 6
        else:
            count, bits = int(token[6] or 1), ord(token[7] or token[8]) - 63
            for row in range(6):
                if bits >> row & 1:
                    canvas[top + row, column : column + count] = palette[number]
            column += count
            assert column <= width
    return canvas[:height]


def of_kitty(text: str) -> tuple[dict[str, str], Image.Image]:
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in parts) == text
    assert all(len(data) <= 4_096 for _, data in parts)
    settings = [dict(pair.split("=") for pair in keys.split(",")) for keys, _ in parts]
    assert [one["m"] for one in settings] == ["1"] * (len(parts) - 1) + ["0"]
    assert all(len(data) % 4 == 0 for _, data in parts)
    return settings[0], Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in parts))))


def of_iterm(text: str) -> tuple[dict[str, str], Image.Image]:
    match = re.fullmatch(r"\x1b\]1337;File=([^:]*):([A-Za-z0-9+/=]*)\x07", text)
    assert match
    data = base64.b64decode(match[2])
    settings = dict(pair.split("=") for pair in match[1].split(";"))
    assert int(settings["size"]) == len(data)
    return settings, Image.open(io.BytesIO(data))


@pytest.mark.parametrize(("colours", "off"), [("true", 0), ("256", 48)])
@pytest.mark.parametrize("height", [12, 11])
def test_blocks_hold_the_picture(colours: Colours, off: int, height: int) -> None:
    image = opened(scene(40, 40), 16, 16)
    assert image is not None
    image = image.crop((0, 0, 16, height))
    lines = blocks(image, colours)
    assert len(lines) == -(-height // 2)
    assert all(line.endswith("\x1b[0m") for line in lines)
    found = of_blocks(lines)
    assert found.shape == (height, 16, 3)
    assert np.abs(found - pixels(image)).max() <= off


def test_kitty_and_iterm_hold_the_picture_and_its_cells() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    image = Image.fromarray(noise)  # too large for one command of kitty's
    settings, found = of_kitty(kitty(image, 12, 6))
    assert (settings["a"], settings["f"], settings["c"], settings["r"], settings["C"]) == ("T", "100", "12", "6", "1")
    assert (pixels(found) == noise).all()
    settings, found = of_iterm(iterm(image, 12, 6))
    assert (settings["inline"], settings["width"], settings["height"]) == ("1", "12", "6")
    assert (pixels(found) == noise).all()


@pytest.mark.parametrize("size", [(96, 96), (50, 31), (1, 1), (7, 6)])
def test_sixel_holds_the_picture(size: tuple[int, int]) -> None:
    image = opened(scene(), 200, 200)
    assert image is not None
    image = image.resize(size)
    found = of_sixel(sixel(image))
    assert found.shape == (size[1], size[0], 3)
    assert np.abs(found - pixels(image)).mean() < 9  # of a gradient of more colours than a palette has
    few = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=5).convert("RGB")
    assert np.abs(of_sixel(sixel(few)) - pixels(few)).max() <= 2  # colours are told in hundredths


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_keeps_its_proportions_and_what_is_clear_is_white(kind: str) -> None:
    image = opened(scene(40, 20, kind=kind), 96, 96)
    assert image is not None
    assert image.size == (96, 48)
    if kind != "JPEG":
        clear = opened(scene(40, 20, "RGBA", kind), 40, 20)
        assert clear is not None
        assert (pixels(clear)[:, :18] > 250).all()


def test_what_is_no_picture_is_none() -> None:
    assert opened(b"", 10, 10) is None
    assert opened(b"\x1b]0;title\x07", 10, 10) is None
    assert opened(scene()[:-40], 10, 10) is None
    assert opened(b"GIF89a" + bytes(100), 10, 10) is None


@pytest.mark.parametrize(
    ("hostile", "left"),
    [
        ("\x1b]0;owned\x07Teapot", "Teapot"),
        ("Tea\x1b[2J\x1b[31;1mpot\x1b[0m", "Teapot"),
        ("\x1b]8;;http://evil\x1b\\Teapot\x1b]8;;\x1b\\", "Teapot"),
        ("\x1b_Ga=T,f=100;AAAA\x1b\\Teapot", "Teapot"),
        ("\x1bP0;1q#0;2;0;0;0~\x1b\\Teapot", "Teapot"),
        ("\x9b31mTea\x9d0;x\x9cpot", "Teapot"),
        ("Tea\x1b", "Tea"),
        ("Tea\x1bcpot\x1b(0", "Teapot"),
        ("cheap\b\b\b\b\bdear\r1.00", "cheapdear1.00"),
        ("Tea\u202etop\u2066 \U000e0041", "Teatop "),
        ("Tea\npot\tblue\u2028now", "Tea pot blue now"),
        ("Tee 👩‍🚀 für 茶", "Tee 👩‍🚀 für 茶"),
        ("half \ud83d pair", "half \ufffd pair"),
    ],
)
def test_commands_for_a_terminal_are_taken_out_of_a_title(hostile: str, left: str) -> None:
    assert harmless(hostile) == left


@given(st.text(st.characters() | st.sampled_from("\x1b\x9b[]_P;m\x07\\")))
def test_nothing_that_a_terminal_obeys_is_left_of_any_text(text: str) -> None:
    left = harmless(text, lines=True)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", left)
    assert harmless(left, lines=True) == left
    left.encode()


ASKED = (
    "import sys; from llmrec.terminal.screen import screen_of; "
    "found = screen_of(sys.stdout, sys.argv[1]); print('is', found.way, found.colours, found.cell, 'so')"
)


@pytest.mark.parametrize(
    ("changes", "answer", "found"),
    [
        ({}, b"", "blocks 256 (8, 16)"),
        ({"COLORTERM": "truecolor"}, b"\x1b[?62;22c", "blocks true"),
        ({}, b"\x1b[?62;4;6c", "sixel 256"),
        ({}, b"\x1b[?4c", "blocks 256"),  # the first number is the kind of terminal
        ({"TERM": "xterm-kitty"}, b"", "kitty true"),
        ({"TERM": "xterm-ghostty"}, b"", "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, b"", "iterm true"),
        ({"LC_TERMINAL": "iTerm2"}, b"", "iterm 256"),
        ({"TERM": "tmux-256color", "TMUX": "x", "KITTY_WINDOW_ID": "1"}, b"", "blocks 256"),
        ({"TERM": "tmux-256color", "TMUX": "x"}, b"\x1b[?1;2;4c", "sixel 256"),
        ({"NO_COLOR": "1"}, b"", "none 256"),
        ({"TERM": "dumb", "KITTY_WINDOW_ID": "1"}, b"", "none none"),
        ({"PYTHONIOENCODING": "latin-1"}, b"", "none 256"),
    ],
)
def test_what_a_terminal_can_draw_is_found_out(changes: dict[str, str], answer: bytes, found: str) -> None:
    with Terminal(["-c", ASKED, "auto"], answer=answer, **changes) as terminal:
        assert f"is {found}" in terminal.until("so").decode()
        assert terminal.ends() == 0
