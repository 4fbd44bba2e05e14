"""Merging: a run becomes a stock model folder, and the scores of adapter, merged and served model are compared.

What a merged folder holds beside the stock files (see `llmrec.modeling.stock`):
manifest.json      the run's own manifest, and what merging added
prompts/           the templates that the weights were trained with
words.safetensors  the projectors, and bank.safetensors with items.parquet the content they read: what new items need
reranking.json     how the retriever's scores and the model's are added up, fitted on validation people
features.json      what reviewers agree on of each item, which explanations are held against
"""

import asyncio
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llmrec.artifact import read_json, staged, write_json
from llmrec.engines.engine import Prompt
from llmrec.engines.served import OpenAIEngine
from llmrec.engines.vllm import vllm
from llmrec.environment import device_for, versions
from llmrec.errors import InputError
from llmrec.features import FILE as FEATURES
from llmrec.lexicon import StockWords, read_words
from llmrec.modeling.album import Album
from llmrec.modeling.bank import FILE, ITEMS, Bank
from llmrec.modeling.base import Base, dtype_for, dtype_name, load_base
from llmrec.modeling.ranker import Ranker
from llmrec.modeling.stock import ItemTable, stock_names, write_stock
from llmrec.modeling.transcript import Transcriber
from llmrec.progress import Progress
from llmrec.prompts import Prompts
from llmrec.retrieval.index import Index
from llmrec.retrieval.reranking import FILE as RERANKING
from llmrec.retrieval.reranking import PEOPLE, Weights, learn_reranking
from llmrec.script import APART
from llmrec.tuning.material import Walks
from llmrec.tuning.ranking import ModelRanking
from llmrec.tuning.run import (
    MANIFEST,
    PROMPTS,
    REMEDY,
    WORDS,
    load_weights,
    new_ranker,
    open_run,
    recipe_of,
)

log = logging.getLogger(__name__)

BESIDE = {PROMPTS, WORDS, FILE, ITEMS, FEATURES, RERANKING}


