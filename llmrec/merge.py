"""Merging: a run becomes a stock model folder, and the scores of adapter, merged and served model are compared.

What a merged folder holds beside the stock files (see `llmrec.modeling.stock`):
manifest.json      the run's own manifest, and what merging added
prompts/           the templates that the weights were trained with
words.safetensors  the projectors, and bank.safetensors with items.parquet the content they read: what new items need
"""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llmrec.artifact import read_json, staged, write_json
from llmrec.environment import versions
from llmrec.errors import InputError
from llmrec.modeling.bank import FILE, ITEMS, Bank
from llmrec.modeling.base import Base, load_base
from llmrec.modeling.ranker import Ranker
from llmrec.modeling.stock import ItemTable, stock_names, write_stock
from llmrec.progress import Progress
from llmrec.tuning.run import (
    MANIFEST,
    PROMPTS,
    REMEDY,
    WORDS,
    device_for,
    load_weights,
    new_ranker,
    recipe_of,
)

log = logging.getLogger(__name__)

BESIDE = {PROMPTS, WORDS, FILE, ITEMS}


def merge(
    run: Path,
    out: Path,
    *,
    model: str | None = None,
    spare: int | None = None,
    dtype: str = "bfloat16",
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a run as a stock folder: the adapter goes into the whole base, items into its two tables."""
    manifest = read_json(run, MANIFEST, kind="a tuned run", remedy=REMEDY)
    if manifest.get("kind") != "run":
        raise InputError(f"{run} is a {manifest.get('kind')}, not a tuned run. {REMEDY}")
    recipe = recipe_of(manifest, run)
    bank = Bank.load(run)
    if progress:
        progress("loading the base whole", 0, None)
    base = load_base(model or recipe.model, dtype="float32", device=device_for(device))  # merged where nothing is lost
    _same_base(manifest, base, run)
    ranker = new_ranker(recipe, base, bank)
    load_weights(ranker, run)
    stock = merged(ranker)
    inputs, outputs = ranker.eval().words.tables()
    rows = max(64, len(bank) // 10) if spare is None else spare
    table = ItemTable(bank.ids.to_list(), inputs, outputs, spare=rows)
    with staged(out, marker=MANIFEST, holds={*stock_names(out), *BESIDE}, overwrite=overwrite) as folder:
        if progress:
            progress("writing the model", 0, None)
        known = write_stock(stock.to(getattr(torch, dtype)), base.processor, folder, words=table)
        assert known is not None
        for name in (WORDS, FILE, ITEMS):
            shutil.copyfile(run / name, folder / name)
        shutil.copytree(run / PROMPTS, folder / PROMPTS)
        content = {
            **manifest,
            "kind": "model",
            "merged": {
                "run": str(run.resolve()),
                "dtype": dtype,
                "items": len(bank),
                "spare": rows,
                "first_item_token": known.first,
                "versions": versions(["llmrec", "torch", "transformers", "peft"]),
            },
        }
        write_json(folder / MANIFEST, content)
    return content


def merged(ranker: Ranker) -> Any:
    """The stock model with its adapter added into the weights."""
    return ranker.model.merge_and_unload() if hasattr(ranker.model, "peft_config") else ranker.stock


def _same_base(manifest: dict[str, Any], base: Base, run: Path) -> None:
    told = manifest.get("base", {})
    seen = {"vocabulary": base.vocabulary, "hidden": base.hidden}
    other = {name: (told[name], value) for name, value in seen.items() if name in told and told[name] != value}
    if other:
        seen_as = ", ".join(f"{name} {one} and {two}" for name, (one, two) in other.items())
        raise InputError(
            f"{run} was tuned on another base than {base.name} ({seen_as}). Give the one that it was tuned on: --model"
        )


def difference(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """How far two tables of log-probabilities over the same items lie apart."""
    apart = np.abs(one - other)
    order = np.argsort(-one, axis=1)[:, :10], np.argsort(-other, axis=1)[:, :10]
    shared = [len(set(a) & set(b)) / len(a) for a, b in zip(*order, strict=True)]
    return {"mean": float(apart.mean()), "largest": float(apart.max()), "top_10_shared": float(np.mean(shared))}
