"""What is served: a retriever's first candidates, put in order once more by a model, both added up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from llmrec.dataset import Dataset
from llmrec.features import Features
from llmrec.log import Codes
from llmrec.retrieval import neighbours, popularity
from llmrec.retrieval.popularity import Popularity
from llmrec.retrieval.reranking import Reranking, Weights, learn_reranking
from llmrec.retrieval.retriever import ndcg, some_cases
from llmrec.splits import Split, split_by_name


@dataclass
class Knowing:
    """A scorer that puts a person's next item high, with noise: it is told, and knows nothing of some items."""

    answers: dict[tuple[int, ...], int]
    items: int
    blind: Sequence[int] = ()
    name: str = "knowing"
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def score(self, histories: Sequence[Codes]) -> np.ndarray:
        found = self.rng.normal(size=(len(histories), self.items)).astype(np.float32)
        for row, history in zip(found, histories, strict=True):
            row[self.answers[tuple(history.tolist())]] += 3
        found[:, list(self.blind)] = -np.inf
        return found


@pytest.fixture
def split(large_shop: Dataset) -> Split:
    return split_by_name(large_shop.log, "leave-one-out")


@pytest.fixture(scope="module")
def large_shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    from shops import interactions, shop

    return shop(tmp_path_factory.mktemp("data") / "shop", interactions=interactions(people=200))


@pytest.fixture
def retriever(split: Split) -> Popularity:
    return popularity.fit(split)


@pytest.fixture
def model(split: Split) -> Knowing:
    cases = [case for part in ("valid", "test") for case in some_cases(split, part, 1_000)]
    answers = {tuple(history.tolist()): target for history, target in cases}
    return Knowing(answers, len(split.log.items), blind=[3, 4])


def test_the_weights_find_out_who_knows_more(split: Split, retriever: Popularity, model: Knowing) -> None:
    weights = learn_reranking(retriever, model, split)
    assert weights.people > 100
    served = Reranking(retriever, model, weights)
    cases = some_cases(split, "test", 1_000)
    assert ndcg(served, cases) > 2 * ndcg(retriever, cases)


def test_what_is_not_among_the_first_stays_behind(split: Split, retriever: Popularity, model: Knowing) -> None:
    history = some_cases(split, "test", 1)[0][0]
    scores = Reranking(retriever, model, first=5).score([history])[0]
    among = np.flatnonzero(np.isfinite(scores))
    own = retriever.score([history])[0]
    own[history] = -np.inf
    assert set(among) == set(np.argsort(-own, kind="stable")[:5])


def test_an_item_that_the_model_does_not_know_has_the_retrievers_part_alone() -> None:
    weights = Weights(tuple(np.linspace(0.1, 1, 10)), 7)
    parts = weights.added_up(np.array([3, 2, 1], dtype=np.float32), np.array([0, np.nan, -1], dtype=np.float32))
    assert parts.shape == (3, 2)
    assert parts[1, 1] == 0
    assert parts[0, 1] > parts[2, 1]
    assert weights.added_up(np.zeros(0, np.float32), np.zeros(0, np.float32)).shape == (0, 2)


def test_too_few_people_leave_reciprocal_ranks(small_shop: Dataset) -> None:
    few = split_by_name(small_shop.log, "leave-one-out")
    weights = learn_reranking(neighbours.fit(few), popularity.fit(few), few, people=5)
    assert weights == Weights()
    parts = weights.added_up(np.array([2, 1], dtype=np.float32), np.array([1, 2], dtype=np.float32))
    assert parts.sum(axis=1)[0] == pytest.approx(parts.sum(axis=1)[1])


def test_weights_and_features_are_read_as_they_were_written(tmp_path: Path) -> None:
    weights = Weights(tuple(np.linspace(0, 1, 10)), 12)
    weights.save(tmp_path)
    assert Weights.load(tmp_path) == weights
    assert Weights.load(tmp_path / "nothing") == Weights()
    features = Features({"navy": 30, "floral": 20}, {0: {"navy": 1.5}, 2: {"floral": 2.0, "navy": 0.75}})
    features.save(tmp_path, ["a", "b", "c"])
    read = Features.load(tmp_path, {"c": 0, "a": 5})  # the numbers that the items have now
    assert read == Features({"navy": 30, "floral": 20}, {5: {"navy": 1.5}, 0: {"floral": 2.0, "navy": 0.75}})
    assert Features.load(tmp_path / "nothing", {}) == Features()
