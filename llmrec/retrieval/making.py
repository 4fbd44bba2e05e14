"""Makes an index: retrievers fitted on the training rows and a fusion on validation, written as one folder."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.artifact import staged, write_json
from llmrec.dataset import Dataset
from llmrec.environment import device_for, versions
from llmrec.progress import Progress
from llmrec.retrieval import encoders, fusion, graphs, neighbours, popularity, sasrec, sights, words
from llmrec.retrieval.content import Content
from llmrec.retrieval.encoders import TextEncoder
from llmrec.retrieval.index import HOLDS, MARKER, PARTS, VERSION, Index, IndexRecipe, gaps
from llmrec.retrieval.retriever import Floats, Retriever
from llmrec.retrieval.sights import Sights
from llmrec.retrieval.store import ItemStore
from llmrec.retrieval.words import Words, texts_of
from llmrec.splits import Split, everything, split_by_name

log = logging.getLogger(__name__)


def make_index(
    dataset: Dataset,
    out: Path,
    recipe: IndexRecipe | None = None,
    *,
    overwrite: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Index:
    """Fit all retrievers on the training rows, the fusion on validation, and write everything as one folder."""
    recipe = recipe or IndexRecipe()
    recipe = replace(recipe, sasrec=replace(recipe.sasrec, seed=recipe.seed))
    device = device_for(device)
    encoders.check_rows((recipe.text_encoder, recipe.picture_encoder), dataset, asdict(recipe))
    split = split_by_name(dataset.log, recipe.split, clock=dataset.clock, people=recipe.people)
    items = dataset.items.collect()
    with staged(out, marker=MARKER, holds=HOLDS, overwrite=overwrite) as folder:
        contents, vectors, arrays, models = _content(dataset, items, recipe, folder, device, progress)
        parts, name_of = _fit(split, recipe, contents, device, progress)
        fused = fusion.learn(parts, split, seed=recipe.seed, progress=progress)
        if recipe.refit:
            split = everything(dataset.log)
            again = replace(recipe, neighbours=name_of["neighbours"].recipe if "neighbours" in name_of else None)
            parts, name_of = _fit(split, again, contents, device, progress, epochs=_epochs(name_of))
        popular, recent = popularity.fit(split), popularity.fit_recent(split)
        if "sasrec" in name_of:
            vectors["taste"] = name_of["sasrec"].flat_vectors()
        arrays |= {"popularity": popular.worth, "recent": recent.worth} | _arrays(name_of)
        _save(folder / "retrievers.safetensors", arrays)
        items.select("item").write_parquet(folder / "items.parquet")
        ItemStore.create(folder / "store", items, vectors, progress=progress)
        graphs.write_graphs(folder / graphs.FOLDER, vectors, progress)
        info = {
            "schema": VERSION,
            "dataset": {
                "name": dataset.name,
                "folder": str(dataset.folder.resolve()),
                "fingerprint": dataset.fingerprint,
            },
            "recipe": asdict(recipe),
            "encoders": models,
            "parts": [part.name for part in parts],
            "neighbours": asdict(name_of["neighbours"].recipe) if "neighbours" in name_of else None,
            "fusion": None if fused.weights is None else fused.weights.tolist(),
            "attributes": list(dataset.attributes),
            "counts": {"items": len(items), **{kind: _known(table) for kind, table in vectors.items()}},
            "versions": versions(["llmrec", "torch", "transformers", "numpy", "lancedb", "usearch"]),
        }
        write_json(folder / MARKER, info)
    return Index.open(out)


def _content(
    dataset: Dataset, items: pl.DataFrame, recipe: IndexRecipe, folder: Path, device: str, progress: Progress | None
) -> tuple[dict[str, Content], dict[str, Floats], dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Vectors of texts and pictures, as far as the catalogue has any, and the encoders that made them."""
    contents: dict[str, Content] = {}
    vectors: dict[str, Floats] = {}
    arrays: dict[str, npt.NDArray[Any]] = {}
    pictures = [dataset.picture(image) for image in items["image"]]
    if recipe.picture_encoder and not any(pictures):
        log.warning("The catalogue has no pictures, so %s has nothing to look at", recipe.picture_encoder)
    reader, viewer = encoders.adopted(
        recipe.text_encoder, recipe.picture_encoder if any(pictures) else None, folder, device
    )
    if "text" in recipe.parts:
        if progress:
            progress("reading texts", 0, None)
        texts = texts_of(items, dataset.attributes)
        known = reader or words.fit(texts, width=recipe.text_width, seed=recipe.seed)
        found = known.vectors(texts, progress) if isinstance(known, TextEncoder) else known.vectors(texts)
        if found.any():
            contents["text"], vectors["text"] = _held(found, "text"), gaps(found)
            if isinstance(known, Words):
                arrays["words.axes"] = known.axes
                (folder / "words.json").write_text(json.dumps(known.weight, ensure_ascii=False), encoding="utf-8")
    if "pictures" in recipe.parts and any(pictures):
        seen = viewer or sights.fit(pictures, width=recipe.picture_width, progress=progress)
        found = seen.vectors(pictures, progress)
        if found.any():
            contents["pictures"], vectors["picture"] = _held(found, "pictures"), gaps(found)
            if isinstance(seen, Sights):
                arrays |= {"sights.mean": seen.mean, "sights.axes": seen.axes}
    return contents, vectors, arrays, encoders.kept(reader, viewer, vectors.keys(), folder)


def _fit(
    split: Split,
    recipe: IndexRecipe,
    contents: Mapping[str, Content],
    device: str,
    progress: Progress | None,
    epochs: int | None = None,
) -> tuple[tuple[Retriever, ...], dict[str, Any]]:
    made: dict[str, Any] = {}
    if "neighbours" in recipe.parts:
        chosen = recipe.neighbours
        made["neighbours"] = neighbours.fit(split, chosen) if chosen else neighbours.tune(split)
    if "sasrec" in recipe.parts:
        settings = replace(recipe.sasrec, epochs=epochs) if epochs else recipe.sasrec
        made["sasrec"] = sasrec.fit(split, settings, device=device, progress=progress)
    made |= contents
    return tuple(made[name] for name in PARTS if name in made), made


def _epochs(made: Mapping[str, Any]) -> int | None:
    return made["sasrec"].epochs if "sasrec" in made else None


def _arrays(made: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {}
    if "neighbours" in made:
        weights = made["neighbours"].weights
        arrays |= {f"neighbours.{name}": getattr(weights, name) for name in ("data", "indices", "indptr")}
    if "sasrec" in made:
        state = made["sasrec"].network.state_dict()
        arrays |= {f"sasrec.{name}": value.cpu().numpy() for name, value in state.items()}
    return arrays


def _save(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def _held(vectors: Floats, name: str) -> Content:
    return Content(lambda: vectors, name)


def _known(vectors: Floats) -> int:
    return int(np.isfinite(vectors[:, 0]).sum())
