"""A talk: what was said and shown so far, the commands, and the loop that reads a person or a pipe."""

import base64
import io
import secrets
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from llmrec.errors import InputError, LlmrecError
from llmrec.pictures import FORMATS, picture_fault
from llmrec.terminal.client import Gateway
from llmrec.terminal.harmless import harmless
from llmrec.terminal.pictures import on_white
from llmrec.terminal.screen import Screen
from llmrec.terminal.shown import DIM, Shown

HELP = """Ask for something, as in: A teapot under 40, please
Then go on: cheaper · in blue instead · why the second? · something else

  /why N         why the item fits
  /like N        more like it
  /buy N         take it; what is suggested next knows of it
  /picture FILE  something like this picture; words may follow the file
  /items         the last list once more
  /who USER      talk as somebody else; alone it tells who you are
  /help          this
  /quit          end; so does Ctrl-D. Ctrl-C stops an answer"""
COMMANDS = ("/why", "/like", "/buy", "/picture", "/items", "/who", "/help", "/quit")
KEPT = 40  # messages that are sent along
SENT = 768  # pixels of a picture that is sent: it goes along with every later question
PICTURE_SECONDS = 3.0
LISTS = ("recommend", "wish", "similar", "follow-up")


class Talk:
    """A person's talk with a gateway."""

    def __init__(self, gateway: Gateway, model: str, screen: Screen, user: str | None, *, aside: Callable[[str], None]):
        self.gateway, self.model, self.screen, self.user, self._aside = gateway, model, screen, user, aside
        self.messages: list[dict[str, Any]] = []
        self.items: list[Mapping[str, Any]] = []
        """The list that numbers refer to."""
        self.failed = False
        self._pool = ThreadPoolExecutor(4, "pictures")
        self._pictures: dict[str, Future[bytes | None]] = {}

    def close(self) -> None:
        """End it."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.gateway.close()

    def take(self, line: str) -> bool:
        """One line of a person; says whether the talk goes on. What goes wrong is told, and the talk goes on."""
        line = line.strip()
        if not line:
            return True
        try:
            if line.startswith("/"):
                return self._command(line)
            self.ask(line)
        except KeyboardInterrupt:
            # It may have come within a command to the terminal: that is ended first, and every style.
            self.screen.write(("\x1b\\\x1b[0m" if self.screen.styled else "") + "\n")
            self._say("Stopped.")
        except LlmrecError as error:
            self.failed = True
            self._aside(str(error))
        return True

    def ask(self, text: str, picture: str | None = None) -> None:
        """Say something, and show what is answered."""
        content: Any = text
        if picture is not None:
            content = [{"type": "image_url", "image_url": {"url": picture}}]
            content = [{"type": "text", "text": text}, *content] if text else content
        asked = {"role": "user", "content": content}
        answer: dict[str, Any] = {"role": "assistant", "content": ""}
        shown = Shown(self.screen, self._picture)
        said = False
        try:
            with self._waiting() as come:
                for delta in self.gateway.chat(self.model, [*self.messages[-KEPT:], asked], self.user):
                    come()
                    if isinstance(delta.get("llmrec"), Mapping):
                        answer["llmrec"] = delta["llmrec"]
                        self._told(delta["llmrec"], shown)
                    piece = delta.get("content")
                    if isinstance(piece, str):
                        said = True
                        answer["content"] += piece
                        shown.feed(piece)
            shown.end()
        except LlmrecError:
            shown.end()
            raise
        finally:
            if said:  # what was said of an answer that was stopped is part of the talk
                self.messages += [asked, answer]

    def _told(self, told: Mapping[str, Any], shown: Shown) -> None:
        """The items come before the words: their pictures are fetched while those are written."""
        items = [item for item in told.get("items") or () if isinstance(item, Mapping)]
        if self.screen.way != "none":
            for item in items:
                path = item.get("picture")
                if isinstance(path, str) and path not in self._pictures:
                    self._pictures[path] = self._pool.submit(self.gateway.picture, path)
        if told.get("kind") in LISTS:
            if items:
                self.items = items
            shown.items = items
        elif self.screen.way != "none":
            numbers = {item.get("item"): number for number, item in enumerate(self.items, 1)}
            for item in items:  # their reasons are in the words
                shown.card({**item, "reason": None}, numbers.get(item.get("item")), score=False)

    def _picture(self, path: str) -> bytes | None:
        future = self._pictures.get(path)
        try:
            return future.result(PICTURE_SECONDS) if future else None
        except TimeoutError:
            return None

    @contextmanager
    def _waiting(self) -> Iterator[Callable[[], None]]:
        """Three dots as long as nothing comes."""
        waits = self.screen.live and self.screen.styled
        if waits:
            self.screen.write(self.screen.style(DIM, "…"))

        def come() -> None:
            nonlocal waits
            if waits:
                waits = False
                self.screen.write("\r\x1b[K")

        try:
            yield come
        finally:
            come()

    def _command(self, line: str) -> bool:
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        if name in ("/quit", "/exit", "/q"):
            return False
        if name == "/help":
            self._say(HELP)
        elif name == "/items":
            self._items()
        elif name == "/who":
            self._who(rest)
        elif name == "/why":
            self._item(rest, name)
            self.ask(f"Why number {int(rest)}?")
        elif name == "/like":
            self._item(rest, name)
            self.ask(f"More like number {int(rest)}")
        elif name == "/buy":
            self._buy(self._item(rest, name))
        elif name == "/picture":
            self._show(rest)
        else:
            raise InputError(f"{name} is no command. There are {', '.join(COMMANDS)}")
        return True

    def _item(self, number: str, command: str) -> Mapping[str, Any]:
        items = self._last()
        if not number.isdecimal() or not 0 < int(number) <= len(items):
            raise InputError(f"{command} takes a number from 1 to {len(items)}, as in: {command} 1")
        return items[int(number) - 1]

    def _last(self) -> list[Mapping[str, Any]]:
        if not self.items:
            raise InputError("Nothing was shown yet. Ask for a suggestion first")
        return self.items

    def _items(self) -> None:
        shown = Shown(self.screen, self._picture)
        for number, item in enumerate(self._last(), 1):
            shown.card(item, number)

    def _who(self, user: str) -> None:
        if user:
            before = self.user
            self.user = None if user == "-" else user
            try:
                self._say(self.known())
            except LlmrecError:
                self.user = before
                raise
            self.messages, self.items = [], []  # what was said was said to another
        else:
            self._say(self.known())

    def known(self) -> str:
        """Who talks, and how much is known of them."""
        if not self.user:
            return "You are nobody in particular: what many people take is suggested. /who USER says who you are"
        taken = len(self.gateway.history(self.user))
        return f"You are {harmless(self.user)}, " + (
            "of whom nothing is known yet" if not taken else f"who took {taken:,} thing{'s' if taken > 1 else ''}"
        )

    def _buy(self, item: Mapping[str, Any]) -> None:
        if not self.user:
            raise InputError("Nobody buys it: say who you are with /who USER")
        key = f"terminal-{secrets.token_hex(12)}"
        self.gateway.tell({"key": key, "user": self.user, "item": item["item"], "kind": "purchase"})
        title = harmless(str(item.get("title") or item["item"]))
        self._say(f"Taken: {title}. Ask again: what is suggested knows of it")

    def _show(self, rest: str) -> None:
        try:
            words = shlex.split(rest)  # a file that is dropped on a terminal comes quoted
        except ValueError:
            words = rest.split()
        if not words:
            raise InputError("/picture takes a file, as in: /picture teapot.jpg")
        whole = Path(rest).expanduser()
        file, said = (whole, "") if whole.is_file() else (Path(words[0]).expanduser(), " ".join(words[1:]))
        self.ask(said or "Something like this", sendable(file))

    def _say(self, text: str) -> None:
        self.screen.write(self.screen.style(DIM, text) + "\n")


def sendable(file: Path) -> str:
    """A picture as an address that holds it, small enough to go along with every later question."""
    fault = picture_fault(file)
    if fault:
        raise InputError(f"{file} {fault}. Give a JPEG, PNG or WebP picture")
    with Image.open(file, formats=list(FORMATS)) as image:
        image.draft("RGB", (SENT, SENT))
        white = on_white(ImageOps.exif_transpose(image))
    white.thumbnail((SENT, SENT))
    buffer = io.BytesIO()
    white.convert("RGB").save(buffer, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.standard_b64encode(buffer.getvalue()).decode()}"


def lines_of(talk: Talk, source: Any = None) -> None:
    """One question a line, as a pipe gives them."""
    for place, line in enumerate(source or sys.stdin):
        if place and line.strip():
            talk.screen.write("\n")
        if not talk.take(line):
            return
