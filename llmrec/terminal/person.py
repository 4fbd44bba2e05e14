"""A person at the keyboard: lines with editing, history and completion, until they end the talk."""

import glob
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmrec.terminal.screen import Screen
from llmrec.terminal.talk import COMMANDS, Talk

REMEMBERED = 1_000


def talk_with(talk: Talk) -> None:
    """Ask and answer until Ctrl-D or /quit. Ctrl-C at the prompt drops the line, and the talk goes on."""
    lines = _readline()
    history = _history()
    if lines is not None:
        with suppress(OSError):
            lines.read_history_file(history)
        lines.set_history_length(REMEMBERED)
    try:
        while True:
            try:
                line = input(_prompt(talk.screen, edited=lines is not None))
            except KeyboardInterrupt:
                talk.screen.write("\n")
                continue
            except EOFError:
                talk.screen.write("\n")
                return
            if not talk.take(line):
                return
            talk.screen.write("\n")
    finally:
        if lines is not None:
            with suppress(OSError):
                history.parent.mkdir(parents=True, exist_ok=True)
                history.touch(0o600)
                lines.write_history_file(history)


def _prompt(screen: Screen, *, edited: bool) -> str:
    if not screen.live:
        return ""  # what is asked for does not belong into a file
    if not screen.styled:
        return "> "
    # Readline counts what is between these marks as no characters.
    return "\x01\x1b[1;36m\x02> \x01\x1b[0m\x02" if edited else "\x1b[1;36m> \x1b[0m"


def _readline() -> Any:
    """The module that edits lines, where there is one, made to complete commands and files."""
    try:
        import readline
    except ImportError:
        return None
    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        nonlocal found
        if state == 0:
            line = readline.get_line_buffer()
            if line.startswith("/picture "):
                found = [f"{path}/" if os.path.isdir(path) else path for path in glob.glob(f"{text}*")]  # noqa: PTH207, PTH112
            else:
                found = [f"{name} " for name in COMMANDS if line.startswith("/") and name.startswith(text)]
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n")
    libedit = "libedit" in (readline.__doc__ or "")  # in its place on macOS
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    return readline


def _history() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "llmrec" / "chat-history"
