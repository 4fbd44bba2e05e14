"""Stages as one sees them in a terminal: times and findings live; line by line where nobody looks on."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from llmrec.chain.running import Doing, run_all
from llmrec.chain.stages import Stage

Show = Callable[[Sequence[Doing]], None]
MARKS = {"waits": ("·", "dim"), "kept": ("✓", "dim green"), "done": ("✓", "green"), "failed": ("✗", "red")}
DONE, AHEAD = 7, 3  # stages that are shown, with the one at work, behind it and before it where not all have room


def run_before(console: Console, stages: Sequence[Stage], work: Path, **how: Any) -> list[Doing]:
    """Run stages and show them, by `run_all`'s options; whoever ends the program ends the stage at work."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with shown(console) as show:
            return run_all(stages, work, show, **how)
    except KeyboardInterrupt:
        console.print("\nStopped. The same command goes on from here.")
        raise typer.Exit(130) from None


@contextmanager
def shown(console: Console) -> Iterator[Show]:
    """Yield a function that shows stages as they are now."""
    with _live(console) if console.is_terminal else _lines(console) as show:
        yield show


@contextmanager
def _live(console: Console) -> Iterator[Show]:
    spinner = Spinner("dots", style="cyan")

    def table(doing: Sequence[Doing]) -> Table:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=2)
        grid.add_column()
        grid.add_column(justify="right", width=6)
        grid.add_column(overflow="ellipsis", no_wrap=True)
        for one in doing if len(doing) < console.height else _near(doing):
            mark, style = MARKS.get(one.state, ("", ""))
            waits = one.state == "waits"
            grid.add_row(
                spinner if one.state == "runs" else Text(mark, style=style),
                Text(one.stage.says, style="dim" if waits else ""),
                "" if waits else clock(one.minutes),
                Text(one.said, style="cyan"),
            )
        return grid

    with Live(console=console, refresh_per_second=8, transient=False) as live:
        yield lambda doing: live.update(table(doing))


def _near(doing: Sequence[Doing]) -> list[Doing]:
    """The stages around the one at work."""
    begun = [one for one in doing if one.state != "waits"]
    waiting = [one for one in doing if one.state == "waits"]
    return [*begun[-DONE:], *waiting[:AHEAD]]


@contextmanager
def _lines(console: Console) -> Iterator[Show]:
    states: dict[str, str] = {}

    def show(doing: Sequence[Doing]) -> None:
        for one in doing:
            if one.state in (states.get(one.stage.name), "waits"):
                continue
            states[one.stage.name] = one.state
            said = one.said if one.state in ("done", "kept") else ""
            spent = f"  {clock(one.minutes)}" if one.state != "runs" else ""
            told = {"runs": "begins", "kept": "is there", "done": "done", "failed": "FAILED"}[one.state]
            console.print(
                f"{one.stage.says}: {told}{spent}{'  ' + said if said else ''}", highlight=False, soft_wrap=True
            )

    yield show


def clock(minutes: float) -> str:
    """Minutes and seconds."""
    seconds = round(60 * minutes)
    return f"{seconds // 60}:{seconds % 60:02}"
