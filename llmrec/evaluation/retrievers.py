"""Measures every retriever of an index on the dataset that it was made of, and writes the report.

Several indexes, or runs of one recipe, that differ in nothing but their seed are measured as one with several seeds.
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
from llmrec.evaluation.looks import Change
from llmrec.evaluation.once import Remembered
from llmrec.evaluation.ratings import rating_errors
from llmrec.evaluation.report import report_folder, write_report
from llmrec.evaluation.run import cases_of, over_seeds, rank_all
from llmrec.evaluation.seeds import ALIKE, seeds_of_indexes, seeds_of_runs
from llmrec.progress import Progress
from llmrec.retrieval import fusion
from llmrec.retrieval.index import Index
from llmrec.retrieval.reranking import Reranking, learn_reranking
from llmrec.retrieval.retriever import Retriever
from llmrec.splits import PARTS, Part, Split

if TYPE_CHECKING:
    from llmrec.recommender import Recommender
    from llmrec.tuning.labelling import LabelRanking

ON_VALID = "Fusion and chances were fitted and settings chosen on these very targets: this is no fair test."

DEALT_ANEW = (
    "its scores are its retriever's, dealt out anew, and to make chances of them would ask as many prompts again."
)


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
        seeds = seeds_of_indexes(indexes)
        opened = indexes[0].dataset(dataset)
        split = indexes[0].split(opened)
        cases = cases_of(split, asked, protocol="sampled" if sampled else "cold" if cold else "full", limit=limit)
        together = seeds_of_runs(models)
        runs = _opened(models[:1] if together else models, indexes[0], opened, device, by_labels=bool(labels or speech))
        # First, since it says at once where a prompt has no room for so many.
        labelled = _labelled(runs, indexes[0], opened, split, labels, orders, seed, progress) if labels else []
        tuned, changes, untold = _tuned(runs, indexes[0], opened, split, controls, ablate, seed, progress)
        fits = [rank_all([*index.retrievers, *tuned], cases, seed=seed, progress=progress) for index in indexes]
        by_letters = [one for one, _ in labelled]  # beside a model there is one index
        if by_letters:
            fits[0] += rank_all(by_letters, cases, seed=seed, chances_too=False, progress=progress)
        for index, fit in zip(indexes[1:], fits[1:], strict=True):
            if [one.name for one in fit] != [one.name for one in fits[0]]:
                raise InputError(f"{index.folder} has other systems than {indexes[0].folder}. {ALIKE}")
        systems = over_seeds(fits, seeds)
        if together:
            names = {one.name for one in tuned}
            again = [[one for one in fits[0] if one.name in names]]
            for run in models[1:]:  # one after the other: a large model fills the memory
                other = _opened([run], indexes[0], opened, device, by_labels=bool(labels or speech))
                same, _, _ = _tuned(other, indexes[0], opened, split, controls, ablate, seed, progress)
                again.append(rank_all(same, cases, seed=seed, progress=progress))
            systems = [one for one in systems if one.name not in names] + over_seeds(again, together)
            if labels or speech:
                untold.append(
                    f"What a model says, and letters: of {models[0]} alone, the first of {len(models)} seeds."
                )
        ratings = opened.interactions.select("rating").collect()["rating"].to_numpy().astype(np.float64)
        told = rating_errors(split, ratings, asked)
        lettered = [about_labels(one, systems, cases, trained=known, seed=seed) for one, known in labelled]
        heard = _heard(runs, indexes[0], opened, asked, speech, seed, progress) if speech else []
        untold += [f"{one.name}, log-loss: {DEALT_ANEW}" for one in by_letters]
        untold += _untold(runs, told, controls=controls, ablate=ablate, labels=labels, speech=speech)
        return write_report(
            folder, opened, cases, systems, seed=seed, seeds=seeds, ratings=told, labels=lettered, speech=heard,
            warnings=[ON_VALID] if part == "valid" else [], untold=untold, changes=changes,
            model_seeds=together,
        )  # fmt: skip


def _tuned(
    models: dict[str, "Recommender"],
    index: Index,
    dataset: Dataset,
    split: Split,
    controls: bool,
    ablate: bool,
    seed: int,
    progress: Progress | None,
) -> tuple[list[Retriever], list[Change], list[str]]:
    """All that models rank by item words, what of it is a change of a model, and why some is missing."""
    systems = _models(models, index, split, progress)
    changes, untold = _controls(models, index, dataset, seed) if controls else ([], [])
    if ablate:
        others, missing = _ablations(models)
        changes, untold = [*changes, *others], [*untold, *missing]
    return [*systems, *(one.system for one in changes)], changes, untold


def _opened(
    folders: Sequence[Path], index: Index, dataset: Dataset, device: str, *, by_labels: bool
) -> dict[str, "Recommender"]:
    """Each model by what is said behind its name, which is nothing for a single one."""
    if not folders:
        return {}
    from llmrec.recommender import Recommender

    places = [folder.resolve() for folder in folders]
    twice = next((folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is given twice, which would tell nothing more of it. Give each run once")
    distinct = len({folder.name for folder in folders}) == len(folders)
    found = {}
    for folder in folders:
        opened = Recommender.open(folder, index, dataset, device=device)
        if not opened.recipe.item_words and not by_labels:
            raise InputError(f"{folder} was tuned without item words, so it ranks by letters alone: add --labels 20")
        found["" if len(folders) == 1 else f" {folder.name if distinct else folder}"] = opened
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
        alone = Remembered(replace(opened.ranking, name=f"model{label}"))
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


def _controls(
    models: dict[str, "Recommender"], index: Index, dataset: Dataset, seed: int
) -> tuple[list[Change], list[str]]:
    """Each model with other pictures than it should see, and why some of these are missing."""
    from llmrec.recommender import CONTROLS, shelves

    changes: list[Change] = []
    untold = _by_letters(models, "other pictures (--controls)")
    for label, opened in _by_words(models):
        if not opened.eyes:
            why = "its item words are made without pictures. Tune with picture, sight or told in words.content, on a "
            untold.append(f"model{label}, other pictures (--controls): {why}dataset that has pictures.")
            continue
        for pictures in CONTROLS:
            groups = None
            if pictures == "shuffled within category" and (groups := shelves(dataset)) is None:
                untold.append(f"model{label}, pictures {pictures}: the catalogue tells no categories.")
                continue
            try:
                one = opened.control(pictures, index, groups=groups, seed=seed)
            except InputError as error:  # one control less is no reason to measure nothing
                untold.append(f"model{label}, pictures {pictures}: {error}.")
                continue
            changes.append(Change(f"model{label}", "pictures", pictures, replace(one, name=f"{one.name}{label}")))
    return changes, untold


def _ablations(models: dict[str, "Recommender"]) -> tuple[list[Change], list[str]]:
    """Each model by parts of its item words, and which have a single part."""
    changes: list[Change] = []
    untold = _by_letters(models, "parts of item words (--ablate)")
    for label, opened in _by_words(models):
        some = opened.ablations()
        for what, one in some.items():
            changes.append(Change(f"model{label}", "words", what, replace(one, name=f"{one.name}{label}")))
        if not some:
            untold.append(f"model{label}: its item words are made of one part, so none can be left out.")
    return changes, untold


def _by_words(models: dict[str, "Recommender"]) -> list[tuple[str, "Recommender"]]:
    """Those that rank by item words; letters alone are asked for by --labels."""
    return [(label, opened) for label, opened in models.items() if opened.recipe.item_words]


def _by_letters(models: dict[str, "Recommender"], what: str) -> list[str]:
    """Why those that rank by letters alone lack what changes item words."""
    why = "it was tuned without item words and ranks by letters alone. Tune with walks.passes above 0"
    return [f"model{label}, {what}: {why}." for label, opened in models.items() if not opened.recipe.item_words]
