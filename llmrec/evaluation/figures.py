"""Figures of texts and numbers with their 95 % intervals over rows, as plain values.

Distinct words and covered features have none: a text that is drawn twice says nothing new, so drawing tells nothing of
them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.evaluation.wording import bleu, bleu_of, counts, distinct, rouge, words
from llmrec.significance import intervals, resampled

Values = npt.NDArray[np.float64]
Figure = dict[str, float | None]

FEWEST = 2
"""Rows of which there is an interval."""


def likenesses(texts: Sequence[str], references: Sequence[str]) -> dict[str, Figure]:
    """How near texts come to those that people wrote."""
    each = np.array([rouge(text, other) for text, other in zip(texts, references, strict=True)])
    found = {"BLEU-4": of_corpus(texts, references)}
    return found | {name: mean(each[:, at]) for at, name in enumerate(("ROUGE-1", "ROUGE-2", "ROUGE-L"))}


def of_corpus(texts: Sequence[str], references: Sequence[str]) -> Figure:
    """BLEU, which is no mean of texts: its interval is that of corpora of texts drawn with replacement."""
    pairs = zip(texts, references, strict=True)
    counted = np.array([counts(text, other) for text, other in pairs], dtype=np.float64)
    if len(counted) < FEWEST:
        return whole(bleu(texts, references))
    low, high = np.quantile([bleu_of(row) for row in resampled(counted).tolist()], [0.025, 0.975])
    return {"mean": bleu(texts, references), "low": float(low), "high": float(high)}


def variety(texts: Sequence[str]) -> dict[str, Figure]:
    """How much is said and how varied it is."""
    return {
        "distinct-1": whole(distinct(texts, 1)),
        "distinct-2": whole(distinct(texts, 2)),
        "words": mean(np.array([len(words(text)) for text in texts], dtype=np.float64)),
        "silent": share(not text for text in texts),
    }


def errors(told: Values, true: Values) -> dict[str, Figure]:
    """RMSE and MAE with their intervals."""
    square, plain = mean((told - true) ** 2), mean(np.abs(told - true))
    return {"RMSE": {end: None if value is None else value**0.5 for end, value in square.items()}, "MAE": plain}


def mean(values: Values) -> Figure:
    """A mean over rows with its interval; of a single row there is none."""
    found = asdict(intervals(values[:, None])[0])
    return {end: value if np.isfinite(value) else None for end, value in found.items()}


def share(holds: Iterable[Any]) -> Figure:
    """The share of rows of which something holds."""
    return mean(np.array([bool(one) for one in holds], dtype=np.float64))


def whole(value: float) -> Figure:
    """A figure of all rows together, which has no interval here."""
    return {"mean": value, "low": None, "high": None}
