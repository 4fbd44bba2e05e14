"""What is learnt from: walks through histories and conversations, cut into batches of nearly equal length."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np

from llmrec.dataset import Dataset
from llmrec.examples import ExampleSource
from llmrec.features import Features
from llmrec.log import Codes
from llmrec.modeling.transcript import Transcriber
from llmrec.progress import Progress
from llmrec.prompts import Prompts, Turn
from llmrec.script import Line, of_like_length
from llmrec.shelf import WORD, Piece, Word, numbered
from llmrec.splits import TRAIN, Split
from llmrec.tokens import TokenMeter
from llmrec.tuning.recipe import TuningRecipe

WALK = "walk"
PADDING = 0.08  # the share of a batch that may be filled up
FEWEST = 2  # items that a walk needs: one to know, one to guess


@dataclass(frozen=True)
class Batch:
    """One forward pass: which lines it holds. A walk is (pass, person); a conversation is its place in the list."""

    walks: bool
    keys: tuple[int, ...]
    round: int = 0


@dataclass(frozen=True)
class Plan:
    """All batches of a run in their order, and how much of them is padding."""

    batches: Sequence[Batch]
    tokens: int
    padding: float
    answers: float
    """Text tokens to be learnt in a batch of conversations, in the mean."""


class Walks:
    """Lines of histories: for training with chance in them, for asking without."""

    def __init__(self, write: Transcriber, prompts: Prompts, domain: str, *, seed: int = 0):
        self._write = write
        self._wordings = prompts.seen(WALK)
        self._domain = domain
        self._seed = seed
        self.positions = write.positions

    def line(self, items: Sequence[int], wording: int = 0, *, learn: bool = False) -> Line:
        """One history as a line; without items it ends where the first would stand."""
        template = self._wordings[wording % len(self._wordings)]
        return self._write.history(template, self._domain, items, learn=learn)

    @cached_property
    def openings(self) -> tuple[int, ...]:
        """The tokens before the first item, by wording."""
        return tuple(len(self.line([0], wording)) - self.positions for wording in range(len(self._wordings)))

    def drawn(self, items: Codes, round: int, person: int, *, longest: int, skip: float) -> tuple[list[int], int]:
        """What of a person's history is learnt in one round, a window less some items, and in which wording."""
        rng = Random(f"{self._seed} {round} {person}")
        begin = rng.randrange(len(items) - longest + 1) if len(items) > longest else 0
        window = items[begin : begin + longest].tolist()
        kept = [item for item in window if rng.random() >= skip] if round else window
        return kept if len(kept) >= FEWEST else window, rng.randrange(len(self._wordings))


class Material:
    """All that one run learns from."""

    def __init__(
        self,
        recipe: TuningRecipe,
        dataset: Dataset,
        split: Split,
        prompts: Prompts,
        write: Transcriber,
        progress: Progress | None = None,
    ):
        self.recipe = recipe
        self.vocabulary = write.base.vocabulary
        self.walks = Walks(write, prompts, dataset.name, seed=recipe.seed)
        self.histories = _histories(split)
        self.people = [person for person, items in enumerate(self.histories) if len(items) >= FEWEST]
        self.talks: list[Line] = []
        self.features = Features()
        if recipe.talks.count:
            source = example_source(recipe, dataset, split.name, prompts, write, progress, people=split.people)
            self.talks, self.features = _talks(source, recipe.talks.count, write, progress), source.features
        self.plan = self._plan()

    def lines(self, batch: Batch) -> list[Line]:
        """The lines of one batch."""
        if not batch.walks:
            return [self.talks[key] for key in batch.keys]
        return [self.walks.line(*self._drawn(person, batch.round), learn=True) for person in batch.keys]

    def _drawn(self, person: int, round: int) -> tuple[list[int], int]:
        walks = self.recipe.walks
        return self.walks.drawn(self.histories[person], round, person, longest=walks.longest, skip=walks.skip)

    def _length(self, person: int, round: int) -> int:
        """How many tokens the line of a person will have in a round."""
        items, wording = self._drawn(person, round)
        return len(items) * self.walks.positions + self.walks.openings[wording]

    def _plan(self) -> Plan:
        """Every batch of the run. Lines of like length lie together; batches come in a random order."""
        rng = np.random.default_rng(self.recipe.seed)
        walks = self.recipe.walks
        rounds = max(1, int(np.ceil(walks.passes))) if walks.passes else 1
        talks = rng.permutation(len(self.talks))
        shares = np.array_split(talks, rounds)
        batches: list[Batch] = []
        real = padded = 0
        for turn in range(rounds):
            people = rng.permutation(self.people) if walks.passes else np.zeros(0, dtype=np.int64)
            if turn + 1 > walks.passes > 0:
                people = people[: round(len(people) * (walks.passes - turn))]
            own: list[Batch] = []
            for is_walk, keys, size in (
                (True, people, np.array([self._length(person, turn) for person in people.tolist()], dtype=np.int64)),
                (False, shares[turn], np.array([len(self.talks[key]) for key in shares[turn]])),
            ):
                for some in of_like_length(size, self.recipe.batch_tokens, rng, padding=PADDING):
                    own.append(Batch(is_walk, tuple(int(key) for key in keys[some]), turn))
                    real += int(size[some].sum())
                    padded += int(size[some].max()) * len(some)
            batches += [own[place] for place in rng.permutation(len(own))]
        learnt = sum(0 <= label < self.vocabulary for line in self.talks for label in line.labels)
        answers = learnt / max(1, sum(not batch.walks for batch in batches))
        return Plan(batches, real, 1 - real / max(1, padded), answers)


def example_source(
    recipe: TuningRecipe,
    dataset: Dataset,
    split: str,
    prompts: Prompts,
    write: Transcriber,
    progress: Progress | None = None,
    **changes: Any,
) -> ExampleSource:
    """What makes the conversations of a run, and after it prompts like them; `changes` are to the recipe's examples.

    The split is the index's, or they would tell what is held out.
    """
    talks = recipe.talks
    examples = replace(talks.examples, split=cast(Any, split), **changes)
    meter = TokenMeter(write.base.tokenizer, write.album.usual)
    return ExampleSource(dataset, prompts, meter, examples, progress, word_tokens=write.positions if talks.words else 0)


def _histories(split: Split) -> list[Codes]:
    """What each person took in the training rows, oldest first."""
    log = split.log
    trained = split.part == TRAIN
    return [log.item[begin:end][trained[begin:end]] for begin, end in zip(log.start[:-1], log.start[1:], strict=True)]


def _talks(source: ExampleSource, count: int, write: Transcriber, progress: Progress | None) -> list[Line]:
    """The conversations of a run as lines."""
    rows = source.rows("train")
    lines: list[Line] = []
    for begin in range(0, len(rows), 512):
        some = rows[begin : begin + 512]
        for example in source.examples(some, source.said(some), "train"):
            turns = [Turn(role, written(said)) for role, said in example.prompt]
            lines.append(write.talk(turns, example.answer))
            if len(lines) == count:
                return lines
        if progress:
            progress("making conversations", len(lines), count)
    return lines


def written(parts: Sequence[Piece]) -> str:
    """Pieces as text with their marks."""
    return "".join(
        part if isinstance(part, str) else numbered(part.code, WORD) if isinstance(part, Word) else numbered(part)
        for part in parts
    )


def picture_paths(dataset: Dataset) -> list[Path | None]:
    """The picture file of each item."""
    return [dataset.picture(image) for image in dataset.items.select("image").collect()["image"].to_list()]
