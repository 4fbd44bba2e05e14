"""How an examination reads: a line for each finding, what to do below it, and the recipes as a table."""

import textwrap
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from llmrec import __version__
from llmrec.doctor.examination import Examination
from llmrec.doctor.findings import Finding
from llmrec.doctor.fits import best

COLOURS = {"ok": "green", "note": "dim", "warning": "yellow", "fault": "bold red"}
FITS = {"fits": "green", "tight": "yellow"}
WIDEST = 110
INDENT = 26


def print_examination(examination: Examination, *, port: int, longest: float) -> None:
    """Look, and tell each finding as it is there; a line of what is being looked at stands below them meanwhile."""
    console, aside = Console(), Console(stderr=True)
    console.print(f"llmrec {__version__} on this machine", style="bold", highlight=False)
    area = ""
    with aside.status("Looking at the machine …") as status:

        def began(what: str) -> None:
            status.update(f"Looking {what if what.startswith('whether') else f'at {what}'} …")

        for finding in examination.go(began, port=port, longest=longest):
            if finding.area != area:
                area = finding.area
                console.print(f"\n[bold]{area}[/]", highlight=False)
            _print(console, finding)
    _print_fits(console, examination, new=area != "What fits")
    console.print()
    if examination.failed:
        count = sum(finding.verdict == "fault" for finding in examination.findings)
        many = f"{count} faults stand" if count > 1 else "One fault stands"
        console.print(f"[bold red]{many} in the way.[/] First:", highlight=False)
    else:
        console.print("[green]Ready.[/] Next:", highlight=False)
    console.print(f"  {escape(examination.next_step())}", style="bold", highlight=False, soft_wrap=True)


def _print(console: Console, finding: Finding) -> None:
    width = max(40, min(console.width, WIDEST)) - INDENT
    wrapped = partial(textwrap.wrap, width=width, break_long_words=False, break_on_hyphens=False)
    colour = COLOURS[finding.verdict]
    first, *rest = wrapped(finding.seen) or [""]
    console.print(
        f"  [{colour}]{finding.verdict:<8}[/] {escape(f'{finding.what:<14}')} {escape(first)}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    lines = [(line, "") for line in rest]
    if finding.remedy and finding.verdict != "ok":
        lines += [(line, colour) for line in wrapped(f"→ {finding.remedy}")]
    for line, style in lines:
        console.print(f"{'':{INDENT}}{escape(line)}", highlight=False, soft_wrap=True, style=style or None)


def _print_fits(console: Console, examination: Examination, *, new: bool) -> None:
    told = [fit for fit in examination.fits if fit.verdict != "broken"]
    if not told:
        return
    if new:
        console.print("\n[bold]What fits[/]", highlight=False)
    chosen = best(examination.fits)
    order = {"fits": 0, "tight": 1, "too large": 2, "needs a GPU": 3, "not known": 4}
    console.print(
        f"  {'':<13}{'recipe':<20}{'memory':<15}{'time, drawn shop':<18}weights", style="dim", highlight=False
    )
    for fit in sorted(told, key=lambda fit: (order[fit.verdict], fit is not chosen)):
        needs = "" if fit.needs is None else f"{fit.needs:.1f} GiB{' GPU' if fit.device == 'cuda' else ''}"
        weights = f"{fit.parameters / 1e6:,.0f} M" if fit.parameters else ""
        colour = FITS.get(fit.verdict, "dim")
        style = "bold" if fit is chosen else "dim" if fit.verdict not in FITS else "none"
        line = f"{escape(Path(fit.recipe).stem):<20}{needs:<15}{fit.time:<18}{weights}".rstrip()
        console.print(f"  [{colour}]{fit.verdict:<13}[/][{style}]{line}[/]", highlight=False, soft_wrap=True)
    console.print("  Memory and time are estimated: docs/doctor.md says how.", style="dim", highlight=False)
