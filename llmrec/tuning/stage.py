"""One tuning run from its recipe to a whole run folder; a run that was stopped goes on."""

import json
import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState

from llmrec.artifact import write_json
from llmrec.environment import device_for, versions
from llmrec.errors import InputError
from llmrec.features import FILE as FEATURES
from llmrec.metrics import gains
from llmrec.modeling.adapters import language_model
from llmrec.modeling.album import Album
from llmrec.modeling.bank import FILE, ITEMS, make_bank
from llmrec.modeling.base import load_base
from llmrec.modeling.company import Company
from llmrec.modeling.kinds import TOLD
from llmrec.modeling.light import FILE as READER
from llmrec.modeling.transcript import Transcriber
from llmrec.progress import Progress
from llmrec.prompts import Prompts
from llmrec.retrieval.index import Index
from llmrec.retrieval.retriever import some_cases, target_ranks
from llmrec.retrieval.words import texts_of
from llmrec.said import count, training_reviews
from llmrec.tuning.material import Material, picture_paths
from llmrec.tuning.ranking import ModelRanking
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.run import (
    ADAPTER,
    CHECKPOINTS,
    EVENTS,
    MANIFEST,
    PROMPTS,
    WORDS,
    load_weights,
    new_ranker,
    plain,
    save_weights,
)
from llmrec.tuning.settings import check_settings
from llmrec.tuning.shards import check_shards, shards_asked_for
from llmrec.tuning.warm import warm_up

log = logging.getLogger(__name__)

STARTED = "recipe.json"
HOLDS = {MANIFEST, STARTED, CHECKPOINTS, EVENTS, PROMPTS, ADAPTER, WORDS, READER, FILE, ITEMS, FEATURES}


