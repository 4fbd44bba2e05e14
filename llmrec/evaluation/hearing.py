"""Asks a tuned model about held-out rows, each task by its own prompts, as it was asked in training."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from llmrec.dataset import Dataset
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
from llmrec.tasks import Draft, Example
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
            for draft, example in self.source.made(some, self.source.said(some), self.part, asked):
                if task in BY_LABEL and not example.answer.startswith(draft.label):
                    continue
                turns = [Turn(role, written(said)) for role, said in example.prompt]
                found.append(Case(draft, example, self.opened.write.prompt(turns)))
                if len(found) == count:
                    return found
        return found

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
