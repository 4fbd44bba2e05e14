"""Items that take several input positions: read at each of them, answered by one, and the same merged and served."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText
from tuned import small_index, small_recipe, small_run

from llmrec.errors import ConfigError
from llmrec.gateway.model import Served
from llmrec.merge import merge, verify
from llmrec.recommender import Recommender
from llmrec.refresh import refresh
from llmrec.retrieval.index import Index
from llmrec.script import APART, IGNORED

TWO = 2


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return small_index(tmp_path_factory.mktemp("positions"))


@pytest.fixture(scope="module")
def run(index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(index, tmp_path_factory.mktemp("positions"), positions=TWO, warm=2)


@pytest.fixture(scope="module")
def opened(index: Index, run: Path) -> Recommender:
    return Recommender.open(run, index, index.dataset(), device="cpu")


@pytest.fixture(scope="module")
def model(run: Path) -> Path:
    merge(run, run.parent / "merged", dtype="float32", spare=3)
    return run.parent / "merged"


def test_a_line_has_each_item_twice_and_learns_it_once(opened: Recommender) -> None:
    walks, first = opened.ranking.walks, opened.ranking.ranker.vocabulary
    line = walks.line([4, 7, 9], learn=True)
    own = [token for token in line.tokens if token >= first]
    assert own == [first + 4, first + APART + 4, first + 7, first + APART + 7, first + 9, first + APART + 9]
    assert [label for label in line.labels if label != IGNORED] == [first + 4, first + 7, first + 9]
    assert walks.openings[0] == len(line) - 3 * TWO


def test_both_positions_are_read_and_differ(opened: Recommender) -> None:
    ranker = opened.ranking.ranker
    codes = torch.arange(6)
    with torch.no_grad():
        read = ranker.words.inputs(codes)
        assert read.shape == (6, TWO, ranker.words.hidden)
        tokens = torch.tensor([[ranker.vocabulary + 3, ranker.vocabulary + APART + 3]])
        assert torch.allclose(ranker.embedded(tokens, None)[0], read[3], atol=1e-6)
        assert not torch.allclose(read[3, 0], read[3, 1], atol=1e-2)
        assert torch.allclose(ranker.words.as_one(codes), read.mean(dim=1))


def test_the_light_reader_reads_an_item_of_two_tokens_once(opened: Recommender) -> None:
    assert opened.light is not None
    teacher, first = opened.light.teacher, opened.ranking.ranker.vocabulary
    twice = torch.tensor([[first + 4, first + APART + 4, first + 7, first + APART + 7]])
    once = torch.tensor([[first + 4, first + 7]])
    assert torch.allclose(teacher.questions(twice)[0, [1, 3]], teacher.questions(once)[0], atol=1e-5)


def test_the_plan_counts_the_tokens_that_lines_have(opened: Recommender, index: Index) -> None:
    from llmrec.tuning.material import Material

    dataset = index.dataset()
    material = Material(opened.recipe, dataset, index.split(dataset), opened.prompts, opened.write)
    whole = sum(len(line) for batch in material.plan.batches for line in material.lines(batch))
    assert material.plan.tokens == whole


def test_the_merged_model_scores_as_the_run_does_and_the_gateway_writes_its_prompts(
    opened: Recommender, model: Path, index: Index
) -> None:
    served = Served.open(model)
    stock = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32).eval()
    dataset = index.dataset()
    histories = [dataset.log.history(user)[:-1] for user in range(6)]
    names = dataset.log.items
    expected = opened.ranking.score(histories)
    for history, wanted in zip(histories, expected, strict=True):
        asked = [names[int(code)] for code in history]
        prompt = served.ranking(asked)
        with torch.no_grad():
            logits = stock(input_ids=torch.tensor([list(prompt.tokens)])).logits[0, -1]
        tokens = [served.token(item) for item in names.to_list()]
        assert np.allclose(logits[tokens].numpy(), wanted, atol=2e-3 * max(1.0, np.abs(wanted).max()))
        assert [item for _, item in served.line(asked) if item] == asked, "each item stands once before people"


def test_adapter_and_merged_folder_agree_and_new_items_get_both_rows(run: Path, model: Path, index: Index) -> None:
    dataset = index.dataset()
    asked = [dataset.log.history(user)[:-1].tolist() for user in range(8)]
    told = verify(run, model, asked, domain=dataset.name, served=False)
    assert told["agree"]
    before = Served.open(model).words
    done = refresh(model, dataset, index)
    assert done.changed == len(dataset.log.items)
    after = Served.open(model).words
    assert after == before
    again = verify(run, model, asked, domain=dataset.name, served=False)
    gaps = [one["differences"]["adapter and merged"]["mean"] for one in (told, again)]
    assert gaps[1] == pytest.approx(gaps[0], abs=1e-3), "the same content makes the same rows"


def test_an_item_takes_one_to_eight_positions(index: Index, tmp_path: Path) -> None:
    for wrong in (0, 9):
        with pytest.raises(ConfigError, match="from 1 to 8"):
            small_recipe(index, tmp_path, positions=wrong)
    assert replace(small_recipe(index, tmp_path).words, positions=8).positions == 8
