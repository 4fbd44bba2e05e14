"""What is said of each item: the share of its reviews, or else of its own text, in which each telling word stands.

A single review is one person's mood; the share of many in which "navy" stands is nearly a label, and a picture can
learn to tell it. Only words that tell items apart are asked for: those whose share varies more than by chance.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from llmrec.retrieval.words import words_in

MOST = 384  # words that are asked for
FEWEST = 8  # items that a word must be said of
COMMON = 0.5  # words of more of the items tell little
BEYOND = 2.0  # how many times its chance variance a word's share must have
BELIEVED = 4.0  # reviews that count half as much as very many


@dataclass(frozen=True)
class Said:
    """Shares of words by item, how much each is to be believed, and how many nats one knows nothing by."""

    words: tuple[str, ...]
    share: torch.Tensor = field(repr=False)
    trust: torch.Tensor = field(repr=False)
    usual: torch.Tensor = field(repr=False)

    def loss(self, logits: torch.Tensor, items: npt.NDArray[np.int64]) -> torch.Tensor:
        """How badly these shares were told: 1 for who tells of every item what is said of them all."""
        rows = torch.from_numpy(items)
        share, trust = self.share[rows].to(logits), self.trust[rows].to(logits)
        usual = self.usual.to(logits)
        wrong = functional.binary_cross_entropy_with_logits(logits + torch.logit(usual), share, reduction="none")
        blind = functional.binary_cross_entropy(usual.expand_as(share), share, reduction="none")
        return (wrong * trust).sum() / (blind * trust).sum().clamp(min=1e-6)


def count(own: Sequence[str], reviews: Sequence[Sequence[str]], taught: npt.NDArray[np.bool_]) -> Said | None:
    """Shares of telling words among the items that teach; None where nothing tells them apart.

    Reviews speak of looks, descriptions of the maker: these are listened to only where nobody wrote reviews.
    """
    for texts in (reviews, [[text] if text else [] for text in own]):
        found = _said([some if kept else [] for some, kept in zip(texts, taught.tolist(), strict=True)])
        if found:
            return found
    return None


def _said(texts: Sequence[Sequence[str]]) -> Said | None:
    """The telling words of these texts, the share of each item's that have them, and how far to believe it."""
    said = [Counter(word for text in some for word in set(words_in(text))) for some in texts]
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
        chosen = np.argsort(-beyond, kind="stable")[:MOST]
        chosen = chosen[beyond[chosen] > BEYOND]
    if not len(chosen):
        return None
    share = counts[:, chosen] / np.maximum(many, 1)[:, None]
    trust = np.broadcast_to((many / (many + BELIEVED))[:, None], share.shape)
    told = (share * trust).sum(axis=0) / trust.sum(axis=0)
    words = tuple(known[column] for column in chosen.tolist())
    return Said(words, *(torch.from_numpy(table.astype(np.float32)) for table in (share, trust, told)))
