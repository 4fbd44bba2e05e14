"""The `llmrec` command: each stage of the pipeline is a subcommand that reads folders and writes one."""

import logging
import os
import sys
from typing import Annotated

import typer

from llmrec import __version__
from llmrec.cli import data, making, serving, tools
from llmrec.errors import DatasetError, InputError, LlmrecError

app = typer.Typer(
    name="llmrec",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.commands)
app.add_typer(making.commands)
app.add_typer(serving.commands)
app.add_typer(serving.keys, name="keys")
app.add_typer(tools.commands)


def main() -> None:
    """Run the command line; errors that llmrec foresees become one message and an exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        app()
    except InputError as error:
        _fail(error, 2)
    except LlmrecError as error:
        _fail(error, 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@app.callback(invoke_without_command=True)
def llmrec(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Turn a catalogue and an interaction log into a multimodal language model that ranks and explains.

    See all of it at once:  llmrec demo
    Or start with a dataset:  python data_builders/atelier.py --out work/atelier
    """
    if version:
        typer.echo(f"llmrec {__version__}")
        raise typer.Exit


def _fail(error: LlmrecError, code: int) -> None:
    typer.echo(f"error: {error}", err=True)
    if isinstance(error, DatasetError):
        warnings = sum(problem.severity == "warning" for problem in error.problems)
        if warnings:
            typer.echo(f"({warnings} warnings besides)", err=True)
    sys.exit(code)
