"""The commands about serving: the gateway and its keys."""

from pathlib import Path
from typing import Annotated

import typer

from llmrec.cli.options import AsJson, settings_of

commands = typer.Typer()


keys = typer.Typer(no_args_is_help=True, help="Make, list and remove the keys that open the gateway.")
KeysFile = Annotated[Path, typer.Argument(help="The file of keys, in YAML or JSON.", show_default=False)]


@commands.command(
    epilog="Examples:  llmrec serve work/model --index work/index\n\n"
    "llmrec serve work/model --index work/index port=8000 keys=keys.yaml host=0.0.0.0\n\n"
    "llmrec serve work/model --index work/index engine=local\n\n"
    "llmrec serve work/model --index work/index engine_url=http://127.0.0.1:8001"
)
def serve(
    model: Annotated[list[str], typer.Argument(help="A merged model, then key=value settings.", show_default=False)],
    index: Annotated[Path, typer.Option(help="The index to find candidates in.", show_default=False)],
    recipe: Annotated[
        Path | None,
        typer.Option(help="A YAML file with settings; serve/gateway.yaml where you stand, if it is there."),
    ] = None,
    vllm: Annotated[
        Path | None,
        typer.Option(help="A YAML file with vLLM's own options; serve/vllm.yaml where you stand, if it is there."),
    ] = None,
    settings: Annotated[bool, settings_of("llmrec.gateway.settings", "ServeRecipe")] = False,
) -> None:
    """Serve a merged model: an OpenAI-compatible endpoint that knows people, items and why.

    Starts vLLM and watches it, or computes in this process where vLLM is not installed. Ready when it says so.
    """
    from llmrec.config import load_config
    from llmrec.gateway.server import log_as_json
    from llmrec.gateway.server import serve as run
    from llmrec.gateway.settings import ServeRecipe, with_vllm

    del settings  # its callback has listed them and stopped
    usual, theirs = Path("serve/gateway.yaml"), Path("serve/vllm.yaml")
    chosen = load_config(ServeRecipe, recipe or (usual if usual.is_file() else None), model[1:])
    chosen = with_vllm(chosen, vllm or (theirs if theirs.is_file() else None))
    log_as_json()
    run(Path(model[0]), index, chosen, told=typer.echo)


@keys.command(
    "add",
    epilog="Examples:  llmrec keys add keys.yaml --name shop --role read --rate 600\n\n"
    "llmrec keys add keys.yaml --name till --role read --role events --people shop1/",
)
def add_key(
    file: KeysFile,
    name: Annotated[str, typer.Option(help="What the key is called in the file and in logs.", show_default=False)],
    role: Annotated[
        list[str],
        typer.Option(
            help="read (ask), events (tell what people do) or admin (everything); give it again for several.",
            show_default=False,
        ),
    ],
    people: Annotated[
        str | None, typer.Option(help="Only people whose id begins so, as in shop1/.", show_default=False)
    ] = None,
    rate: Annotated[int | None, typer.Option(help="Requests a minute.", show_default=False)] = None,
) -> None:
    """Make a key and print it, this one time. The file keeps only what it hashes to; a running server takes it up."""
    from llmrec.gateway import access

    typer.echo(access.add_key(file, name, role, people=people, rate=rate))
    typer.echo(f"Keep it: it is not shown again, and {file} cannot tell it", err=True)


@keys.command("list", epilog="Example:  llmrec keys list keys.yaml")
def list_keys(file: KeysFile, json: AsJson = False) -> None:
    """Show the names of the keys and what they may do."""
    from llmrec import tables
    from llmrec.gateway.access import read_keys

    known = {
        name: {"roles": list(entry.roles), "people": entry.people, "rate": entry.rate}
        for name, entry in read_keys(file).items()
    }
    if json:
        tables.print_json(known)
    else:
        tables.print_keys(known)


@keys.command("remove", epilog="Example:  llmrec keys remove keys.yaml shop")
def remove_key(
    file: KeysFile, name: Annotated[str, typer.Argument(help="The key's name.", show_default=False)]
) -> None:
    """Take a key out of the file: a running server refuses it a second later."""
    from llmrec.gateway import access

    access.remove_key(file, name)
    typer.echo(f"{file}: {name} opens nothing any more")
