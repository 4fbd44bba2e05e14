"""One candidate list from several: by reciprocal ranks, or by weights that are fitted on validation.

Fusion sees lists and never whole rows of scores, so it is the same in an evaluation over all items and in an index that
answers with a hundred candidates of a million.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.log import Codes
from llmrec.progress import Progress
from llmrec.retrieval.retriever import Floats, Retriever, best, leave_out, some_cases
from llmrec.splits import Split

DEEP = 200
"""How far down each ranking is looked at."""
STEADY = 60
"""Cormack, Clarke and Büttcher's constant: how little the first places count more than the next."""
CASES = 8_000
FEWEST = 50
"""Targets on somebody's list that are needed to fit weights."""
STEADINESS = (1e-4, 1e-3, 1e-2, 1e-1)
BATCH = 256

Table = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """The best items of one retriever for some people, best first; -1 fills a list that is shorter."""

    items: npt.NDArray[np.int64]
    scores: Floats


@dataclass(frozen=True)
class Fusion:
    """Adds up what each list says about an item; without weights, 1 / (60 + rank)."""

    parts: Sequence[Retriever]
    weights: npt.NDArray[np.float64] | None = None
    name: str = "fusion"
    fallback: Retriever | None = None
    """Answers for people of whom no part knows anything."""

    def score(self, histories: Sequence[Codes]) -> Floats:
        """Scores of all items; -inf for those that stand on nobody's list."""
        lists, items = _lists(self.parts, histories)
        total = np.full((len(histories), items), -np.inf, dtype=np.float32)
        for row, (found, score) in enumerate(fuse(lists, self.weights)):
            total[row, found] = score
            if not len(found) and self.fallback is not None:
                total[row] = self.fallback.score([histories[row]])[0]
        return total


def fuse(
    lists: Sequence[Candidates], weights: npt.NDArray[np.float64] | None
) -> list[tuple[npt.NDArray[np.int64], Floats]]:
    """For each person the items on any list, and their fused scores."""
    if weights is None:
        return [_by_ranks([one.items[person] for one in lists]) for person in range(len(lists[0].items))]
    fused = []
    for person in range(len(lists[0].items)):
        items, table = features([Candidates(one.items[person], one.scores[person]) for one in lists])
        fused.append((items, table @ weights.astype(np.float32)))
    return fused


def _by_ranks(lists: Sequence[npt.NDArray[np.int64]]) -> tuple[npt.NDArray[np.int64], Floats]:
    """The items on any of one person's lists, each with its reciprocal ranks added up."""
    known = [one[one >= 0] for one in lists]
    items, place = np.unique(np.concatenate(known), return_inverse=True)
    worth = np.concatenate([1 / (STEADY + np.arange(1, len(one) + 1)) for one in known])
    return items, np.bincount(place, weights=worth, minlength=len(items)).astype(np.float32)


FEATURES = ("1 / (60 + rank)", "on the list", "score", "log of the score", "log of the rank")


def features(lists: Sequence[Candidates]) -> tuple[npt.NDArray[np.int64], Table]:
    """The items of one person's lists, and what each list says about each of them.

    Scores are told as heights above the list's end, in standard deviations of the list: comparable between people and
    between retrievers. Their logarithm stands beside them, since counted scores have long tails.
    """
    items = np.unique(np.concatenate([one.items[one.items >= 0] for one in lists]))
    table = np.zeros((len(items), len(FEATURES) * len(lists)), dtype=np.float32)
    for place, one in enumerate(lists):
        found = one.items >= 0
        count = int(found.sum())
        if not count:
            continue
        rows = np.searchsorted(items, one.items[found])
        scores = one.scores[found].astype(np.float64)
        height = (scores - scores[-1]) / max(float(scores.std()), 1e-9)
        told = _of_ranks(count).copy()
        told[:, 2], told[:, 3] = height, np.log(height / 0.05 + 1)
        table[rows, len(FEATURES) * place : len(FEATURES) * (place + 1)] = told
    return items, table


