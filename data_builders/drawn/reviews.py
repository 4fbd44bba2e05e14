"""Reviews from reasons: a grammar that lets each person say, in a manner of their own, what they truly like or do not.

Nothing is said about a piece's looks that is not so, and nothing is praised that the person does not like: an
explanation can be checked against what is written here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from . import phrases
from .catalogue import Goods
from .labels import article, plural
from .phrases import Phrases
from .vocabulary import BY_NAME

PLURAL_NOUNS = {"shoe": "shoes", "trousers": "trousers"}  # bought by the pair
# How a verb agrees with the point that a phrase makes.
ONE = {"np_is": "is", "np_was": "was", "np_do": "does", "np_s": "s"}
MANY = {"np_is": "are", "np_was": "were", "np_do": "do", "np_s": ""}


@dataclass(frozen=True)
class Occurrence:
    """One choice as the person who made it would tell it."""

    piece: Goods
    rating: int
    cause: str
    register: str
    matched: Sequence[str]  # the attributes in which the piece meets the person's taste, the strongest first
    mismatched: Sequence[str]  # the attributes in which it does not
    new_taste: str | None = None  # the attribute of `matched` that the person has come to like only lately
    earlier: Goods | None = None  # the purchase before


@dataclass(frozen=True)
class Review:
    text: str
    headline: str
    mentioned: tuple[str, ...]  # the attributes that text or headline name


class Writer:
    """Writes one review: chooses what to mention, then how to say it."""

    def __init__(self, rng: np.random.Generator, told: Occurrence) -> None:
        self.rng = rng
        self.told = told
        self.mood = "good" if told.rating >= 4 else "mixed" if told.rating == 3 else "bad"
        self.named: list[str] = []
        self.words = _words(told.piece.look.kind) | {"friend": self.one(phrases.FRIENDS)}
        self.merits = self.order([name for name in told.matched if name != "kind"])
        self.faults = self.order(
            [name for name in told.mismatched if name in ("colour", "pattern", "silhouette", "material")]
        )

    def one(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def order(self, attributes: list[str]) -> list[str]:
        """The attributes in an order of mention in which the stronger ones tend to come first."""
        keys = [place + 2.5 * self.rng.random() for place in range(len(attributes))]
        return [attributes[place] for place in np.argsort(keys)]

    def write(self) -> Review:
        plans = phrases.PLANS[self.mood]
        slots = plans[self.rng.integers(len(plans))]
        if self.told.cause == "gift":
            slots = ("gift", "complaint") if self.mood == "bad" else ("gift",)
        elif self.told.cause in ("impulse", "companion", "again") and "story" not in slots and self.rng.random() < 0.6:
            slots = ("story", *slots)
        said = [sentence for slot in slots if (sentence := self.say(slot))]
        if not said:
            said = [self.phrase(phrases.CLOSERS[self.mood][self.told.register])]
        text = " ".join(dict.fromkeys(said))
        headline = self.headline()
        return Review(text, headline, tuple(dict.fromkeys(self.named)))

    def say(self, slot: str) -> str:
        """A sentence for the slot, or nothing where there is nothing true to say."""
        told, manner = self.told, self.told.register
        if slot == "opener":
            return self.phrase(phrases.OPENERS[manner])
        if slot == "closer":
            return self.phrase(phrases.CLOSERS[self.mood][manner])
        if slot == "use":
            return self.phrase(phrases.USES[BY_NAME[told.piece.look.kind].department])
        if slot == "praise":
            count = 2 if len(self.merits) > 1 and self.rng.random() < 0.4 else 1
            return self.about([self.merits.pop(0) for _ in range(min(count, len(self.merits)))], phrases.PRAISE[manner])
        if slot == "more":
            return self.about([self.merits.pop(0)] if self.merits else [], phrases.MORE[manner])
        if slot in ("complaint", "worse"):
            return self.about([self.faults.pop(0)] if self.faults else [], phrases.COMPLAINTS[manner])
        if slot == "but":
            complaint = self.say("complaint")
            return (
                f"But: {complaint[0].lower() if not complaint.startswith('I ') else 'I'}{complaint[1:]}"
                if complaint
                else ""
            )
        if slot == "kind" and "kind" in told.matched:
            self.named.append("kind")
            return self.phrase(phrases.FOND_OF_KIND)
        if slot == "not_kind" and "kind" in told.mismatched:
            self.named.append("kind")
            return self.phrase(phrases.NOT_FOND_OF_KIND)
        if slot == "lately" and told.new_taste:
            self.named.append(told.new_taste)
            return self.phrase(phrases.LATELY, what=_in_general(told.new_taste, told.piece))
        if slot == "gift":
            outcome = phrases.GIFT_FAILED if self.mood == "bad" else phrases.GIFT_LANDED
            return f"{self.phrase(phrases.GIFTS)} {self.phrase(outcome)}"
        return self.story() if slot == "story" else ""

    def story(self) -> str:
        """How the purchase came about."""
        told = self.told
        if told.cause == "impulse":
            return self.phrase(phrases.IMPULSES)
        if told.cause == "again":
            return self.phrase(phrases.AGAIN)
        if told.earlier is None:
            return ""
        kind = told.earlier.look.kind
        earlier = PLURAL_NOUNS.get(kind, kind)
        if told.cause == "companion":
            options = tuple(phrase for phrase in phrases.COMPANIONS if kind not in PLURAL_NOUNS or "was" not in phrase)
            return self.phrase(options, earlier=earlier, collection=told.piece.collection)
        options = phrases.EARLIER_ALIKE if kind == told.piece.look.kind else phrases.EARLIER
        return self.phrase(options, an_earlier=f"a pair of {earlier}" if kind in PLURAL_NOUNS else article(kind))

    def headline(self) -> str:
        if self.told.cause == "gift":
            return self.phrase(phrases.HEADLINES["gift"])
        wanted = self.told.matched if self.mood == "good" else self.told.mismatched
        shown = [name for name in self.named if name in wanted and name not in ("kind", "occasion", "price")]
        options = phrases.HEADLINES[self.mood]
        if not shown:
            return self.phrase(tuple(option for option in options if "np" not in option.lower()))
        return self.about(shown[:1], options)

    def about(self, attributes: list[str], options: Phrases) -> str:
        """A phrase that makes a point of one or two attributes."""
        if not attributes:
            return ""
        self.named += attributes
        points = [self.point(attribute) for attribute in attributes]
        many = len(points) > 1 or points[0][1]
        text = " and ".join(words for words, _ in points)
        return self.phrase(options, np=text, **(MANY if many else ONE))

    def point(self, attribute: str) -> tuple[str, bool]:
        value = self.told.piece.value(attribute)
        table = {
            "pattern": phrases.PATTERN_POINTS,
            "trim": phrases.TRIM_POINTS,
            "occasion": phrases.OCCASION_POINTS,
            "price": phrases.PRICE_POINTS,
        }.get(attribute)
        options = table[value] if table else phrases.POINTS[attribute]
        words, many = options[self.rng.integers(len(options))]
        return words.format(v=value, **self.words), many

    def phrase(self, options: Phrases, **fields: str) -> str:
        capitals = {name.capitalize(): _capital(words) for name, words in fields.items()}
        return _capital(self.one(options).format(**self.words, **fields, **capitals))


@cache
def _words(kind: str) -> dict[str, str]:
    """The fields of a phrase that agree with the piece, each also with a capital."""
    many = kind in PLURAL_NOUNS
    noun = PLURAL_NOUNS.get(kind, kind)
    verbs = {
        "suits": "suit",
        "falls": "fall",
        "makes": "make",
        "lives": "live",
        "goes": "go",
        "has": "have",
        "is_": "are",
    }
    words = {
        "noun": noun,
        "single": f"pair of {noun}" if many else noun,
        "a_noun": f"a pair of {noun}" if many else article(noun),
        "lovely_noun": f"lovely {noun}" if many else f"a lovely {noun}",
        "kinds": plural(kind),
        "it": "they" if many else "it",
        "them": "them" if many else "it",
        "this": "these" if many else "this",
        "cut": "cut" if BY_NAME[kind].department == "Clothing" else "silhouette",
        **{name: word if many else name.rstrip("_") for name, word in verbs.items()},
    }
    return words | {name.capitalize(): _capital(word) for name, word in words.items()}


def _in_general(attribute: str, piece: Goods) -> str:
    """What someone likes when they like this value, not only in this piece."""
    value = piece.value(attribute)
    if attribute == "kind":
        return plural(value)
    return f"{value} things" if value in ("plain", "floral") else value


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
