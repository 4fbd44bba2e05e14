"""A projector learns to tell pictures: nothing else changes, held-out items teach nothing, and the folder is stock."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from shops import catalogue, interactions, shop
from tiny_models import KINDS, SIDE, tiny_model
from transformers import AutoModelForImageTextToText, AutoProcessor
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.config import load_config
from llmrec.dataset import Dataset
from llmrec.errors import ConfigError, InputError, LlmrecError
from llmrec.modeling.album import Album
from llmrec.modeling.base import load_base
from llmrec.modeling.projector import BLANK, Projection
from llmrec.modeling.transcript import Transcriber
from llmrec.pretraining.caption_stage import pretrain_captions
from llmrec.pretraining.captions import SAID, TEXT, read_captions
from llmrec.pretraining.recipe import CaptionRecipe, TowerRecipe, load_recipe
from llmrec.pretraining.speaker import Speaker
from llmrec.splits import TRAIN, leave_one_out

PLAIN = ("llava", "idefics3", "smolvlm", "gemma3")  # what their projector makes is what the model reads


def coloured(code: int) -> bytes:
    """A red picture or a blue one, with a little of the item's own in it."""
    buffer = io.BytesIO()
    strong, weak = 250 - code, 2 * code
    Image.new("RGB", (SIDE, SIDE), (weak, 9, strong) if code % 2 else (strong, 9, weak)).save(buffer, "PNG")
    return buffer.getvalue()


def heard(people: int = 30) -> pl.DataFrame:
    """Reviews that say the item's colour."""
    rows = interactions(people)
    colour = pl.col("item").str.slice(1).cast(pl.Int32) % 2
    told = pl.when(colour == 0).then(pl.lit("What a warm scarlet.")).otherwise(pl.lit("Such a deep azure."))
    return rows.with_columns(pl.when(pl.col("review").is_not_null()).then(told).alias("review"))


def coloured_shop(folder: Path, **changes: object) -> Dataset:
    images = {name: coloured(code) for code, name in enumerate(catalogue()["item"])}
    return shop(folder, **{"images": images, "interactions": heard(), **changes})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llava", tmp_path_factory.mktemp("captions") / "model")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return coloured_shop(tmp_path_factory.mktemp("captions") / "colours")


@pytest.fixture(scope="module")
def recipe(model: Path) -> CaptionRecipe:
    return CaptionRecipe(
        model=str(model), held_out=0.3, acquaint=20, passes=30, rate=1e-2, batch_tokens=256, dtype="float32", among=6
    )


@pytest.fixture(scope="module")
def made(colours: Dataset, recipe: CaptionRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("captions") / "captioned"
    pretrain_captions(colours, out, recipe, device="cpu")
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForImageTextToText.from_pretrained(folder).state_dict()


def speaker_of(folder: Path, dataset: Dataset) -> Speaker:
    base = load_base(str(folder), dtype="float32")
    paths = [dataset.picture(image) for image in dataset.items.collect()["image"]]
    projection = Projection(base, Album(base, paths))
    return Speaker(projection, Transcriber(base, projection.album), 16)


def test_only_the_projector_changes(made: Path, model: Path):
    before, after = weights(model), weights(made)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "multi_modal_projector" in name}


