"""The figures of a demonstration as one sees them in a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmrec.demo.figures import Figures, Row

WIDE = 30  # characters of a bar


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
