"""The commands beside the pipeline: a look at the machine, and a talk in the terminal."""

from pathlib import Path
from typing import Annotated

import typer

tools = typer.Typer()


@tools.command(
    epilog="Examples:  llmrec doctor\n\nllmrec doctor --quick\n\nllmrec doctor --work /data/work --json > doctor.json"
)
def doctor(
    work: Annotated[Path, typer.Option(help="The folder that results go to.")] = Path("work"),
    recipes: Annotated[Path, typer.Option(help="The folder of tuning recipes.")] = Path("train"),
    port: Annotated[int, typer.Option(help="The port that the gateway would listen on.", min=1, max=65_535)] = 8080,
    quick: Annotated[
        bool, typer.Option("--quick", help="Load no package: a second, but nothing on speed, GPU and packages at work.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long one package may take to load.", min=1)] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Check this machine: what works, what is missing and what to do, and which recipes it can run.

    Exit code 0 where the default path works, 1 where something that it needs is broken.
    """
    from llmrec.doctor.examination import Examination
    from llmrec.doctor.printed import print_examination

    looking = Examination(work, recipes, quick)
    if json:
        import json as written

        for _ in looking.go(port=port, longest=seconds):
            pass
        typer.echo(written.dumps(looking.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_examination(looking, port=port, longest=seconds)
    if looking.failed:
        raise typer.Exit(1)
