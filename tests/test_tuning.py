"""Tuning, from a recipe to a merged model, on tiny random models of every class."""

from pathlib import Path

import numpy as np
import pytest
import torch
from shops import shop
from tiny_models import KINDS, tiny_model

from llmrec.config import build
from llmrec.dataset import Dataset
from llmrec.merge import merge
from llmrec.retrieval.index import Index, IndexRecipe, make_index
from llmrec.retrieval.sasrec import SasRecRecipe
from llmrec.tuning.material import Walks
from llmrec.tuning.ranking import ModelRanking
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.run import open_run
from llmrec.tuning.stage import tune

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("tuning")
    dataset = shop(folder / "shop")
    recipe = IndexRecipe(sasrec=SasRecRecipe(width=8, epochs=1), text_width=16, picture_width=8)
    return make_index(dataset, folder / "index", recipe)


def recipe_for(index: Index, model: Path, out: Path, **changes: object) -> TuningRecipe:
    content = {
        "model": str(model),
        "index": str(index.folder),
        "out": str(out),
        "prompts": str(ROOT / "prompts"),
        "quantization": "none",
        "dtype": "float32",
        "device": "cpu",
        "words": {"collaborative": 8, "width": 32, "rank": 16},
        "walks": {"passes": 2},
        "talks": {"count": 12, "examples": {"budget": 4096, "candidates": 3, "picture_tokens": 1}},
        "batch_tokens": 1024,
        "watch": 1,
        "watched": 20,
        "trainer": {"logging_steps": 1, "disable_tqdm": True},
    }
    return build(TuningRecipe, {**content, **changes})


def ranking_of(folder: Path, dataset: Dataset) -> ModelRanking:
    from llmrec.modeling.album import Album
    from llmrec.modeling.transcript import Transcriber
    from llmrec.prompts import Prompts

    recipe, base, _, ranker = open_run(folder, device="cpu")
    walks = Walks(Transcriber(base, Album(base, [])), Prompts.load(folder / "prompts"), dataset.name)
    return ModelRanking(ranker, walks, longest=recipe.walks.longest)


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_is_tuned_saved_loaded_and_merged_with_the_same_scores(
    kind: str, index: Index, tmp_path: Path
) -> None:
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    manifest = tune(recipe_for(index, tiny_model(kind, tmp_path / "base"), tmp_path / "run"))
    losses = [entry["item_loss"] for entry in manifest["history"] if "item_loss" in entry]
    assert losses
    assert np.isfinite(losses).all()
    assert any("text_loss" in entry for entry in manifest["history"])
    dataset = index.dataset()
    ranking = ranking_of(tmp_path / "run", dataset)
    histories = [dataset.log.history(user)[:-1] for user in range(8)]
    scores = ranking.score(histories)
    assert np.isfinite(scores).all()

    told = merge(tmp_path / "run", tmp_path / "model", dtype="float32", spare=5)
    first = told["merged"]["first_item_token"]
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert len(tokenizer) >= first + len(index.items)
    for history, expected in zip(histories, scores, strict=True):
        line = ranking.walks.line(history.tolist())
        vocabulary = ranking.ranker.vocabulary
        tokens = [token if token < vocabulary else token - vocabulary + first for token in line.tokens]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([tokens])).logits[0, -1, first : first + len(index.items)]
        assert np.allclose(logits.numpy(), expected, atol=2e-3 * max(1.0, np.abs(expected).max()))
