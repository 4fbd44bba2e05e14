"""What a catalogue says of each item, as short lines of text: its columns, its text, and the words of reviewers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from llmrec import said
from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.features import words_of
from llmrec.pretraining.findings import attributes
from llmrec.pretraining.recipe import CaptionRecipe
from llmrec.retrieval.words import texts_of
from llmrec.said import Floats, training_reviews
from llmrec.splits import split_by_name

FEWEST = 20  # pictures: fewer teach nothing and measure nothing
SAID, TEXT = "reviewers say", "text"
FAINT = 0.05  # how often a fact is drawn, by its weight, that cannot be seen
BEYOND, TWICE = 0.1, 2  # a word is told of an item that is said so much more often of it than of others, and not once


@dataclass(frozen=True)
class Captions:
    """What is known of each item, and which items with a picture teach and which are asked."""

    columns: dict[str, list[str | None]] = field(repr=False)
    texts: list[str] = field(repr=False)
    words: tuple[str, ...]
    """The words of reviewers that tell items apart, counted in training rows of items that teach."""
    strength: Floats = field(repr=False)
    """How much more each word is said of an item than of others, as far as its reviewers are to be believed."""
    said: list[list[str]] = field(repr=False)
    """The words that are told of each item, the surest first."""
    taught: npt.NDArray[np.int64] = field(repr=False)
    held_out: npt.NDArray[np.int64] = field(repr=False)

    def facts(self, code: int) -> dict[str, str]:
        """All that is known of an item, by name."""
        known = {name: values[code] for name, values in self.columns.items()}
        known |= {TEXT: self.texts[code] or None, SAID: ", ".join(self.said[code]) or None}
        return {name: value for name, value in known.items() if value}

    def drawn(
        self, code: int, count: int, rng: np.random.Generator, weight: Mapping[str, float] | None = None
    ) -> list[tuple[str, str]]:
        """Some facts of an item by chance, in a random order; what reviewers say is always among them."""
        facts = self.facts(code)
        names = [name for name in facts if name != SAID]
        chance = np.array([FAINT + (weight or {}).get(name, 0.0) for name in names])
        size = min(count, len(names))
        order = rng.choice(len(names), size, replace=False, p=chance / chance.sum()).tolist() if names else []
        chosen = [names[place] for place in order]
        chosen += [SAID] if SAID in facts else []
        return [(chosen[place], facts[chosen[place]]) for place in rng.permutation(len(chosen)).tolist()]

    def caption(self, code: int) -> list[tuple[str, str]]:
        """What is asked for of a held-out picture. Most of a text cannot be seen: it stands in for what is missing."""
        facts = self.facts(code)
        return [(name, value) for name, value in facts.items() if name != TEXT] or list(facts.items())


def read_captions(dataset: Dataset, recipe: CaptionRecipe) -> Captions:
    """Read what is known of all items. Words and values are counted among those that teach alone."""
    items = dataset.items.collect()
    seen = np.array([code for code, image in enumerate(items["image"]) if dataset.picture(image)], dtype=np.int64)
    if len(seen) < FEWEST:
        raise InputError(
            f"{dataset.folder} has {len(seen) or 'no'} pictures, and captions need {FEWEST} at least. Build the "
            "dataset with pictures, or tune the model as it is: python -m llmrec.sft"
        )
    order = np.random.default_rng(recipe.seed).permutation(seen)[: recipe.pictures]
    asked = max(2, round(recipe.held_out * len(order)))
    held_out, taught = np.sort(order[:asked]), np.sort(order[asked:])
    allowed = np.zeros(len(items), dtype=bool)
    allowed[taught] = True

    split = split_by_name(dataset.log, recipe.split, clock=dataset.clock, people=recipe.people)
    heard = training_reviews(dataset, split)
    counted = said.count([""] * len(items), heard, allowed)
    words = counted.words if counted else ()
    usual = counted.usual if counted else np.zeros(0, dtype=np.float32)
    strength, told = _told(words, usual, heard, recipe.words)
    known = attributes(items)
    columns = {name: values for name, values in known.items() if len({values[code] for code in taught} - {None}) > 1}
    if not columns and not words and not any(texts_of(items)):
        raise InputError(f"{dataset.folder} says nothing of its items: no columns, no text, no reviews to learn from")
    return Captions(columns, texts_of(items), words, strength, told, taught, held_out)


def _told(
    words: Sequence[str], usual: Floats, heard: Sequence[Sequence[str]], most: int
) -> tuple[Floats, list[list[str]]]:
    """How much more than usual each word is said of each item, and the words that are told of it."""
    strength = np.zeros((len(heard), len(words)), dtype=np.float32)
    told: list[list[str]] = []
    for code, reviews in enumerate(heard):
        count = Counter(word for review in reviews for word in words_of(review))
        times = np.array([count[word] for word in words], dtype=np.float32)
        if reviews and words:
            trust = len(reviews) / (len(reviews) + said.BELIEVED)
            strength[code] = trust * (times / len(reviews) - usual)
        order = np.argsort(-strength[code], kind="stable")[:most]
        told.append([words[row] for row in order.tolist() if strength[code, row] > BEYOND and times[row] >= TWICE])
    return strength, told
