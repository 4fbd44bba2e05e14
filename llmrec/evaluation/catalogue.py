"""What a catalogue says and denies of its items: the words of its fields, found in texts and held against each item.

A value that several items share ("red", "Kitchen") is a claim wherever it stands in a text. It contradicts the
catalogue where the item's own field says something else, and nothing in the item's text names it either. Some values
are everyday words ("classic") or stand for what goes with an item: those that reviewers use of items that have another
value are no claims. Numbers and free texts are left out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from llmrec.evaluation.claims import NOUN, Found, Verdict, claims, judged
from llmrec.evaluation.wording import WORD
from llmrec.examples import ExampleSource

Key = tuple[str, ...]
Row = Mapping[str, Sequence[str]]
"""The values of an item by attribute; none where nobody knows."""

LONGEST, SHORTEST = 4, 3
"""Words that a value has at most, and letters at least."""
SHARED = 2  # items that have a value; fewer, and it is a name
EMPTY = frozenset({("yes",), ("none",), ("true",), ("false",), ("other",), ("unknown",)})
READ = 10_000  # reviews that are looked at for how a word is used
USES, WRONG = 5, 0.1
"""Uses of a word from which on it is judged, and the share of them that may be of items that have another value."""
BRAND = "brand"
NO_FIELDS = "the catalogue has no categories, brands or attributes in words that several items share"


@dataclass(frozen=True)
class Catalogue:
    """The values that are claims, and which of them each item has."""

    names: Mapping[Key, tuple[str, str]] = field(repr=False)
    """Attribute and value as they are called, by the words of a value; one of several attributes has one name."""
    of_attribute: Mapping[str, frozenset[str]] = field(repr=False)
    """All values of an attribute, as attribute=value."""
    true: Sequence[frozenset[str]] = field(repr=False)
    """What each item is, as attribute=value."""
    empty: Sequence[tuple[str, ...]] = field(repr=False)
    """The attributes of which nobody knows what an item is."""
    own: Sequence[frozenset[str]] = field(repr=False)
    """What each item's own text names, which the catalogue does not deny."""
    everyday: tuple[str, ...] = ()
    """Values that are no claims, since reviewers use them of other items too; the most used first."""

    def find(self, sentence: str) -> list[Found]:
        """The values that a sentence names, longer ones first."""
        return sorted(self._found(sentence), key=lambda one: one.begin - one.end)

    def _found(self, sentence: str) -> Iterator[Found]:
        said = list(WORD.finditer(sentence))
        stems = [_stem(word[0].lower()) for word in said]
        for begin in range(len(said)):
            for end in range(begin + 1, min(begin + LONGEST, len(said)) + 1):
                name = self.names.get(tuple(stems[begin:end]))
                # A brand's words are everyday ones too, unless they are written as a name.
                if name and (name[0] != BRAND or not name[1][0].isupper() or said[begin][0][0].isupper()):
                    yield Found(*name, said[begin].start(), said[end - 1].end())

    def untold(self, item: int) -> frozenset[str]:
        """What nobody knows of an item: whatever an empty field could say, and what its own text names beside."""
        return self.own[item].union(*(self.of_attribute.get(name, frozenset()) for name in self.empty[item]))

    def judge(self, text: str, item: int, history: Sequence[int], reasons: Sequence[str] = ()) -> Verdict:
        """What the claims of a text are worth; true reasons as attribute=value."""
        named = [self.names.get(_key(reason.partition("=")[2])) for reason in reasons]
        true = ["=".join(name) for name in named if name]
        before = [self.true[code] for code in history]
        return judged(text, self.find, self.true[item], before, true, self.untold(item))

    def cited(self, text: str, item: int, history: Sequence[int]) -> set[int]:
        """The earlier items that a text speaks of without doubt: one alone of the history is as it says."""
        told = [claim.name for claim in claims(text, self.find) if claim.earlier and not claim.denied]
        met = [{code for code in history if name in self.true[code]} for name in told if name not in self.true[item]]
        return set().union(*(codes for codes in met if len(codes) == 1)) - {item}


