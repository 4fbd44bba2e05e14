"""Instruction examples: which rows of the log become which tasks, and the conversations made of them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from random import Random
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.dataset import Dataset
from llmrec.errors import ConfigError, InputError
from llmrec.features import Features, learn_features
from llmrec.progress import Progress
from llmrec.prompts import Prompts, Template
from llmrec.shelf import Shelf, stock_shelf
from llmrec.splits import PARTS, Part, split_by_name
from llmrec.tasks import TASKS, Draft, Example, Happening, Limits, Sizes, draft, finish, measure
from llmrec.tokens import TokenMeter

SHORTEST_REVIEW = 20


@dataclass(frozen=True)
class ExampleRecipe:
    """What the examples are made of."""

    tasks: Mapping[str, float] = field(
        default_factory=lambda: {
            "sequential": 4.0,
            "direct": 2.0,
            "rating": 1.0,
            "explanation": 2.0,
            "summary": 1.0,
            "conversation": 2.0,
            "visual": 1.0,
            "cold": 1.0,
        }
    )
    """How often each task is drawn for a row that can serve it, as weights; a task left out is not drawn."""
    split: Literal["leave-one-out", "temporal", "cold-items"] = "leave-one-out"
    """How the log is split into train, valid and test."""
    people: float = 1.0
    """The share of the people whose rows of train and validation are used."""
    whole_reviews: bool = False
    """Learn explanations from whole reviews, where few items have several that could agree; nothing is then checked."""
    wordings: Literal["seen", "unseen", "all"] = "seen"
    """Which templates are used; `unseen` are the wordings held out of training, for zero-shot evaluation."""
    candidates: int = 10
    """How many items stand in a list of candidates, the true one among them."""
    history: int = 20
    """How many of a person's latest items enter a prompt at most."""
    budget: int = 2048
    """The most tokens of a whole example; the history is trimmed to it, oldest items first and whole."""
    picture_tokens: int = 9
    """The tokens that one picture takes in the model."""
    history_pictures: int = 8
    """How many of the history's latest items show their picture; older ones stand with their words alone."""
    candidate_pictures: bool = True
    """Whether candidates show their pictures."""
    per_person: int = 0
    """How many of each person's latest targets of a part are used; 0 uses all."""
    limit: int = 0
    """How many examples a part gets at most, drawn evenly; 0 sets no limit."""
    seed: int = 0
    """The seed of every choice: the same seed gives the same examples."""

    def __post_init__(self) -> None:
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown:
            raise ConfigError(f"tasks: {unknown[0]!r} is not a task. The tasks are {', '.join(TASKS)}")
        if not self.tasks or any(weight < 0 for weight in self.tasks.values()) or not sum(self.tasks.values()):
            raise ConfigError("tasks: give at least one task a weight above 0, and none below")
        for name, least in {"candidates": 2, "history": 0, "budget": 64, "picture_tokens": 1}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}: it should be at least {least}")
        for name in ("history_pictures", "per_person", "limit", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: it cannot be negative")

    @property
    def limits(self) -> Limits:
        """The part of the recipe that a single example needs."""
        return Limits(self.budget, self.history, self.history_pictures, self.candidate_pictures)


@dataclass(frozen=True)
class Said:
    """Ratings, reviews and headlines of some rows."""

    ratings: list[float | None]
    reviews: list[str | None]
    summaries: list[str | None]


@dataclass(frozen=True)
class Asked:
    """One task, and which of its wordings."""

    task: str
    wordings: tuple[Template, ...]


class ExampleSource:
    """Makes the examples of one dataset; what is costly and the same for all of them is made once."""

    def __init__(
        self,
        dataset: Dataset,
        prompts: Prompts,
        meter: TokenMeter,
        recipe: ExampleRecipe,
        progress: Progress | None = None,
        *,
        word_tokens: int = 0,
    ):
        if recipe.candidates + 1 > len(dataset.log.items):
            raise InputError(
                f"{dataset.folder} has {len(dataset.log.items)} items, too few for {recipe.candidates} candidates. "
                "Ask for fewer: candidates=5"
            )
        self.dataset, self.recipe, self.meter = dataset, recipe, meter
        self.limits = replace(recipe.limits, word_tokens=word_tokens)
        self.split = split_by_name(dataset.log, recipe.split, clock=dataset.clock, people=recipe.people)
        self.owner = dataset.log.user_of_rows()
        self.shelf: Shelf = stock_shelf(dataset, prompts, meter, progress)
        self.templates = {task: chosen_templates(prompts, task, recipe.wordings) for task in recipe.tasks}
        chosen = [template for task, found in self.templates.items() if recipe.tasks[task] for template in found]
        choosing = any("candidates" in template.needs for template in chosen)
        self.labels = meter.labels(recipe.candidates) if choosing else ()
        self.without_hint = {
            task: tuple(template for template in chosen if "hint" not in template.needs)
            for task, chosen in self.templates.items()
        }
        self.sizes: dict[tuple[str, str], Sizes] = {
            (task, template.name): measure(template, meter)
            for task, chosen in self.templates.items()
            for template in chosen
        }
        self.texts = dataset.interactions.select("rating", "review", "summary").collect()
        train = np.zeros(len(dataset.log), dtype=bool)
        train[self.split.rows("train")] = True
        self.train = train
        self.cold = frozenset(self.split.cold.tolist())
        agreeing = "explanation" in recipe.tasks and not recipe.whole_reviews
        self.features = self._features(train) if agreeing else Features()
        low, high = dataset.info.get("rating_scale") or (1, 5)
        self.scale = (f"{low:g}", f"{high:g}")
        self.middle = (low + high) / 2
        self.skipped: Counter[str] = Counter()
        self._open_tasks: dict[tuple[bool | Part, ...], tuple[list[str], list[float]]] = {}

    def _features(self, train: npt.NDArray[np.bool_]) -> Features:
        """What the reviews of the training rows say of items."""
        groups = [tuple(fields["categories"] or ()) for fields in self.shelf.fields]
        reviews = self.texts["review"].filter(pl.Series(train)).to_list()
        return learn_features(self.dataset.log.item[train].tolist(), reviews, groups)

    def rows(self, part: Part) -> npt.NDArray[np.int64]:
        """The rows that become examples of a part, in a seeded random order."""
        rows = self.split.rows(part)
        if self.recipe.per_person:
            owner = self.owner[rows]
            left = np.searchsorted(owner, owner, side="right") - np.arange(len(rows))
            rows = rows[left <= self.recipe.per_person]
        order = np.random.default_rng([self.recipe.seed, PARTS.index(part)]).permutation(len(rows))
        return rows[order][: self.recipe.limit or None]

    def said(self, rows: npt.NDArray[np.int64]) -> Said:
        """What was said with the interactions of some rows."""
        chosen = self.texts[rows]
        return Said(chosen["rating"].to_list(), chosen["review"].to_list(), chosen["summary"].to_list())

    def examples(self, rows: npt.NDArray[np.int64], said: Said, part: Part) -> Iterator[Example]:
        """Make the examples of some rows. Each row's choices depend on the seed and the row alone."""
        for _, example in self.made(rows, said, part):
            yield example

    def made(
        self, rows: npt.NDArray[np.int64], said: Said, part: Part, only: Asked | None = None
    ) -> Iterator[tuple[Draft, Example]]:
        """The same beside the choices that each was made of; with `only` of one task and some of its wordings."""
        drafts = list(self._drafts(rows, said, part, only))
        spoken = [made.free_text for made in drafts if made.free_text]
        costs = iter(self.meter.texts(spoken).tolist())
        for made in drafts:
            sizes = self.sizes[made.task, made.template.name]
            cost = next(costs) if made.free_text else 0
            example = finish(made, self.shelf, self.labels, sizes, cost, self.limits)
            if example is None:
                self.skipped["does not fit the budget"] += 1
            else:
                yield made, example

    def _drafts(
        self, rows: npt.NDArray[np.int64], said: Said, part: Part, only: Asked | None = None
    ) -> Iterator[Draft]:
        log, start = self.dataset.log, self.dataset.log.start
        salt = self.recipe.seed << 48
        for row, rating, review, summary in zip(rows.tolist(), said.ratings, said.reviews, said.summaries, strict=True):
            rng = Random(salt ^ row)
            user = int(self.owner[row])
            taken = log.item[start[user] : start[user + 1]].tolist()
            history = taken[: row - int(start[user])]
            barred = frozenset(taken)
            if part == "train" and self.cold:  # what is to be new is neither read nor a wrong answer
                history = [item for item, kept in zip(history, self.train[start[user] : row], strict=True) if kept]
                barred |= self.cold
            target = int(log.item[row])
            pictured = self.shelf.has_alike[target]
            praised = (rating is None or rating > self.middle) and bool(self.features.told(review or "", target))
            spoken = len(review or "") >= SHORTEST_REVIEW
            key = (bool(history), rating is not None, spoken, praised, bool(summary), pictured)
            task = self._task(key, part, rng, only.task if only else None)
            if task is None:
                self.skipped["serves none of the tasks"] += 1
                continue
            happening = Happening(row, user, target, history, barred, rating, review or "", summary or "")
            for choice in (only.wordings,) if only else (self.templates[task], self.without_hint[task]):
                template = rng.choice(choice) if choice else None
                made = template and draft(
                    task, template, happening, self.shelf, self.labels, self.features, self.scale, rng
                )
                if made:
                    yield made
                    break
            else:
                self.skipped[f"has nothing to show for {task}"] += 1

    def _task(self, row: tuple[bool, ...], part: Part, rng: Random, only: str | None = None) -> str | None:
        """Draw a task that this row can serve; where `only` one is asked for, that or none."""
        known, rated, spoken, praised, headed, pictured = row
        key = (*row, part)
        if key not in self._open_tasks:
            able = {
                "sequential": known,
                "direct": known,
                "rating": known and rated,
                "explanation": praised,  # a complaint, or a review that says nothing of the item, explains no choice
                "summary": spoken and headed,
                "conversation": True,
                "visual": pictured,
                "cold": not known or part != "train",
            }
            open_to = [task for task, weight in self.recipe.tasks.items() if able[task] and weight]
            self._open_tasks[key] = open_to, list(accumulate(self.recipe.tasks[task] for task in open_to))
        open_to, weights = self._open_tasks[key]
        if only is not None:
            return only if only in open_to else None
        return rng.choices(open_to, cum_weights=weights)[0] if open_to else None


def chosen_templates(prompts: Prompts, task: str, wordings: str) -> tuple[Template, ...]:
    """The templates of a task that a recipe asks for."""
    seen = prompts.seen(task) if wordings != "unseen" else ()
    unseen = prompts.unseen(task) if wordings != "seen" else ()
    if not seen + unseen:
        raise InputError(
            f"The prompts have no {wordings} template for the task {task!r}. Add one to the folder {task}/"
        )
    return seen + unseen
