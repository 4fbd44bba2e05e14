"""Tune a model for ranking and explanation: `python -m llmrec.sft RECIPE [key=value …]`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from llmrec.environment import is_first_process, keep_few_products
from llmrec.errors import LlmrecError

EXAMPLES = """examples:
  python -m llmrec.sft train/starter.yaml
  python -m llmrec.sft train/starter.yaml out=work/short walks.passes=2 talks.count=200
  python -m llmrec.sft train/starter.yaml adapter.kind=dora out=work/dora
  python -m llmrec.sft train/llava-7b-qlora.yaml --dry-run
  accelerate launch --config_file train/accelerate-ddp.yaml -m llmrec.sft train/llava-7b-qlora.yaml

A run that was stopped goes on when the same command is given again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, tune, and say where the run is; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m llmrec.sft",
        description="Tune a multimodal language model on a dataset: its items become words, its people sentences.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", type=Path, nargs="?", help="a YAML file, such as train/starter.yaml")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings that replace those of the recipe")
    parser.add_argument("--overwrite", action="store_true", help="replace a run that is there already")
    parser.add_argument("--dry-run", action="store_true", help="load everything, plan, and stop before any step")
    parser.add_argument("--settings", dest="list", action="store_true", help="list all settings and stop")
    asked = parser.parse_intermixed_args(arguments)
    if "torch" not in sys.modules:  # not for a program that calls this one and has read them already
        keep_few_products()
    from llmrec.config import load_config, settings_text
    from llmrec.tuning.recipe import TuningRecipe

    if asked.list:
        print(settings_text(TuningRecipe))
        return 0
    if asked.recipe is None:
        parser.error("a recipe is needed, such as train/starter.yaml")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a log file shows each line at once
    logging.basicConfig(level=logging.INFO if is_first_process() else logging.WARNING, format="%(message)s")
    for name in ("httpx", "datasets", "accelerate", "filelock"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        recipe = load_config(TuningRecipe, asked.recipe, asked.settings)
        from llmrec.progress import shown_progress
        from llmrec.tuning.stage import tune

        with shown_progress() if is_first_process() else nullcontext() as progress:
            manifest = tune(recipe, overwrite=asked.overwrite, dry=asked.dry_run, progress=progress)
    except LlmrecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: give the same command again to go on from the last checkpoint", file=sys.stderr)
        return 130
    if not is_first_process():
        return 0
    if asked.dry_run:
        print(f"{asked.recipe} can run: {manifest['plan']}")
        return 0
    measured = [f"{name} {value:.4f}" for name, value in manifest["measured"].items()]
    print(", ".join([f"{recipe.out}: {manifest['seconds']:,.0f} s", *measured]))
    labels = "" if recipe.item_words else f" --labels {recipe.talks.examples.candidates}"
    print(f"Measure it:  llmrec evaluate {recipe.index} --model {recipe.out}{labels} --out {recipe.out}-report")
    return 0


if __name__ == "__main__":
    sys.exit(main())
