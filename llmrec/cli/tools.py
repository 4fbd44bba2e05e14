"""The commands beside the pipeline: suites, the demonstration, a look at the machine, and a talk in the terminal."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from llmrec.compare.command import EPILOG as OF_COMPARE
from llmrec.compare.command import compare
from llmrec.demo.command import EPILOG, demo
from llmrec.environment import PORT
from llmrec.errors import InputError

commands = typer.Typer()
commands.command(epilog=OF_COMPARE)(compare)
commands.command(epilog=EPILOG)(demo)


@commands.command(
    epilog="Examples:  llmrec doctor\n\nllmrec doctor --quick\n\nllmrec doctor --work /data/work --json > doctor.json"
)
def doctor(
    work: Annotated[Path, typer.Option(help="The folder that results go to.")] = Path("work"),
    recipes: Annotated[Path, typer.Option(help="The folder of tuning recipes.")] = Path("train"),
    port: Annotated[int, typer.Option(help="The port that the gateway would listen on.", min=1, max=65_535)] = PORT,
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


@commands.command(
    epilog="Examples:  llmrec chat --user u22jmku8f\n\n"
    "llmrec chat work/model --index work/index\n\n"
    "llmrec chat --say 'A teapot under 40, please' | head -3\n\n"
    "LLMREC_KEY=$(cat key) llmrec chat --url https://shop.example"
)
def chat(
    model: Annotated[
        list[str] | None,
        typer.Argument(
            help="A merged model to serve meanwhile, then key=value settings of llmrec serve.", show_default=False
        ),
    ] = None,
    index: Annotated[Path | None, typer.Option(help="The index of that model.", show_default=False)] = None,
    url: Annotated[str, typer.Option(help="The gateway to talk with.")] = f"http://127.0.0.1:{PORT}",
    user: Annotated[str | None, typer.Option(help="Who you are: a person of the log, or a new one.")] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="A file that holds the key; without it LLMREC_KEY is taken.", show_default=False)
    ] = None,
    say: Annotated[str | None, typer.Option(help="Say this, print the answer and end.", show_default=False)] = None,
    pictures: Annotated[
        Literal["auto", "none", "blocks", "kitty", "iterm", "sixel"],
        typer.Option(help="How pictures are drawn; auto asks the terminal."),
    ] = "auto",
) -> None:
    """Talk with the recommender in the terminal: answers as they come, items with pictures. /help lists commands.

    Lines of a pipe are answered one after the other; the exit code is then 1 where one could not be.
    """
    from llmrec.gateway_child import own_gateway
    from llmrec.terminal.client import Gateway
    from llmrec.terminal.harmless import harmless
    from llmrec.terminal.person import talk_with
    from llmrec.terminal.screen import screen_of
    from llmrec.terminal.talk import Talk, lines_of

    if bool(model) != bool(index):
        raise InputError("A model is served with its index: llmrec chat work/model --index work/index")
    try:
        key = key_file.read_text(encoding="utf-8").strip() if key_file else os.environ.get("LLMREC_KEY") or None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{key_file} cannot be read ({error}). It should hold a key and nothing else") from error

    def aside(text: str) -> None:
        typer.secho(harmless(text, lines=True), err=True, fg="yellow")

    with ExitStack() as opened:
        if model and index:
            url = opened.enter_context(own_gateway(Path(model[0]), index, model[1:], aside=aside)).address
        gateway = Gateway(url, key, aside=aside)
        talk = Talk(gateway, gateway.model(), screen_of(sys.stdout, pictures), user, aside=aside)
        opened.callback(talk.close)
        if say is not None:
            talk.take(say)
        elif sys.stdin.isatty():
            aside(f"{talk.known()}. /help lists commands, Ctrl-D ends")
            talk_with(talk)
            return
        else:
            lines_of(talk)
    if talk.failed:
        raise typer.Exit(1)
