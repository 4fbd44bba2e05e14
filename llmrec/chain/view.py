"""Stages as one sees them in a terminal: times and findings live; line by line where nobody looks on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from llmrec.chain.running import Doing

Show = Callable[[Sequence[Doing]], None]
MARKS = {"waits": ("·", "dim"), "kept": ("✓", "dim green"), "done": ("✓", "green"), "failed": ("✗", "red")}


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
        for one in doing:
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
