"""The stages of `llmrec pretrain`: a recipe names its stage, and each stage writes a folder that is whole or absent."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llmrec.artifact import staged, write_json
from llmrec.dataset import Dataset
from llmrec.environment import device_for, versions
from llmrec.pretraining import catalogue, tower
from llmrec.pretraining.filters import take_filters
from llmrec.pretraining.findings import learnt
from llmrec.pretraining.recipe import TowerRecipe
from llmrec.pretraining.training import train
from llmrec.progress import Progress

MARKER = "manifest.json"
HOLDS = (
    "config.json", "model.safetensors", "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
)  # fmt: skip


def pretrain_tower(
    dataset: Dataset,
    out: Path,
    recipe: TowerRecipe | None = None,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a picture and a text tower on a catalogue, measure what they learnt, and write them as a stock CLIP."""
    recipe = recipe or TowerRecipe()
    where = device_for(device)
    with staged(out, marker=MARKER, holds=HOLDS, overwrite=overwrite) as folder:
        lessons = catalogue.read(dataset, recipe, progress=progress)
        model = tower.untrained(recipe.shape, lessons.tokenizer, recipe.seed)
        before = learnt(model, lessons, seed=recipe.seed)
        began = time.monotonic()
        take_filters(model, lessons.gallery, lessons.taught, recipe.seed)
        course = train(model.to(where), lessons, recipe, progress=progress)
        seconds = time.monotonic() - began
        tower.save(model, lessons.tokenizer, folder)
        info = {
            "stage": recipe.stage,
            "recipe": asdict(recipe),
            "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
            "seed": recipe.seed,
            "items": {"taught": len(lessons.taught), "held_out": len(lessons.held_out)},
            "learnt": {"trained": learnt(model, lessons, seed=recipe.seed), "untrained": before},
            "course": course,
            "seconds": round(seconds, 1),
            "versions": versions(["llmrec", "torch", "transformers"]),
        }
        write_json(folder / MARKER, info)
    return info
