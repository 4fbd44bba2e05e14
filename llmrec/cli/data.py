"""The commands about data: is a dataset whole, does it leak, and what examples does it give."""

from pathlib import Path
from typing import Annotated

import typer

from llmrec.cli.options import AsJson, DatasetFolder, Overwrite, settings_of
from llmrec.errors import InputError

commands = typer.Typer()


@commands.command(epilog="Example:  llmrec validate work/atelier")
def validate(dataset: DatasetFolder, json: AsJson = False) -> None:
    """Check a whole dataset folder: every error with its file, its rows and what to do. Exit code 2 if there is one."""
    from llmrec import tables
    from llmrec.dataset import validate as check
    from llmrec.progress import shown_progress

    with shown_progress() as progress:
        opened, problems = check(dataset, progress)
    errors = [problem for problem in problems if problem.severity == "error"]
    if json:
        tables.print_json({"dataset": opened.info, "problems": [vars(problem) for problem in problems]})
    else:
        tables.print_dataset(opened.info)
        for problem in problems:
            tables.say(f"[{'red' if problem.severity == 'error' else 'yellow'}]{problem.severity}[/]", str(problem))
        if not errors:
            tables.say("[green]valid[/]", f"{opened.fingerprint}")
            typer.echo(f"Next: llmrec audit {dataset}")
    if errors:
        raise typer.Exit(2)


@commands.command(epilog="Example:  llmrec audit work/atelier --split temporal")
def audit(
    dataset: DatasetFolder,
    split: Annotated[
        str, typer.Option(help="Split to look into: leave-one-out, temporal or cold-items.")
    ] = "leave-one-out",
    pictures: Annotated[bool, typer.Option(help="Look for near-duplicate pictures.")] = True,
    json: AsJson = False,
) -> None:
    """Look for leaks and faults that would make later figures wrong. Exit code 1 if there is one."""
    from llmrec import tables
    from llmrec.audit import audit as look
    from llmrec.dataset import Dataset
    from llmrec.progress import shown_progress

    opened = Dataset.open(dataset)
    with shown_progress() as progress:
        found = look(opened, split=split, pictures=pictures, progress=progress)
    if json:
        tables.print_json(found.as_dict())
    else:
        tables.print_audit(opened.name, found)
    if found.failed:
        raise typer.Exit(1)


@commands.command(
    epilog="Examples:  llmrec examples work/atelier --out work/examples\n\n"
    "llmrec examples work/shop work/films --weight 2 --weight 1 --out work/both history=10 'tasks={sequential: 1}'"
)
def examples(
    datasets: Annotated[
        list[str], typer.Argument(help="Dataset folders, then key=value settings of the recipe.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.", show_default=False)],
    prompts: Annotated[Path, typer.Option(help="The folder of prompt templates.")] = Path("prompts"),
    recipe: Annotated[Path | None, typer.Option(help="A YAML file with settings.")] = None,
    tokenizer: Annotated[str, typer.Option(help="A model folder, a hub name, or 'starter'.")] = "starter",
    weight: Annotated[list[float] | None, typer.Option(help="Share of each dataset, in their order.")] = None,
    part: Annotated[list[str] | None, typer.Option(help="train, valid or test; all three by default.")] = None,
    overwrite: Overwrite = False,
    settings: Annotated[bool, settings_of("llmrec.examples", "ExampleRecipe")] = False,
) -> None:
    """Make instruction examples: conversations with pictures, as Arrow that TRL's SFTTrainer takes as it is."""
    from llmrec import tables
    from llmrec.config import load_config
    from llmrec.dataset import Dataset
    from llmrec.example_files import write_examples
    from llmrec.examples import ExampleRecipe
    from llmrec.progress import shown_progress
    from llmrec.prompts import Prompts
    from llmrec.splits import PARTS
    from llmrec.tokens import TokenMeter, load_tokenizer

    del settings  # its callback has listed them and stopped
    chosen = load_config(ExampleRecipe, recipe, [word for word in datasets if "=" in word])
    opened = [Dataset.open(word) for word in datasets if "=" not in word]
    if not opened:
        raise InputError("No dataset was given. Example: llmrec examples work/atelier --out work/examples")
    weights = weight or [1.0] * len(opened)
    if len(weights) != len(opened):
        raise InputError(
            f"{len(weights)} weights were given for {len(opened)} datasets. Give one --weight a dataset, or none"
        )
    wrong = [name for name in part or () if name not in PARTS]
    if wrong:
        raise InputError(f"--part {wrong[0]} is not a part. The parts are {', '.join(PARTS)}")
    with shown_progress() as progress:
        info = write_examples(
            out,
            list(zip(opened, weights, strict=True)),
            Prompts.load(prompts),
            TokenMeter(load_tokenizer(tokenizer), chosen.picture_tokens),
            chosen,
            tokenizer_name=tokenizer,
            parts=[name for name in PARTS if not part or name in part],
            overwrite=overwrite,
            progress=progress,
        )
    tables.print_examples(info)
    typer.echo(f"Look at them:  llmrec preview {out} --out {out.parent / 'preview.html'}")


@commands.command(epilog="Example:  llmrec preview work/examples --out work/preview.html --count 40")
def preview(
    examples: Annotated[
        Path, typer.Argument(help="A folder of examples, made by `llmrec examples`.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path("preview.html"),
    part: Annotated[str, typer.Option(help="train, valid or test.")] = "train",
    count: Annotated[int, typer.Option(help="How many examples to show, evenly over the tasks.", min=1, max=500)] = 32,
    seed: Annotated[int, typer.Option(help="Which examples are drawn.")] = 0,
) -> None:
    """Write a page that shows examples as the model will read them, pictures in place, with the tokens of each part."""
    from llmrec.preview import write_preview
    from llmrec.progress import shown_progress

    with shown_progress() as progress:
        shown = write_preview(examples, out, part=part, count=count, seed=seed, progress=progress)
    typer.echo(f"{shown} examples are on the page {out}")
