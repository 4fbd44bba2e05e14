"""Stock folders: any class with item words loads in plain transformers and scores as its vectors say, refreshed too."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_models import KINDS, WIDTH, tiny_model
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from llmrec.errors import InputError
from llmrec.lexicon import StockWords, read_words
from llmrec.modeling.stock import ItemTable, refresh_words, stock_names, write_stock
from llmrec.modeling.vocabulary import item_name

ITEMS = 7


def load(folder: Path):
    return AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)


def table(items: int = ITEMS, spare: int = 3, seed: int = 0, positions: int = 1) -> ItemTable:
    noise = torch.Generator().manual_seed(seed)
    outputs, *inputs = torch.randn(1 + positions, items, WIDTH, generator=noise)
    return ItemTable([f"i{number}" for number in range(items)], torch.stack(inputs, dim=1), outputs, spare)


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Each class once, made when it is asked for."""
    made: dict[str, Path] = {}

    def base(kind: str) -> Path:
        if kind == "smolvlm":
            pytest.importorskip("num2words")
        if kind not in made:
            made[kind] = tiny_model(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return base


@pytest.fixture
def stock(bases, tmp_path) -> Path:
    model, _ = load(bases("llava"))
    write_stock(model, AutoProcessor.from_pretrained(bases("llava")), tmp_path / "stock", words=table())
    return tmp_path / "stock"


def test_items_of_several_positions_have_a_row_for_each_and_answer_by_the_first(bases, tmp_path):
    base, folder = bases("llava"), tmp_path / "stock"
    model, _ = load(base)
    words = table(positions=2)
    known = write_stock(model, AutoProcessor.from_pretrained(base), folder, words=words)
    assert (known.positions, known.apart) == (2, ITEMS + 3)
    assert read_words(folder) == known
    assert known.item(known.first + 4) == known.item(known.first + known.apart + 4) == "i4"
    assert known.item(known.first + ITEMS) is None
    assert known.item(known.first + 2 * known.apart) is None
    merged, _ = load(folder)
    second = known.first + known.apart
    text, items = torch.tensor([[5, 90]]), torch.tensor([[known.first + 4, second + 4]])
    with torch.no_grad():
        here = merged(input_ids=torch.cat([text, items], 1))
        embedded = torch.cat([model.get_input_embeddings()(text), words.inputs[4][None]], 1)
        there = model(inputs_embeds=embedded, output_hidden_states=True)
    scores = there.hidden_states[-1][0, -1] @ words.outputs.T
    assert torch.allclose(here.logits[0, -1, known.first : known.first + ITEMS], scores, atol=1e-4)
    assert not here.logits[0, -1, second : second + known.apart].any(), "what is only read answers nothing"
    new = table(2, seed=1, positions=2)
    refresh_words(folder, ["i3", "new"], new.inputs, new.outputs, removed=["i5"])
    after, _ = load(folder)
    read = after.get_input_embeddings().weight
    number = read_words(folder).codes()["new"]
    assert torch.equal(read[[known.first + number, second + number]], new.inputs[1])
    assert torch.equal(read[[known.first + 3, second + 3]], new.inputs[0])
    with pytest.raises(InputError, match="1 x 2 x 64"):
        refresh_words(folder, ["i3"], new.inputs[:1, :1], new.outputs[:1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_becomes_a_stock_folder_with_item_words(kind, bases, tmp_path):
    base = bases(kind)
    model, _ = load(base)
    words = table()
    known = write_stock(model, AutoProcessor.from_pretrained(base), tmp_path / "stock", words=words)

    merged, report = load(tmp_path / "stock")
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    assert not merged.config.tie_word_embeddings
    assert not merged.config.get_text_config().tie_word_embeddings
    text = torch.tensor([[5, 90, 91, 92, 93]])
    items = torch.tensor([[known.first, known.first + 4]])
    with torch.no_grad():
        here = merged(input_ids=torch.cat([text, items], 1), output_hidden_states=True)
        embedded = torch.cat([model.get_input_embeddings()(text), words.inputs[[0, 4], 0][None]], 1)
        there = model(inputs_embeds=embedded, output_hidden_states=True)
    scores = there.hidden_states[-1][0, -1] @ words.outputs.T
    assert torch.allclose(here.logits[0, -1, known.first : known.first + ITEMS], scores, atol=1e-4)
    assert torch.allclose(here.logits[0, :, : known.first], there.logits[0, :, : known.first], atol=1e-4)
    assert (here.logits[0, :, known.first + ITEMS : known.first + ITEMS + 3] == 0).all(), "free rows answer nothing"


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_goes_through_unchanged_without_item_words(kind, bases, tmp_path):
    base = bases(kind)
    model, _ = load(base)
    assert write_stock(model, AutoProcessor.from_pretrained(base), tmp_path / "stock", shard="30KB") is None
    again, report = load(tmp_path / "stock")
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert len(list((tmp_path / "stock").glob("model-*.safetensors"))) > 1
    for (name, one), (_, other) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("kind", ["llava", "llava_next", "llava_onevision", "gemma3"])
def test_towers_have_the_names_of_the_hub(kind, bases, tmp_path):
    model, _ = load(bases(kind))
    write_stock(model, AutoProcessor.from_pretrained(bases(kind)), tmp_path / "stock", words=table())
    names = json.loads((tmp_path / "stock/model.safetensors.index.json").read_text())["weight_map"]
    tower = [name for name in names if "vision_tower" in name]
    assert tower
    assert all("vision_tower.vision_model." in name for name in tower)
    assert "language_model.lm_head.weight" in names
    assert names["language_model.lm_head.weight"].startswith("items-")


def test_an_untied_model_keeps_its_own_output_rows(tmp_path):
    base = tiny_model("llava", tmp_path / "base", tied=False)
    model, _ = load(base)
    known = write_stock(model, AutoProcessor.from_pretrained(base), tmp_path / "stock", words=table())
    merged, _ = load(tmp_path / "stock")
    assert torch.equal(merged.lm_head.weight[: known.first], model.lm_head.weight[: known.first])


@pytest.mark.parametrize(
    "text", ["<|item0|>", " <|item3|>", "a<|item0|><|item1|>", "<|item0|>\n", "<|im_start|><|item2|><|im_end|>"]
)
def test_no_text_is_read_as_an_item(stock, text):
    known = read_words(stock)
    for reader in (AutoTokenizer.from_pretrained(stock), AutoProcessor.from_pretrained(stock).tokenizer):
        assert max(reader(text)["input_ids"]) < known.first


def test_tokens_keep_their_ids_and_items_have_readable_names(stock, bases):
    before, after = AutoTokenizer.from_pretrained(bases("llava")), AutoTokenizer.from_pretrained(stock)
    known = read_words(stock)
    assert {name: after.get_vocab()[name] for name in before.get_vocab()} == before.get_vocab()
    assert after.convert_ids_to_tokens([known.first + 2]) == [item_name(2)]
    assert after.decode([known.first + 2]) == "<|item2|>"
    assert len(after) == len(before) + ITEMS + 3
    assert known.tokens()["i2"] == known.first + 2


def test_a_refresh_changes_rows_adds_and_removes_and_keeps_the_rest(stock):
    before, _ = load(stock)
    known = read_words(stock)
    new = table(items=2, seed=1)
    refresh_words(stock, ["i3", "new"], new.inputs, new.outputs, removed=["i5"])
    after, report = load(stock)
    assert not report["missing_keys"]
    now = read_words(stock)
    assert now.ids == ("i0", "i1", "i2", "i3", "i4", "", "i6", "new", None, None)
    assert torch.equal(after.get_input_embeddings().weight[known.first + 3], new.inputs[0, 0])
    assert torch.equal(after.lm_head.weight[known.first + 7], new.outputs[1])
    assert not after.lm_head.weight[known.first + 5].any()
    kept = [*range(known.first), known.first + 2]
    assert torch.equal(after.lm_head.weight[kept], before.lm_head.weight[kept])
    assert now.free() == [8, 9, 5], "a removed item's row is taken last"
    assert {entry.name for entry in stock.iterdir()} <= stock_names(stock)


def test_a_refresh_writes_only_the_tables_and_clears_what_the_one_before_left(stock):
    body = {path.name: path.stat().st_mtime_ns for path in stock.iterdir()}
    new = table(items=1)
    refresh_words(stock, ["i0"], new.inputs, new.outputs)
    changed = {path.name for path in stock.iterdir() if body.get(path.name) != path.stat().st_mtime_ns}
    assert changed == {"items-00000001.safetensors", "model.safetensors.index.json"}
    refresh_words(stock, ["i0"], new.inputs, new.outputs)
    assert {path.name for path in stock.glob("items-*")} == {"items-00000001.safetensors", "items-00000002.safetensors"}


def test_gemmas_rows_are_refreshed_by_its_scale(bases, tmp_path):
    model, _ = load(bases("gemma3"))
    known = write_stock(model, AutoProcessor.from_pretrained(bases("gemma3")), tmp_path / "stock", words=table())
    new = table(items=1, seed=4)
    refresh_words(tmp_path / "stock", ["i1"], new.inputs, new.outputs)
    merged, _ = load(tmp_path / "stock")
    assert torch.allclose(merged.get_input_embeddings()(torch.tensor([known.first + 1])), new.inputs[:, 0], atol=1e-5)


_KILLING = """
import os, signal, sys, torch
from pathlib import Path
from llmrec.modeling import stock
for place in sys.argv[1:]:
    folder = Path(place)
    where, calls = folder.name.split("-")
    if os.fork() == 0:
        inner, done = getattr(stock, where), []
        def killed(*some, **named):
            if len(done) == int(calls):
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(True)
            return inner(*some, **named)
        setattr(stock, where, killed)
        stock.refresh_words(folder, ["i0"], torch.full((1, 1, 64), 3.0), torch.full((1, 64), 3.0))
    assert os.wait()[1] == signal.SIGKILL
"""


def test_a_refresh_that_is_killed_leaves_the_folder_as_it_was(stock, tmp_path):
    before, _ = load(stock)
    folders = [tmp_path / point for point in ("staged_file-0", "save_file-0", "staged_file-1", "write_json-0")]
    for folder in folders:
        shutil.copytree(stock, folder)
    ended = subprocess.run([sys.executable, "-c", _KILLING, *map(str, folders)], check=False, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    new = table(items=1)
    for folder in folders:
        after, report = load(folder)
        assert not report["missing_keys"]
        assert torch.equal(before.lm_head.weight, after.lm_head.weight)
        refresh_words(folder, ["i0"], new.inputs, new.outputs)
        assert torch.equal(load(folder)[0].lm_head.weight[read_words(folder).first], new.outputs[0])


def test_wrong_tables_are_refused_with_what_to_do(stock, bases, tmp_path):
    model, processor = load(bases("llava"))[0], AutoProcessor.from_pretrained(bases("llava"))
    good = table(items=2)
    wrong = {
        "there twice": ItemTable(["a", "a"], good.inputs, good.outputs),
        "is empty": ItemTable(["a", ""], good.inputs, good.outputs),
        "3 x 1 x 64": ItemTable(["a", "b", "c"], good.inputs, good.outputs),
        "NaN": ItemTable(["a", "b"], good.inputs, good.outputs * float("nan")),
    }
    for message, words in wrong.items():
        with pytest.raises(InputError, match=message):
            write_stock(model, processor, tmp_path / "out", words=words)
    with pytest.raises(InputError, match="3 free rows, but 4 items are new"):
        refresh_words(stock, ["n0", "n1", "n2", "n3"], torch.zeros(4, 1, WIDTH), torch.zeros(4, WIDTH))
    with pytest.raises(InputError, match="has no item 'x'"):
        refresh_words(stock, ["i0"], torch.zeros(1, 1, WIDTH), torch.zeros(1, WIDTH), removed=["x"])
    with pytest.raises(InputError, match="at once"):
        refresh_words(stock, ["i0"], torch.zeros(1, 1, WIDTH), torch.zeros(1, WIDTH), removed=["i0"])
    with pytest.raises(InputError, match=r"no model\.safetensors\.index\.json"):
        read_words(bases("llava"))
    merged, _ = load(stock)
    with pytest.raises(InputError, match="already"):
        write_stock(merged, AutoProcessor.from_pretrained(stock), tmp_path / "twice", words=good)


def test_the_words_of_a_folder_say_which_rows_are_free():
    words = StockWords(10, ("a", None, "", None))
    assert words.tokens() == {"a": 10}
    assert words.free() == [1, 3, 2]
