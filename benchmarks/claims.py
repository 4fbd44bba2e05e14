"""The words by which a text names colours, patterns, shapes and brands of the drawn shop, and what is true of a piece.

What such a text claims, denies or says of earlier pieces is told by llmrec/evaluation/claims.py.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "data_builders"))
from drawn.labels import BRANDS, COLLECTIONS, plural
from drawn.vocabulary import CLOTH, COLOURS, HARD, KINDS, PATTERNS, TRIMS

from llmrec.evaluation.claims import Found

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


def named(sentence: str) -> Iterator[Found]:
    """The values that stand in a sentence."""
    for attribute, value, pattern in TABLE:
        for match in pattern.finditer(sentence):
            yield Found(attribute, value, *match.span())


def values_of(row: Mapping[str, Any]) -> frozenset[str]:
    """All that is true of a piece: the joined row of both item tables, as attribute=value."""
    names = ("kind", "silhouette", "colour", "pattern", "material", "trim", "brand", "occasion")
    found = {f"{name}={row[name]}" for name in names}
    collection = re.sub(r" \d+$", "", row["collection"] or "")
    return frozenset(found | {f"colour={row['accent']}", f"price={row['price_level']}", f"collection={collection}"})
