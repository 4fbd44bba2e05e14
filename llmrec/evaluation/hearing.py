"""Asks a tuned model about held-out rows, each task by its own prompts, as it was asked in training."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.dataset import Dataset
from llmrec.evaluation.catalogue import Catalogue, catalogue_of
from llmrec.evaluation.truth import REASONS, true_items, true_rows
from llmrec.examples import Asked, ExampleSource
from llmrec.log import Codes
from llmrec.progress import Progress
from llmrec.prompts import Template, Turn
from llmrec.recommender import Recommender
from llmrec.retrieval.index import Index
from llmrec.retrieval.retriever import Floats
from llmrec.retrieval.words import texts_of
from llmrec.script import Line
from llmrec.splits import Part
from llmrec.tasks import Draft, Example, draft, finish
from llmrec.tuning.material import written
from llmrec.tuning.telling import answers, explanations, next_words

TOGETHER = 256  # rows of which examples are made at a time
WIDE = 16_384  # tokens of prompts that are answered at a time: a step costs nearly the same for many as for few
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
NEEDS = {
    "explanation": frozenset({"explanation"}),
    "rating": frozenset({"rating"}),
    "summary": frozenset({"summary"}),
    "direct": frozenset({"liked"}),
    "sequential": frozenset({"candidates", "label"}),
    "conversation": frozenset({"candidates", "label"}),
    "visual": frozenset({"candidates", "label", "shown"}),
    "cold": frozenset({"candidates", "label"}),
}
"""What a wording must ask for, so that its answer can be held against something."""
MODEL, CHECKED = "model", "model, checked"
"""What it says as it says it, and what is served of that."""
SHOWN = 8
"""Cases that are shown to a person, and items of a history."""
BY_LABEL = ("sequential", "conversation", "visual", "cold")


@dataclass(frozen=True)
class Case:
    """One held-out row as a prompt, with what is known of it."""

    draft: Draft
    example: Example
    line: Line = field(repr=False)

    @property
    def item(self) -> int:
        """The item that it is about."""
        return self.example.target

    @property
    def history(self) -> list[int]:
        """All that the person had taken before, oldest first."""
        return list(self.draft.happening.history)


@dataclass(frozen=True)
class Hearing:
    """One model, and who asks it about what."""

    opened: Recommender
    index: Index
    dataset: Dataset
    part: Part
    seed: int = 0
    progress: Progress | None = field(default=None, repr=False)

    @cached_property
    def source(self) -> ExampleSource:
        """What makes prompts like those that the model learnt by."""
        return self.opened.source(self.dataset, self.progress)

    @cached_property
    def own(self) -> list[str]:
        """The items' own texts."""
        return texts_of(self.dataset.items.collect())

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the catalogue says and denies of its items, with what `truth/` tells of them where it is there."""
        return catalogue_of(self.source, self.own, true_items(self.dataset))

    @cached_property
    def truth(self) -> list[list[str] | None] | None:
        """The true reasons of each row of the log; None where nobody knows."""
        found = true_rows(self.dataset)
        return None if found is None else found[REASONS].to_list()

    def reasons(self, case: Case) -> list[str]:
        """Why the person took the item, as attribute=value; nothing where nobody knows or taste had no say."""
        return (self.truth[case.draft.happening.row] or []) if self.truth else []

    def wordings(self, task: str) -> tuple[Template, ...]:
        """The wordings of a task that can be measured; none with a hint, which is taken from what the person said."""
        return tuple(one for one in self.source.without_hint.get(task, ()) if one.needs >= NEEDS[task])

    def cases(self, task: str, count: int) -> list[Case]:
        """So many held-out rows that serve a task, drawn at random; fewer where there are no more."""
        asked = Asked(task, self.wordings(task))
        rows = self.source.rows(self.part)
        found: list[Case] = []
        for begin in range(0, len(rows), TOGETHER):
            some = rows[begin : begin + TOGETHER]
            for made, example in self.source.made(some, self.source.said(some), self.part, asked):
                if task in BY_LABEL and not example.answer.startswith(made.label):
                    continue
                found.append(self._case(made, example))
                if len(found) == count:
                    return found
        return found

    def other(self, case: Case) -> Case | None:
        """The same question about the other of two: what was taken, or an item drawn from those that were not."""
        told, source = case.draft, self.source
        rng = Random(told.happening.row)
        label = told.label
        while told.label == label:
            made = draft(
                told.task,
                told.template,
                told.happening,
                source.shelf,
                source.labels,
                source.features,
                source.scale,
                rng,
            )
            assert made is not None, "a wording that served the row serves it again"
            told = made
        cost = int(source.meter.texts([told.free_text])[0]) if told.free_text else 0
        sizes = source.sizes[told.task, told.template.name]
        example = finish(told, source.shelf, source.labels, sizes, cost, source.limits)
        return self._case(told, example) if example else None

    def _case(self, made: Draft, example: Example) -> Case:
        turns = [Turn(role, written(said)) for role, said in example.prompt]
        return Case(made, example, self.opened.write.prompt(turns))

    def said(self, cases: Sequence[Case], longest: int) -> list[str]:
        """What the model says, its likeliest words."""
        return answers(
            self.opened.ranking.ranker, self.opened.write, [case.line for case in cases],
            longest=longest, batch_tokens=WIDE, progress=self.progress,
        )  # fmt: skip

    def checked(self, cases: Sequence[Case], heard: Sequence[str], longest: int) -> list[str]:
        """The same, each sentence held against what is known, and asked again where nothing is left."""
        return explanations(
            self.opened.ranking.ranker, self.opened.write, [case.line for case in cases],
            [case.item for case in cases], self.source.features, own=self.own, first=heard, longest=longest,
            batch_tokens=WIDE, seed=self.seed, progress=self.progress,
        )[0]  # fmt: skip

    def choices(self, cases: Sequence[Case]) -> Floats:
        """Log-probabilities of each case's labels, in their order."""
        return self._opinions(cases, self.source.labels)

    def yes(self, cases: Sequence[Case]) -> npt.NDArray[np.float64]:
        """The log-odds of yes."""
        told = self._opinions(cases, ("yes", "no")).astype(np.float64)
        odds: npt.NDArray[np.float64] = told[:, 0] - told[:, 1]
        return odds

    def _opinions(self, cases: Sequence[Case], words: Sequence[str]) -> Floats:
        import torch

        tokens = torch.tensor([self.opened.write.words(word)[0] for word in words])
        logits = next_words(
            self.opened.ranking.ranker, self.opened.write, [case.line for case in cases], tokens,
            batch_tokens=WIDE, progress=self.progress,
        )  # fmt: skip
        found: Floats = logits.log_softmax(dim=1).numpy()
        return found

    def scores(self, histories: Sequence[Codes]) -> npt.NDArray[np.float64] | None:
        """How likely each item is next by item words, as logarithms; None for a run without item words."""
        if not self.opened.recipe.item_words:
            return None
        told = self.opened.ranking.score(histories).astype(np.float64)
        told -= told.max(axis=1, keepdims=True)
        found: npt.NDArray[np.float64] = told - np.log(np.exp(told).sum(axis=1, keepdims=True))
        return found


def number(text: str, low: float, high: float) -> float | None:
    """The first number of an answer, held within the scale; None where there is none."""
    found = NUMBER.search(text)
    return min(high, max(low, float(found[0].replace(",", ".")))) if found else None


def side_by_side(
    hearing: Hearing, cases: Sequence[Case], references: Sequence[str], texts: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """The first cases for a person to read: who and what each is about, items by their ids, and all that was said."""
    ids, users = hearing.source.shelf.ids, hearing.dataset.log.users
    return [
        {
            "user": users[case.example.user],
            "item": ids[case.item],
            "history": [ids[code] for code in case.history[-SHOWN:]],
            "own": references[place],
            "texts": {name: said[place] for name, said in texts.items()},
        }
        for place, case in enumerate(cases[:SHOWN])
    ]
