"""What a text claims of an item, and whether it is so; what it denies or says of an earlier one is told apart.

A claim may be praise or not, may deny what it names, and may speak of an earlier item; each is told apart, since
"I do not like the stripes" names no reason and "my last order was a hat" says nothing about this one. The rules are
English. Which words are claims is a question of the catalogue: see `llmrec.evaluation.catalogue`.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

NOUN = "kind"
"""The attribute whose values are nouns: they stand within other values as well, and are no reason."""

DENIED = re.compile(
    r"\b(?:no|(?<!do )without|not|never|isn't|aren't|instead of|rather than)(?: an?| the| any)? $", re.IGNORECASE
)
EARLIER = re.compile(
    r"\b(?:last (?:order|time|single|pair)|time before|shortly before|go with|goes with|together with|had just ordered"
    r"|was lonely|first an?\b|when i bought|second time|after (?:an?|the last)\b|matches the|already (?:have|own)"
    r"|previous|before that|earlier)",
    re.IGNORECASE,
)
DISLIKED = re.compile(
    r"\b(?:not|cannot|never|dislike|object to|reservation|regret|regrettably|lost for|bothers?|problem|sadly|hate"
    r"|do without|nobody has to see|one lives and learns|wondered what|laughed|i do not|someone else|brave decision"
    r"|no use|don't|doesn't|didn't|can't|couldn't|wish|disappoint\w*|why i bought|some people's taste)\b|\? no\b",
    re.IGNORECASE,
)
LIKED_AFTER_ALL = re.compile(
    r"not to be overlooked|not only|can never have|never pass by|regret nothing|would not have looked|not enough"
    r"|not last|not mind(?!ed)|cannot (?:get enough|stop|resist)|could not resist",
    re.IGNORECASE,
)
TIED = re.compile(r"^(?:no\b|no\.|no thanks|one lives and learns)", re.IGNORECASE)


class Found(NamedTuple):
    """A value that stands in a sentence, and where."""

    attribute: str
    value: str
    begin: int
    end: int


Find = Callable[[str], Iterable[Found]]
"""Finds the values that a sentence names; those that hold others as a part come first."""


@dataclass(frozen=True)
class Claim:
    """One value that a text names, and how."""

    attribute: str
    value: str
    liked: bool
    denied: bool
    earlier: bool

    @property
    def name(self) -> str:
        """As reasons are written."""
        return f"{self.attribute}={self.value}"


@dataclass(frozen=True)
class Verdict:
    """What the claims of a text are worth, held against the item and the true reasons."""

    claims: tuple[Claim, ...]
    reasons: frozenset[str]
    """True reasons that the text names in praise; the kind is not among them, for a noun is no reason."""
    kind: bool
    """Whether the kind is named and is a true reason."""
    contradictions: frozenset[str]
    """What is said of this item and is not so."""
    wrong_history: frozenset[str]
    """What is said of an earlier item while there was none such."""


def claims(text: str, find: Find) -> list[Claim]:
    """All values that a text names, in its order."""
    found: list[Claim] = []
    for sentence in sentences(text):
        liked = not DISLIKED.search(LIKED_AFTER_ALL.sub("", sentence))
        earlier = bool(EARLIER.search(sentence))
        taken: list[tuple[int, int]] = []
        for attribute, value, begin, end in find(sentence):
            inside = any(first <= begin < last for first, last in taken)
            # A shoe stands in "court shoe" and is meant there as well; a brand's words mean nothing by themselves.
            if inside and attribute != NOUN:
                continue
            if attribute != NOUN:
                taken.append((begin, end))
            denied = bool(DENIED.search(sentence[:begin]))
            found.append(Claim(attribute, value, liked and not denied, denied, earlier))
    return list(dict.fromkeys(found))


def sentences(text: str) -> list[str]:
    """A text's sentences; a bare answer such as "No." stays with what it answers."""
    found: list[str] = []
    for piece in re.split(r"(?<=[.!?;])\s+", text.strip()):
        if found and TIED.match(piece):
            found[-1] += " " + piece
        elif piece:
            found.append(piece)
    return found


def judged(
    text: str,
    find: Find,
    item: Collection[str],
    history: Iterable[Collection[str]],
    reasons: Iterable[str],
    untold: Collection[str] = frozenset(),
) -> Verdict:
    """Hold a text against the item that it is about, the items before it and the true reasons.

    Each is what is true of it, as attribute=value; of what is `untold` nobody knows whether it is so.
    """
    found, true_reasons = claims(text, find), frozenset(reasons)
    before = frozenset().union(*history)
    here = [claim for claim in found if not claim.earlier or claim.name in item]
    wrong = {
        claim.name
        for claim in here
        if (claim.name in item if claim.denied else claim.name not in item and claim.name not in untold)
    }
    praised = {claim.name for claim in here if claim.liked and not claim.denied and claim.name in item}
    named = praised & true_reasons
    known = before.union(item, untold)
    return Verdict(
        claims=tuple(found),
        reasons=frozenset(name for name in named if not name.startswith(f"{NOUN}=")),
        kind=any(name.startswith(f"{NOUN}=") for name in named),
        contradictions=frozenset(wrong),
        wrong_history=frozenset(claim.name for claim in found if claim.earlier and claim.name not in known),
    )
