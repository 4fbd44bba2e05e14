"""Measures every retriever of an index on the dataset that it was made of, and writes the report.

Several indexes are measured as one that was drawn with several seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.evaluation.labels import best_retriever
from llmrec.evaluation.labels import told as about_labels
from llmrec.evaluation.ratings import rating_errors
from llmrec.evaluation.report import report_folder, write_report
from llmrec.evaluation.run import cases_of, over_seeds, rank_all
from llmrec.progress import Progress
from llmrec.retrieval import fusion
from llmrec.retrieval.index import Index
from llmrec.retrieval.reranking import Reranking, learn_reranking
from llmrec.retrieval.retriever import Retriever
from llmrec.splits import PARTS, Part, Split

if TYPE_CHECKING:
    from llmrec.recommender import Recommender
    from llmrec.tuning.labelling import LabelRanking

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
    ablate: bool = False,
    labels: int = 0,
    orders: int = 1,
    speech: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Returns what `report.json` holds. Indexes must be alike in all but their seed.

    Tuned models are ranked beside the index's retrievers, alone and fused with them, with `controls` also with
    other pictures than they should see, and with `ablate` by parts of their item words. `cold` ranks the new items of
    a cold-items split among themselves. With `labels` models also put so many of the best retriever's first items in
    order by letters, over so many `orders`. With `speech` they also speak, about so many held-out rows of each task.
    """
    if sampled and cold:
        raise InputError("--sampled and --cold ask for different candidates: give one of them")
    if labels and (sampled or cold or not models):
        raise InputError(
            "--labels puts the first items of a list in order by a model: give --model, and not --sampled or --cold"
        )
    if speech and not models:
        raise InputError("--speech asks a model: give --model RUN")
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
        runs = _opened(models, indexes[0], opened, device, by_labels=bool(labels or speech))
        tuned = _models(runs, indexes[0], split, progress)
        warnings = [ON_VALID] if part == "valid" else []
        if controls:
            others, untold = _controls(runs, indexes[0], opened)
            tuned, warnings = [*tuned, *others], [*warnings, *untold]
        if ablate:
            others, untold = _ablations(runs)
            tuned, warnings = [*tuned, *others], [*warnings, *untold]
        labelled = _labelled(runs, indexes[0], opened, split, labels, orders, seed, progress) if labels else []
        tuned += [one for one, _ in labelled]
        fits = [rank_all([*index.retrievers, *tuned], cases, seed=seed, progress=progress) for index in indexes]
        for index, fit in zip(indexes[1:], fits[1:], strict=True):
            if [one.name for one in fit] != [one.name for one in fits[0]]:
                raise InputError(f"{index.folder} has other systems than {indexes[0].folder}. {ALIKE}")
        ratings = opened.interactions.select("rating").collect()["rating"].to_numpy().astype(np.float64)
        told = rating_errors(split, ratings, asked)
        systems = over_seeds(fits)
        lettered = [about_labels(one, systems, cases, trained=known, seed=seed) for one, known in labelled]
        heard = _heard(runs, indexes[0], opened, asked, speech, seed, progress) if speech else []
        return write_report(
            folder, opened, cases, systems, seed=seed, seeds=seeds, ratings=told, warnings=warnings, labels=lettered,
            speech=heard, untold=_untold(runs, told, controls=controls, ablate=ablate, labels=labels, speech=speech),
        )  # fmt: skip


def _opened(
    folders: Sequence[Path], index: Index, dataset: Dataset, device: str, *, by_labels: bool
) -> dict[str, "Recommender"]:
    """Each model by what is said behind its name, which is nothing for a single one."""
    if not folders:
        return {}
    from llmrec.recommender import Recommender

    found = {}
    for folder in folders:
        opened = Recommender.open(folder, index, dataset, device=device)
        if not opened.recipe.item_words and not by_labels:
            raise InputError(f"{folder} was tuned without item words, so it ranks by letters alone: add --labels 20")
        found["" if len(folders) == 1 else f" {folder.name}"] = opened
    return found


