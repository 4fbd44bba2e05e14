"""Measures every retriever of an index on the dataset that it was made of, and writes the report.

Several indexes are measured as one that was drawn with several seeds.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.evaluation.ratings import rating_errors
from llmrec.evaluation.report import report_folder, write_report
from llmrec.evaluation.run import cases_of, over_seeds, rank_all
from llmrec.progress import Progress
from llmrec.retrieval import fusion
from llmrec.retrieval.index import Index
from llmrec.retrieval.retriever import Retriever
from llmrec.splits import PARTS, Split

ALIKE = "Indexes that are measured together differ in nothing but their seed: llmrec index DATASET --out FOLDER seed=1"
ON_VALID = "Fusion and chances were fitted and settings chosen on these very targets: this is no fair test."


def evaluate_indexes(
    folders: Sequence[Path],
    out: Path,
    *,
    dataset: Path | None = None,
    part: str = "test",
    sampled: bool = False,
    cold: bool = False,
    limit: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    models: Sequence[Path] = (),
    controls: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Returns what `report.json` holds. Indexes must be alike in all but their seed.

    Tuned models are ranked beside the index's retrievers, alone and fused with them, and with `controls` also with
    other pictures than they should see. `cold` ranks the new items of a cold-items split among themselves.
    """
    if sampled and cold:
        raise InputError("--sampled and --cold ask for different candidates: give one of them")
    if models and len(folders) > 1:
        raise InputError("A model is measured beside one index: give one index with --model")
    asked = next((name for name in PARTS[1:] if name == part), None)
    if asked is None:
        raise InputError(f"{part!r} has no targets to rank. The parts with targets are {' and '.join(PARTS[1:])}")
    with report_folder(out, overwrite=overwrite) as folder:
        indexes = [Index.open(one) for one in folders]
        seeds = _seeds(indexes)
        opened = indexes[0].dataset(dataset)
        split = indexes[0].split(opened)
        cases = cases_of(split, asked, protocol="sampled" if sampled else "cold" if cold else "full", limit=limit)
        tuned = _models(models, indexes[0], opened, split, controls, device, progress)
        fits = [rank_all([*index.retrievers, *tuned], cases, seed=seed, progress=progress) for index in indexes]
        for index, fit in zip(indexes[1:], fits[1:], strict=True):
            if [one.name for one in fit] != [one.name for one in fits[0]]:
                raise InputError(f"{index.folder} has other systems than {indexes[0].folder}. {ALIKE}")
        ratings = opened.interactions.select("rating").collect()["rating"].to_numpy().astype(np.float64)
        told = rating_errors(split, ratings, asked)
        warnings = [ON_VALID] if part == "valid" else []
        systems = over_seeds(fits)
        return write_report(folder, opened, cases, systems, seed=seed, seeds=seeds, ratings=told, warnings=warnings)


def _models(
    folders: Sequence[Path],
    index: Index,
    dataset: Dataset,
    split: Split,
    controls: bool,
    device: str,
    progress: Progress | None,
) -> list[Retriever]:
    """Each model and its light reader, alone and fused by weights fitted on validation, and under controls.

    The model is fused with all that it must add to: the index's parts and the light reader.
    """
    if not folders:
        return []
    from llmrec.recommender import CONTROLS, Recommender

    systems: list[Retriever] = []
    for folder in folders:
        opened = Recommender.open(folder, index, dataset, device=device)
        label = "" if len(folders) == 1 else f" {folder.name}"
        alone = replace(opened.ranking, name=f"model{label}")
        joined: list[Retriever] = [*index.parts]
        light: list[Retriever] = []
        if opened.light:
            light = [replace(opened.light, name=f"{opened.light.name}{label}")]
        for one in [*light, alone]:
            joined = [*joined, one]
            fused = fusion.learn(joined, split, seed=opened.recipe.seed, progress=progress)
            systems += [one, replace(fused, name=f"fusion with {one.name}", fallback=index.recent)]
        if controls:
            others = [opened.control(pictures, index) for pictures in CONTROLS]
            systems += [replace(one, name=f"{one.name}{label}") for one in others]
    return systems


def _seeds(indexes: Sequence[Index]) -> list[int]:
    """The seed of each index; they must differ in nothing else."""
    for index in indexes[1:]:
        _must_be_alike(indexes[0], index)
    seeds = [int(index.info["recipe"]["seed"]) for index in indexes]
    twice = next((one for one in seeds if seeds.count(one) > 1), None)
    if twice is not None:
        both = " and ".join(str(index.folder) for index, one in zip(indexes, seeds, strict=True) if one == twice)
        raise InputError(f"{both} have the same seed {twice}, so they tell nothing about seeds. {ALIKE}")
    return seeds


def _must_be_alike(first: Index, other: Index) -> None:
    """Figures of different data or settings have no common mean."""
    pair = f"{first.folder} and {other.folder}"
    if first.info["dataset"]["fingerprint"] != other.info["dataset"]["fingerprint"]:
        raise InputError(f"{pair} were made of different data (fingerprints differ). {ALIKE}")
    if first.info["parts"] != other.info["parts"]:
        had = " and ".join(", ".join(one.info["parts"]) for one in (first, other))
        raise InputError(f"{pair} have different parts ({had}). {ALIKE}")
    settings, others = (_flat(one.info["recipe"]) for one in (first, other))
    for key in sorted(settings.keys() | others.keys()):
        if settings.get(key) != others.get(key):
            seen = f"{settings.get(key)!r} and {others.get(key)!r}"
            raise InputError(f"{pair} differ in {key} ({seen}). {ALIKE}")


def _flat(recipe: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names, without seeds."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key != "seed":
            flat[f"{prefix}{key}"] = value
    return flat
