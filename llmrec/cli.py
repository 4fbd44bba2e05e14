"""The `llmrec` command: each stage of the pipeline is a subcommand that reads folders and writes one."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from llmrec import __version__
from llmrec.cli_tools import tools
from llmrec.compare.command import EPILOG as OF_COMPARE
from llmrec.compare.command import compare
from llmrec.demo.command import EPILOG, demo
from llmrec.errors import DatasetError, InputError, LlmrecError

app = typer.Typer(
    name="llmrec",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

keys = typer.Typer(no_args_is_help=True, help="Make, list and remove the keys that open the gateway.")
app.add_typer(keys, name="keys")
app.add_typer(tools)

DatasetFolder = Annotated[
    Path, typer.Argument(help="A dataset folder, made by a script in data_builders/.", show_default=False)
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a result that llmrec made earlier.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


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


@app.command(epilog="Example:  llmrec validate work/atelier")
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


@app.command(epilog="Example:  llmrec audit work/atelier --split temporal")
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


def _settings_of(module: str, recipe: str) -> Any:
    """The option that prints the settings of a recipe with their help and defaults, and stops."""

    def list_settings(wanted: bool) -> None:
        if not wanted:
            return
        from importlib import import_module

        from llmrec.config import settings_text

        typer.echo(settings_text(getattr(import_module(module), recipe)))
        raise typer.Exit

    return typer.Option("--settings", help="List the settings and stop.", is_eager=True, callback=list_settings)


@app.command(
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
    settings: Annotated[bool, _settings_of("llmrec.examples", "ExampleRecipe")] = False,
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


@app.command(epilog="Example:  llmrec preview work/examples --out work/preview.html --count 40")
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


@app.command(
    epilog="Examples:  llmrec index work/atelier --out work/index\n\n"
    "llmrec index work/shop --out work/index split=temporal sasrec.width=128 'parts=\\[neighbours, text]'\n\n"
    "llmrec index work/shop --out work/live refit=true\n\n"
    "llmrec index work/shop --out work/seen text_encoder=./minilm picture_encoder=./clip"
)
def index(
    dataset: DatasetFolder,
    out: Annotated[Path, typer.Option(help="The folder to write.", show_default=False)],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value settings of the recipe.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A YAML file with settings.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto for cuda where there is one.")] = "auto",
    list_settings: Annotated[bool, _settings_of("llmrec.retrieval.index", "IndexRecipe")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Fit the retrievers on a dataset and write the index that finds candidates."""
    from llmrec.config import load_config
    from llmrec.dataset import Dataset
    from llmrec.progress import shown_progress
    from llmrec.retrieval.index import IndexRecipe, make_index

    del list_settings  # its callback has listed them and stopped
    chosen = load_config(IndexRecipe, recipe, settings or [])
    opened = Dataset.open(dataset)
    with shown_progress() as progress:
        made = make_index(opened, out, chosen, overwrite=overwrite, device=device, progress=progress)
    counts = ", ".join(f"{count:,} {what}" for what, count in made.info["counts"].items())
    typer.echo(f"{out}: {counts} (vectors by kind)")
    typer.echo(f"Measure it:  llmrec evaluate {out} --out {out.parent / 'report'}")