def test_what_is_written_loads_as_a_stock_model_and_as_a_base(made: Path, model: Path, colours: Dataset):
    loaded, report = AutoModelForImageTextToText.from_pretrained(made, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert loaded.dtype == AutoModelForImageTextToText.from_pretrained(model).dtype
    processor = AutoProcessor.from_pretrained(made)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    picture = Image.open(colours.picture(colours.items.collect()["image"][0]))
    answer = loaded.generate(**processor(text=[text], images=[picture], return_tensors="pt"), max_new_tokens=2)
    assert answer.shape[1] > 2
    assert load_base(str(made)).picture_token == loaded.config.image_token_id


def test_it_tells_held_out_pictures_apart_as_it_could_not_before(made: Path):
    told = json.loads((made / "manifest.json").read_text())
    after, before = (told["learnt"][name] for name in ("trained", "untrained"))
    assert after["caption_loss"]["right"] < after["caption_loss"]["other"] - 0.02  # a tiny random model says little
    assert after["caption_loss"]["right"] < before["caption_loss"]["right"] - 0.05
    assert after["answers"][SAID]["accuracy"] > 0.9
    assert before["answers"][SAID]["accuracy"] < 0.5
    assert after["answers"][SAID]["commonest"] < 0.8
    assert told["course"]["acquaint"][-1] < told["course"]["acquaint"][0]
    assert told["course"]["speak"][-1] < told["course"]["speak"][0]


def test_the_folder_says_what_it_was_made_of(made: Path, colours: Dataset):
    told = json.loads((made / "manifest.json").read_text())
    assert told["stage"] == "captions"
    assert told["dataset"]["fingerprint"] == colours.fingerprint
    assert told["items"] == {"taught": 28, "held_out": 12}
    assert told["visible"].keys() == {"category", "brand", "colour"}
    assert 0 < told["parameters"]["trained"] < told["parameters"]["whole"] / 2


def test_the_same_seed_gives_the_same_weights_and_another_others(
    colours: Dataset, recipe: CaptionRecipe, tmp_path: Path
):
    short = replace(recipe, acquaint=2, passes=0.5)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        pretrain_captions(colours, tmp_path / name, replace(short, seed=seed), device="cpu")
    a, b, c = (weights(tmp_path / name)["model.multi_modal_projector.linear_1.weight"] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_held_out_items_teach_nothing(colours: Dataset, recipe: CaptionRecipe, tmp_path: Path):
    """A shop in which held-out items look, are called and are praised otherwise gives the same weights."""
    short = replace(recipe, acquaint=2, passes=1)
    held = read_captions(colours, short).held_out.tolist()
    names = [catalogue()["item"][code] for code in held]
    held_out = pl.col("item").is_in(names)
    items = catalogue().with_columns(
        *(pl.when(held_out).then(pl.lit("Else")).otherwise(pl.col(name)).alias(name) for name in ("brand", "colour")),
        pl.when(held_out).then(pl.lit("Something else")).otherwise(pl.col("title")).alias("title"),
    )
    rows = heard().with_columns(
        pl.when(held_out & pl.col("review").is_not_null())
        .then(pl.lit("Purple!"))
        .otherwise(pl.col("review"))
        .alias("review")
    )
    images = {name: coloured(code + (code in held)) for code, name in enumerate(catalogue()["item"])}
    other = coloured_shop(tmp_path / "other", items=items, interactions=rows, images=images)
    assert read_captions(other, short).held_out.tolist() == held
    for name, dataset in (("one", colours), ("two", other)):
        pretrain_captions(dataset, tmp_path / name, short, device="cpu")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_reviews_of_validation_and_test_rows_stay_unread(colours: Dataset, recipe: CaptionRecipe, tmp_path: Path):
    split = leave_one_out(colours.log)
    rows = colours.interactions.collect()
    later = pl.Series(split.part != TRAIN)
    changed = rows.with_columns(
        pl.when(later & pl.col("review").is_not_null())
        .then(pl.lit("Purple!"))
        .otherwise(pl.col("review"))
        .alias("review")
    )
    other = coloured_shop(tmp_path / "other", interactions=changed)
    assert other.interactions.collect()["review"].to_list() != rows["review"].to_list()
    one, two = read_captions(colours, recipe), read_captions(other, recipe)
    assert {"scarlet", "azure"} <= set(one.words)
    assert (one.words, one.said) == (two.words, two.said)
    assert np.array_equal(one.strength, two.strength)


def test_a_caption_holds_what_is_known_and_no_more(colours: Dataset, recipe: CaptionRecipe):
    captions = read_captions(colours, recipe)
    code = next(code for code in captions.taught.tolist() if code % 5 == 0)  # an item without a brand
    assert "brand" not in captions.facts(code)
    assert dict(captions.caption(code)).keys() == captions.facts(code).keys() - {TEXT}
    assert captions.said[code][0] in (("what", "warm", "scarlet"), ("such", "deep", "azure"))[code % 2]
    drawn = [dict(captions.drawn(code, 1, np.random.default_rng(seed))) for seed in range(40)]
    assert {name for facts in drawn for name in facts} == captions.facts(code).keys()
    assert all(SAID in facts and len(facts) == 2 for facts in drawn)
    seen = [dict(captions.drawn(code, 1, np.random.default_rng(seed), {"colour": 5.0})) for seed in range(40)]
    assert sum("colour" in facts for facts in seen) > 30 > 20 > sum("colour" in facts for facts in drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_is_taught_or_named_with_what_to_do(
    kind: str, colours: Dataset, recipe: CaptionRecipe, tmp_path: Path
):
    folder, short = tiny_model(kind, tmp_path / "model"), replace(recipe, acquaint=1, passes=0.5, asked=3)
    out = tmp_path / "out"
    if kind not in PLAIN:
        told = r"ForConditionalGeneration.*(more than what its projector|more visual tokens).*llmrec\.sft"
        with pytest.raises(InputError, match=told):
            pretrain_captions(colours, out, replace(short, model=str(folder)), device="cpu")
        assert not out.exists()
        return
    pretrain_captions(colours, out, replace(short, model=str(folder)), device="cpu")
    before, after = weights(folder), weights(out)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("projector" in name or "connector" in name for name in changed)


def test_pictures_and_facts_cost_what_plain_transformers_says(model: Path, colours: Dataset):
    """Read by lines, and by the table that reads each picture once: all as the stock model does."""
    speaker = speaker_of(model, colours)
    facts = [("colour", "red"), ("brand", "Marlow")]
    line = speaker.line(3, facts)
    base = speaker.write.base
    picture = base.processor.image_processor(images=[speaker.write.album.read(3)], return_tensors="pt")
    with torch.no_grad():
        logits = base.model(input_ids=torch.tensor([line.tokens]), pixel_values=picture["pixel_values"]).logits[0]
    costs = [-logits[place - 1].log_softmax(0)[wanted] for place, wanted in enumerate(line.labels) if wanted >= 0]
    cost, count = speaker.each([line, speaker.line(4, facts[:1])])
    assert count[0] == len(costs)
    assert cost[0].item() == pytest.approx(float(sum(costs)), rel=1e-4)
    table = speaker.table([BLANK, 3], [facts[:1], facts])
    assert table[1, 1].item() == pytest.approx(cost[0].item(), rel=1e-4)
    assert table[0, 1].item() != pytest.approx(cost[0].item(), rel=1e-4)


def test_an_answer_is_one_of_the_values_also_where_one_begins_as_another(model: Path, colours: Dataset):
    speaker = speaker_of(model, colours)
    values = ["red", "red dress", "redder", "red\ndress", "blue"]
    assert set(speaker.answers([1, 2, 3], "colour", values)) <= set(values)
    assert speaker.answers([1], "colour", ["red dress"]) == ["red dress"]


def test_what_cannot_be_taught_is_refused_with_what_to_do(
    colours: Dataset, recipe: CaptionRecipe, made: Path, tmp_path: Path
):
    from transformers import LlamaConfig, LlamaForCausalLM

    LlamaForCausalLM(
        LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(tmp_path / "blind")
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"llama model without a vision part.*llmrec assemble"):
        pretrain_captions(colours, out, replace(recipe, model=str(tmp_path / "blind")), device="cpu")
    with pytest.raises(InputError, match=r"has no pictures, and captions need 20"):
        pretrain_captions(shop(tmp_path / "bare", images={}), out, recipe, device="cpu")
    with pytest.raises(LlmrecError, match=r"not a number .*Lower acquaint_rate"):
        pretrain_captions(colours, out, replace(recipe, acquaint_rate=1e30), device="cpu")
    assert not out.exists()
    with pytest.raises(InputError, match="already exists"):
        pretrain_captions(colours, made, recipe, device="cpu")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("rat=1", "did you mean rate"),
        ("held_out=1.0", "must lie between 0 and 1"),
        ("words=0", "must be at least 1"),
        ("facts=-1", "must not be below 0"),
        ("acquaint=0", "nothing would be learnt"),
        ("stage=caption", "it can be tower, captions"),
    ],
)
def test_a_recipe_that_cannot_work_is_told_at_once(setting: str, told: str):
    with pytest.raises(ConfigError, match=told):
        load_recipe(None, ["stage=captions", "model=m", "passes=0", setting])


def test_the_stage_of_a_recipe_says_which_recipe_it_is(root: Path):
    assert isinstance(load_recipe(None), TowerRecipe)
    assert isinstance(load_recipe(root / "train" / "tower.yaml", ["epochs=1"]), TowerRecipe)
    assert load_recipe(root / "train" / "captions.yaml") == load_config(CaptionRecipe, root / "train" / "captions.yaml")


def test_the_command_trains_and_shows_what_was_learnt(colours: Dataset, model: Path, root: Path, tmp_path: Path):
    call = ["pretrain", str(colours.folder), "--out", str(tmp_path / "m"), "--device", "cpu"]
    call += ["--recipe", str(root / "train" / "captions.yaml"), f"model={model}", "acquaint=1", "passes=0.2"]
    ended = CliRunner().invoke(app, [*call, "dtype=float32", "asked=3"])
    assert ended.exit_code == 0, ended.output
    assert "names colour" in ended.output
    assert f"model={tmp_path / 'm'}" in ended.output.replace("\n", "")


@pytest.mark.parametrize("recipe_first", [True, False])
def test_settings_are_those_of_the_stage(recipe_first: bool, root: Path):
    named = ["--recipe", str(root / "train" / "captions.yaml")]
    call = ["pretrain", *named, "--settings"] if recipe_first else ["pretrain", "--settings", *named]
    ended = CliRunner().invoke(app, call)
    assert ended.exit_code == 0
    assert "acquaint=30" in ended.output
    assert "model=REQUIRED" in ended.output
    assert "shape.width" not in ended.output
    assert "shape.width" in CliRunner().invoke(app, ["pretrain", "--settings"]).output
