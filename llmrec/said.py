"""What is said of each item: the share of its reviews, or else of its own text too, in which each telling word stands.

A single review is one person's mood; the share of many in which "navy" stands is nearly a label, and a picture can
learn to tell it. Only words that tell items apart are asked for: those whose share varies more than by chance.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.dataset import Dataset
from llmrec.features import words_of
from llmrec.splits import TRAIN, Split

Floats = npt.NDArray[np.float32]

MOST = 384  # words that are asked for
FEWEST = 8  # items that a word must be said of
COMMON = 0.5  # words of more of the items tell little
BEYOND = 2.0  # how many times its chance variance a word's share has at least, where many reviews are there
DIFFERING = 0.07  # the same where there are few: what items' own shares vary by, in all variance of a single review
SURE = 3.0  # standard errors by which that is more than chance
ENOUGH = 32  # telling words that make reviews enough by themselves
BELIEVED = 4.0  # reviews that count half as much as very many


@dataclass(frozen=True)
class Said:
    """Shares of words by item, how much each is to be believed, and how common each word is."""

    words: tuple[str, ...]
    share: Floats = field(repr=False)
    trust: Floats = field(repr=False)
    """From 0 where nobody spoke to nearly 1 where many did; one value an item."""
    usual: Floats = field(repr=False)


def training_reviews(dataset: Dataset, split: Split) -> list[list[str]]:
    """The reviews of each item in training rows; what people of validation and test rows say stays unread."""
    said: list[list[str]] = [[] for _ in range(len(split.log.items))]
    column = dataset.interactions.select(pl.col("review")).collect()["review"]
    rows = np.flatnonzero((split.part == TRAIN) & column.is_not_null().to_numpy())
    for item, review in zip(split.log.item[rows].tolist(), column.gather(rows).to_list(), strict=True):
        said[item].append(review)
    return said


def count(
    own: Sequence[str], reviews: Sequence[Sequence[str]], taught: npt.NDArray[np.bool_] | None = None
) -> Said | None:
    """Shares of telling words among the items that teach, all or some; None where nothing tells them apart.

    Reviews speak of looks, descriptions of the maker: these are listened to only where reviews tell few words or none.
    """
    kept = np.ones(len(own), dtype=bool) if taught is None else taught
    spoken = _said([some if teaches else [] for some, teaches in zip(reviews, kept, strict=True)])
    if spoken and len(spoken.words) >= ENOUGH:
        return spoken
    written = _said([[text] if text and teaches else [] for text, teaches in zip(own, kept, strict=True)])
    return _both(spoken, written) if spoken and written else spoken or written


def _both(spoken: Said, written: Said) -> Said:
    """What is said of items with what is written of them; an item without one of these counts as usual there."""
    more = [place for place, word in enumerate(written.words) if word not in set(spoken.words)]
    tables = [(spoken, np.arange(len(spoken.words))), (written, np.array(more, dtype=np.intp))]
    shares = [np.where(one.trust[:, None] > 0, one.share[:, some], one.usual[some]) for one, some in tables]
    return Said(
        (*spoken.words, *(written.words[place] for place in more)),
        np.concatenate(shares, axis=1),
        np.maximum(spoken.trust, written.trust),
        np.concatenate([one.usual[some] for one, some in tables]),
    )


def _said(texts: Sequence[Sequence[str]]) -> Said | None:
    """The telling words of these texts, the share of each item's that have them, and how far to believe it."""
    said = [Counter(word for text in some for word in words_of(text)) for some in texts]
    many = np.array([len(some) for some in texts])
    spoken = many > 0
    items = Counter(word for some in said for word in some)
    known = sorted(word for word, count in items.items() if count >= FEWEST)
    if not known or spoken.sum() < FEWEST:
        return None
    counts = np.array([[some[word] for word in known] for some in said], dtype=np.float64)
    usual = counts.sum(axis=0) / many.sum()
    if many.max() == 1:  # one text an item: every word is there or not, and chance cannot be told
        telling = np.where((usual <= COMMON), usual * (1 - usual), 0)
        chosen = np.argsort(-telling, kind="stable")[:MOST]
        chosen = chosen[telling[chosen] > 0]
    else:
        chance = many[spoken, None] * usual * (1 - usual)
        beyond = ((counts[spoken] - many[spoken, None] * usual) ** 2 / np.maximum(chance, 1e-9)).mean(axis=0)
        error = np.sqrt((2 + (1 / np.maximum(chance, 1e-9)).mean(axis=0)) / spoken.sum())
        wanted = min(BEYOND, 1 + DIFFERING * (many[spoken].mean() - 1))  # few reviews an item hide how items differ
        chosen = np.argsort(-beyond, kind="stable")[:MOST]
        chosen = chosen[(beyond > wanted)[chosen] & (beyond > 1 + SURE * error)[chosen]]
    if not len(chosen):
        return None
    share = counts[:, chosen] / np.maximum(many, 1)[:, None]
    trust = many / (many + BELIEVED)
    told = (share * trust[:, None]).sum(axis=0) / trust.sum()
    words = tuple(known[column] for column in chosen.tolist())
    return Said(words, *(np.asarray(table, dtype=np.float32) for table in (share, trust, told)))
