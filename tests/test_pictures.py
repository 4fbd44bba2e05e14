"""Pictures from outside are looked at with limits before anything trusts them."""

import io
import struct
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from llmrec import pictures
from llmrec.pictures import picture_fault, picture_faults, suffix


def encoded(format: str, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A valid PNG of a few KiB whose header promises gigapixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6), 9))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("format", "ending"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_the_three_formats_are_sound_and_named_after_what_they_are(tmp_path, format, ending):
    content = encoded(format)
    (tmp_path / "picture.gif").write_bytes(content)
    assert picture_fault(content) is None
    assert picture_fault(tmp_path / "picture.gif") is None
    assert suffix(content) == suffix(tmp_path / "picture.gif") == ending


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA", "I;16"])
def test_pictures_of_every_mode_are_sound(mode):
    assert picture_fault(encoded("PNG", mode=mode)) is None


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"<html>not found</html>", "is not a JPEG, PNG or WebP picture"),
        (encoded("GIF", mode="P"), "is not a JPEG, PNG or WebP picture"),
        (encoded("BMP"), "is not a JPEG, PNG or WebP picture"),
        (encoded("JPEG", (400, 400))[:-700], "is broken"),
        (encoded("PNG", (400, 400))[:200], "is broken"),
        (encoded("WEBP", (400, 400))[:40], "is broken"),
    ],
)
def test_a_fault_is_told_in_a_few_words(content, fault):
    assert picture_fault(content) == fault


def test_files_that_cannot_be_opened_are_told(tmp_path):
    assert picture_fault(tmp_path / "gone.jpg") == "is missing"
    assert picture_fault(tmp_path) == "is a folder"


def test_a_decompression_bomb_costs_nothing():
    began = time.perf_counter()
    assert picture_fault(bomb(10_000, 6_000)) == "is 10000 x 6000, more than 50 megapixels"
    assert picture_fault(bomb(60_000, 60_000)) == "has more than 50 megapixels"
    assert picture_fault(bomb(2**31 - 1, 2**31 - 1)) == "has more than 50 megapixels"
    assert time.perf_counter() - began < 0.2


def test_a_huge_file_is_not_read(tmp_path):
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(pictures.MAX_BYTES + 1)
    assert picture_fault(huge) == "is 50 MiB, more than 50"


@given(st.binary(max_size=200), st.sampled_from(["JPEG", "PNG", "WEBP"]), st.data())
def test_whatever_the_bytes_it_is_a_fault_or_none_and_never_an_exception(junk, format, data):
    sound = encoded(format)
    at = data.draw(st.integers(0, len(sound)))
    for content in (junk, sound[:at] + junk + sound[at:], sound[:at]):
        fault = picture_fault(content)
        assert fault is None or fault.startswith(("is ", "has "))


def test_many_are_looked_at_in_their_order():
    sound, broken = encoded("PNG"), b"no"
    pairs = [(number, broken if number % 7 == 0 else sound) for number in range(700)]
    seen = list(picture_faults(iter(pairs)))
    assert [key for key, _, _ in seen] == list(range(700))
    assert [fault is not None for _, _, fault in seen] == [number % 7 == 0 for number in range(700)]


def test_a_picture_that_is_sound_stays_as_it_is(tmp_path: Path):
    path = tmp_path / "one.png"
    path.write_bytes(encoded("PNG"))
    before = path.read_bytes()
    picture_fault(path)
    assert path.read_bytes() == before
