"""`llmrec demo`: from nothing to a page where a model that was just tuned here recommends and says why."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrec.environment import PORT

if TYPE_CHECKING:
    from rich.console import Console

JOURNAL = "demo.json"
EPILOG = (
    "Examples:  llmrec demo\n\nllmrec demo work/shop\n\nllmrec demo --quick --no-serve\n\n"
    "llmrec demo --work work/mine --port 9000\n\n"
    "What is made stays: the same command goes on where it was stopped, and starts at once when all is there."
)


def demo(
    dataset: Annotated[
        Path | None, typer.Argument(help="A dataset of your own instead of the drawn shop.", show_default=False)
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Where everything goes: work/demo, demo-quick or demo-NAME.", show_default=False),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A smaller shop and less tuning: lower figures, sooner.")
    ] = False,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop once the figures are there.")] = False,
    port: Annotated[int, typer.Option(help="Where the page is then; 0 takes a free port.", min=0, max=65_535)] = PORT,
    engine: Annotated[str, typer.Option(help="vllm, local, or auto for vLLM where it is installed.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of every stage.")] = 0,
) -> None:
    """Draw a shop, teach a model to see, rank and speak on this machine, measure it, and serve it with a page."""
    from rich.console import Console

    from llmrec.chain.running import alone
    from llmrec.chain.stages import require_checkout
    from llmrec.chain.view import clock, run_before
    from llmrec.demo.figures import Figures, finding
    from llmrec.demo.stages import QUICK, WHOLE, demonstration
    from llmrec.demo.view import print_figures

    require_checkout()
    if engine not in ("auto", "vllm", "local"):
        raise typer.BadParameter(f"{engine} is no engine. Give auto, vllm or local", param_hint="--engine")
    name = "-".join(["demo", *(["quick"] if quick else []), *([dataset.resolve().name] if dataset else [])])
    work = (work or Path("work") / name).absolute()
    console = Console(highlight=False)
    with alone(work):
        own = dataset.absolute() if dataset else None
        stages = demonstration(work, QUICK if quick else WHOLE, dataset=own, seed=seed)
        doing = run_before(console, stages, work, journal=JOURNAL, finding=finding)
        print_figures(console, Figures.read(work))
        console.print(f"All of it took {clock(sum(one.minutes for one in doing))} minutes. Look at it whole:")
        console.print(f"  {work / 'report' / 'report.html'}", style="bold", soft_wrap=True)
        if not no_serve:
            raise typer.Exit(_serve(console, work, port, engine))


def _serve(console: "Console", work: Path, port: int, engine: str) -> int:
    """Serve it until somebody ends it; its exit code."""
    from llmrec.environment import port_fault
    from llmrec.gateway_child import own_gateway

    if port and port_fault(port):
        console.print(f"\nPort {port} is taken, so a free one is used.")
        port = 0
    console.print()
    try:
        settings = [f"port={port}", f"engine={engine}", f"state={work / 'gateway'}"]
        with ExitStack() as opened:
            with console.status("Starting the server…"):
                served = opened.enter_context(own_gateway(work / "model", work / "index", settings))
            console.print(f"[bold green]Open {served.address}[/bold green]   (Ctrl-C ends it)")
            console.print(f"OpenAI's clients take {served.address}/v1: docs/serving.md. In the terminal: llmrec chat")
            return served.wait()
    except KeyboardInterrupt:
        console.print("\nEnded. The same command starts it again.")
        return 0
