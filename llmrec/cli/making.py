"""The commands that make and measure: an index, a tower, a report, a model."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from llmrec.cli.options import DatasetFolder, Overwrite, settings_of

commands = typer.Typer()


@commands.command(
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
    list_settings: Annotated[bool, settings_of("llmrec.retrieval.index", "IndexRecipe")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Fit the retrievers on a dataset and write the index that finds candidates."""
    from llmrec.config import load_config
    from llmrec.dataset import Dataset
    from llmrec.progress import shown_progress
    from llmrec.retrieval.index import IndexRecipe
    from llmrec.retrieval.making import make_index

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


@commands.command(
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


@commands.command(
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
    model: Annotated[
        list[Path] | None,
        typer.Option(
            help="A tuned run to measure beside the retrievers; several that differ in their seed alone count as one."
        ),
    ] = None,
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


@commands.command(
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


@commands.command(epilog="Example:  llmrec assemble --tower work/tower --language starter --out work/starter")
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


@commands.command(
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
