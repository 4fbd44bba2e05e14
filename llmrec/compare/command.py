"""`llmrec compare`: runs a suite of experiments and writes what it found."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from llmrec.compare.results import Found

EPILOG = (
    "Examples:  llmrec compare train/suites/adaptation.yaml --plan\n\n"
    "llmrec compare train/suites/adaptation.yaml --work work/compare\n\n"
    "llmrec compare train/suites/adaptation.yaml --quick\n\n"
    "llmrec compare train/suites/content.yaml --dataset work/shop --seed 0\n\n"
    "llmrec compare train/suites/adaptation.yaml --seed 0 --only LoRA --only 'prompt tuning'\n\n"
    "What is made stays: the same command goes on where it was stopped, and suites share what they have in common."
)


def compare(
    suite: Annotated[Path, typer.Argument(help="A YAML file as in train/suites.", show_default=False)],
    dataset: Annotated[
        Path | None,
        typer.Option(help="Ask it of this dataset instead of the suite's, or of a drawn shop.", show_default=False),
    ] = None,
    work: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("work/compare"),
    only: Annotated[list[str] | None, typer.Option(help="Run this cell alone, or these.", show_default=False)] = None,
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", help="This seed alone, or these; more can follow.", show_default=False)
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="A small shop or your dataset, little tuning, one seed: whether it runs, no answer."
        ),
    ] = False,
    plan_only: Annotated[bool, typer.Option("--plan", help="List the stages, and which are there; run none.")] = False,
) -> None:
    """Run the cells of a suite, each with several seeds, and write one page: figures, costs, what they say.

    The page is of all that was made of the suite so far, and names what was not.
    """
    from dataclasses import replace

    from rich.console import Console

    from llmrec.artifact import write_json
    from llmrec.chain.running import alone, as_noted
    from llmrec.chain.stages import require_checkout
    from llmrec.chain.view import clock, run_before
    from llmrec.compare.page import page
    from llmrec.compare.reading import reading
    from llmrec.compare.results import results
    from llmrec.compare.suite import PAGE, all_made, distinct, name_of, plan, read_suite, seeds_of

    require_checkout()
    asked = read_suite(suite)
    if dataset:
        asked = replace(asked, dataset=dataset)
    work = work.absolute()
    planned = plan(asked, work, quick=quick, only=frozenset(only or ()), seeds=tuple(seeds or ()))
    stages = distinct(planned)
    console = Console(highlight=False)
    if plan_only:
        for stage in stages:
            console.print(f"{'is there' if stage.made.exists() else 'to make ':8}  {stage.says}", soft_wrap=True)
        return
    with alone(work):
        run_before(console, stages, work)
        out = work / name_of(suite, dataset, quick=quick)
        wanted = seeds_of(asked, quick=quick)
        made = all_made(asked, work, out, quick=quick, seeds=tuple(seeds or ()))
        found = results(asked, made, as_noted(distinct(made), work))
        content = _content(asked, suite, made, found, reading(found, asked, wanted), quick=quick)
        out.mkdir(exist_ok=True)
        write_json(out / PAGE, content)
        (out / "compare.html").write_text(page(content, found), encoding="utf-8")
    console.print(f"\n[bold]{asked.question}[/bold]")
    for one in found:
        spread = f"{one.interval.low:.4f}–{one.interval.high:.4f}"
        took = "" if one.costs.minutes is None else clock(one.costs.minutes)
        console.print(f"  {one.interval.mean:.4f}  {spread}  {took:>6}  {one.name}", soft_wrap=True)
    console.print()
    for sentence in content["reading"]:
        console.print(f"- {sentence}", soft_wrap=True)
    console.print(f"\nLook at it: {out / 'compare.html'}", soft_wrap=True)


def _content(
    asked: Any, suite: Path, planned: Sequence[Any], found: "Sequence[Found]", told: list[str], *, quick: bool
) -> dict[str, Any]:
    from llmrec.artifact import read_json
    from llmrec.compare.results import as_content
    from llmrec.environment import machine, versions

    report = read_json(planned[0].report, "report.json", kind="a report", remedy="Remove it and begin anew")
    return {
        "suite": suite.name,
        "question": asked.question,
        "system": asked.system,
        "beside": list(asked.beside),
        "along": asked.along,
        "against": next(one.name for one in found if one.gap is None),
        "quick": quick,
        "dataset": report["dataset"],
        "people": report["people"],
        "catalogue": report["catalogue"],
        "seeds": sorted({seed for one in found for seed in one.seeds}),
        "found": as_content(found),
        "reading": told,
        "command": shlex.join(["llmrec", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(["llmrec", "torch", "transformers", "peft", "trl"]),
    }
