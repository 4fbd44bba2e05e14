"""A terminal for tests: a pseudo-terminal whose other end is read, typed on, and answers what it is asked."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROMPT = b"\x1b[1;36m> \x1b[0m"
NOTHING = ("KITTY_WINDOW_ID", "KONSOLE_VERSION", "TERM_PROGRAM", "LC_TERMINAL", "COLORTERM", "TMUX", "NO_COLOR")


def environment(**changes: str) -> dict[str, str]:
    """As at home, but of no terminal in particular."""
    kept = {name: value for name, value in os.environ.items() if name not in (*NOTHING, "LLMREC_KEY")}
    return {**kept, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **changes}


class Terminal:
    """A program at a terminal. `answer` is what the terminal says of itself when it is asked."""

    def __init__(
        self,
        words: Sequence[str | Path],
        *,
        answer: bytes = b"",
        size: tuple[int, int, int, int] = (50, 80, 640, 800),
        **changes: str,
    ):
        self.answer, self.got, self._answered = answer, b"", False
        here, there = pty.openpty()
        rows, columns, wide, high = size
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, wide, high))
        self.process = subprocess.Popen(
            [sys.executable, *map(str, words)],
            stdin=there, stdout=there, stderr=there, env=environment(**changes), cwd=ROOT,
            preexec_fn=_own_terminal,
        )  # fmt: skip
        os.close(there)
        self._here = here

    def type(self, text: str) -> None:
        """Keys as a person presses them."""
        os.write(self._here, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C as a person presses it: once the program waits for a key.

        Python's readline looks for signals only while it waits; one that comes in the microseconds between the last
        letter's echo and that wait is found with the next key.
        """
        stat = Path(f"/proc/{self.process.pid}/stat")
        ends = time.monotonic() + 5
        while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "S" and time.monotonic() < ends:
            time.sleep(0.01)
        self.type("\x03")

    def until(self, wanted: bytes | str, seconds: float = 30) -> bytes:
        """What comes up to there, which is then done with."""
        wanted = wanted.encode() if isinstance(wanted, str) else wanted
        ends = time.monotonic() + seconds
        while wanted not in self.got:
            assert time.monotonic() < ends, f"{wanted!r} did not come, but {self.got[-2_000:]!r}"
            assert self._more(0.1) or self.process.poll() is None, f"it ended with {self.got[-2_000:]!r}"
        found, _, self.got = self.got.partition(wanted)
        return found + wanted

    def say(self, line: str, seconds: float = 30) -> bytes:
        """A line, and all that comes up to the next prompt, without what was typed."""
        self.type(line + "\n")
        return self.until(PROMPT, seconds).partition(b"\n")[2].removesuffix(PROMPT)

    def ends(self, seconds: float = 20) -> int:
        """Wait for it to end by itself; the exit code."""
        until = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < until:
            self._more(0.1)
        while self._more(0.05):
            pass
        return self.process.wait(0.1)

    def _more(self, seconds: float) -> bool:
        if not select.select([self._here], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self._here, 65_536)
        except OSError:  # the other end is closed
            return False
        self.got += piece
        if b"\x1b[c" in self.got and not self._answered:
            self._answered = True
            os.write(self._here, self.answer)
        return bool(piece)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self._here)


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def plain(shown: bytes) -> str:
    """What is read, without colours and pictures."""
    text = re.sub(rb"\x1b_G.*?\x1b\\|\x1b\]1337;.*?\x07|\x1bP.*?\x1b\\", b"", shown, flags=re.DOTALL)
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[78]", b"", text)
    return text.decode().replace("\r\n", "\n").replace("\r", "")
