"""How a file's text is encoded: told by its first bytes, and held against what the mapping says."""

import codecs
import logging
from collections.abc import Callable
from pathlib import Path

import sources

from llmrec.errors import InputError

log = logging.getLogger(__name__)

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
BYTES_LOOKED_AT = 2**16
KINDS_OF_CONTROLS = 2
"""Exports may separate by one or two control characters; more kinds of them are no text."""


def recognised(start: bytes) -> str | None:
    """The likely encoding of a text by its first bytes; None where they are no text."""
    for mark, name in MARKS:
        if start.startswith(mark) and _is_text(start, name):
            return name
    nulls = start.count(0)
    if nulls * 50 > len(start):  # UTF-16 has one beside every plain letter, comma and line end
        wide = [name for name in ("utf-16-le", "utf-16-be") if _is_text(start, name)]
        made = {name: _begun(start, name) or "" for name in wide}
        return max(wide, key=lambda name: sum(mark in made[name] for mark in "\n\t,;|{"), default=None)
    if _is_text(start, "utf-8", nulls=True):
        return "utf-8"
    return "cp1252" if _is_text(start, "latin-1", nulls=True) else None


def text_of_start(start: bytes, encoding: str) -> str:
    """The whole lines at the beginning of a file; what cannot be decoded is replaced."""
    text = _decoder(start, encoding)("replace").decode(start).removeprefix("\ufeff")
    return text.rpartition("\n")[0] or text


def check(path: Path, encoding: str) -> None:
    """Refuse what is no text or is written in another encoding than told, and warn where UTF-8 is read as less."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise InputError(f"encoding is {encoding!r}, which is not known. Examples: utf-8, utf-16, latin-1") from None
    start = sources.start_of(path, BYTES_LOOKED_AT)
    seen = recognised(start)
    if name in WIDE:
        if seen in (*WIDE, "utf-8") and text_of_start(start, str(seen)) != text_of_start(start, name):
            raise InputError(f"{path} is not {encoding}: it looks like {seen}. Set encoding: {seen}")
    elif not _is_text(start, name, nulls=seen not in WIDE):
        if seen in WIDE:
            told = f'{path} is written in {str(seen).upper()} (Excel\'s "Unicode text"), not in {encoding}'
            raise InputError(f'{told}. Set encoding: {seen}, and delimiter: "\\t" where tabs separate the columns')
        if seen is None:
            raise InputError(no_text(path, start))
    elif not name.startswith("utf"):
        _warn_of_utf8(path, name)


def no_text(path: Path, start: bytes) -> str:
    """What to say of a file that holds something else than text."""
    kind = " (a workbook or a zip file)" if start.startswith(b"PK") else ""
    return f"{path} is not text{kind}: it begins with {start[:12]!r}. Export it as CSV, JSON lines or Parquet"


def _warn_of_utf8(path: Path, encoding: str) -> None:
    content = sources.start_of(path, -1)
    if content.isascii():
        return
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return
    letter = next(letter for letter in text if letter > "\x7f" and letter != "\ufeff")
    garbled = letter.encode().decode(encoding, "replace")
    log.warning(
        "%s is read as %s but looks like UTF-8: %r becomes %r. Set encoding: utf-8", path, encoding, letter, garbled
    )


def _begun(start: bytes, encoding: str) -> str | None:
    """The text of the first bytes of a file, in which the last character may be cut."""
    try:
        return _decoder(start, encoding)().decode(start)
    except UnicodeError:
        return None


def _decoder(start: bytes, encoding: str) -> Callable[..., codecs.IncrementalDecoder]:
    """A decoder that bears a cut last character; without a mark UTF-16 is little-endian, as on most machines."""
    unmarked = encoding in ("utf-16", "utf-32") and not any(start.startswith(mark) for mark, _ in MARKS)
    return codecs.getincrementaldecoder(f"{encoding}-le" if unmarked else encoding)


def _is_text(start: bytes, encoding: str, nulls: bool = False) -> bool:
    text = _begun(start, encoding)
    if text is None or ("\0" in text and not nulls):
        return False
    if nulls and text.count("\0") * 50 > len(text):
        return False
    return len({letter for letter in text if letter < " "} - set("\t\n\r")) <= KINDS_OF_CONTROLS
