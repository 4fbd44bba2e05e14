"""What people say, made from the catalogue and the log: wishes in words, true reasons, features of a review."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import polars as pl

OPENERS = ("something", "anything", "a piece", "one item")
WORD = re.compile(r"[^\W\d_]{3,}")
SAMPLED_REVIEWS = 200_000


@dataclass(frozen=True)
class Wish:
    """A wish that an item fulfils, as a noun phrase, and the reason in which it does."""

    text: str
    reason: str


def wish_for(item: Mapping[str, Any], price_bound: int | None, rng: Random) -> Wish:
    """A wish made from one to three written fields of the item that was taken, never from what is only pictured."""
    aspects: list[tuple[str, str]] = []
    if item["categories"]:
        category = item["categories"][-1]
        aspects.append((f"in {category}", f"it is in {category}"))
    if item["brand"]:
        aspects.append((f"by {item['brand']}", f"it is by {item['brand']}"))
    if price_bound is not None:
        aspects.append((f"for less than {price_bound}", f"it costs {item['price']:.2f}"))
    for name, value in item["attributes"].items():
        aspects.append((f"with {name} {value}", f"its {name} is {value}"))
    if not aspects:
        title = item["title"]
        return Wish(f"something like “{title}”" if title else "something new to me", "")
    chosen = rng.sample(aspects, min(len(aspects), rng.choice((1, 2, 2, 3))))
    wanted = rng.choice(OPENERS) + " " + ", ".join(phrase for phrase, _ in chosen)
    return Wish(wanted, _joined([reason for _, reason in chosen]))


def feature_words(reviews: pl.Series) -> dict[str, int]:
    """Words that reviews use to speak of features: in at least three reviews, and in no more than one of twelve."""
    texts = reviews.drop_nulls().head(SAMPLED_REVIEWS)
    if texts.is_empty():
        return {}
    words = texts.str.to_lowercase().str.extract_all(r"\p{L}{3,}").list.unique().explode().drop_nulls()
    counts = words.value_counts(name="count").filter(pl.col("count").is_between(3, max(3, len(texts) // 12)))
    return dict(counts.iter_rows())


def hint_of(review: str, item_line: str, features: Mapping[str, int]) -> str | None:
    """The feature that a review is about: a word that the item's own text knows, else the commonest feature word."""
    words: list[str] = WORD.findall(review.lower())
    spoken = [word for word in dict.fromkeys(words) if word in features]
    if not spoken:
        return None
    written = set(WORD.findall(item_line.lower()))
    known = [word for word in spoken if word in written]
    return known[0] if known else max(spoken, key=lambda word: (features[word], word))


def _joined(reasons: list[str]) -> str:
    return reasons[0] if len(reasons) == 1 else ", ".join(reasons[:-1]) + " and " + reasons[-1]
