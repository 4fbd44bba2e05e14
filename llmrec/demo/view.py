"""A demonstration as one sees it in a terminal: stages, times and findings live; line by line where nobody looks on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from llmrec.demo.figures import Figures, Row
from llmrec.demo.running import Doing

Show = Callable[[Sequence[Doing]], None]
MARKS = {"waits": ("·", "dim"), "kept": ("✓", "dim green"), "done": ("✓", "green"), "failed": ("✗", "red")}
WIDE = 30  # characters of a bar


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


def print_figures(console: Console, figures: Figures) -> None:
    """Ours beside the baselines, with intervals, and beside itself without its eyes."""
    most = max(row.high for row in (*figures.baselines, *figures.ours, *figures.blind))
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_column()

    def add(row: Row, style: str) -> None:
        reach = round(WIDE * row.mean / most)
        table.add_row(row.name, f"{row.mean:.3f}", f"{row.low:.3f}–{row.high:.3f}", Text("━" * reach, style=style))

    for rows, style in ((figures.baselines, "white"), (figures.ours, "green"), (figures.blind, "yellow")):
        for row in rows:
            add(row, style)
        table.add_row("", "", "", "")
    console.print()
    console.print(
        f"[bold]Who ranks best[/bold]: NDCG@10 of {figures.people:,} people, {figures.catalogue:,} items ranked "
        "for each, with 95 % intervals",
        highlight=False,
    )
    console.print(table)
    if figures.oracle:
        console.print(
            f"Somebody who knew every person's taste would reach {figures.oracle:.3f}; the rest is chance.",
            style="dim",
            highlight=False,
        )
