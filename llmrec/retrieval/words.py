"""Text vectors without any download: weighted words of the catalogue, folded into a few hundred dimensions.

Latent semantic analysis: TF-IDF weights of words, then the strongest directions in which they vary together. Words that
nothing in the catalogue has are unknown; an encoder that was trained on much text knows more.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from llmrec.retrieval.content import Floats, unit

WORD = re.compile(r"\w+", re.UNICODE)
MOST_WORDS = 100_000
FIELDS = ("title", "brand", "categories", "description")


@dataclass(frozen=True)
class Words:
    """Fitted on a catalogue; gives vectors of any text."""

    weight: dict[str, float]
    """Inverse document frequency of each known word."""
    axes: Floats
    """One row a known word, in the order of `weight`."""

    def vectors(self, texts: Sequence[str]) -> Floats:
        """One row a text, of length 1; zeros where no word is known."""
        return unit(np.asarray(_counted(texts, self.weight) @ self.axes))


def fit(texts: Sequence[str], *, width: int = 256, seed: int = 0) -> Words:
    """Learn weights and directions from a catalogue's texts."""
    from scipy.sparse.linalg import svds

    found = Counter(word for text in texts for word in set(_words(text)))
    common = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_WORDS]
    weight = {word: float(np.log(1 + len(texts) / count)) for word, count in common if count > 1 or len(texts) < 1000}
    table = _counted(texts, weight)
    width = min(width, min(table.shape) - 1)
    if width < 1:
        return Words(weight, np.eye(len(weight), dtype=np.float32))
    start = np.random.default_rng(seed).normal(size=min(table.shape))
    _, strength, axes = svds(table.astype(np.float64), k=width, v0=start)
    order = np.argsort(-strength)
    return Words(weight, np.asarray(axes[order].T, dtype=np.float32))


def texts_of(items: pl.DataFrame, attributes: Sequence[str] = ()) -> list[str]:
    """One text an item, of everything that the catalogue says about it."""
    parts = [
        pl.col(name).list.join(" ") if name == "categories" else pl.col(name)
        for name in FIELDS
        if name in items.columns
    ]
    parts += [pl.format("{} {}", pl.lit(name), pl.col(name)) for name in attributes if name in items.columns]
    return items.select(pl.concat_str(parts, separator=". ", ignore_nulls=True).alias("text"))["text"].to_list()


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _counted(texts: Sequence[str], weight: dict[str, float]) -> Any:
    """TF-IDF rows of length 1 as a sparse matrix; repeats of a word count ever less."""
    from scipy import sparse

    place = {word: column for column, word in enumerate(weight)}
    starts, columns, values = [0], [], []
    for text in texts:
        row = {
            word: (1 + np.log(times)) * weight[word] for word, times in Counter(_words(text)).items() if word in place
        }
        length = float(np.sqrt(sum(value * value for value in row.values()))) or 1.0
        columns += [place[word] for word in row]
        values += [value / length for value in row.values()]
        starts.append(len(columns))
    shape = (len(texts), len(weight))
    return sparse.csr_array((np.array(values, dtype=np.float32), columns, starts), shape=shape)
