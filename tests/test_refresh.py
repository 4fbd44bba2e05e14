"""New and changed items get their words in a merged model from its projectors, and are found by the index."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from shops import ITEMS, catalogue, picture, shop
from transformers import AutoModelForImageTextToText
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.lexicon import read_words
from llmrec.refresh import refresh
from llmrec.retrieval.index import Index


@pytest.fixture
def ours(tuned_model: Path, tuned_index: Index, tmp_path: Path) -> tuple[Path, Index]:
    """A copy of model and tuned_index that a test may change."""
    shutil.copytree(tuned_model, tmp_path / "model")
    shutil.copytree(tuned_index.folder, tmp_path / "index")
    return tmp_path / "model", Index.open(tmp_path / "index")


def later(folder: Path, *, new: int = 2, changed: dict[int, bytes] | None = None, without: int = 0) -> Dataset:
    """The shop's catalogue some time later."""
    items = catalogue(ITEMS + new)[without:]
    images = {f"i{code:03d}": picture(code) for code in range(without, ITEMS + new) if code % 3}
    images |= {f"i{code:03d}": data for code, data in (changed or {}).items()}
    rows = pl.DataFrame({"user": ["u"], "item": [f"i{ITEMS - 1:03d}"], "timestamp": [1_700_000_000_000]})
    return shop(folder, items=items, images=images, interactions=rows)


def rows(model: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The input and the output row of each item, as plain transformers loads them."""
    stock = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32)
    read, write = stock.get_input_embeddings().weight, stock.get_output_embeddings().weight
    return {item: (read[token].detach(), write[token].detach()) for item, token in read_words(model).tokens().items()}


def test_the_same_catalogue_gives_the_same_words(ours: tuple[Path, Index], tmp_path: Path) -> None:
    model, opened = ours
    before = rows(model)
    done = refresh(model, later(tmp_path / "later", new=0), opened)
    assert (done.changed, done.added, done.removed, done.free) == (ITEMS, 0, 0, 3)
    for item, (read, write) in rows(model).items():
        assert torch.allclose(read, before[item][0], atol=1e-5)
        assert torch.allclose(write, before[item][1], atol=1e-4)


def test_new_items_are_words_and_found_and_a_new_picture_changes_its_item_alone(
    ours: tuple[Path, Index], tmp_path: Path
) -> None:
    model, opened = ours
    before = rows(model)
    done = refresh(model, later(tmp_path / "later", changed={4: picture(77)}), opened)
    after = rows(model)
    assert (done.added, done.free) == (2, 1)
    assert set(after) - set(before) == {"i040", "i041"}
    moved = {item for item in before if not torch.allclose(after[item][0], before[item][0], atol=1e-4)}
    assert moved == {"i004"}
    made = after["i041"][0]
    assert made.norm() > 0
    assert not torch.allclose(made, after["i040"][0], atol=1e-3)
    assert {"i040", "i041"} <= set(opened.search("Thing number 41", 50).items)


def test_items_that_are_gone_leave_on_request_only(ours: tuple[Path, Index], tmp_path: Path) -> None:
    model, opened = ours
    gone = later(tmp_path / "later", new=0, without=1)
    assert refresh(model, gone, opened).removed == 0
    assert "i000" in read_words(model).tokens()
    assert refresh(model, gone, opened, remove=True).removed == 1
    assert "i000" not in read_words(model).tokens()
    assert "i000" not in opened.search("A thing for the kitchen.", 100).items


def test_too_many_new_items_and_another_index_change_nothing(ours: tuple[Path, Index], tmp_path: Path) -> None:
    model, opened = ours
    before = rows(model)
    with pytest.raises(InputError, match="3 free rows, but 4 items are new"):
        refresh(model, later(tmp_path / "many", new=4), opened)
    assert len(opened.search("Thing number", 100).items) <= ITEMS
    assert all(np.array_equal(rows(model)[item][0], before[item][0]) for item in before)


def test_the_command_tells_what_it_did(ours: tuple[Path, Index], tmp_path: Path) -> None:
    model, opened = ours
    later(tmp_path / "later", new=1)
    told = CliRunner().invoke(app, ["refresh", str(model), str(tmp_path / "later"), "--index", str(opened.folder)])
    assert told.exit_code == 0, told.output
    assert "40 items anew, 1 added, 0 removed" in told.output
    assert "2 rows are left" in told.output
