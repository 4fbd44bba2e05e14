"""What is served: a retriever's first candidates, scored once more by a model, and both scores added up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llmrec.artifact import read_json, write_json
from llmrec.log import Codes
from llmrec.progress import Progress
from llmrec.retrieval.fusion import FEATURES, Candidates, features, fit, target_first
from llmrec.retrieval.retriever import Floats, Retriever, best, leave_out, some_cases
from llmrec.splits import Split

Rows = npt.NDArray[np.int64]

FILE = "reranking.json"
FIRST = 100
"""How many candidates are looked at."""
PEOPLE = 1_000
"""Validation people on whom the weights are fitted."""
BATCH = 256


@dataclass(frozen=True)
class Weights:
    """What each feature of the two lists counts, the retriever's first; reciprocal ranks where nothing was fitted."""

    values: tuple[float, ...] = (1.0, *[0.0] * (len(FEATURES) - 1)) * 2
    people: int = 0
    """On how many lists they were fitted."""

    def save(self, folder: Path) -> None:
        """Write them into a model folder."""
        write_json(folder / FILE, {"features": list(FEATURES), "weights": self.values, "people": self.people})

    @classmethod
    def load(cls, folder: Path) -> "Weights":
        """Read what `save` wrote; the plain ones where there is nothing."""
        if not (folder / FILE).is_file():
            return cls()
        found = read_json(folder, FILE, kind="a merged model", remedy="Merge the run again")
        return cls(tuple(found["weights"]), found["people"])

    def added_up(self, retrieved: Floats, scored: Floats) -> npt.NDArray[np.float64]:
        """For candidates in the retriever's order: what the retriever and what the model add to the score of each.

        `scored` is NaN where the model knows nothing of an item, which then has the retriever's part alone.
        """
        table, half = _table(retrieved, scored), len(FEATURES)
        first, second = np.array(self.values[:half]), np.array(self.values[half:])
        return np.stack([table[:, :half] @ first, table[:, half:] @ second], axis=1)


@dataclass(frozen=True)
class Reranking:
    """The first candidates of a retriever in the order of retriever and model together; all others stay behind."""

    retriever: Retriever = field(repr=False)
    model: Retriever = field(repr=False)
    weights: Weights = field(default_factory=Weights)
    first: int = FIRST
    name: str = "served"

    def score(self, histories: Sequence[Codes]) -> Floats:
        """Scores of all items; -inf for those that are not among the first."""
        codes, retrieved, scored = _scored(self.retriever, self.model, histories, self.first)
        total = np.full((len(histories), scored.shape[1]), -np.inf, dtype=np.float32)
        for row, (some, scores) in enumerate(zip(codes, retrieved, strict=True)):
            known = some >= 0
            parts = self.weights.added_up(scores[known], scored[row, some[known]])
            total[row, some[known]] = parts.sum(axis=1)
        return total


def learn_reranking(
    retriever: Retriever,
    model: Retriever,
    split: Split,
    *,
    people: int = PEOPLE,
    first: int = FIRST,
    seed: int = 0,
    progress: Progress | None = None,
) -> Weights:
    """Fit the weights so that validation targets stand above the other candidates of their lists."""
    cases = some_cases(split, "valid", people, seed=seed)
    tables: list[npt.NDArray[np.float32]] = []
    for begin in range(0, len(cases), BATCH):
        if progress:
            progress("weighing retriever and model", begin, len(cases))
        chunk = cases[begin : begin + BATCH]
        codes, retrieved, scored = _scored(retriever, model, [history for history, _ in chunk], first)
        for row, (_, target) in enumerate(chunk):
            known = codes[row] >= 0
            some = codes[row][known]
            table = _table(retrieved[row][known], scored[row, some])
            order = np.argsort(some)
            tables += target_first(some[order], table[order], target)
    weights = fit(tables)
    return Weights() if weights is None else Weights(tuple(map(float, weights)), len(tables))


def _scored(
    retriever: Retriever, model: Retriever, histories: Sequence[Codes], first: int
) -> tuple[Rows, Floats, Floats]:
    """The first candidates of each person, best first, their scores, and the model's scores of all items."""
    codes, retrieved = best(leave_out(retriever.score(histories), histories), first)
    scored = model.score(histories)
    return codes, retrieved, np.where(np.isfinite(scored), scored, np.nan)


def _table(retrieved: Floats, scored: Floats) -> npt.NDArray[np.float32]:
    """The features of one person's candidates, in their order: the retriever's list and the model's."""
    places = np.arange(len(retrieved), dtype=np.int64)
    known = np.flatnonzero(np.isfinite(scored))
    order = known[np.argsort(-scored[known], kind="stable")]
    return features([Candidates(places, retrieved), Candidates(order, scored[order])])[1]
