"""What every retriever is: something with a name that scores all items for histories."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from llmrec.log import Codes
from llmrec.metrics import gains, pessimistic_ranks
from llmrec.splits import Part, Split

Floats = npt.NDArray[np.float32]


class Retriever(Protocol):
    """Scores items by what people did; fitted on training rows alone."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def score(self, histories: Sequence[Codes]) -> Floats:
        """Scores of all items, one row a history; higher is better, -inf for an item that it knows nothing about."""
        ...


def leave_out(scores: Floats, histories: Sequence[Codes]) -> Floats:
    """Put what a person has at the very end, in place."""
    if len(histories):
        lengths = [len(history) for history in histories]
        rows = np.repeat(np.arange(len(histories)), lengths)
        scores[rows, np.concatenate([np.asarray(history, dtype=np.int64) for history in histories])] = -np.inf
    return scores


def best(scores: npt.NDArray[Any], count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """The best items of each row, best first, with their scores; -1 and -inf where fewer are to be had."""
    count = min(count, scores.shape[1])
    top = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    values = np.take_along_axis(scores, top, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    top, values = np.take_along_axis(top, order, axis=1), np.take_along_axis(values, order, axis=1)
    return np.where(np.isfinite(values), top, -1), values


def some_cases(split: Split, part: Part, count: int, *, seed: int = 0) -> list[tuple[Codes, int]]:
    """So many (history, target) pairs of a part, drawn at random, of people with a history."""
    cases = [(history, target) for _, history, target in split.cases(part) if len(history)]
    return [cases[place] for place in np.random.default_rng(seed).permutation(len(cases))[:count]]


def target_ranks(retriever: Retriever, cases: Sequence[tuple[Codes, int]]) -> npt.NDArray[np.int64]:
    """The rank of each target among all items but those of the history; ties count against it."""
    ranks = [np.zeros(0, dtype=np.int64)]
    for begin in range(0, len(cases), 512):
        histories = [history for history, _ in cases[begin : begin + 512]]
        targets = np.array([target for _, target in cases[begin : begin + 512]])
        scores = leave_out(retriever.score(histories), histories)
        ranks.append(pessimistic_ranks(scores, targets))
    return np.concatenate(ranks)


def ndcg(retriever: Retriever, cases: Sequence[tuple[Codes, int]], cut: int = 10) -> float:
    """Mean NDCG of one right item a case: what retrievers are chosen by on validation."""
    ranks = target_ranks(retriever, cases)
    return gains(ranks, cuts=[cut]).means()[f"ndcg@{cut}"] if len(ranks) else 0.0
