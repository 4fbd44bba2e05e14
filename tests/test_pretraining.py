"""A picture tower is trained on a catalogue, held-out items teach it nothing, and what is written is a stock CLIP."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from shops import catalogue as drawn_catalogue
from shops import interactions, shop
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel, CLIPVisionModel

from llmrec.config import load_config
from llmrec.dataset import Dataset
from llmrec.errors import ConfigError, InputError, LlmrecError
from llmrec.pretraining import catalogue, probes, tower
from llmrec.pretraining.filters import COLOURS, take_filters
from llmrec.pretraining.gallery import hang, normalised
from llmrec.pretraining.looks import looks
from llmrec.pretraining.losses import together
from llmrec.pretraining.pairs import Pairs
from llmrec.pretraining.pairs import count as count_pairs
from llmrec.pretraining.recipe import Losses, Shape, TowerRecipe
from llmrec.pretraining.stage import HOLDS, MARKER, pretrain_tower
from llmrec.pretraining.training import train
from llmrec.retrieval.index import IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.splits import TRAIN, leave_one_out

SMALL = Shape(
    image_size=24, patch_size=12, width=32, layers=1, heads=2, vector=16, text_width=32, text_layers=1, text_length=24,
    vocabulary=300,
)  # fmt: skip
QUICK = TowerRecipe(shape=SMALL, batch=12, epochs=2)


def striped(code: int, size: int = 48) -> bytes:
    """A picture with stripes of one of two colours, across or down."""
    across = np.arange(size) // 4 % 2 * (255, 90)[code % 2]
    grey = np.tile(across, (size, 1)).astype(np.uint8)
    channels = [grey if code % 4 < 2 else grey.T, np.full((size, size), 37 * code % 256, np.uint8), grey]
    buffer = io.BytesIO()
    Image.fromarray(np.stack(channels, axis=2)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def striped_shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    images = {name: striped(code) for code, name in enumerate(drawn_catalogue()["item"])}
    return shop(tmp_path_factory.mktemp("pretraining") / "striped", images=images)


@pytest.fixture(scope="module")
def made(striped_shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pretraining") / "tower"
    pretrain_tower(striped_shop, out, QUICK, device="cpu")
    return out


def test_what_is_written_loads_in_plain_transformers(made: Path, striped_shop: Dataset):
    model = CLIPModel.from_pretrained(made)
    processor, tokenizer = AutoImageProcessor.from_pretrained(made, backend="pil"), AutoTokenizer.from_pretrained(made)
    picture = Image.open(striped_shop.picture(striped_shop.items.collect()["image"][0])).convert("RGB")
    pixels = processor(images=picture, return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 24, 24)
    ids = tokenizer(["a thing", "another thing for the garden"], padding=True, return_tensors="pt")
    assert model.get_image_features(pixel_values=pixels).pooler_output.shape == (1, 16)
    assert model.get_text_features(**ids).pooler_output.shape == (2, 16)
    assert CLIPVisionModel.from_pretrained(made)(pixels).last_hidden_state.shape == (1, 5, 32)  # four patches


def test_a_picture_looks_to_the_processor_as_it_looked_in_training(made: Path, striped_shop: Dataset):
    path = striped_shop.picture(striped_shop.items.collect()["image"][0])
    processor = AutoImageProcessor.from_pretrained(made, backend="pil")
    served = torch.as_tensor(np.asarray(processor(images=Image.open(path))["pixel_values"][0]))
    trained = normalised(hang([path], 24).plain(np.array([0])))[0]
    assert (served - trained).abs().mean() < 0.25


def test_the_folder_says_what_was_learnt_beside_an_untrained_tower(made: Path, striped_shop: Dataset):
    told = json.loads((made / MARKER).read_text())
    assert told["dataset"]["fingerprint"] == striped_shop.fingerprint
    assert told["items"] == {"taught": 36, "held_out": 4}
    assert set(told["learnt"]) == {"trained", "untrained"}
    assert told["learnt"]["trained"]["picture_to_text"]["among"] == 4
    assert [set(epoch) for epoch in told["course"]] == [{"text", "items", "words", "patches", "picture"}] * 2
    assert {path.name for path in made.iterdir()} <= {MARKER, *HOLDS}


def test_an_index_refuses_a_tower_that_learnt_from_what_it_is_measured_by(
    made: Path, striped_shop: Dataset, tmp_path: Path
):
    recipe = IndexRecipe(parts=("pictures",), picture_encoder=str(made))
    for more, said in (({"people": 0.5}, "people=0.5"), ({"split": "cold-items"}, "split=cold-items people=1")):
        with pytest.raises(InputError, match=f"learnt from the rows of split=leave-one-out people=1.*{said}"):
            make_index(striped_shop, tmp_path / "index", replace(recipe, **more))
    assert not (tmp_path / "index").exists()
    make_index(striped_shop, tmp_path / "index", recipe)
    other = shop(tmp_path / "other", images={}, interactions=interactions(seed=5))
    assert other.fingerprint != striped_shop.fingerprint
    texts = IndexRecipe(parts=("text",), text_encoder=str(made), people=0.5)
    make_index(other, tmp_path / "others", texts)


def test_the_same_seed_gives_the_same_weights(made: Path, striped_shop: Dataset, tmp_path: Path):
    pretrain_tower(striped_shop, tmp_path / "again", QUICK, device="cpu")
    first, again = (CLIPModel.from_pretrained(folder).state_dict() for folder in (made, tmp_path / "again"))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_held_out_items_teach_nothing(striped_shop: Dataset):
    read = catalogue.read(striped_shop, QUICK)
    held = read.gallery.items[read.held_out]
    assert not set(held) & set(read.gallery.items[read.taught])
    assert read.pairs.weights[held].nnz == 0
    assert read.pairs.weights[:, held].nnz == 0


def test_only_training_rows_make_pairs(striped_shop: Dataset):
    split = leave_one_out(striped_shop.log)
    pairs = count_pairs(split, np.ones(40, dtype=bool), window=50, damping=0)
    owner, trained = split.log.user_of_rows(), split.part == TRAIN
    taken = [set(split.log.item[(owner == user) & trained]) for user in range(len(split.log.users))]
    for one, other in zip(*pairs.weights.nonzero(), strict=True):
        assert any({one, other} <= items for items in taken)


def test_popular_items_are_not_everybodys_friend(striped_shop: Dataset):
    split = leave_one_out(striped_shop.log)
    plain = count_pairs(split, np.ones(40, dtype=bool), window=50, damping=1e9).weights
    fair = count_pairs(split, np.ones(40, dtype=bool), window=50, damping=0).weights
    counts = np.bincount(split.log.item[split.part == TRAIN], minlength=40)
    assert np.corrcoef(fair.sum(axis=0), counts)[0, 1] < np.corrcoef(plain.sum(axis=0), counts)[0, 1]


def test_partners_are_drawn_from_what_is_taken_together():
    from scipy import sparse

    pairs = Pairs(sparse.csr_array(np.array([[0, 3, 0], [3, 0, 0], [0, 0, 0]], dtype=np.float32)))
    assert pairs.partners(np.array([0, 1, 2]), np.random.default_rng(0)).tolist() == [1, 0, 2]
    assert pairs.among(np.array([0, 1, 0]))[0].tolist() == [0, 3, 0]


def test_pictures_that_go_together_cost_less_side_by_side():
    weights = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]])
    near, far = torch.eye(3)[[0, 0, 1]], torch.eye(3)[[0, 1, 1]]
    assert together(near, weights, 0.1) < together(far, weights, 0.1)


def test_a_spectrum_stays_when_a_pattern_moves():
    stripes = (torch.arange(96) // 4 % 2).float().expand(1, 3, 96, 96)
    here, moved, turned = (looks(one, 32)[0] for one in (stripes, stripes.roll(3, dims=3), stripes.transpose(2, 3)))
    spectra = slice(0, 56)
    assert (here[..., spectra] - moved[..., spectra]).abs().max() < 0.1 * here[..., spectra].max()
    assert (here[..., spectra] - turned[..., spectra]).abs().max() > 0.5 * here[..., spectra].max()


def test_first_filters_tell_a_pattern_wherever_it_stands(striped_shop: Dataset):
    shape = Shape(image_size=96, patch_size=32, layers=1)
    read = catalogue.read(striped_shop, TowerRecipe(shape=shape))
    model = tower.untrained(shape, read.tokenizer, 0)
    take_filters(model, read.gallery, read.taught, 0)
    stripes = (torch.arange(96) // 3 % 2).float().expand(1, 3, 96, 96)
    views = normalised(torch.cat([stripes, stripes.roll(2, dims=3), stripes.transpose(2, 3)]))
    with torch.inference_mode():
        here, moved, turned = tower.see(model, views)[1].mean(dim=1)[:, COLOURS::2]  # where strengths of waves are put
    assert (here - turned).norm() > 3 * (here - moved).norm()


def test_filters_fit_any_width_and_patch(striped_shop: Dataset):
    read = catalogue.read(striped_shop, QUICK)
    for width in (32, 96, 512):
        model = tower.untrained(replace(SMALL, width=width), read.tokenizer, 0)
        take_filters(model, read.gallery, read.taught, 0)
        assert np.isfinite(tower.picture_vectors(model, read.gallery, np.arange(5))[0]).all()


def test_pictures_on_the_disk_give_the_batches_of_pictures_in_memory(striped_shop: Dataset):
    paths = [striped_shop.picture(image) for image in striped_shop.items.collect()["image"][:6]]
    kept, left = hang(paths, 24), hang(paths, 24, memory_mib=0)
    assert kept.kept is not None
    assert left.kept is None
    assert torch.equal(kept.plain(np.arange(6)), left.plain(np.arange(6)))


def test_broken_and_missing_pictures_are_left_out(striped_shop: Dataset, tmp_path: Path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no picture")
    sound = striped_shop.picture(striped_shop.items.collect()["image"][0])
    assert hang([None, broken, sound, tmp_path / "gone.png"], 24).items.tolist() == [2]


def test_a_catalogue_without_pictures_is_refused(tmp_path: Path):
    bare = shop(tmp_path / "bare", images={})
    with pytest.raises(InputError, match="has no pictures, so there is nothing for a picture tower"):
        pretrain_tower(bare, tmp_path / "tower", QUICK, device="cpu")
    assert not (tmp_path / "tower").exists()


def test_a_loss_that_is_no_number_stops_and_leaves_nothing(striped_shop: Dataset, tmp_path: Path):
    wild = replace(QUICK, rate=1e30, epochs=4)
    with pytest.raises(LlmrecError, match=r"not a number at step .* Lower rate"):
        pretrain_tower(striped_shop, tmp_path / "tower", wild, device="cpu")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("shape.patch_size=40", "cannot be cut into patches"),
        ("shape.width=130", "not a multiple of shape.heads"),
        ("held_out=1.5", "must lie between 0 and 1"),
        ("hidden=1.0", "below 1"),
        ("batch=2", "too small for a contrast"),
        ("losses.item=1", "did you mean losses.items"),
        ("stage=captions", "it can be tower"),
    ],
)
def test_a_recipe_that_cannot_work_is_told_at_once(setting: str, told: str):
    with pytest.raises(ConfigError, match=told):
        load_config(TowerRecipe, None, [setting])


def test_each_loss_can_be_left_out(striped_shop: Dataset):
    names = ("text", "items", "words", "patches", "picture")
    alone = {name: Losses(**{other: float(other == name) for other in names}) for name in names}
    for name, weights in alone.items():
        recipe = TowerRecipe(shape=SMALL, batch=12, epochs=1, losses=weights)
        read = catalogue.read(striped_shop, recipe)
        course = train(tower.untrained(SMALL, read.tokenizer, 0), read, recipe)
        assert [set(epoch) for epoch in course] == [{name}]


def test_reviews_are_read_only_where_asked_and_only_those_of_training_rows(striped_shop: Dataset):
    asked = TowerRecipe(shape=SMALL, batch=12, reviews=2)
    assert not any(catalogue.read(striped_shop, QUICK).texts.reviews)
    read = catalogue.read(striped_shop, asked)
    said = striped_shop.interactions.select("review").collect()["review"].is_not_null().to_numpy()
    rows = (read.split.part == TRAIN) & said
    assert [len(one) for one in read.texts.reviews] == np.bincount(read.split.log.item[rows], minlength=40).tolist()


def test_a_line_reads_what_a_vector_holds_and_guesses_what_it_does_not():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 8)).astype(np.float32)
    values = ["high" if one > 0 else "low" for one in vectors[:, 3]]
    learn, ask = np.arange(300), np.arange(300, 400)
    assert probes.reads(vectors, values, learn, ask)["accuracy"] > 0.9
    shuffled = rng.permutation(values).tolist()
    assert 0.3 < probes.reads(vectors, shuffled, learn, ask)["accuracy"] < 0.7
    assert probes.reads(vectors, ["same"] * 400, learn, ask) is None


def test_recall_counts_the_own_text_among_the_nearest():
    vectors = np.eye(20, dtype=np.float32)
    assert probes.recall(vectors, vectors, among=10) == {"recall@1": 1.0, "recall@10": 1.0, "among": 10}
    same = np.ones((20, 4), dtype=np.float32)
    assert probes.recall(same, same, among=20)["recall@10"] == 0  # ties count against it


def test_every_recipe_of_a_tower_loads(root: Path):
    found = sorted((root / "train").glob("tower*.yaml"))
    assert {path.stem for path in found} == {"tower", "tower-contrastive", "tower-reconstructive"}
    for path in found:
        assert load_config(TowerRecipe, path).stage == "tower"
        assert path.read_text().startswith("# llmrec pretrain ")


def test_the_tokenizer_reads_letters_that_it_never_saw():
    made = tower.make_tokenizer(["a red cup", "a blue cup"], SMALL)
    assert made.decode(made("żółw 茶")["input_ids"], skip_special_tokens=True).strip() == "żółw 茶"
    assert pl.Series(made("x " * 90, truncation=True)["input_ids"]).len() == SMALL.text_length