def catalogue_of(source: ExampleSource, own: Sequence[str], truth: pl.DataFrame | None = None) -> Catalogue:
    """The claims of a dataset, by how reviewers of its training rows use them; `truth` tells more of its items."""
    known = source.dataset.items.collect_schema()
    hidden = None if truth is None else truth.select(name for name in truth.columns if name not in known)
    train = np.flatnonzero(source.train)
    some = np.sort(np.random.default_rng(0).permutation(train)[:READ])
    reviews = [review or "" for review in source.texts["review"].gather(some).to_list()]
    return heeding(catalogue(rows_of(source.shelf.fields, hidden), own), source.split.log.item[some].tolist(), reviews)


def rows_of(items: Sequence[Mapping[str, Any]], hidden: pl.DataFrame | None = None) -> list[Row]:
    """The values of items by attribute, from their cleaned fields and from further columns of text."""
    rows: list[dict[str, list[str]]] = []
    for fields in items:
        told = {NOUN: list(fields["categories"]), BRAND: [fields["brand"]] if fields["brand"] else []}
        rows.append(told | {name: [value] for name, value in fields["attributes"].items()})
    for column in () if hidden is None else hidden.select(pl.col(pl.String)):
        for row, value in zip(rows, column.to_list(), strict=True):
            here = row.setdefault(column.name.replace("_", " "), [])
            here += [value] if value and value not in here else []
    return list(rows)


def catalogue(rows: Sequence[Row], own: Sequence[str]) -> Catalogue:
    """The claims of a catalogue, whatever else its words may mean."""
    attributes = list(dict.fromkeys([NOUN, BRAND, *(name for row in rows for name in row)]))
    often = {
        name: Counter(key for row in rows for key in {_key(value) for value in row.get(name, ())})
        for name in attributes
    }
    names: dict[Key, tuple[str, str]] = {}
    for name in attributes:
        for row in rows:
            for value in row.get(name, ()):
                if often[name][_key(value)] >= SHARED and _claimed(_key(value)):
                    names.setdefault(_key(value), (name, value))
    told = {name: frozenset("=".join(names[key]) for key in counts if key in names) for name, counts in often.items()}
    told = {name: values for name, values in told.items() if values}
    true = [
        frozenset("=".join(names[_key(value)]) for values in row.values() for value in values if _key(value) in names)
        for row in rows
    ]
    empty = [tuple(name for name in told if not row.get(name)) for row in rows]
    found = Catalogue(names, told, true, empty, [frozenset()] * len(rows))
    texts = [frozenset(f"{one.attribute}={one.value}" for one in found.find(text)) for text in own]
    return replace(found, own=texts)


def heeding(found: Catalogue, items: Sequence[int], reviews: Sequence[str]) -> Catalogue:
    """The same without the values that reviewers also use of items that have another."""
    uses: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for item, review in zip(items, reviews, strict=True):
        untold = found.untold(item) - found.true[item] if review else frozenset()
        for claim in claims(review, found.find):
            if not claim.earlier and not claim.denied and claim.name not in untold:
                uses[claim.name] += 1
                wrong[claim.name] += claim.name not in found.true[item]
    everyday = {name for name in uses if uses[name] >= USES and wrong[name] > WRONG * uses[name]}
    return replace(
        found,
        names={key: name for key, name in found.names.items() if "=".join(name) not in everyday},
        everyday=tuple(name.partition("=")[2] for name in sorted(everyday, key=lambda name: (-uses[name], name))),
    )


def _claimed(key: Key) -> bool:
    letters = sum(map(str.isalpha, "".join(key)))
    return 0 < len(key) <= LONGEST and letters >= SHORTEST and key not in EMPTY


def _key(value: str) -> Key:
    return tuple(_stem(word.lower()) for word in WORD.findall(value))


def _stem(word: str) -> str:
    """A word without the ending of its plural."""
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and len(word) > SHORTEST and not word.endswith(("ss", "us", "is")) else word
