"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

DatasetFolder = Annotated[
    Path, typer.Argument(help="A dataset folder, made by a script in data_builders/.", show_default=False)
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a result that llmrec made earlier.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def settings_of(module: str, recipe: str) -> Any:
    """The option that prints the settings of a recipe with their help and defaults, and stops."""

    def list_settings(wanted: bool) -> None:
        if not wanted:
            return
        from importlib import import_module

        from llmrec.config import settings_text

        typer.echo(settings_text(getattr(import_module(module), recipe)))
        raise typer.Exit

    return typer.Option("--settings", help="List the settings and stop.", is_eager=True, callback=list_settings)