def _stage_settings(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    """List the settings of the stage that --recipe names, once both options are known, in whatever order they came."""
    known = {**context.params, str(parameter.name): value}
    if known.get("list_settings") and "recipe" in known:
        from llmrec.config import settings_text
        from llmrec.pretraining.recipe import kind_of

        typer.echo(settings_text(kind_of(Path(known["recipe"]) if known["recipe"] else None)))
        raise typer.Exit
    return value


@app.command(
    epilog="Examples:  llmrec pretrain work/atelier --out work/tower --recipe train/tower.yaml\n\n"
    "llmrec pretrain work/shop --out work/tower epochs=20 shape.image_size=144 shape.patch_size=48\n\n"
    "llmrec pretrain work/atelier --out work/captioned --recipe train/captions.yaml model=work/starter"
)
def pretrain(
    dataset: DatasetFolder,
    out: Annotated[Path, typer.Option(help="The folder to write.", show_default=False)],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value settings of the recipe.")] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file with settings, such as train/tower.yaml or train/captions.yaml; `stage` says what for.",
            is_eager=True,
            callback=_stage_settings,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto for cuda where there is one.")] = "auto",
    list_settings: Annotated[
        bool,
        typer.Option(
            "--settings",
            help="List the settings of the stage that --recipe names, and stop.",
            is_eager=True,
            callback=_stage_settings,
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Pretrain a picture tower on a catalogue, or a model's projector, and say what was learnt."""
    from llmrec import tables
    from llmrec.dataset import Dataset
    from llmrec.pretraining.caption_stage import pretrain_captions
    from llmrec.pretraining.recipe import CaptionRecipe, load_recipe
    from llmrec.pretraining.stage import pretrain_tower
    from llmrec.progress import shown_progress

    del list_settings  # its callback has listed them and stopped
    chosen = load_recipe(recipe, settings or [])
    opened = Dataset.open(dataset)
    with shown_progress() as progress:
        if isinstance(chosen, CaptionRecipe):
            info = pretrain_captions(opened, out, chosen, device=device, overwrite=overwrite, progress=progress)
        else:
            info = pretrain_tower(opened, out, chosen, device=device, overwrite=overwrite, progress=progress)
    if isinstance(chosen, CaptionRecipe):
        tables.print_captions(info)
        typer.echo(f"Tune it:  python -m llmrec.sft train/starter.yaml model={out}")
    else:
        tables.print_tower(info)
        index = out.parent / "index"
        typer.echo(f"Its vectors in an index:  llmrec index {dataset} --out {index} picture_encoder={out}")


@app.command(
    epilog="Examples:  llmrec evaluate work/index --out work/report\n\n"
    "llmrec evaluate work/index work/index-1 work/index-2 --out work/report-seeds\n\n"
    "llmrec evaluate work/index --out work/report-sampled --sampled\n\n"
    "llmrec evaluate work/index --model work/run --controls --out work/run-report\n\n"
    "llmrec evaluate work/index --model work/run --ablate --out work/parts-report\n\n"
    "llmrec evaluate work/cold-index --model work/cold-run --cold --out work/cold-report\n\n"
    "llmrec evaluate work/index --model work/run --labels 20 --limit 200 --out work/labels-report\n\n"
    "llmrec evaluate work/index --model work/run --speech 200 --out work/speech-report\n\n"
    "llmrec evaluate work/report --against work/other-report"
)
def evaluate(
    index: Annotated[
        list[Path],
        typer.Argument(
            help="An index, or several that differ in their seed; with --against a report.", show_default=False
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The report folder to write.")] = None,
    against: Annotated[Path | None, typer.Option(help="Compare the report with this one, paired.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="Where the dataset is now, if it was moved.")] = None,
    part: Annotated[str, typer.Option(help="test or valid.")] = "test",
    sampled: Annotated[bool, typer.Option(help="1+99 sampled candidates as in P5 and VIP5.")] = False,
    cold: Annotated[
        bool, typer.Option("--cold", help="Rank only the new items, of an index made with split=cold-items.")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="Ask only so many people, drawn at random.", min=2)] = None,
    seed: Annotated[int, typer.Option(help="Seed of samples and resamples.")] = 0,
    model: Annotated[list[Path] | None, typer.Option(help="A tuned run to measure beside the retrievers.")] = None,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls", help="Also ask it with pictures shuffled, shuffled within their category, blank, and none."
        ),
    ] = False,
    ablate: Annotated[
        bool,
        typer.Option("--ablate", help="Also ask it with each part of its item words left out, and with each alone."),
    ] = False,
    labels: Annotated[
        int,
        typer.Option(help="Let the model also order so many of the best retriever's first items, by letters."),
    ] = 0,
    orders: Annotated[int, typer.Option(help="Average --labels over so many orders of the items.", min=1)] = 1,
    speech: Annotated[
        int, typer.Option(help="Let the model also speak: about so many held-out rows of each task.", min=0)
    ] = 0,
    device: Annotated[str, typer.Option(help="Where a model runs: cpu, cuda, or auto.")] = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Measure an index's retrievers and tuned models, with intervals, paired tests and plots."""
    from llmrec import tables
    from llmrec.evaluation.report import compare_reports
    from llmrec.evaluation.retrievers import evaluate_indexes
    from llmrec.progress import shown_progress

    if against is not None:
        if len(index) > 1:
            raise typer.BadParameter("--against compares two reports: give one report before it, not several")
        tables.print_comparison(index[0], against, compare_reports(index[0], against, seed=seed))
        return
    if out is None:
        raise typer.BadParameter("say where the report goes: --out FOLDER")
    with shown_progress() as progress:
        content = evaluate_indexes(
            index, out, dataset=dataset, part=part, sampled=sampled, cold=cold, limit=limit, seed=seed,
            overwrite=overwrite, models=model or (), controls=controls, ablate=ablate, labels=labels, orders=orders,
            speech=speech, device=device, progress=progress,
        )  # fmt: skip
    tables.print_report(content)
    typer.echo(f"Look at it: {out / 'report.html'}")


@app.command(
    epilog="Examples:  llmrec merge work/run --out work/model\n\n"
    "llmrec merge work/run --out work/model --spare 5000 --overwrite"
)
def merge(
    run: Annotated[Path, typer.Argument(help="A run, made by python -m llmrec.sft.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The model folder to write.", show_default=False)],
    model: Annotated[str | None, typer.Option(help="The base model, if it was moved.")] = None,
    spare: Annotated[
        int | None, typer.Option(help="Rows for items to come; by default a tenth of the items.", min=0)
    ] = None,
    dtype: Annotated[
        Literal["bfloat16", "float16", "float32"], typer.Option(help="How the weights are kept.")
    ] = "bfloat16",
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare adapter, merged folder and vLLM on 100 histories.")
    ] = False,
    index: Annotated[
        Path | None, typer.Option(help="The index, if it was moved: its people are asked, here and by --verify.")
    ] = None,
    people: Annotated[
        int, typer.Option(help="Validation people on whom retriever and model are weighed; 0 for ranks alone.", min=0)
    ] = 1000,
    overwrite: Overwrite = False,
) -> None:
    """Write a run as a stock model folder, which plain transformers and vLLM load: adapter merged, items as words.

    With --verify the exit code is 1 where the three disagree by more than the tolerance.
    """
    from llmrec import tables
    from llmrec.merge import merge as join
    from llmrec.merge import verify as compare
    from llmrec.progress import shown_progress
    from llmrec.retrieval.index import Index
    from llmrec.retrieval.retriever import some_cases

    with shown_progress() as progress:
        content = join(
            run,
            out,
            model=model,
            spare=spare,
            dtype=dtype,
            index=index,
            people=people,
            overwrite=overwrite,
            progress=progress,
        )
    made = content["merged"]
    typer.echo(f"{out}: {made['items']:,} items as words, {made['spare']:,} rows for items to come")
    if not verify:
        return
    opened = Index.open(index or Path(content["index"]["folder"]))
    dataset = opened.dataset()
    asked = [history.tolist() for history, _ in some_cases(opened.split(dataset), "test", 100)]
    with shown_progress() as progress:
        told = compare(run, out, asked, domain=dataset.name, log_file=out.parent / "vllm.log", progress=progress)
    tables.print_verified(told)
    if not told["agree"]:
        raise typer.Exit(1)


@app.command(epilog="Example:  llmrec assemble --tower work/tower --language starter --out work/starter")
def assemble(
    out: Annotated[Path, typer.Option(help="The model folder to write.", show_default=False)],
    tower: Annotated[
        Path | None,
        typer.Option(
            help="A CLIP or SigLIP folder, as llmrec pretrain makes. Without one the model cannot see: for catalogues "
            "that have no pictures.",
            show_default=False,
        ),
    ] = None,
    language: Annotated[str, typer.Option(help="A language model's folder, a hub name, or 'starter'.")] = "starter",
    dtype: Annotated[
        Literal["bfloat16", "float16", "float32"], typer.Option(help="How the weights are kept.")
    ] = "bfloat16",
    vision_layer: Annotated[int, typer.Option(help="The tower's layer that is read; -1 is the last.")] = -1,
    layers: Annotated[
        int, typer.Option(help="Keep the language model's first layers alone: it ranks faster and speaks no more.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the new projector.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Join a vision tower to a language model: a LLaVA with a new projector, its processor and chat template."""
    from llmrec.modeling.assemble import assemble as join

    made = join(
        tower,
        out,
        language=language,
        dtype=dtype,
        vision_layer=vision_layer,
        layers=layers,
        seed=seed,
        overwrite=overwrite,
    )
    size = made["parameters"] / 1e6
    typer.echo(f"{out}: {size:,.1f} million parameters, {made['visual_tokens']} visual tokens a picture")


@app.command(
    epilog="Examples:  llmrec refresh work/model work/spring-catalogue --index work/index\n\n"
    "llmrec refresh work/model work/spring-catalogue --index work/index --remove"
)
def refresh(
    model: Annotated[Path, typer.Argument(help="A merged model, made by llmrec merge.", show_default=False)],
    catalogue: DatasetFolder,
    index: Annotated[
        Path | None, typer.Option(help="The index that finds the items; by default the one it was tuned with.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take out items that the catalogue lacks.")] = False,
) -> None:
    """Give new and changed items their words in a merged model, with no training, and put them into the index.

    A server that holds the model reads the new rows when it starts again.
    """
    from llmrec.dataset import Dataset
    from llmrec.progress import shown_progress
    from llmrec.refresh import refresh as give
    from llmrec.retrieval.index import Index

    opened = Index.open(index) if index else None
    with shown_progress() as progress:
        done = give(model, Dataset.open(catalogue), opened, remove=remove, progress=progress)
    typer.echo(f"{model}: {done.changed:,} items anew, {done.added:,} added, {done.removed:,} removed")
    typer.echo(f"{done.free:,} rows are left for items to come")


KeysFile = Annotated[Path, typer.Argument(help="The file of keys, in YAML or JSON.", show_default=False)]


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


@app.command(
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
    settings: Annotated[bool, _settings_of("llmrec.gateway.settings", "ServeRecipe")] = False,
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


app.command(epilog=OF_COMPARE)(compare)
app.command(epilog=EPILOG)(demo)


def _fail(error: LlmrecError, code: int) -> None:
    typer.echo(f"error: {error}", err=True)
    if isinstance(error, DatasetError):
        warnings = sum(problem.severity == "warning" for problem in error.problems)
        if warnings:
            typer.echo(f"({warnings} warnings besides)", err=True)
    sys.exit(code)
