"""What a text claims about a piece of the drawn shop: colours, patterns, shapes, brands, in its own words.

A claim may be praise or not, may deny what it names, and may speak of an earlier piece; each is told apart, since
"I do not like the stripes" names no reason and "my last order was a hat" says nothing about this piece.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "data_builders"))
from drawn.labels import BRANDS, COLLECTIONS, plural
from drawn.vocabulary import CLOTH, COLOURS, HARD, KINDS, PATTERNS, TRIMS

KIND_WORDS = {kind.name: {kind.name, plural(kind.name)} for kind in KINDS}
NOUNS = "|".join(sorted({word for words in KIND_WORDS.values() for word in words}, key=len, reverse=True))
SHAPES = tuple(dict.fromkeys(shape for kind in KINDS for shape in kind.silhouettes))
# Everyday words, which are a shape only in front of a word that says so.
LOOSE = {
    *("fitted", "wrap", "slim", "wide", "cropped", "cap", "classic", "straight", "rounded", "tapered", "tall", "globe"),
    *("bottle", "bud", "bucket", "cone", "drum", "square", "round", "tub", "stool", "dome", "cylinder", "pencil"),
}
SAYS_SHAPE = rf"(?=[- ](?:shape|cut|silhouette|form|{NOUNS})\b)"
PATTERN_WORDS = {
    "plain": r"plain\b",
    "stripes": r"stripes?\b|striped\b",
    "dots": r"dots?\b|dotted\b",
    "check": r"(?:the|that|a|this) check\b(?! (?:out|in|it|them))|check(?:ed)?(?= pattern)|checks\b",
    "floral": r"florals?\b|flowers\b",
    "zigzag": r"zigzags?\b",
    "leaves": r"(?<!it )(?<!which )leaves\b(?! (?:me|you|us|nothing|no|much|a|the)\b)",
    "stars": r"stars\b(?! out of)",
}
TRIM_WORDS = {"bow": r"bows?\b", "piping": r"piping\b", "buttons": r"buttons?\b", "tassels": r"tassels?\b"}
TRIM_WORDS["stitching"] = r"stitching\b"
OCCASION_WORDS = {
    "everyday": r"ordinary days|everyday\b",
    "work": r"working days|businesslike\b",
    "travel": r"travell?ing\b|journeys?\b|travel\b",
    "celebration": r"celebrations?\b|festive\b",
    "weekend": r"weekends?\b",
    "evening": r"evenings?\b",
}
PRICE_WORDS = {
    "low": r"small price|what little (?:it|they) cost|low price|cheap\b",
    "middle": r"sensible price|fair price",
    "high": r"luxury\b|expensive\b",
}


def _table() -> list[tuple[str, str, re.Pattern[str]]]:
    """Attribute, value and the pattern that finds it; those that hold others as a part come first."""
    found: list[tuple[str, str, str]] = [("silhouette", shape, _shape(shape)) for shape in SHAPES]
    found += [("brand", brand, rf"(?-i:{re.escape(brand)})(?!\w)") for brand in BRANDS]
    found += [("collection", name, rf"(?<=from )(?:the )?(?-i:{name})(?: \d+)?\b") for name in COLLECTIONS]
    for attribute, table in (("pattern", PATTERN_WORDS), ("trim", TRIM_WORDS), ("occasion", OCCASION_WORDS)):
        found += [(attribute, value, pattern) for value, pattern in table.items()]
    found += [("price", value, pattern) for value, pattern in PRICE_WORDS.items()]
    found += [("colour", colour, rf"{colour}\b") for colour in COLOURS]
    found += [("material", value, rf"{value}(?:en)?\b") for value in (*CLOTH, *HARD)]
    found += [("kind", kind, rf"(?:{'|'.join(words)})\b") for kind, words in KIND_WORDS.items()]
    return [(name, value, re.compile(rf"\b(?:{words})", re.IGNORECASE)) for name, value, words in found]


def _shape(shape: str) -> str:
    return rf"{re.escape(shape)}s?{SAYS_SHAPE if shape in LOOSE else ''}(?!\w)"


TABLE = _table()
assert set(PATTERN_WORDS) == set(PATTERNS)
assert {*TRIM_WORDS, "none"} == set(TRIMS)

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
        return f"{self.attribute}={self.value}"


@dataclass(frozen=True)
class Verdict:
    """What the claims of a text are worth, held against the piece and the true reasons."""

    claims: tuple[Claim, ...]
    reasons: frozenset[str]
    """True reasons that the text names in praise; the kind is not among them, for a noun is no reason."""
    kind: bool
    """Whether the kind is named and is a true reason."""
    contradictions: frozenset[str]
    """What is said of this piece and is not so."""
    wrong_history: frozenset[str]
    """What is said of an earlier piece while there was none such."""


def claims(text: str) -> list[Claim]:
    """All values that a text names, in its order."""
    found: list[Claim] = []
    for sentence in sentences(text):
        liked = not DISLIKED.search(LIKED_AFTER_ALL.sub("", sentence))
        earlier = bool(EARLIER.search(sentence))
        taken: list[tuple[int, int]] = []
        for attribute, value, pattern in TABLE:
            for match in pattern.finditer(sentence):
                inside = any(begin <= match.start() < end for begin, end in taken)
                # A shoe stands in "court shoe" and is meant there as well; a brand's words mean nothing by themselves.
                if inside and attribute != "kind":
                    continue
                if attribute != "kind":
                    taken.append(match.span())
                denied = bool(DENIED.search(sentence[: match.start()]))
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


def values_of(row: Mapping[str, Any]) -> frozenset[str]:
    """All that is true of a piece: the joined row of both item tables, as attribute=value."""
    names = ("kind", "silhouette", "colour", "pattern", "material", "trim", "brand", "occasion")
    found = {f"{name}={row[name]}" for name in names}
    collection = re.sub(r" \d+$", "", row["collection"] or "")
    return frozenset(found | {f"colour={row['accent']}", f"price={row['price_level']}", f"collection={collection}"})


def judged(text: str, piece: frozenset[str], history: Iterable[frozenset[str]], reasons: Iterable[str]) -> Verdict:
    """Hold a text against the piece that it is about, the pieces before it and the true reasons."""
    found, true_reasons = claims(text), frozenset(reasons)
    before = frozenset().union(*history)
    here = [claim for claim in found if not claim.earlier or claim.name in piece]
    wrong = {claim.name for claim in here if (claim.name in piece) == claim.denied}
    praised = {claim.name for claim in here if claim.liked and not claim.denied and claim.name in piece}
    return Verdict(
        claims=tuple(found),
        reasons=frozenset(name for name in praised & true_reasons if not name.startswith("kind=")),
        kind=any(name.startswith("kind=") for name in praised & true_reasons),
        contradictions=frozenset(wrong),
        wrong_history=frozenset(
            claim.name for claim in found if claim.earlier and claim.name not in piece and claim.name not in before
        ),
    )
