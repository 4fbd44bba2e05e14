"""What was fitted with several seeds: indexes and runs that differ in nothing else count as one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmrec.artifact import read_json
from llmrec.errors import InputError
from llmrec.retrieval.index import Index
from llmrec.tuning.run import MANIFEST, REMEDY

ALIKE = "Indexes that are measured together differ in nothing but their seed: llmrec index DATASET --out FOLDER seed=1"
WHERE = ("out", "dataset", "device")
"""Settings of a run that say where something is, and not what is learnt."""


def seeds_of_runs(folders: Sequence[Path]) -> list[int]:
    """The seeds of runs of one recipe, which are measured as one model; nothing where they differ in more than that."""
    told = [read_json(folder, MANIFEST, kind="a tuned run", remedy=REMEDY)["recipe"] for folder in folders]
    settings = [{key: value for key, value in _flat(one).items() if key not in WHERE} for one in told]
    seeds = [int(one["seed"]) for one in told]
    alike = len(folders) > 1 and all(one == settings[0] for one in settings) and len(set(seeds)) == len(seeds)
    return seeds if alike else []


def seeds_of_indexes(indexes: Sequence[Index]) -> list[int]:
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
