"""Progress of long work: a bar where somebody looks on, a line now and then where the output goes to a file."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int | None], None]
PATIENCE = 1.5  # seconds before anything is shown: short work stays silent
BETWEEN_LINES = 15.0
OFTEN = "LLMREC_PROGRESS_SECONDS"
"""The variable that says how often a line is written, for whoever reads the file while it grows."""


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Yield a function to call with (what, done, total); the total may be unknown."""
    from rich.console import Console

    console = Console(stderr=True)
    with _bars(console) if console.is_terminal else _lines() as report:
        yield report


@contextmanager
def _bars(console: object) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    assert isinstance(console, Console)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bars = Bars(*columns, console=console, transient=True)
    tasks: dict[str, object] = {}
    began = time.monotonic()
    live = False

    def report(what: str, done: int, total: int | None) -> None:
        nonlocal live
        if not live and time.monotonic() - began > PATIENCE:
            bars.start()
            live = True
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

    try:
        yield report
    finally:
        if live:
            bars.stop()


@contextmanager
def _lines() -> Iterator[Progress]:
    last = time.monotonic()
    between = float(os.environ.get(OFTEN, BETWEEN_LINES))

    def report(what: str, done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last > between:
            last = time.monotonic()
            print(f"{what}: {done:,}{f' of {total:,}' if total else ''}", file=sys.stderr, flush=True)

    yield report
