"""What neighbours say as a share of what a model learns: read from lines as from histories, and really learnt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tuned import small_recipe

from llmrec.config import build
from llmrec.errors import ConfigError
from llmrec.modeling.company import Company, shares
from llmrec.modeling.ranker import Ranker
from llmrec.recommender import Recommender
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.retrieval.neighbours import Neighbours, fit
from llmrec.script import APART
from llmrec.tuning.recipe import TuningRecipe, WalkRecipe
from llmrec.tuning.stage import tune

HALF = 0.5


@pytest.fixture
def ranker(tuned_index: Index, tuned_run: Path) -> Ranker:
    ranker = Recommender.open(tuned_run, tuned_index, tuned_index.dataset(), device="cpu").ranking.ranker
    ranker.neighbours = Company.of(tuned_index, tuned_index.split(tuned_index.dataset()), ranker.vocabulary)
    return ranker


def items_of(ranker: Ranker, *codes: int) -> Tensor:
    return torch.tensor([codes]) + ranker.vocabulary


def test_a_line_says_what_its_items_say_as_a_history(ranker: Ranker) -> None:
    company = ranker.neighbours
    assert company is not None
    spoken = torch.cat(
        [torch.tensor([[5, 6]]), items_of(ranker, 1, 4), torch.tensor([[7]]), items_of(ranker, 2)], dim=1
    )
    asked = torch.tensor([[False, False, True, False, False, True]])
    both = torch.cat([spoken, spoken.flip(1)])
    near = company.near(both, torch.cat([asked, asked.flip(1)])).toarray()
    histories = [np.array(some, dtype=np.int32) for some in ([1], [1, 4, 2], [2], [2, 4, 1])]
    assert np.allclose(near, company.neighbours.sparse_scores(histories).toarray())
    assert near.any()
    twice = torch.tensor([[1, 1 + APART, 4, 4 + APART, 2, 2 + APART]]) + ranker.vocabulary
    last = torch.tensor([[False, True, False, False, False, True]])
    assert np.allclose(company.near(twice, last).toarray(), near[:2])


def test_shares_are_chances_over_what_is_on_offer(ranker: Ranker) -> None:
    company = ranker.neighbours
    assert company is not None
    near = company.near(items_of(ranker, 1, 4), torch.tensor([[True, True]]))
    device = torch.device("cpu")
    whole = shares(near, None, None, device)
    assert torch.allclose(whole.sum(dim=1), torch.ones(2))
    assert torch.allclose(whole, torch.from_numpy(near.toarray() / near.toarray().sum(axis=1, keepdims=True)))
    some = whole[0].argsort(descending=True)[:3].sort().values
    few = shares(near, some, None, device)
    assert torch.allclose(few[0], whole[0, some] / whole[0, some].sum())
    heavier = shares(near, some, torch.tensor([1.0, 1.0, 10.0]).log(), device)[0]
    assert torch.allclose(heavier[2] / heavier[0], 10 * few[0, 2] / few[0, 0])
    nothing = whole.sum(dim=0).eq(0).nonzero()[:2, 0]
    assert not shares(near, nothing, None, device).any(), "nothing near is on offer"


def test_the_loss_is_shared_between_what_was_taken_and_what_is_near(ranker: Ranker) -> None:
    company = ranker.neighbours
    assert company is not None
    near = company.near(items_of(ranker, 1, 4), torch.tensor([[True, True]]))
    near[[1]] = 0  # the second history is near nothing
    questions, taken = torch.randn(2, ranker.words.rank), torch.tensor([3, 5])
    with torch.no_grad():
        logits = questions @ ranker.eval().words.outputs().T
        own = cross_entropy(logits, taken, reduction="none")
        theirs = cross_entropy(logits, shares(near, None, None, logits.device), reduction="none")
        assert torch.allclose(ranker.item_loss(questions, taken), own.sum())
        ranker.company = HALF
        assert torch.allclose(ranker.item_loss(questions, taken, None, near), (own[0] + theirs[0]) / 2 + own[1])


def test_a_model_that_learns_by_neighbours_comes_nearer_to_them(
    tuned_index: Index, tuned_run: Path, tmp_path: Path
) -> None:
    split = tuned_index.split(tuned_index.dataset())
    histories = [split.log.item[begin : begin + 3] for begin in split.log.start[:-1].tolist()]
    near = next(one for one in tuned_index.retrievers if isinstance(one, Neighbours)).sparse_scores(histories)
    wished = shares(near, None, None, torch.device("cpu"))

    def surprise(share: float) -> float:
        """How much what neighbours say surprises a model that learnt by it, in nats."""
        recipe = small_recipe(tuned_index, tuned_run.parent, warm=0, learnt=True)
        walks = replace(recipe.walks, passes=10, company=share)
        tune(replace(recipe, out=tmp_path / f"{share}", walks=walks, talks=replace(recipe.talks, count=0)))
        opened = Recommender.open(tmp_path / f"{share}", tuned_index, tuned_index.dataset(), device="cpu")
        return float(cross_entropy(torch.from_numpy(opened.ranking.score(histories)), wished))

    assert surprise(1.0) < surprise(0.0) - 0.02


def test_an_index_without_neighbours_has_them_counted(tmp_path: Path, tuned_index: Index) -> None:
    bare = make_index(tuned_index.dataset(), tmp_path / "bare", IndexRecipe(parts=("text",), text_width=16))
    split = bare.split(bare.dataset())
    found = Company.of(bare, split, 100).neighbours
    assert (found.weights != fit(split).weights).nnz == 0


def test_a_share_is_from_0_to_1() -> None:
    assert build(WalkRecipe, {"company": 1}).company == 1
    with pytest.raises(ConfigError, match=r"company is 1\.5: it should be from 0 to 1"):
        build(TuningRecipe, {"walks": {"company": 1.5}})
