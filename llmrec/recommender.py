"""A tuned run, opened beside its index: it ranks all items for histories, and under other pictures than the right."""

import tempfile
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image

from llmrec.artifact import read_json
from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.examples import ExampleSource
from llmrec.modeling.album import Album, mean_of
from llmrec.modeling.bank import Bank, Floats
from llmrec.modeling.kinds import EYES, TOLD
from llmrec.modeling.light import Teacher
from llmrec.modeling.transcript import Transcriber
from llmrec.progress import Progress
from llmrec.prompts import Prompts
from llmrec.retrieval.index import Index
from llmrec.retrieval.retriever import Retriever
from llmrec.splits import rows_told, same_rows
from llmrec.tuning.labelling import CHOOSING, LabelRanking
from llmrec.tuning.material import Walks, example_source, picture_paths
from llmrec.tuning.ranking import LightRanking, ModelRanking
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.run import MANIFEST, PROMPTS, REMEDY, open_run

Pictures = Literal["shuffled", "shuffled within category", "blank", "none"]
PICTURES = "pictures"
CONTROLS: tuple[Pictures, ...] = get_args(Pictures)


@dataclass(frozen=True)
class Recommender:
    """An opened run with the catalogue that it was tuned on."""

    folder: Path
    recipe: TuningRecipe
    ranking: ModelRanking = field(repr=False)
    write: Transcriber = field(repr=False)
    prompts: Prompts = field(repr=False)
    bank: Bank = field(repr=False)
    split: str
    """How the index holds choices back; prompts say nothing of those."""
    people: float = 1.0
    """The share of the people that index and run learnt from."""
    light: LightRanking | None = field(default=None, repr=False)
    """The light reader that taught the model; None in runs without one."""

    @classmethod
    def open(cls, folder: Path | str, index: Index, dataset: Dataset, *, device: str = "auto") -> "Recommender":
        """Open a run; one that was tuned on other data than the index holds is an error."""
        folder = Path(folder)
        manifest = read_json(folder, MANIFEST, kind="a tuned run", remedy=REMEDY)
        if manifest["dataset"]["fingerprint"] != dataset.fingerprint:
            raise InputError(
                f"{folder} was tuned on other data than {dataset.folder} holds (fingerprints differ). "
                f"Tune again: python -m llmrec.sft RECIPE index={index.folder}"
            )
        if not same_rows(manifest["index"], index.info["recipe"]):
            raise InputError(
                f"{folder} learnt from the rows of {rows_told(manifest['index'])}, and {index.folder} from those of "
                f"{rows_told(index.info['recipe'])}: it may have read what it would be asked. Take the index that it "
                f"was tuned with ({manifest['index']['folder']}), or tune again: python -m llmrec.sft RECIPE "
                f"index={index.folder}"
            )
        recipe, base, bank, ranker = open_run(folder, device=device)
        prompts = Prompts.load(folder / PROMPTS)
        write = Transcriber(base, Album(base, picture_paths(dataset)), recipe.words.positions)
        walks = Walks(write, prompts, dataset.name)
        longest = recipe.walks.longest
        ranking = ModelRanking(ranker, walks, longest=longest, batch_tokens=2 * recipe.batch_tokens)
        teacher = Teacher.load(folder, base.vocabulary, ranker.words.content.device)
        light = LightRanking(teacher, longest=longest) if teacher else None
        told = index.info["recipe"]
        split, people = str(told["split"]), float(told.get("people", 1.0))
        return cls(folder, recipe, ranking, write, prompts, bank, split, people=people, light=light)

    @property
    def eyes(self) -> list[str]:
        """The kinds of picture vectors that its item words are made of; none where it never saw a picture."""
        return [kind for kind in EYES if kind in self.bank.vectors]

    def source(self, dataset: Dataset, progress: Progress | None = None, **changes: Any) -> ExampleSource:
        """What makes prompts like those that the run was tuned on; `changes` are to the recipe's examples."""
        return example_source(
            self.recipe, dataset, self.split, self.prompts, self.write, progress, people=self.people, **changes
        )

    def control(
        self, pictures: Pictures, index: Index, *, groups: Sequence[Hashable] | None = None, seed: int = 0
    ) -> ModelRanking:
        """The same model, shown other pictures: those of other items, an empty one, or none.

        Within categories they are shuffled among the items of each of the `groups`.
        """
        words = self.ranking.ranker.words
        if not self.eyes:
            raise InputError(f"{self.folder} was tuned without pictures, so there is nothing to control")
        vectors = {**self.bank.vectors}
        for kind in self.eyes:
            blank = self._blank(kind, index) if pictures == "blank" else None
            vectors[kind] = changed_pictures(vectors[kind], pictures, blank, groups, seed=seed)
        content, known = words.prepare({kind: torch.from_numpy(table) for kind, table in vectors.items()})
        return self._with(content.to(words.content), known.to(words.known), f"model, pictures {pictures}")

    def ablations(self) -> dict[str, ModelRanking]:
        """The same model, each part of its item words left out, and each alone, by what was done; nothing where there
        is one part.

        What is seen of a picture is one part, however many vectors tell it. Nothing is tuned anew: an item is as it
        would be if that part were not known of it. Vectors learnt by heart (`words.learnt`) stay.
        """
        words = self.ranking.ranker.words
        part_of = [PICTURES if kind in (*EYES, TOLD) else kind for kind in words.widths]
        each = torch.tensor(list(words.widths.values()), device=words.content.device)
        found: dict[str, ModelRanking] = {}
        for part in dict.fromkeys(part_of) if len(set(part_of)) > 1 else ():
            own = torch.tensor([float(one == part) for one in part_of]).to(words.known)
            for name, stays in ((f"without {part}", 1 - own), (f"{part} alone", own)):
                content = words.content * torch.repeat_interleave(stays, each).to(words.content)
                found[name] = self._with(content, words.known * stays, f"model, {name}")
        return found

    def _with(self, content: torch.Tensor, known: torch.Tensor, name: str) -> ModelRanking:
        """The same model with items of another content."""
        words, ranker = _shallow(self.ranking.ranker.words), _shallow(self.ranking.ranker)
        words.content, words.known = content, known
        ranker.words = words
        return replace(self.ranking, ranker=ranker, name=name)

    def labelled(
        self,
        retriever: Retriever,
        dataset: Dataset,
        *,
        first: int = 20,
        orders: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> LabelRanking:
        """The first of a retriever's list in the order of the letters that the model would answer with."""
        talks = self.recipe.talks
        task = next((task for task in CHOOSING if talks.count and talks.examples.tasks.get(task)), None)
        if task is None:
            raise InputError(
                f"{self.folder} was tuned without conversations that are answered by a label. "
                f"Tune with talks.count above 0 and a weight for {' or '.join(CHOOSING)} in talks.examples.tasks"
            )
        source = self.source(dataset, progress, tasks={task: 1.0}, candidates=first)
        return LabelRanking(
            self.ranking.ranker,
            self.write,
            source,
            retriever,
            orders=orders,
            seed=seed,
            batch_tokens=2 * self.recipe.batch_tokens,
            progress=progress,
        )

    def _blank(self, kind: str, index: Index) -> Floats:
        """The vector of an empty picture."""
        empty = Image.new("RGB", (256, 256), (255, 255, 255))
        if kind == "sight":
            return mean_of(self.write.album.encoded([empty])[0])
        if index.sights is None:
            raise InputError(
                f"{index.folder} knows no pictures, so it cannot look at an empty one. "
                "Take the index that the run was tuned with"
            )
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "blank.png"
            empty.save(path)
            found: Floats = index.sights.vectors([path])[0]
        return found


def shelves(dataset: Dataset) -> list[Hashable] | None:
    """The categories of each item, all of them together; None where the catalogue tells none."""
    told = dataset.items.select("categories").collect()["categories"].to_list()
    return [tuple(one or ()) for one in told] if any(told) else None


def changed_pictures(
    table: Floats, pictures: Pictures, blank: Floats | None, groups: Sequence[Hashable] | None = None, *, seed: int
) -> Floats:
    """Picture vectors as they would be with other pictures; items without a picture stay without.

    Within `groups` an item that has no other beside it keeps its own.
    """
    changed: Floats = np.array(table)
    there = np.flatnonzero(np.isfinite(table).all(axis=1))
    if pictures == "none":
        changed[there] = np.nan
    elif pictures == "shuffled":
        changed[there] = table[np.random.default_rng(seed).permutation(there)]
    elif groups is not None:
        rng = np.random.default_rng(seed)
        beside: dict[Hashable, list[int]] = {}
        for place in there.tolist():
            beside.setdefault(groups[place], []).append(place)
        for some in beside.values():
            order = rng.permutation(some)
            changed[order] = table[np.roll(order, 1)]  # a circle, so that nobody keeps its own
    else:
        assert blank is not None, "an empty picture has a vector, and shuffling within categories has groups"
        changed[there] = blank
    return changed


def _shallow(module: Any) -> Any:
    """A module of its own that shares all weights."""
    other = module.__new__(type(module))
    other.__dict__ = {**module.__dict__}
    for name in ("_buffers", "_modules", "_parameters"):
        other.__dict__[name] = dict(module.__dict__[name])
    return other