def _labelled(
    models: dict[str, "Recommender"],
    index: Index,
    dataset: Dataset,
    split: Split,
    first: int,
    orders: int,
    seed: int,
    progress: Progress | None,
) -> list[tuple["LabelRanking", int]]:
    """Each model as one that puts the best retriever's first items in order, and how many labels it was tuned with."""
    floor = best_retriever(index.retrievers, split, seed=seed)
    found = []
    for label, opened in models.items():
        one = opened.labelled(floor, dataset, first=first, orders=orders, seed=seed, progress=progress)
        found.append((replace(one, name=f"{one.name}{label}"), opened.recipe.talks.examples.candidates))
    return found


def _untold(models: Mapping[str, "Recommender"], ratings: Sequence[Any], **asked: int) -> list[str]:
    """What a report could hold and does not, and why."""
    found = [] if ratings else ["Ratings: nothing of this part is rated."]
    if not models:
        return [*found, "A tuned model: none was given (--model RUN)."]
    options = {
        "controls": "Whether the model looks, by other pictures than the right ones: --controls.",
        "ablate": "What each part of an item's word is worth: --ablate.",
        "labels": "The model as a judge of candidates by letters, and what their order does to it: --labels 20.",
        "speech": "What the model says (explanations, ratings, headlines, wishes): --speech 200.",
    }
    return found + [line for name, line in options.items() if not asked[name]]


def _heard(
    models: dict[str, "Recommender"],
    index: Index,
    dataset: Dataset,
    part: Part,
    count: int,
    seed: int,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    """What each model says on held-out rows."""
    from llmrec.evaluation.hearing import Hearing
    from llmrec.evaluation.speech import speech

    return [
        speech(Hearing(opened, index, dataset, part, seed, progress), index.retrievers[-1], count, name=f"model{label}")
        for label, opened in models.items()
    ]


def _models(models: dict[str, "Recommender"], index: Index, split: Split, progress: Progress | None) -> list[Retriever]:
    """Each model and its light reader, alone and fused by weights fitted on validation.

    The model is fused with all that it must add to: the index's parts and the light reader. What the gateway serves is
    the index's first candidates, which the model scores once more.
    """
    systems: list[Retriever] = []
    for label, opened in _by_words(models):
        alone = replace(opened.ranking, name=f"model{label}")
        joined: list[Retriever] = [*index.parts]
        light: list[Retriever] = []
        if opened.light:
            light = [replace(opened.light, name=f"{opened.light.name}{label}")]
        for one in [*light, alone]:
            joined = [*joined, one]
            fused = fusion.learn(joined, split, seed=opened.recipe.seed, progress=progress)
            systems += [one, replace(fused, name=f"fusion with {one.name}", fallback=index.recent)]
        weights = learn_reranking(index.fused, alone, split, seed=opened.recipe.seed, progress=progress)
        systems.append(Reranking(index.fused, alone, weights, name=f"served{label}"))
    return systems


def _controls(models: dict[str, "Recommender"], index: Index, dataset: Dataset) -> tuple[list[Retriever], list[str]]:
    """Each model with other pictures than it should see, and why one of these is missing."""
    from llmrec.recommender import CONTROLS, shelves

    systems: list[Retriever] = []
    untold: list[str] = []
    for label, opened in _by_words(models):
        for pictures in CONTROLS:
            groups = None
            if pictures == "shuffled within category" and (groups := shelves(dataset)) is None:
                untold.append(f"model{label}, pictures {pictures}: the catalogue tells no categories.")
                continue
            one = opened.control(pictures, index, groups=groups)
            systems.append(replace(one, name=f"{one.name}{label}"))
    return systems, untold


def _ablations(models: dict[str, "Recommender"]) -> tuple[list[Retriever], list[str]]:
    """Each model by parts of its item words, and which have a single part."""
    systems: list[Retriever] = []
    untold: list[str] = []
    for label, opened in _by_words(models):
        some = opened.ablations()
        systems += [replace(one, name=f"{one.name}{label}") for one in some]
        if not some:
            untold.append(f"model{label}: its item words are made of one part, so none can be left out.")
    return systems, untold


def _by_words(models: dict[str, "Recommender"]) -> list[tuple[str, "Recommender"]]:
    """Those that rank by item words; letters alone are asked for by --labels."""
    return [(label, opened) for label, opened in models.items() if opened.recipe.item_words]


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