def tune(
    recipe: TuningRecipe, *, overwrite: bool = False, dry: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Tune and write the run folder; returns its manifest. `dry` loads everything and plans, and writes nothing."""
    device = device_for(recipe.device, "device=")
    if Path(recipe.model).is_dir():  # a run is opened from anywhere
        recipe = replace(recipe, model=str(Path(recipe.model).resolve()))
    check_settings(recipe)
    if shards_asked_for():
        check_shards(recipe)
    together = PartialState(cpu=device == "cpu")  # one process, or those that accelerate started
    shards = shards_asked_for() and together.num_processes > 1
    if together.num_processes > 1:
        device = str(together.device)
    if not dry and together.is_main_process:
        _prepare(recipe, overwrite)
    together.wait_for_everyone()
    index = Index.open(recipe.index)
    dataset = index.dataset(recipe.dataset)
    split = index.split(dataset)
    prompts = Prompts.load(recipe.prompts)
    base = load_base(
        recipe.model,
        quantization=recipe.quantization,
        dtype=recipe.dtype,
        attention=recipe.attention,
        device=device,
        train=True,
    )
    paths = picture_paths(dataset)
    write = Transcriber(base, Album(base, paths), recipe.words.positions)
    if not any(paths):
        log.warning("%s has no pictures: items are known by their words and their company alone", dataset.folder)
    # Reviews are read and counted only where pictures are to tell their words.
    said = (
        count(texts_of(dataset.items.collect()), training_reviews(dataset, split))
        if TOLD in recipe.words.content and any(paths)
        else None
    )
    bank = make_bank(
        index,
        split,
        kinds=recipe.words.content,
        width=recipe.words.collaborative,
        album=write.album,
        said=said,
        progress=progress,
    )
    ranker = new_ranker(recipe, base, bank)
    ranker.hide(split.cold.tolist())
    ranker.learn_in_float32()
    if recipe.walks.company:
        ranker.neighbours = Company.of(index, split, base.vocabulary)
    material = Material(recipe, dataset, split, prompts, write, progress)
    ranking = ModelRanking(ranker, material.walks, longest=recipe.walks.longest, batch_tokens=2 * recipe.batch_tokens)
    cases = some_cases(split, "valid", recipe.watched, seed=recipe.seed)

    def watch() -> dict[str, float]:
        # From shards no process can score alone.
        if not cases or not recipe.item_words or not (together.is_main_process or shards):
            return {}
        found = gains(target_ranks(ranking, cases), cuts=[10]).means()
        return {"valid_hr@10": found["hr@10"], "valid_ndcg@10": found["ndcg@10"]}

    plan = material.plan
    ranker.usual_texts = plan.answers
    told = {
        "batches": len(plan.batches),
        "tokens": plan.tokens,
        "padding": round(plan.padding, 4),
        "conversations": len(material.talks),
        "people": len(material.people),
        "trained_parameters": sum(value.numel() for value in ranker.parameters() if value.requires_grad),
        "parameters": sum(value.numel() for value in ranker.parameters()),
        "layers": len(language_model(ranker.stock).layers),
    }
    log.info("plan: %s", json.dumps(told))
    if dry:
        return {"plan": told}
    import torch

    from llmrec.tuning.trainer import Tuner, last_checkpoint

    torch.manual_seed(recipe.seed)
    tuner = Tuner(recipe, base, ranker, material, write.album, watch)
    with together.main_process_first():
        begun = last_checkpoint(recipe.out / CHECKPOINTS)
    if begun and together.is_main_process:
        log.warning("An earlier run was stopped: going on from %s", begun.name)
    began = time.monotonic()
    # A run that goes on makes its teacher again, and then takes the words of its checkpoint.
    if recipe.words.warm and recipe.item_words:
        ranker.teacher, lost = warm_up(
            ranker,
            material.histories,
            passes=recipe.words.warm,
            longest=recipe.walks.longest,
            seed=recipe.seed,
            masked=recipe.words.masked,
            progress=progress,
        )
        log.info("item words are warm: %.3f nats an item after %.0f s", lost, time.monotonic() - began)
        if recipe.words.still:
            ranker.words.stand_still()
        torch.manual_seed(recipe.seed)
    if begun:
        load_weights(ranker, begun)
    tuner.train(resume_from_checkpoint=str(begun) if begun else None)
    manifest = {
        "kind": "run",
        "recipe": plain(recipe),
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "base": {"vocabulary": base.vocabulary, "hidden": base.hidden},
        "index": {"folder": str(recipe.index.resolve()), "split": split.name, "people": split.people},
        "prompts": prompts.fingerprint,
        "plan": told,
        "seconds": round(time.monotonic() - began, 1),
        "history": [entry for entry in tuner.state.log_history if _finite(entry)],
        "measured": watch(),
        "processes": together.num_processes,
        "shards": shards,
        "versions": versions(["llmrec", "torch", "transformers", "peft", "trl", "bitsandbytes", "numpy"]),
    }
    save_weights(ranker, recipe.out, write=together.is_main_process)
    if together.is_main_process:
        bank.save(recipe.out)
        prompts.copy_to(recipe.out / PROMPTS)
        if ranker.teacher:
            ranker.teacher.save(recipe.out)
        if material.talks:
            material.features.save(recipe.out, bank.ids.to_list())
        write_json(recipe.out / MANIFEST, manifest)
        shutil.rmtree(recipe.out / CHECKPOINTS, ignore_errors=True)
        (recipe.out / STARTED).unlink(missing_ok=True)
    together.wait_for_everyone()
    return manifest


def _prepare(recipe: TuningRecipe, overwrite: bool) -> None:
    """Make the run folder, or find that a run of the same recipe stopped there and can go on."""
    out, wanted = recipe.out, plain(recipe)
    if out.exists() and any(out.iterdir()):
        foreign = sorted(entry.name for entry in out.iterdir() if entry.name not in HOLDS)
        if foreign:
            raise InputError(
                f"{out} holds what llmrec did not put there ({', '.join(foreign[:3])}). Choose another out"
            )
        started = out / STARTED
        same = started.exists() and json.loads(started.read_text(encoding="utf-8")) == wanted
        if not same or (out / MANIFEST).exists():
            if not overwrite:
                raise InputError(
                    f"{out} holds a run {'of another recipe' if started.exists() else 'already'}. "
                    "Choose another out=, or pass --overwrite to begin anew"
                )
            shutil.rmtree(out)
        elif overwrite:
            shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / STARTED, wanted)


def _finite(entry: dict[str, Any]) -> bool:
    return all(np.isfinite(value) for value in entry.values() if isinstance(value, float))
