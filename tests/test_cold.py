"""New items: nothing of them teaches, neither as right answers nor as wrong ones, and they are ranked all the same."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shops import shop
from tiny_models import tiny_model

from llmrec.config import build
from llmrec.errors import InputError
from llmrec.evaluation.retrievers import evaluate_indexes
from llmrec.examples import ExampleRecipe, ExampleSource
from llmrec.modeling.album import Album
from llmrec.modeling.bank import make_bank
from llmrec.modeling.base import load_base
from llmrec.modeling.transcript import Transcriber
from llmrec.prompts import Prompts
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.tokens import TokenMeter, load_tokenizer
from llmrec.tuning.material import Material, picture_paths
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.run import new_ranker
from llmrec.tuning.stage import tune

ROOT = Path(__file__).parent.parent
SOME = ("neighbours", "text", "pictures")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("cold")
    recipe = IndexRecipe(split="cold-items", parts=SOME, text_width=16, picture_width=8)
    return make_index(shop(folder / "shop"), folder / "index", recipe)


@pytest.fixture(scope="module")
def recipe(index: Index, tmp_path_factory: pytest.TempPathFactory) -> TuningRecipe:
    folder = tmp_path_factory.mktemp("run")
    content = {
        "model": str(tiny_model("llava", folder / "model")),
        "index": str(index.folder),
        "out": str(folder / "run"),
        "prompts": str(ROOT / "prompts"),
        "quantization": "none",
        "dtype": "float32",
        "device": "cpu",
        "words": {"collaborative": 8, "width": 32, "rank": 16, "warm": 4},
        "walks": {"passes": 1},
        "talks": {"count": 8, "examples": {"budget": 4096, "candidates": 3}},
        "watch": 0,
        "trainer": {"disable_tqdm": True},
    }
    return build(TuningRecipe, content)


@pytest.mark.parametrize("sampled", [0, 12])
def test_new_items_are_no_wrong_answers(index: Index, recipe: TuningRecipe, sampled: int) -> None:
    split = index.split(index.dataset())
    ranker = new_ranker(recipe, load_base(recipe.model, dtype="float32"), make_bank(index, split)).eval()
    ranker.sampled = sampled
    warm = np.setdiff1d(np.arange(len(index.items)), split.cold)
    questions, right = torch.randn(6, recipe.words.rank), torch.from_numpy(warm[:6])
    written = ranker.words.outputs().detach().requires_grad_()

    def outputs(codes: torch.Tensor | None = None) -> torch.Tensor:
        return written if codes is None else written[codes]

    ranker.words.outputs = outputs  # type: ignore[method-assign]
    ranker.hide(split.cold.tolist())
    for _ in range(8):
        ranker.item_loss(questions, right).backward()
    assert written.grad is not None
    moved = written.grad.abs().sum(dim=1) > 0
    assert not moved[torch.from_numpy(split.cold).long()].any(), "no loss says anything of a new item"
    assert moved[torch.from_numpy(warm)].sum() > 6
    if not sampled:
        expected = torch.nn.functional.cross_entropy(questions @ written[warm].T, torch.arange(6), reduction="sum")
        assert torch.allclose(ranker.item_loss(questions, right), expected)
    ranker.hide([])
    assert ranker.offered is None


def test_conversations_keep_to_the_split_of_the_index(index: Index, recipe: TuningRecipe) -> None:
    dataset = index.dataset()
    split = index.split(dataset)
    base = load_base(recipe.model, dtype="float32")
    write = Transcriber(base, Album(base, picture_paths(dataset)))
    many = replace(recipe, talks=replace(recipe.talks, count=100))
    material = Material(many, dataset, split, Prompts.load(recipe.prompts), write)
    words = {token - base.vocabulary for line in material.talks for token in line.tokens if token >= base.vocabulary}
    assert words
    assert not words & set(split.cold.tolist()), "leave-one-out would have told of new items"


def test_what_is_to_be_new_is_neither_read_nor_a_wrong_answer(tmp_path: Path) -> None:
    dataset = shop(tmp_path / "shop", clock="order")  # without a clock new items stand amid histories
    examples = ExampleRecipe(split="cold-items", candidates=5, budget=4096)
    source = ExampleSource(
        dataset,
        Prompts.load(ROOT / "prompts"),
        TokenMeter(load_tokenizer("starter"), picture_tokens=9),
        examples,
    )
    rows = source.rows("train")
    drafts = list(source._drafts(rows, source.said(rows), "train"))
    cold = set(source.split.cold.tolist())
    assert any(made.candidates for made in drafts)
    for made in drafts:
        assert not cold & {*made.candidates, *made.happening.history, made.happening.target}


def test_a_model_ranks_new_items_beside_text_pictures_and_chance(
    index: Index, recipe: TuningRecipe, tmp_path: Path
) -> None:
    tune(recipe)
    evaluate_indexes([index.folder], tmp_path / "report", cold=True, models=[recipe.out], controls=True, device="cpu")
    told = json.loads((tmp_path / "report" / "report.json").read_text())
    names = {system["name"] for system in told["systems"]}
    assert {"model", "light reader", "model, pictures none", "text", "pictures"} <= names
    split = index.split(index.dataset())
    assert (told["protocol"], told["ranked"]) == ("cold", len(split.cold))
    assert 0 < told["random"]["ndcg@10"] < 1
    assert "new since training" in (tmp_path / "report" / "report.html").read_text()
    with pytest.raises(InputError, match="one of them"):
        evaluate_indexes([index.folder], tmp_path / "other", cold=True, sampled=True)