@cache
def _of_ranks(count: int) -> npt.NDArray[np.float64]:
    """The features of a list that tell of its ranks alone, between them room for those of its scores."""
    rank, empty = np.arange(1, count + 1), np.zeros(count)
    return np.column_stack([1 / (STEADY + rank), np.ones(count), empty, empty, -np.log(rank)])


def learn(parts: Sequence[Retriever], split: Split, *, seed: int = 0, progress: Progress | None = None) -> Fusion:
    """Fit the weights so that validation targets stand above the other candidates: a softmax over each list."""
    cases = some_cases(split, "valid", CASES, seed=seed)
    tables: list[Table] = []
    for begin in range(0, len(cases), BATCH):
        if progress:
            progress("fitting the fusion", begin, len(cases))
        chunk = cases[begin : begin + BATCH]
        lists, _ = _lists(parts, [history for history, _ in chunk])
        for person, (_, target) in enumerate(chunk):
            items, table = features([Candidates(one.items[person], one.scores[person]) for one in lists])
            tables += target_first(items, table, target)
    weights = fit(tables)
    return Fusion(parts) if weights is None else Fusion(parts, weights, name="learned fusion")


def target_first(items: npt.NDArray[np.int64], table: Table, target: int) -> list[Table]:
    """One list's features with the right item's in the first row; none where it is not on the list."""
    at = int(np.searchsorted(items, target))
    if at == len(items) or items[at] != target:
        return []
    table[[0, at]] = table[[at, 0]]
    return [table]


def fit(tables: Sequence[Table]) -> npt.NDArray[np.float64] | None:
    """Weights of the features, from lists whose first row is the right item; nothing where they are too few."""
    if len(tables) < FEWEST:
        return None
    chances = {steadiness: _held_out(tables, steadiness) for steadiness in STEADINESS}
    return _weights(tables, min(chances, key=lambda one: chances[one]))


def _held_out(tables: Sequence[Table], steadiness: float) -> float:
    """The mean surprise at targets that the weights were not fitted on, over two halves."""
    halves = tables[::2], tables[1::2]
    surprise = 0.0
    for fitted, asked in (halves, halves[::-1]):
        weights = _weights(fitted, steadiness).astype(np.float32)
        logits = [table @ weights for table in asked]
        surprise += sum(float(np.logaddexp.reduce(one.astype(np.float64)) - one[0]) for one in logits)
    return surprise / len(tables)


def _weights(tables: Sequence[Table], steadiness: float) -> npt.NDArray[np.float64]:
    """Weights of the features, drawn towards 0 by `steadiness`."""
    from scipy.optimize import minimize

    sizes = np.array([len(table) for table in tables])
    begins = np.cumsum(sizes) - sizes
    table = np.concatenate(tables)
    scale = table.std(axis=0).astype(np.float64)
    scale[scale < 1e-9] = 1.0
    table /= scale.astype(np.float32)

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        logits = (table @ weights.astype(np.float32)).astype(np.float64)
        top = np.maximum.reduceat(logits, begins)
        raised = np.exp(logits - np.repeat(top, sizes))
        total = np.add.reduceat(raised, begins)
        share = (raised / np.repeat(total, sizes)).astype(np.float32)
        value = (np.log(total) + top - logits[begins]).mean() + steadiness * weights @ weights
        slope = (share @ table - table[begins].sum(axis=0)) / len(begins) + 2 * steadiness * weights
        return float(value), np.asarray(slope, dtype=np.float64)

    found: Any = minimize(loss, np.zeros(table.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 100})
    return np.asarray(found.x / scale, dtype=np.float64)


def _lists(parts: Sequence[Retriever], histories: Sequence[Codes]) -> tuple[list[Candidates], int]:
    lists, items = [], 0
    for part in parts:
        scores = leave_out(part.score(histories), histories)
        items = scores.shape[1]
        lists.append(Candidates(*best(scores, DEEP)))
    return lists, items
