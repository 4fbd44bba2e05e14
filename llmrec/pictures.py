"""Pictures as they come from outside: looked at with limits before anything trusts them."""

import io
import stat
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

Key = TypeVar("Key")
T = TypeVar("T")

FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
MAX_PIXELS = 50_000_000
MAX_BYTES = 50 * 2**20


def picture_fault(source: Path | bytes) -> str | None:
    """Say in a few words what is wrong with a picture, or None when it can be used.

    The size in the header is checked before any pixel is decoded, so that a decompression bomb costs nothing.
    """
    try:
        if isinstance(source, bytes):
            size = len(source)
        else:
            status = source.stat()
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                return "is not a regular file"  # a pipe would keep its reader waiting
            size = status.st_size
        if size == 0:
            return "is empty"
        if size > MAX_BYTES:
            return f"is {size / 2**20:.0f} MiB, more than {MAX_BYTES // 2**20}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own bomb warning: the limit below is stricter
            with Image.open(
                io.BytesIO(source) if isinstance(source, bytes) else source, formats=list(FORMATS)
            ) as image:
                if image.width * image.height > MAX_PIXELS:
                    return f"is {image.width} x {image.height}, more than {MAX_PIXELS // 1_000_000} megapixels"
                image.draft("RGB", (64, 64))  # JPEG only: the whole stream is still read, at a fraction of the cost
                image.load()
    except FileNotFoundError:
        return "is missing"
    except IsADirectoryError:
        return "is a folder"
    except PermissionError:
        return "cannot be read (permissions)"
    except UnidentifiedImageError:
        return "is not a JPEG, PNG or WebP picture"
    except Image.DecompressionBombError:
        return f"has more than {MAX_PIXELS // 1_000_000} megapixels"
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError):  # what Pillow raises on broken data
        return "is broken"
    return None


def too_large(fault: str) -> bool:
    """Whether a fault that `picture_fault` found is that of a picture's size."""
    return "more than" in fault


def picture_faults(pictures: Iterable[tuple[Key, Path | bytes]]) -> Iterator[tuple[Key, Path | bytes, str | None]]:
    """Look at many pictures with a few threads, in order, without holding more than a handful in memory."""
    with ThreadPoolExecutor(4) as pool:
        for chunk in _chunks(pictures, 256):
            for (key, source), fault in zip(chunk, pool.map(lambda pair: picture_fault(pair[1]), chunk), strict=True):
                yield key, source, fault


def suffix(source: Path | bytes) -> str:
    """The file suffix that fits what the picture really is, whatever its name says."""
    head = source[:12] if isinstance(source, bytes) else source.open("rb").read(12)
    if head.startswith(b"\x89PNG"):
        return "png"
    return "webp" if head[:4] == b"RIFF" else "jpg"


def _chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    chunk: list[T] = []
    for value in values:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
