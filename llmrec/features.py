"""Which words of reviews speak of an item itself, and what is said of each: found by who else says them, not by a list.

A word that tells of an item ("navy") stands in other reviews of the same item far more often than in reviews of its
category; a word of manners ("recommended") does not, and neither does the name of the category.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llmrec.artifact import read_json

WORD = re.compile(r"[^\W\d_]{3,}")
SENTENCE = re.compile(r"(?<=[.!?])\s+")
SHARED, FEWEST, AGREEING = 2.5, 20, 2
SHORTEST_SENTENCES = 4
SHORTEST, ENDS = 4, (".", "!", "?", "…")
"""How many words a sentence has that is said to somebody, and how it ends."""
LISTED = 6  # features that a prompt tells
CONSIDERED, SAID = 20, 3
"""Features of which a short reason is made, and how many it names."""
FILE = "features.json"


@dataclass(frozen=True)
class Features:
    """The words that tell of items: how often each is said, and what was said of each item and how surely."""

    counts: Mapping[str, int] = field(default_factory=dict)
    of_item: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def told(self, review: str, item: int) -> str:
        """The sentences of a review that speak of the item, and say of it only what others say too.

        Where too few reviews are there to tell such words at all, a review is taken whole.
        """
        return self.kept(review, self.of_item.get(item, {}).keys())

    def kept(self, text: str, known: Collection[str]) -> str:
        """The sentences of a text that name some feature, and none that is not known."""
        if not self.counts:
            return text
        sentences = SENTENCE.split(text.strip())
        named = [self.counts.keys() & words_of(sentence) for sentence in sentences]
        kept: list[str] = []
        for sentence, features in zip(sentences, named, strict=True):
            short = kept and len(" ".join(kept).split()) < SHORTEST_SENTENCES
            if features.issubset(known) and (features or short):
                kept.append(sentence)
        return " ".join(kept)

    def sayable(self, sentence: str, known: Collection[str]) -> bool:
        """Whether a model's sentence may be said: a whole one, not of a few words, that `kept` would keep."""
        whole = sentence.strip().endswith(ENDS) and len(sentence.split()) >= (SHORTEST if self.counts else 1)
        return whole and bool(self.kept(sentence, known))

    def known(self, item: int, own: str = "") -> frozenset[str]:
        """What may be said of an item: what reviewers agree on, and the features that its own text names."""
        return frozenset(self.of_item.get(item, {})) | (self.counts.keys() & words_of(own))

    def agreed(self, item: int, most: int = LISTED) -> list[str]:
        """What reviewers agree on of an item, the surest first."""
        return _surest(self.of_item.get(item, {}), most)

    def taste(self, items: Sequence[int], most: int = LISTED) -> list[str]:
        """What is said of several of these items, the surest first."""
        sure: dict[str, float] = {}
        times: Counter[str] = Counter()
        for item in items:
            for word, strength in self.of_item.get(item, {}).items():
                sure[word] = sure.get(word, 0.0) + strength
                times[word] += 1
        return _surest({word: strength for word, strength in sure.items() if times[word] > 1}, most)

    def shared(self, items: Sequence[int], item: int, most: int = LISTED) -> list[str]:
        """What is said of several of these items and of another one too, the surest first."""
        agreed = set(self.agreed(item, most))
        return [word for word in self.taste(items, most) if word in agreed]

    def reason(self, items: Sequence[int], item: int, names: Collection[str] = ()) -> list[str]:
        """The words of a short reason: what is said of the history and of the item as well, and is no maker's name."""
        return [word for word in self.shared(items, item, CONSIDERED) if word not in names][:SAID]

    def hint(self, review: str) -> str | None:
        """The feature that a review speaks of first."""
        return next((word for word in WORD.findall(review.lower()) if word in self.counts), None)

    def save(self, folder: Path, ids: Sequence[str]) -> None:
        """Write them into a folder, items by their ids."""
        sure = {
            ids[item]: {word: round(strength, 3) for word, strength in words.items()}
            for item, words in self.of_item.items()
        }
        content = json.dumps({"counts": dict(self.counts), "items": sure}, ensure_ascii=False)
        (folder / FILE).write_text(content, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, codes: Mapping[str, int]) -> "Features":
        """Read what `save` wrote, items by the codes that they have now; nothing where nothing was written."""
        if not (folder / FILE).is_file():
            return cls()
        found = read_json(folder, FILE, kind="a folder with features", remedy="Write it again")
        sure = {codes[item]: words for item, words in found["items"].items() if item in codes}
        return cls(found["counts"], sure)


def _surest(sure: Mapping[str, float], most: int) -> list[str]:
    return sorted(sure, key=lambda word: (-sure[word], word))[:most]


def words_of(text: str) -> set[str]:
    """The words of a text in small letters, each once, without numbers and the shortest."""
    return set(WORD.findall(text.lower()))


def learn_features(items: Sequence[int], reviews: Sequence[str | None], groups: Sequence[Hashable]) -> Features:
    """Find the words that tell of items, and what is said of each. `groups` is the category of each item."""
    said: dict[int, Counter[str]] = {}
    in_group: dict[Hashable, Counter[str]] = {}
    of_item: Counter[int] = Counter()
    of_group: Counter[Hashable] = Counter()
    for item, review in zip(items, reviews, strict=True):
        words = words_of(review) if review else set()
        if words:
            said.setdefault(item, Counter()).update(words)
            in_group.setdefault(groups[item], Counter()).update(words)
            of_item[item] += 1
            of_group[groups[item]] += 1
    together: Counter[str] = Counter()
    by_chance: dict[str, float] = {}
    counts: Counter[str] = Counter()
    for item, words_said in said.items():
        group = groups[item]
        for word, times in words_said.items():
            counts[word] += times
            together[word] += times * (times - 1)
            rest = (in_group[group][word] - 1) / max(1, of_group[group] - 1)
            by_chance[word] = by_chance.get(word, 0.0) + times * (of_item[item] - 1) * rest
    telling = {
        word: times
        for word, times in counts.items()
        if times >= FEWEST and together[word] >= SHARED * max(by_chance[word], 1e-9)
    }
    sure: dict[int, dict[str, float]] = {}
    for item, words_said in said.items():
        group = groups[item]
        for word, times in words_said.items():
            if word in telling and times >= AGREEING:
                usual = of_item[item] * in_group[group][word] / of_group[group]
                strength = math.log((times + 0.5) / (usual + 0.5))
                if strength > 0.5:
                    sure.setdefault(item, {})[word] = strength
    return Features(telling, sure)