def merge(
    run: Path,
    out: Path,
    *,
    model: str | None = None,
    spare: int | None = None,
    dtype: str = "bfloat16",
    device: str = "cpu",
    index: Path | None = None,
    people: int = PEOPLE,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a run as a stock folder: the adapter goes into the whole base, items into its two tables.

    How the retriever's scores and the model's are added up when it is served is fitted on so many validation people of
    the index that it was tuned with.
    """
    manifest = read_json(run, MANIFEST, kind="a tuned run", remedy=REMEDY)
    if manifest.get("kind") != "run":
        raise InputError(f"{run} is a {manifest.get('kind')}, not a tuned run. {REMEDY}")
    recipe = recipe_of(manifest, run)
    if recipe.adapter.kind == "prompt":
        raise InputError(
            f"{run} was tuned by a soft prompt, which stands in no stock model. Merge a run of another adapter.kind"
        )
    bank = Bank.load(run)
    if progress:
        progress("loading the base whole", 0, None)
    base = load_base(model or recipe.model, dtype="float32", device=device_for(device))  # merged where nothing is lost
    _same_base(manifest, base, run)
    ranker = new_ranker(recipe, base, bank)
    load_weights(ranker, run)
    weights = _weighed(base, ranker.eval(), manifest, run, index, people, progress)
    stock = merged(ranker)
    inputs, outputs = ranker.words.tables()
    rows = max(64, len(bank) // 10) if spare is None else spare
    table = ItemTable(bank.ids.to_list(), inputs, outputs, spare=rows)
    with staged(out, marker=MANIFEST, holds={*stock_names(out), *BESIDE}, overwrite=overwrite) as folder:
        if progress:
            progress("writing the model", 0, None)
        known = write_stock(stock.to(getattr(torch, dtype)), base.processor, folder, words=table)
        assert known is not None
        for name in (WORDS, FILE, ITEMS):
            shutil.copyfile(run / name, folder / name)
        if (run / FEATURES).exists():
            shutil.copyfile(run / FEATURES, folder / FEATURES)
        if weights:
            weights.save(folder)
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


def _ranking(base: Base, ranker: Ranker, run: Path, longest: int, domain: str) -> ModelRanking:
    """What ranks by histories alone, which shows no pictures."""
    write = Transcriber(base, Album(base, []), ranker.words.positions)
    walks = Walks(write, Prompts.load(run / PROMPTS), domain)
    return ModelRanking(ranker, walks, longest=longest)


def _weighed(
    base: Base,
    ranker: Ranker,
    manifest: dict[str, Any],
    run: Path,
    where: Path | None,
    people: int,
    progress: Progress | None,
) -> Weights | None:
    """How retriever and model are added up, by the index that the run was tuned with; nothing without it."""
    recipe = recipe_of(manifest, run)
    if not people or not recipe.item_words:
        return None
    try:
        index = Index.open(where or Path(manifest["index"]["folder"]))
        dataset = index.dataset(recipe.dataset)
        split = index.split(dataset)
    except InputError as error:
        log.warning("Retriever and model will be added up by ranks, since nothing can be fitted: %s", error)
        return None
    ranking = _ranking(base, ranker, run, recipe.walks.longest, dataset.name)
    return learn_reranking(index.fused, ranking, split, people=people, seed=recipe.seed, progress=progress)


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


def verify(
    run: Path,
    model: Path,
    histories: Sequence[Sequence[int]],
    *,
    domain: str,
    served: bool = True,
    log_file: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare what the adapter, the merged folder and the served folder make of the same histories.

    Each gives log-probabilities over the same items; where the folder's type is bfloat16, it is what differs most.
    """
    manifest = read_json(model, MANIFEST, kind="a merged model", remedy="Make one with: llmrec merge RUN --out MODEL")
    if manifest.get("kind") != "model":
        raise InputError(f"{model} is a {manifest.get('kind')}, not a merged model. Make one with llmrec merge")
    known, dtype = read_words(model), manifest["merged"]["dtype"]
    recipe, base, bank, ranker = open_run(run, device=device)
    ranking = _ranking(base, ranker, run, recipe.walks.longest, domain)
    codes = [np.asarray(history[-recipe.walks.longest :], dtype=np.int32) for history in histories]
    tables = {"adapter": _log_chances(ranking.score(codes))}
    prompts = [
        [_stock(token, base.vocabulary, known) for token in ranking.walks.line(one.tolist()).tokens] for one in codes
    ]
    items = list(range(known.first, known.first + len(bank)))
    tables["merged"] = _log_chances(_by_transformers(model, prompts, items, progress))
    if served:
        held = dtype_name("auto", device) if device == "cpu" else dtype
        length = max(len(prompt) for prompt in prompts) + 8
        with vllm(model, dtype=held, length=length, log=log_file or model / "vllm.log", progress=progress) as address:
            rows = asyncio.run(_by_vllm(address, prompts, items, progress))
        tables["served"] = _log_chances(np.array(rows))
    allowed = TOLERANCE[dtype]
    pairs = [("adapter", "merged"), ("merged", "served"), ("adapter", "served")]
    told = {f"{one} and {other}": difference(tables[one], tables[other]) for one, other in pairs if other in tables}
    return {
        "histories": len(histories),
        "dtype": dtype,
        "tolerance": allowed,
        "differences": told,
        "agree": all(gap["mean"] <= allowed for gap in told.values()),
    }


TOLERANCE = {"float32": 0.005, "float16": 0.05, "bfloat16": 0.2}
"""The mean difference of two log-probabilities of the same item that is let pass."""


def _stock(token: int, vocabulary: int, known: StockWords) -> int:
    """A token of ours as the merged folder numbers it."""
    position, code = divmod(token - vocabulary, APART)
    return token if token < vocabulary else known.first + position * known.apart + code


@torch.no_grad()
def _by_transformers(
    folder: Path, prompts: Sequence[Sequence[int]], items: Sequence[int], progress: Progress | None
) -> np.ndarray:
    from transformers import AutoModelForImageTextToText

    loader: Any = AutoModelForImageTextToText
    model = loader.from_pretrained(folder, dtype=dtype_for("auto", "cpu")).eval()
    rows = []
    for place, prompt in enumerate(prompts):
        logits = model(input_ids=torch.tensor([list(prompt)])).logits[0, -1]
        rows.append(logits[items[0] : items[-1] + 1].float().numpy())
        if progress:
            progress("asking transformers", place + 1, len(prompts))
    return np.stack(rows)


async def _by_vllm(
    address: str, prompts: Sequence[Sequence[int]], items: Sequence[int], progress: Progress | None
) -> list[list[float]]:
    engine = OpenAIEngine(address, seconds=300)  # the first request with log-probabilities compiles
    rows = []
    try:
        for place, prompt in enumerate(prompts):
            rows.append(await engine.logprobs(Prompt(tuple(prompt)), items))
            if progress:
                progress("asking vLLM", place + 1, len(prompts))
    finally:
        await engine.close()
    return rows


def _log_chances(scores: np.ndarray) -> np.ndarray:
    """Scores as log-probabilities over the items alone."""
    scores = np.asarray(scores, dtype=np.float64)
    found: np.ndarray = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    return found


def difference(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """How far two tables of log-probabilities over the same items lie apart."""
    apart = np.abs(one - other)
    order = np.argsort(-one, axis=1)[:, :10], np.argsort(-other, axis=1)[:, :10]
    shared = [len(set(a) & set(b)) / len(a) for a, b in zip(*order, strict=True)]
    return {"mean": float(apart.mean()), "largest": float(apart.max()), "top_10_shared": float(np.mean(shared))}
