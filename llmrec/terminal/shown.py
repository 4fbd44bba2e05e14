"""An answer on the screen: words as they come, and each item of a list as a card with its picture."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from llmrec.terminal.harmless import harmless
from llmrec.terminal.pictures import blocks, iterm, kitty, opened, sixel
from llmrec.terminal.screen import Screen

CELLS, BLOCKS = (12, 6), (16, 8)
"""Columns and rows of a picture; of blocks it takes so many to see a pattern."""
LINE = re.compile(r"(\d{1,3})\. \*\*")
_BEGUN = re.compile(r"\d{1,3}(?:\.(?: \*?)?)?")
BOLD, DIM = "1", "2"
Pictures = Callable[[str], bytes | None]


class Shown:
    """Writes one answer. `items` are told before the words; a list's lines give way to the items' cards."""

    def __init__(self, screen: Screen, picture: Pictures):
        self.screen, self.picture = screen, picture
        self._across = BLOCKS if screen.way == "blocks" else CELLS
        self.items: Sequence[Mapping[str, Any]] = ()
        self._held = ""  # the beginning of a line, as long as it may be that of a list
        self._word = ""
        self._column = 0
        self._blank = True  # the line above is empty, or there is none
        self._start = True
        self._skipping = False
        self._bold = False

    def feed(self, text: str) -> None:
        """Some more words."""
        for character in harmless(text, lines=True):
            self._take(character)
        if not self._held:
            self.screen.out.flush()

    def end(self) -> None:
        """No more comes."""
        if self._held:
            self._release()
        self._put_word()
        if self._column:
            self._newline()

    def card(self, item: Mapping[str, Any], number: int | None, *, score: bool = True) -> None:
        """An item: number, title, brand, price, score and reason, beside its picture."""
        title = harmless(str(item.get("title") or item.get("item") or ""))
        told = [title, _facts(item, score), harmless(str(item.get("reason") or ""))]
        if not self.screen.live:  # one line, for programs and files
            mark = f"{number}. " if number is not None else ""
            self.screen.write(mark + " — ".join(text for text in told if text) + "\n")
            self._blank = False
            return
        picture = self._drawn(item)
        indent = self._across[0] + 4 if self.screen.way != "none" else 0
        mark = f"{number}  ".rjust(5) if number is not None else "  "
        width = max(20, self.screen.width - indent - len(mark))
        lines = [
            (" " * len(mark) if place else mark) + self.screen.style(style, line)
            for place, (line, style) in enumerate(
                (line, style)
                for text, style in zip(told, (BOLD, DIM, ""), strict=True)
                for line in _wrapped(text, width)
            )
        ]
        self._cards(lines, picture, indent)

    def _cards(self, lines: list[str], picture: str | list[str] | None, indent: int) -> None:
        screen = self.screen
        pad = " " * indent
        if isinstance(picture, list):
            rows = max(len(lines), len(picture))
            left = [f"  {line}" + " " * (indent - 2 - _cells(line)) for line in picture]
            left += [pad] * (rows - len(left))
            screen.write("".join(f"{a}{b}\n" for a, b in zip(left, lines + [""] * rows, strict=False)))
        elif picture:
            rows = max(len(lines), self._across[1])
            written = "".join(f"{pad}{line}\n" for line in lines + [""] * (rows - len(lines)))
            # Written first: then there is room, and what is drawn above scrolls nothing.
            screen.write(f"{written}\x1b7\x1b[{rows}A\r\x1b[2C{picture}\x1b8")
        else:
            screen.write("".join(f"{pad}{line}\n" for line in lines))
        if screen.way != "none":
            screen.write("\n")
        self._blank, self._column = screen.way != "none", 0

    def _drawn(self, item: Mapping[str, Any]) -> str | list[str] | None:
        """The item's picture as the terminal takes it."""
        screen = self.screen
        path = item.get("picture")
        if screen.way == "none" or not isinstance(path, str):
            return None
        data = self.picture(path)
        cell = (1, 2) if screen.way == "blocks" else screen.cell
        across, down = (cells * pixels for cells, pixels in zip(self._across, cell, strict=True))
        image = opened(data, across, down) if data else None
        if image is None:
            return None
        if screen.way == "blocks":
            return blocks(image, screen.colours)
        if screen.way == "sixel":
            return sixel(image)
        cells = -(-image.width // screen.cell[0]), -(-image.height // screen.cell[1])
        return (kitty if screen.way == "kitty" else iterm)(image, *cells)

    def _take(self, character: str) -> None:
        if character == "\n":
            if self._held:
                self._release()
            self._put_word()
            if self._skipping:  # the card has ended its own line
                self._skipping = False
            elif self._column or not self._blank:
                self._newline()
            self._start = True
            return
        if self._skipping:
            return
        if self._start:
            self._held += character
            match = LINE.fullmatch(self._held)
            if match and 0 < int(match[1]) <= len(self.items):
                self._held, self._start, self._skipping = "", False, True
                self.card(self.items[int(match[1]) - 1], int(match[1]))
            elif match or not _BEGUN.fullmatch(self._held):
                self._release()
            return
        self._letter(character)

    def _release(self) -> None:
        held, self._held, self._start = self._held, "", False
        for character in held:
            self._letter(character)

    def _letter(self, character: str) -> None:
        if character != " ":
            self._word += character
            return
        self._put_word()
        if self._column:
            self._word = " "

    def _put_word(self) -> None:
        """A word goes on the line, or on the next one; two stars turn bold on and off."""
        word, self._word = self._word, ""
        plain = word.replace("**", "")
        wide = cell_len(plain)
        if self.screen.live and self._column and self._column + wide > self.screen.width and plain.strip():
            self._newline()
            word = word.lstrip(" ")
            wide = cell_len(word.replace("**", ""))
        for place, part in enumerate(word.split("**")):
            if place:
                self._bold = not self._bold
            self.screen.out.write(self.screen.style(BOLD, part) if self._bold else part)
        self._column += wide

    def _newline(self) -> None:
        self.screen.out.write("\n")
        self._blank, self._column = self._column == 0, 0


def _facts(item: Mapping[str, Any], score: bool) -> str:
    facts = [harmless(str(item["brand"]))] if item.get("brand") else []
    price, value = item.get("price"), item.get("score")
    if isinstance(price, int | float):
        facts.append(f"{price:,.2f}")
    if score and isinstance(value, int | float):
        facts.append(f"score {value:.2f}")
    return " · ".join(facts)


def _wrapped(text: str, width: int) -> list[str]:
    """The text in at most three lines of so many cells."""
    lines = [str(line).rstrip() for line in Text(text).wrap(Console(width=width), width)] if text else []
    return [*lines[:2], chop_cells(lines[2], width - 2)[0] + " …"] if len(lines) > 3 else lines


def _cells(line: str) -> int:
    """How many cells a line of blocks takes."""
    return line.count("▀")
