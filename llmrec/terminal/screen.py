"""What the terminal can do, found out from its environment and by asking it."""

import os
import re
import select
import shutil
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

from llmrec.errors import InputError
from llmrec.terminal.pictures import Colours, Way

WIDEST = 100
ASKING = 0.3  # seconds for a terminal to answer what it is; over a slow line it counts as one that draws no pictures
CELL = (8, 16)  # pixels of a character where the terminal does not tell
QUESTION = "\x1b[c"
"""What every terminal answers, and shows nowhere; kitty's own question some print as text."""
ATTRIBUTES = re.compile(r"\x1b\[\?([0-9;]+)c")
TRUE_COLOUR = {"iTerm.app", "WezTerm", "ghostty", "vscode", "rio", "Tabby"}


@dataclass(frozen=True)
class Screen:
    """Where answers are written."""

    out: TextIO
    width: int = WIDEST
    live: bool = False
    """Whether somebody looks on: a terminal, and not a pipe or a file."""
    styled: bool = False
    """Whether it knows bold and dim."""
    way: Way = "none"
    colours: Colours = "none"
    cell: tuple[int, int] = CELL

    def write(self, text: str) -> None:
        """Show it at once. It is sent as it is: what comes from elsewhere is made harmless before."""
        self.out.write(text)
        self.out.flush()

    def style(self, code: str, text: str) -> str:
        """The text in a style, where there are styles."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.styled and text else text


def screen_of(out: TextIO, pictures: str = "auto") -> Screen:
    """The screen behind an output."""
    with suppress(AttributeError, ValueError):
        out.reconfigure(errors="replace")  # type: ignore[attr-defined]
    if not out.isatty():
        return Screen(out)
    term = os.environ.get("TERM", "")
    colours = _colours(term)
    unicode = (out.encoding or "").lower().replace("-", "") == "utf8"
    way = _way(pictures, term, colours, unicode)
    columns, cell = _size(out)
    return Screen(out, min(columns, WIDEST), True, term not in ("", "dumb"), way, colours, cell)


def _colours(term: str) -> Colours:
    if term in ("", "dumb"):
        return "none"
    true = os.environ.get("COLORTERM") in ("truecolor", "24bit") or os.environ.get("TERM_PROGRAM") in TRUE_COLOUR
    return "true" if true or "direct" in term or "kitty" in term else "256"


def _way(asked: str, term: str, colours: Colours, unicode: bool) -> Way:
    """How pictures are drawn: as asked for, or as the terminal can."""
    if asked == "none" or colours == "none":
        return "none"
    if asked == "blocks":
        return "blocks"
    if asked in ("kitty", "iterm", "sixel"):
        return asked  # type: ignore[return-value]
    if asked != "auto":
        raise InputError(f"--pictures {asked} is no way to draw: it can be auto, none, blocks, kitty, iterm or sixel")
    program = os.environ.get("TERM_PROGRAM", "")
    # A multiplexer stands between: what the terminal outside it can do is of no use.
    within = "TMUX" in os.environ or term.startswith(("screen", "tmux"))
    if not within:
        if "kitty" in term or "ghostty" in term or {"KITTY_WINDOW_ID", "KONSOLE_VERSION"} & set(os.environ):
            return "kitty"
        if program in ("iTerm.app", "WezTerm", "mintty") or os.environ.get("LC_TERMINAL") == "iTerm2":
            return "iterm"
    attributes = ATTRIBUTES.search(_answer())
    if attributes and "4" in attributes[1].split(";")[1:]:
        return "sixel"
    return "blocks" if unicode and not os.environ.get("NO_COLOR") else "none"


def _answer() -> str:
    """What the terminal says that it is; nothing where nobody answers in time."""
    try:
        import termios
        import tty
    except ImportError:
        return ""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return ""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    held = ""
    try:
        tty.setcbreak(keyboard)
        sys.stdout.write(QUESTION)
        sys.stdout.flush()
        until = time.monotonic() + ASKING
        while not ATTRIBUTES.search(held):
            if not select.select([keyboard], [], [], max(0.0, until - time.monotonic()))[0]:
                break
            held += os.read(keyboard, 1_024).decode(errors="replace")
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
    return held


def _size(out: TextIO) -> tuple[int, tuple[int, int]]:
    """Columns of the terminal, and the pixels of a character."""
    columns = shutil.get_terminal_size().columns
    try:
        import fcntl
        import termios

        rows, across, wide, high = struct.unpack("4H", fcntl.ioctl(out.fileno(), termios.TIOCGWINSZ, bytes(8)))
        if rows and across and wide and high:
            return columns, (max(4, wide // across), max(8, high // rows))
    except (ImportError, OSError, ValueError):
        pass
    return columns, CELL
