"""Encoders give the vectors that their own libraries would, words find pictures, and broken folders are told."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from shops import ITEMS, catalogue, shop
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from llmrec.config import build
from llmrec.dataset import Dataset
from llmrec.errors import ConfigError, InputError
from llmrec.retrieval.encoder import Encoder
from llmrec.retrieval.encoder_files import adopt
from llmrec.retrieval.encoders import adopted
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index

COLOURS = {
    "red": (220, 30, 30), "green": (30, 190, 40), "blue": (30, 50, 220), "yellow": (240, 220, 30),
    "black": (10, 10, 10), "white": (245, 245, 245),
}  # fmt: skip
WORDS = [*COLOURS, "a", "cup", "thing", "number", "for", "the", "kitchen", "garden", "query", "item", ":"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
SEEN = {**SMALL, "image_size": 32, "patch_size": 16}
PAINTED = [list(COLOURS)[place % len(COLOURS)] for place in np.random.default_rng(1).permutation(ITEMS)]
TEXTS = ["a red cup", "a thing for the kitchen number number number", "cup"]


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, a mark before them and one after."""
    bare = Tokenizer(models.WordLevel({word: code for code, word in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    bare.normalizer = normalizers.Lowercase()
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    bare.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=bare, eos_token="[SEP]", **marks)


def reader(folder: Path, poolings: Sequence[str] = (), **files: object) -> Path:
    """A tiny text model; with poolings or other files, a sentence-transformers folder."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(SPECIAL + WORDS), max_position_embeddings=20, **SMALL)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    if poolings:
        modules = ["Transformer", "Pooling", "Normalize"]
        told = {
            "modules": [
                {"idx": place, "name": str(place), "path": f"{place}_{kind}" if place else "", "type": f"a.b.{kind}"}
                for place, kind in enumerate(modules)
            ],
            "1_Pooling/config": {f"pooling_mode_{one}": True for one in poolings},
        }
        for name, content in {**told, **files}.items():
            (folder / f"{name}.json").parent.mkdir(exist_ok=True)
            (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def viewer(folder: Path, *, pooler: bool) -> Path:
    """A tiny vision model."""
    torch.manual_seed(0)
    ViTModel(ViTConfig(**SEEN), add_pooling_layer=pooler).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def clip_config() -> CLIPConfig:
    marks = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    told = {"vocab_size": len(SPECIAL + WORDS), "max_position_embeddings": 20, **SMALL, **marks}
    return CLIPConfig(text_config=told, vision_config=SEEN, projection_dim=16)


def clip_eye() -> CLIPImageProcessorPil:
    return CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def paint(colour: str, size: tuple[int, int] = (40, 40), seed: int = 0) -> Image.Image:
    """A picture of one colour, with a little noise."""
    noise = np.random.default_rng(seed).normal(0, 6, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP that has learnt which word belongs to which colour, saved with its processor as one folder."""
    torch.manual_seed(0)
    model, words, eye = CLIPModel(clip_config()), tokenizer(), clip_eye()
    texts = words([f"a {colour} cup" for colour in COLOURS], return_tensors="pt", padding=True)
    given = {key: texts[key] for key in ("input_ids", "attention_mask")}
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(60):
        pictures = [paint(colour, seed=step) for colour in COLOURS]
        model(**given, **eye(images=pictures, return_tensors="pt"), return_loss=True).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("models") / "clip"
    model.save_pretrained(folder)
    CLIPProcessor(image_processor=eye, tokenizer=words).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reader(tmp_path_factory.mktemp("models") / "text", ["mean_tokens"])


@pytest.fixture(scope="module")
def cups(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A shop whose texts name no colour; the pictures have it."""
    items = catalogue().drop("colour")
    folder = tmp_path_factory.mktemp("data")
    images: dict[str, Path] = {}
    for code, item in enumerate(items["item"]):
        images[item] = folder / f"{item}.png"
        paint(PAINTED[code], seed=100 + code).save(images[item])
    return shop(folder / "cups", items=items, images=images)


def painted(colour: str) -> set[str]:
    """The items of that colour: drawn at random, so that nothing else about them tells it."""
    return {item for item, painted in zip(catalogue()["item"], PAINTED, strict=True) if painted == colour}


@pytest.fixture(scope="module")
def index(cups: Dataset, clip: Path, text_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Made with encoders whose folders are gone by now."""
    gone = tmp_path_factory.mktemp("gone")
    shutil.copytree(clip, gone / "clip")
    shutil.copytree(text_model, gone / "text")
    recipe = IndexRecipe(
        parts=("neighbours", "text", "pictures"), text_encoder=str(gone / "text"), picture_encoder=str(gone / "clip")
    )
    made = make_index(cups, tmp_path_factory.mktemp("index") / "index", recipe)
    shutil.rmtree(gone)
    return Index.open(made.folder)


@pytest.fixture
def own(index: Index, tmp_path: Path) -> Index:
    """A copy that a test may change."""
    shutil.copytree(index.folder, tmp_path / "own")
    return Index.open(tmp_path / "own")


def taken(source: Path, into: Path) -> Encoder:
    """An encoder as an index holds it."""
    adopt(str(source), into / "copy")
    return Encoder(into / "copy", str(source))


def hidden(folder: Path, text: str) -> torch.Tensor:
    """What a text model gives for each token of one text, with nothing padded."""
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.no_grad():
        return model(**tokenizer()(text, return_tensors="pt", truncation=True, max_length=20)).last_hidden_state[0]


def lines(vectors: Sequence[torch.Tensor]) -> np.ndarray:
    return torch.nn.functional.normalize(torch.stack(list(vectors)), dim=1).detach().numpy()


@pytest.mark.parametrize(
    ("poolings", "by_hand"),
    [
        (["mean_tokens"], lambda rows: rows.mean(0)),
        (["cls_token"], lambda rows: rows[0]),
        (["max_tokens"], lambda rows: rows.amax(0)),
        (["lasttoken"], lambda rows: rows[-1]),
        (["weightedmean_tokens"], lambda rows: (rows * torch.arange(1, len(rows) + 1)[:, None]).sum(0)),
        (["mean_sqrt_len_tokens"], lambda rows: rows.sum(0)),
        (["mean_tokens", "cls_token"], lambda rows: torch.cat([rows[0], rows.mean(0)])),
        ([], lambda rows: rows.mean(0)),
    ],
)
def test_texts_are_pooled_as_the_folder_says_and_by_the_mean_where_it_says_nothing(tmp_path, poolings, by_hand):
    folder = reader(tmp_path / "model", poolings)
    found = taken(folder, tmp_path).texts(TEXTS)
    assert found == pytest.approx(lines([by_hand(hidden(folder, text)) for text in TEXTS]), abs=1e-5)


def test_newer_folders_name_their_pooling_by_one_word(tmp_path):
    folder = reader(tmp_path / "model", ["mean_tokens"], **{"1_Pooling/config": {"pooling_mode": "cls"}})
    found = taken(folder, tmp_path).texts(TEXTS)
    assert found == pytest.approx(lines([hidden(folder, text)[0] for text in TEXTS]), abs=1e-5)


def test_a_layer_after_the_pooling_is_used(tmp_path):
    modules = [
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    ]
    dense = {"in_features": 32, "out_features": 8, "bias": True, "activation_function": "torch.nn.modules.Tanh"}
    folder = reader(tmp_path / "model", ["mean_tokens"], modules=modules, **{"2_Dense/config": dense})
    layer = torch.nn.Linear(32, 8)
    weights = {"linear.weight": layer.weight.detach(), "linear.bias": layer.bias.detach()}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    found = taken(folder, tmp_path).texts(TEXTS)
    assert found == pytest.approx(lines([layer(hidden(folder, text).mean(0)).tanh() for text in TEXTS]), abs=1e-5)


def test_queries_and_items_get_the_prompts_that_the_folder_names(tmp_path):
    prompts = {"prompts": {"query": "query : ", "passage": "item : "}}
    folder = reader(tmp_path / "model", ["mean_tokens"], config_sentence_transformers=prompts)
    found, _ = adopted(str(folder), None, tmp_path, "cpu")
    assert found is not None
    plain = taken(reader(tmp_path / "plain", ["mean_tokens"]), tmp_path)
    assert found.vectors(["a cup"]) == pytest.approx(plain.texts(["item : a cup"]))
    assert found.asked("a cup") == pytest.approx(plain.texts(["query : a cup"])[0])


def test_a_long_text_is_cut_and_an_empty_one_is_no_text(tmp_path, text_model):
    encoder = taken(text_model, tmp_path)
    long, cut, empty = encoder.texts(["cup " * 20_000, "cup " * 18, "  "])
    assert long == pytest.approx(cut, abs=1e-6)
    assert not empty.any()
    settings = {"max_seq_length": 5, "do_lower_case": True}
    shorter = taken(reader(tmp_path / "short", ["mean_tokens"], sentence_bert_config=settings), tmp_path / "own")
    long, cut = shorter.texts(["Cup " * 20_000, "cup cup cup"])
    assert long == pytest.approx(cut, abs=1e-6)


def test_many_texts_keep_their_places(tmp_path, text_model):
    texts = [" ".join(WORDS[: 1 + number % 9]) for number in range(150)]
    reports: list[tuple[str, int, int | None]] = []
    together = taken(text_model, tmp_path).texts(texts, progress=lambda *report: reports.append(report))
    alone = np.concatenate([taken(text_model, tmp_path / "b").texts([text]) for text in texts[:9]])
    assert together[:9] == pytest.approx(alone, abs=1e-5)
    assert together[9:18] == pytest.approx(alone, abs=1e-5)
    assert reports[-1] == ("reading texts", 150, 150)


def test_threads_share_an_encoder(tmp_path, text_model):
    encoder = taken(text_model, tmp_path)
    texts = [" ".join(WORDS[: 1 + number % 9]) for number in range(60)]
    with ThreadPoolExecutor(6) as pool:
        found = np.concatenate(list(pool.map(lambda text: encoder.texts([text]), texts)))
    assert found == pytest.approx(encoder.texts(texts), abs=1e-5)


def test_clip_gives_words_and_pictures_in_one_space(tmp_path, clip):
    encoder = taken(clip, tmp_path)
    for seed, colour in enumerate(COLOURS):
        paint(colour, (60, 40), seed).save(tmp_path / f"{colour}.png")
    pictures = encoder.pictures([tmp_path / f"{colour}.png" for colour in COLOURS])
    words = encoder.texts([f"a {colour} cup" for colour in COLOURS])
    assert (words @ pictures.T).argmax(axis=1).tolist() == list(range(len(COLOURS)))
    model, eye = CLIPModel.from_pretrained(clip).eval(), clip_eye()
    with torch.no_grad():
        given = tokenizer()("a red cup", return_tensors="pt")
        text = model.get_text_features(given["input_ids"], given["attention_mask"]).pooler_output
        image = model.get_image_features(**eye(images=Image.open(tmp_path / "red.png"), return_tensors="pt"))
    assert words[:1] == pytest.approx(lines(text), abs=1e-5)
    assert pictures[:1] == pytest.approx(lines(image.pooler_output), abs=1e-5)


def test_siglip_reads_texts_at_full_length(tmp_path):
    torch.manual_seed(0)
    told = {"vocab_size": len(SPECIAL + WORDS), "max_position_embeddings": 12, **SMALL}
    model = SiglipModel(SiglipConfig(text_config=told, vision_config=SEEN)).eval()
    words = tokenizer()
    model.save_pretrained(tmp_path / "siglip")
    words.save_pretrained(tmp_path / "siglip")
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "siglip")
    encoder = taken(tmp_path / "siglip", tmp_path)
    ids = words(TEXTS, padding="max_length", max_length=12, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        by_hand = model.get_text_features(ids).pooler_output
    assert encoder.texts(TEXTS) == pytest.approx(lines(by_hand), abs=1e-5)
    paint("red").save(tmp_path / "red.png")
    assert encoder.pictures([tmp_path / "red.png"]).shape == (1, 32)


@pytest.mark.parametrize("pooler", [True, False], ids=["its pooler", "the mean of its patches"])
def test_a_vision_model_answers_by_its_pooler_where_it_was_trained(tmp_path, pooler):
    folder = viewer(tmp_path / "vit", pooler=pooler)
    paint("blue", (50, 30)).save(tmp_path / "blue.png")
    found = taken(folder, tmp_path).pictures([tmp_path / "blue.png"])
    model = ViTModel.from_pretrained(folder).eval()
    eye = ViTImageProcessorPil(size={"height": 32, "width": 32})
    with torch.no_grad():
        given = model(**eye(images=Image.open(tmp_path / "blue.png"), return_tensors="pt"))
    by_hand = given.pooler_output if pooler else given.last_hidden_state.mean(1)
    assert found == pytest.approx(lines(by_hand), abs=1e-5)


def test_pictures_of_any_shape_are_looked_at_and_broken_ones_are_passed_over(tmp_path, clip):
    encoder = taken(clip, tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    kinds = {
        "dot": paint("red", (1, 1)), "three": paint("red", (3, 3)), "line": paint("red", (3, 3000)),
        "wide": paint("red", (3000, 1)), "grey": paint("white").convert("L"), "clear": paint("red").convert("RGBA"),
        "few": paint("red").convert("P"),
    }  # fmt: skip
    for name, image in kinds.items():
        image.save(tmp_path / f"{name}.png")
    paths = [None, tmp_path / "broken.jpg", *(tmp_path / f"{name}.png" for name in kinds), tmp_path / "never.png"]
    found = encoder.pictures(paths)
    assert found.any(axis=1).tolist() == [False, False, *[True] * len(kinds), False]
    red, white = encoder.texts(["a red cup", "a white cup"])
    for name, vector in zip(kinds, found[2:], strict=False):
        assert (vector @ red > vector @ white) == (name != "grey"), name


def test_words_find_pictures_in_an_index_whose_encoder_folders_are_gone(cups, index, text_model, tmp_path):
    texts = make_index(cups, tmp_path / "texts", IndexRecipe(parts=("text",), text_encoder=str(text_model)))
    for colour in COLOURS:
        places = [
            np.mean([found.index(item) for item in painted(colour)])
            for found in (texts.search(colour, 40).items, index.search(colour, 40).items)
        ]
        assert places[1] < places[0], f"no text says {colour}, the pictures do"
    assert index.search("").items == []
    assert index.search("green " * 20_000, 1).items
    assert index.candidates(["i001", "i002"], 5).items


def test_words_alone_find_pictures_where_there_are_no_texts(cups, clip, tmp_path):
    made = make_index(cups, tmp_path / "index", IndexRecipe(parts=("pictures",), picture_encoder=str(clip)))
    for colour in COLOURS:
        assert set(made.search(f"a {colour} cup", 6).items) <= painted(colour)


def test_a_picture_finds_pictures_by_the_same_encoder(index, tmp_path):
    paint("blue", (90, 40), seed=5).save(tmp_path / "blue.png")
    assert set(index.search(tmp_path / "blue.png", 5).items) <= painted("blue")


def test_new_items_get_vectors_from_the_same_encoders(own, tmp_path):
    paint("yellow", seed=9).save(tmp_path / "new.png")
    fresh = pl.DataFrame({"item": ["new", "bare"], "title": ["A cup for the garden", None]})
    own.upsert(fresh, {"new": tmp_path / "new.png"})
    again = Index.open(own.folder)
    assert "new" in again.search("yellow", 41).items
    assert again.search(tmp_path / "new.png", 1).items == ["new"]
    assert "new" in again.candidates(["i003", "i009"], 41).items
    assert np.isnan(again.store.vectors(["bare"], "picture")).all()
    again.upsert(fresh.filter(pl.col("item") == "bare"), {})
    assert np.isnan(again.store.vectors(["bare"], "text")).all()


def test_an_index_opens_and_answers_people_without_its_encoders(index):
    code = f"""
import sys
from llmrec.retrieval.index import Index
assert not {{"torch", "transformers"}} & set(sys.modules)
assert Index.open({str(index.folder)!r}).candidates(["i001", "i002"], 5).items
assert "transformers" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_one_encoder_for_both_is_kept_once(cups, clip, tmp_path):
    recipe = IndexRecipe(parts=("text", "pictures"), text_encoder=str(clip), picture_encoder=str(clip))
    made = make_index(cups, tmp_path / "index", recipe)
    told = json.loads((made.folder / "index.json").read_text())["encoders"]
    assert told["text"]["folder"] == told["picture"]["folder"] == "encoders/0"
    assert told["picture"] == {"source": str(clip), "folder": "encoders/0", "model": "CLIPModel", "reads_words": True}
    assert [copy.name for copy in (made.folder / "encoders").iterdir()] == ["0"]
    assert not [file for file in made.folder.rglob("*") if file.suffix in (".py", ".bin", ".md")]
    assert made.search("red", 3).items
    make_index(cups, tmp_path / "index", replace(recipe, parts=("text",), picture_encoder=None), overwrite=True)


def test_a_vision_model_answers_pictures_but_not_words(cups, tmp_path):
    recipe = IndexRecipe(parts=("pictures",), picture_encoder=str(viewer(tmp_path / "vit", pooler=True)))
    made = make_index(cups, tmp_path / "index", recipe)
    assert made.search("blue").items == []
    assert made.search(cups.folder / cups.items.collect()["image"][2], 1).items == ["i002"]


def test_a_catalogue_without_pictures_says_so_and_keeps_no_picture_encoder(clip, tmp_path, caplog):
    bare = shop(tmp_path / "bare", images=())
    made = make_index(bare, tmp_path / "index", IndexRecipe(parts=("text", "pictures"), picture_encoder=str(clip)))
    assert "has no pictures" in caplog.text
    assert not (made.folder / "encoders").exists()


def refused(text: Path | str | None, picture: Path | str | None, into: Path) -> str:
    with pytest.raises(InputError) as told:
        adopted(str(text) if text else None, str(picture) if picture else None, into, "cpu")
    return str(told.value)


def test_what_is_no_encoder_is_refused_with_the_remedy(tmp_path, text_model, clip):
    assert "not a folder" in refused(tmp_path / "never", None, tmp_path / "1")
    (tmp_path / "empty").mkdir()
    assert "no config.json" in refused(tmp_path / "empty", None, tmp_path / "2")
    assert "BertModel, which looks at no pictures" in refused(None, text_model, tmp_path / "3")
    sees = viewer(tmp_path / "vit", pooler=True)
    assert "ViTModel, which reads no texts" in refused(sees, None, tmp_path / "4")
    (sees / "preprocessor_config.json").unlink()
    assert "image processor of" in refused(None, sees, tmp_path / "5")
    shutil.copytree(text_model, tmp_path / "mute")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "mute" / file).unlink()
    assert "tokenizer of" in refused(tmp_path / "mute", None, tmp_path / "6")
    shutil.copytree(clip, tmp_path / "mute-clip")
    (tmp_path / "mute-clip" / "tokenizer.json").unlink()
    assert "tokenizer of" in refused(None, tmp_path / "mute-clip", tmp_path / "8")
    shutil.copytree(text_model, tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert "Merge it" in refused(tmp_path / "adapter", None, tmp_path / "7")


def test_a_pickle_is_never_read(tmp_path, text_model):
    shutil.copytree(text_model, tmp_path / "old")
    weights = load_file(tmp_path / "old" / "model.safetensors")
    (tmp_path / "old" / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "old" / "pytorch_model.bin")
    told = refused(tmp_path / "old", None, tmp_path / "copy")
    assert "only as a pickle" in told
    exec(told.partition('python -c "')[2].removesuffix('"'))  # the remedy that the message gives
    assert taken(tmp_path / "old", tmp_path).texts(TEXTS) == pytest.approx(
        taken(text_model, tmp_path / "b").texts(TEXTS)
    )


def test_code_in_a_folder_is_not_run(tmp_path, text_model):
    shutil.copytree(text_model, tmp_path / "own")
    config = json.loads((tmp_path / "own" / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    (tmp_path / "own" / "config.json").write_text(json.dumps(config))
    (tmp_path / "own" / "mine.py").write_text("raise SystemExit('ran')")
    assert "cannot be loaded" in refused(tmp_path / "own", None, tmp_path / "copy")


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        ([{"path": "", "type": "m.Transformer"}, {"path": "1", "type": "m.Magic"}], "Transformer, Magic"),
        ([{"path": "../other", "type": "m.Transformer"}], "out of its folder"),
        ([{"type": "m.Transformer"}], "not a list of modules"),
        ([], "made of nothing"),
        ({}, "holds dict"),
    ],
)
def test_modules_that_are_not_known_are_refused(tmp_path, modules, reason):
    assert reason in refused(reader(tmp_path / "m", ["mean_tokens"], modules=modules), None, tmp_path / "copy")


def test_poolings_that_are_not_known_are_refused(tmp_path):
    folder = reader(tmp_path / "m", ["mean_tokens"], **{"1_Pooling/config": {"pooling_mode": "magic"}})
    assert "not known here" in refused(folder, None, tmp_path / "copy")


@pytest.mark.parametrize("damage", ["nan", "cut", "lacking", "other shapes"])
def test_broken_weights_are_refused(tmp_path, text_model, damage):
    folder = tmp_path / "broken"
    shutil.copytree(text_model, folder)
    weights = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    if damage == "nan":
        weights[name][:] = float("nan")
    elif damage == "lacking":
        del weights[name]
    elif damage == "other shapes":
        weights[name] = weights[name][:, :7].contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    if damage == "cut":
        whole = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    if damage == "nan":
        with pytest.raises(InputError, match="are not numbers"):
            taken(folder, tmp_path).texts(TEXTS)
    else:
        assert "cannot be loaded" in refused(folder, None, tmp_path / "copy")


def test_shards_are_copied_and_a_missing_one_is_told(tmp_path, text_model):
    model = BertModel.from_pretrained(text_model, add_pooling_layer=False)
    shutil.copytree(text_model, tmp_path / "shards")
    (tmp_path / "shards" / "model.safetensors").unlink()
    model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    shards = sorted((tmp_path / "shards").glob("model-*.safetensors"))
    assert len(shards) > 1
    found = taken(tmp_path / "shards", tmp_path).texts(TEXTS)
    assert found == pytest.approx(taken(text_model, tmp_path / "b").texts(TEXTS))
    shards[0].unlink()
    assert shards[0].name in refused(tmp_path / "shards", None, tmp_path / "copies")


def test_a_hub_name_without_a_network_says_what_to_do(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert "hf download nobody/never --local-dir" in refused("nobody/never", None, tmp_path / "copy")


def test_an_encoder_for_a_part_that_is_left_out_is_refused():
    with pytest.raises(ConfigError, match="leave out pictures"):
        build(IndexRecipe, {"parts": ["text"], "picture_encoder": "clip"})


def test_an_index_without_its_encoder_is_damaged(own):
    shutil.rmtree(own.folder / "encoders" / "0")
    with pytest.raises(InputError, match="llmrec index"):
        Index.open(own.folder)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_gives_the_vectors_of_the_processor(tmp_path, clip):
    paint("red").save(tmp_path / "red.png")
    adopt(str(clip), tmp_path / "copy")
    here, there = Encoder(tmp_path / "copy", "clip"), Encoder(tmp_path / "copy", "clip", "cuda")
    assert there.texts(TEXTS) == pytest.approx(here.texts(TEXTS), abs=1e-3)
    assert there.pictures([tmp_path / "red.png"]) == pytest.approx(here.pictures([tmp_path / "red.png"]), abs=1e-3)
