"""The stage `captions`: a projector learns to tell pictures, and the whole model is written as a stock folder."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from llmrec.artifact import staged, write_json
from llmrec.dataset import Dataset
from llmrec.environment import device_for, versions
from llmrec.modeling.album import Album
from llmrec.modeling.base import load_base
from llmrec.modeling.projector import BLANK, Projection
from llmrec.modeling.stock import stock_names, write_stock
from llmrec.modeling.transcript import Transcriber
from llmrec.pretraining.captioning import acquaint, speak, visible
from llmrec.pretraining.captions import read_captions
from llmrec.pretraining.recipe import CaptionRecipe
from llmrec.pretraining.retold import retold
from llmrec.pretraining.speaker import Speaker
from llmrec.pretraining.stage import MARKER
from llmrec.progress import Progress


def pretrain_captions(
    dataset: Dataset,
    out: Path,
    recipe: CaptionRecipe,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Teach a model's projector what a catalogue says of its pictures, measure it, and write the model whole."""
    where = device_for(device)
    with staged(out, marker=MARKER, holds=stock_names(out), overwrite=overwrite) as folder:
        captions = read_captions(dataset, recipe)
        base = load_base(recipe.model, dtype=recipe.dtype, device=where)
        base.model.requires_grad_(False)
        kept = _dtype_of(recipe.model)
        paths = [dataset.picture(image) for image in dataset.items.select("image").collect()["image"]]
        projection = Projection(base, Album(base, paths))
        projection.encode([BLANK, *captions.taught.tolist(), *captions.held_out.tolist()], progress)
        projection.projector.float().requires_grad_(True)
        speaker = Speaker(projection, Transcriber(base, projection.album), recipe.length)
        before = retold(speaker, captions, recipe, progress)
        began = time.monotonic()
        weight = visible(speaker, captions)
        course = {
            "acquaint": acquaint(speaker, captions, recipe, progress),
            "speak": speak(speaker, captions, recipe, weight, progress),
        }
        seconds = time.monotonic() - began
        projection.projector.requires_grad_(False).to(kept).float()  # what is measured is what is written
        after = retold(speaker, captions, recipe, progress)
        base.model.to(kept)
        write_stock(base.model, base.processor, folder)
        info = {
            "stage": recipe.stage,
            "kind": "captioned model",
            "recipe": asdict(recipe),
            "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
            "seed": recipe.seed,
            "items": {"taught": len(captions.taught), "held_out": len(captions.held_out)},
            "parameters": {
                "trained": sum(weight.numel() for weight in projection.weights),
                "whole": sum(weight.numel() for weight in base.model.parameters()),
            },
            "dtype": str(kept).removeprefix("torch."),
            "learnt": {"trained": after, "untrained": before},
            "visible": weight,
            "course": course,
            "seconds": round(seconds, 1),
            "versions": versions(["llmrec", "torch", "transformers"]),
        }
        write_json(folder / MARKER, info)
    return info


def _dtype_of(name: str) -> torch.dtype:
    """How a model's weights are kept on the disk."""
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(name).dtype
    return found if isinstance(found, torch.dtype) else torch.float32
