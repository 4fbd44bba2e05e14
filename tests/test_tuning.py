"""Tuning, from a recipe to a merged model, on tiny random models of every class."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PictureFile
from safetensors.torch import load_file
from shops import shop
from tiny_models import KINDS, tiny_model

from llmrec.config import build
from llmrec.dataset import Dataset
from llmrec.errors import ConfigError, InputError, LlmrecError
from llmrec.merge import merge, verify
from llmrec.metrics import gains
from llmrec.modeling.adapters import language_model
from llmrec.modeling.album import Album
from llmrec.modeling.bank import make_bank
from llmrec.modeling.base import load_base
from llmrec.modeling.light import LightReader
from llmrec.modeling.ranker import Ranker
from llmrec.modeling.transcript import Transcriber
from llmrec.prompts import Prompts
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.retrieval.retriever import some_cases, target_ranks
from llmrec.retrieval.sasrec import SasRecRecipe
from llmrec.script import IGNORED
from llmrec.splits import TRAIN
from llmrec.tuning.material import Material, Walks, picture_paths
from llmrec.tuning.ranking import ModelRanking
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.run import new_ranker, open_run
from llmrec.tuning.stage import tune
from llmrec.tuning.warm import _masked, warm_up

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
    assert manifest["plan"]["padding"] < 0.1
    dataset = index.dataset()
    ranking = ranking_of(tmp_path / "run", dataset)
    seen = target_ranks(ranking, some_cases(index.split(dataset), "valid", 20))
    assert gains(seen, cuts=[10]).means()["ndcg@10"] == pytest.approx(manifest["measured"]["valid_ndcg@10"]), (
        "the run that is opened ranks as it did when it was tuned"
    )
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


def material_for(recipe: TuningRecipe, index: Index) -> Material:
    dataset = index.dataset()
    base = load_base(recipe.model, dtype="float32")
    write = Transcriber(base, Album(base, picture_paths(dataset)))
    return Material(recipe, dataset, index.split(dataset), Prompts.load(recipe.prompts), write)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llava", tmp_path_factory.mktemp("base") / "llava")


def test_the_plan_holds_every_person_once_a_pass_and_counts_its_tokens(
    index: Index, llava: Path, tmp_path: Path
) -> None:
    material = material_for(recipe_for(index, llava, tmp_path, walks={"passes": 2, "skip": 0.3}), index)
    walks = [batch for batch in material.plan.batches if batch.walks]
    for turn in (0, 1):
        assert sorted(key for batch in walks if batch.round == turn for key in batch.keys) == material.people
    lines = [line for batch in material.plan.batches for line in material.lines(batch)]
    assert sum(len(line) for line in lines) == material.plan.tokens, "with what was left out, and in each wording"
    talks = [line for batch in material.plan.batches if not batch.walks for line in material.lines(batch)]
    assert len(talks) == len(material.talks) == 12


def test_a_walk_learns_every_item_and_nothing_but_items_of_the_training_rows(
    index: Index, llava: Path, tmp_path: Path
) -> None:
    material = material_for(recipe_for(index, llava, tmp_path, talks={"count": 0}), index)
    dataset = index.dataset()
    split = index.split(dataset)
    for batch in material.plan.batches:
        for person, line in zip(batch.keys, material.lines(batch), strict=True):
            learnt = [label - material.vocabulary for label in line.labels if label != IGNORED]
            begin, end = dataset.log.start[person], dataset.log.start[person + 1]
            trained = dataset.log.item[begin:end][split.part[begin:end] == TRAIN].tolist()
            assert len(learnt) >= 2
            assert set(learnt) <= set(trained)
            assert [token for token in line.tokens if token >= material.vocabulary] == [
                label for label in line.labels if label != IGNORED
            ]


def test_answers_alone_are_learnt_of_a_conversation(index: Index, llava: Path, tmp_path: Path) -> None:
    material = material_for(recipe_for(index, llava, tmp_path), index)
    for line in material.talks:
        begin = next(place for place, label in enumerate(line.labels) if label != IGNORED)
        assert begin > 0
        assert all(label == IGNORED for label in line.labels[:begin])
        assert line.labels[begin:] == line.tokens[begin:]
        assert line.tokens[-1] == line.labels[-1]


def test_a_picture_that_is_kept_is_the_picture_that_the_model_would_encode(index: Index, llava: Path) -> None:
    base = load_base(str(llava), dtype="float32")
    album = Album(base, picture_paths(index.dataset()))
    codes = [code for code, path in enumerate(picture_paths(index.dataset())) if path][:6]
    together = album.visible(codes)["pictures"]
    alone = torch.cat([Album(base, picture_paths(index.dataset())).visible([code])["pictures"] for code in codes])
    assert torch.allclose(together, alone, atol=1e-5)
    shown = base.model.get_image_features(
        pixel_values=base.processor.image_processor(
            images=[PictureFile.open(picture_paths(index.dataset())[code]).convert("RGB") for code in codes],
            return_tensors="pt",
        )["pixel_values"]
    )
    features = getattr(shown, "pooler_output", shown)
    assert torch.allclose(together[:, 0], torch.cat(list(features)).reshape(together[:, 0].shape), atol=1e-5)


def test_a_full_album_makes_room_but_not_for_what_is_asked_for(
    index: Index, llava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = picture_paths(index.dataset())
    base = load_base(str(llava), dtype="float32")
    one, other, third = [code for code, path in enumerate(paths) if path][:3]
    wanted = Album(base, paths).visible([one, third])["pictures"]
    small = Album(base, paths)
    monkeypatch.setattr("llmrec.modeling.album.KEPT_BYTES", wanted.nbytes)
    small.visible([one])
    small.visible([other])
    assert torch.allclose(small.visible([one, third])["pictures"], wanted, atol=1e-5)


def test_a_light_reader_teaches_the_words_and_is_asked_for_its_opinion(
    index: Index, llava: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(index, llava, tmp_path / "run")
    ranker = new_ranker(
        recipe, load_base(recipe.model, dtype="float32"), make_bank(index, index.split(index.dataset()))
    )
    material = material_for(recipe, index)
    before = ranker.words.outputs().detach().clone()
    _, early = warm_up(ranker, material.histories, passes=1, longest=20, seed=0)
    teacher, late = warm_up(ranker, material.histories, passes=6, longest=20, seed=0)
    assert late < early < np.log(len(index.items)) * 1.1
    assert not torch.allclose(ranker.words.outputs(), before)
    codes = torch.tensor([[1, 2, 3]]) + ranker.vocabulary
    spoken = torch.cat([torch.tensor([[5, 6]]), codes[:, :1], torch.tensor([[7]]), codes[:, 1:]], dim=1)
    assert torch.allclose(teacher.questions(codes)[0, -1], teacher.questions(spoken)[0, -1], atol=1e-5)
    questions = torch.randn(3, recipe.words.rank)
    labels = torch.tensor([1, 2, 3])
    alone = ranker.eval().item_loss(questions, labels)
    ranker.teacher, ranker.taught = teacher, 1.0
    wished = teacher.questions(codes)[0]
    said = ranker.item_loss(questions, labels, wished)
    logs = (questions @ ranker.words.outputs().T).log_softmax(dim=1)
    assert torch.allclose(said, -((wished @ teacher.write.T).softmax(dim=1) * logs).sum(), rtol=1e-4)
    ranker.taught = 0.0
    assert torch.allclose(ranker.item_loss(questions, labels, wished), alone)


def test_masked_items_are_guessed_from_those_before_and_after_and_never_from_themselves(
    index: Index, llava: Path, tmp_path: Path
) -> None:
    tokens = torch.tensor([[3, 1, 4, 1, 5], [9, 2, -1, -1, -1], [6, -1, -1, -1, -1]])
    table = torch.randn(10, 8)
    reader = LightReader(8, 4).eval()
    torch.manual_seed(0)
    questions, answers = _masked(reader, table[tokens.clamp(min=0)], tokens, 0.5)
    assert 0 < len(answers) < 7
    torch.manual_seed(0)
    hidden = (tokens >= 0) & (torch.rand(tokens.shape) < 0.5)
    asked = iter(zip(questions, answers.tolist(), strict=True))
    for line, left_out in zip(tokens, hidden, strict=True):
        kept = line[(line >= 0) & ~left_out]
        for item in line[left_out].tolist() if len(kept) else ():
            question, answer = next(asked)
            assert answer == item
            assert torch.allclose(
                question, reader(table[kept][None], torch.ones(1, len(kept)).bool())[0, -1], atol=1e-5
            )
    assert next(asked, None) is None
    recipe = recipe_for(index, llava, tmp_path / "run")
    bank = make_bank(index, index.split(index.dataset()))
    histories = material_for(recipe, index).histories

    def lost(passes: int, masked: float) -> float:
        ranker = new_ranker(recipe, load_base(recipe.model, dtype="float32"), bank)
        return warm_up(ranker, histories, passes=passes, longest=20, seed=0, masked=masked)[1]

    assert lost(8, 0.5) < lost(1, 0.5) != lost(1, 0.0)


def test_the_last_layers_alone_are_tuned_and_words_stand_still_once_they_are_warm(
    index: Index, llava: Path, tmp_path: Path
) -> None:
    whole = {"adapter": {"kind": "full", "layers": 1}, "talks": {"count": 0}, "watch": 0}
    words = {"collaborative": 8, "width": 32, "rank": 16, "still": True}
    tune(recipe_for(index, llava, tmp_path / "still", words=words, **whole))
    tune(recipe_for(index, llava, tmp_path / "moving", words={**words, "still": False}, **whole))
    before = language_model(load_base(str(llava), dtype="float32").model).state_dict()
    after = language_model(open_run(tmp_path / "still", device="cpu")[3].stock).state_dict()
    last = max(int(name.split(".")[1]) for name in before if name.startswith("layers."))
    for name, value in before.items():
        tuned = name.startswith((f"layers.{last}.", "norm."))
        assert torch.equal(value, after[name]) != tuned, name
    still, moving = (open_run(tmp_path / name, device="cpu")[3].words for name in ("still", "moving"))
    assert not torch.equal(still.read[0].weight, moving.read[0].weight)
    with pytest.raises(ConfigError, match="layers"):
        recipe_for(index, llava, tmp_path / "wrong", adapter={"layers": -1})


def test_a_run_that_was_killed_goes_on_to_the_same_weights(index: Index, llava: Path, tmp_path: Path) -> None:
    slow = {"trainer": {"logging_steps": 1, "disable_tqdm": True, "save_steps": 2}, "batch_tokens": 96, "watch": 0}
    whole = recipe_for(index, llava, tmp_path / "whole", talks={"count": 0}, **slow)
    tune(whole)

    class Killed(Exception):
        pass

    halted = replace(whole, out=tmp_path / "halted")
    steps = {"left": 5}
    learn = Ranker.forward

    def mortal(self: Ranker, *given: object, **named: object) -> object:
        steps["left"] -= 1
        if steps["left"] < 0:
            raise Killed
        return learn(self, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ranker, "forward", mortal)
        with pytest.raises(Killed):
            tune(halted)
    assert not (tmp_path / "halted" / "manifest.json").exists()
    assert list((tmp_path / "halted" / "checkpoints").glob("checkpoint-*/whole"))
    manifest = tune(halted)
    for file in ("words.safetensors", "adapter/adapter_model.safetensors"):
        one, other = load_file(tmp_path / "whole" / file), load_file(tmp_path / "halted" / file)
        assert one.keys() == other.keys()
        assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one), file
    losses = {
        entry["step"]: entry["loss"]
        for entry in json.loads((tmp_path / "whole" / "manifest.json").read_text())["history"]
        if "loss" in entry
    }
    assert all(abs(losses[entry["step"]] - entry["loss"]) < 1e-5 for entry in manifest["history"] if "loss" in entry)


def test_memory_is_held_flat_before_torch_is_read() -> None:
    program = """
import os, sys
from llmrec import sft
assert "torch" not in sys.modules
sft.main(["--settings"])
print(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"], os.environ["LRU_CACHE_CAPACITY"])
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_CACHE_CAPACITY")}

    def said(**more: str) -> str:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment | more)
        return done.stdout.splitlines()[-1]

    assert said() == "32 32"
    assert said(LRU_CACHE_CAPACITY="512") == "32 512", "what a person sets stays"


def test_the_same_seed_gives_the_same_weights(index: Index, llava: Path, tmp_path: Path) -> None:
    tables = []
    for place in ("one", "two"):
        tune(recipe_for(index, llava, tmp_path / place, talks={"count": 4}, watch=0))
        tables.append(load_file(tmp_path / place / "words.safetensors"))
    assert all(torch.equal(tables[0][name], tables[1][name]) for name in tables[0])


def test_layers_that_are_computed_twice_to_save_memory_learn_the_same(
    index: Index, llava: Path, tmp_path: Path
) -> None:
    plain = recipe_for(index, llava, tmp_path / "plain", talks={"count": 4}, watch=0)
    twice = replace(plain, out=tmp_path / "twice", trainer={**plain.trainer, "gradient_checkpointing": True})
    for recipe in (plain, twice):
        tune(recipe)
    for file in ("words.safetensors", "adapter/adapter_model.safetensors"):
        one, other = (load_file(recipe.out / file) for recipe in (plain, twice))
        assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one), file


def test_steps_too_small_for_bfloat16_add_up(index: Index, llava: Path, tmp_path: Path) -> None:
    """A weight of 1 in bfloat16 has 1.0078 as its next; what is tuned is held more finely than what it is tuned in."""
    recipe = recipe_for(
        index, llava, tmp_path / "run", adapter={"kind": "full"}, talks={"count": 4}, watch=2, dtype="bfloat16"
    )
    manifest = tune(replace(recipe, trainer={**recipe.trainer, "learning_rate": 1e-5}))
    assert all(np.isfinite(value) for value in manifest["measured"].values())
    norm = load_file(tmp_path / "run" / "adapter" / "language_model.safetensors")["norm.weight"]
    assert norm.dtype is torch.float32
    assert 0 < (norm - 1).abs().max() < 2**-8
    assert open_run(tmp_path / "run", device="cpu")[1].model.dtype is torch.bfloat16


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize("masked", [0.0, 0.5])
def test_steps_that_several_threads_share_give_the_same_words(
    masked: float, index: Index, llava: Path, tmp_path: Path
) -> None:
    """Few items in many long histories: each one's gradient is a sum over all places where it stands."""
    recipe, rng = recipe_for(index, llava, tmp_path / "run"), np.random.default_rng(0)
    histories = [rng.integers(20, size=30) for _ in range(192)]
    bank = make_bank(index, index.split(index.dataset()))

    def taught() -> dict[str, torch.Tensor]:
        ranker = new_ranker(recipe, load_base(recipe.model, dtype="float32"), bank)
        warm_up(ranker, histories, passes=4, longest=30, seed=0, masked=masked)
        return ranker.words.state_dict()

    one, *others = [taught() for _ in range(4)]
    assert all(torch.equal(one[name], other[name]) for other in others for name in one)


@pytest.mark.parametrize("kind", ["dora", "ia3", "prompt", "full", "frozen"])
def test_each_way_of_tuning_is_saved_and_loaded(kind: str, index: Index, llava: Path, tmp_path: Path) -> None:
    recipe = recipe_for(index, llava, tmp_path / "run", adapter={"kind": kind}, talks={"count": 4}, watch=0)
    split = index.split(index.dataset())
    fresh = new_ranker(recipe, load_base(recipe.model, dtype="float32"), make_bank(index, split))
    before = {name: value.detach().clone() for name, value in fresh.named_parameters()}
    manifest = tune(recipe)
    assert manifest["plan"]["trained_parameters"] > 0
    *_, tuned = open_run(tmp_path / "run", device="cpu")
    moved = {name for name, value in tuned.named_parameters() if not torch.equal(value, before[name])}
    inside = {name for name in moved if not name.startswith("words.")}
    assert bool(inside) == (kind != "frozen"), "what is tuned moves, and nothing else"
    assert inside == {"soft.weight"} or kind != "prompt"
    histories = [index.dataset().log.history(user)[:-1] for user in range(4)]
    scores = ranking_of(tmp_path / "run", index.dataset()).score(histories)
    assert np.isfinite(scores).all()
    if kind == "prompt":
        with pytest.raises(InputError, match="soft prompt"):
            merge(tmp_path / "run", tmp_path / "model")
    else:
        merge(tmp_path / "run", tmp_path / "model", dtype="float32")
        told = verify(
            tmp_path / "run",
            tmp_path / "model",
            [one.tolist() for one in histories],
            domain="a small shop",
            served=False,
        )
        assert told["agree"], told


def test_four_bits_are_tuned_and_merged_into_the_whole_base(index: Index, llava: Path, tmp_path: Path) -> None:
    tune(recipe_for(index, llava, tmp_path / "run", quantization="4bit", talks={"count": 4}, watch=0))
    told = merge(tmp_path / "run", tmp_path / "model", dtype="float32")
    assert told["merged"]["items"] == len(index.items)


def test_a_loss_that_is_no_number_stops_the_run(index: Index, llava: Path, tmp_path: Path) -> None:
    recipe = recipe_for(index, llava, tmp_path / "run", talks={"count": 0}, watch=0)
    broken = replace(recipe, words=replace(recipe.words, learning_rate=1e30), batch_tokens=96)
    with pytest.raises(LlmrecError, match=r"Lower trainer\.learning_rate"):
        tune(broken)


TENSORBOARD = find_spec("tensorboard") is not None


@pytest.mark.skipif(not TENSORBOARD, reason="TensorBoard is not installed")
def test_what_is_logged_for_tensorboard_lies_in_the_run_and_stays(index: Index, llava: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = {"logging_steps": 1, "disable_tqdm": True, "report_to": "tensorboard"}
    manifest = tune(recipe_for(index, llava, tmp_path / "run", talks={"count": 4}, watch=2, trainer=trainer))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    losses = [entry["item_loss"] for entry in manifest["history"] if "item_loss" in entry]
    assert [one.value for one in events.Scalars("train/item_loss")] == pytest.approx(losses, rel=1e-5)
    assert events.Scalars("train/valid_ndcg@10")
    tune(recipe_for(index, llava, tmp_path / "run", walks={"passes": 0.2}, talks={"count": 0}), overwrite=True)
    assert not (tmp_path / "run" / "tensorboard").exists()


@pytest.mark.skipif(TENSORBOARD, reason="TensorBoard is installed")
def test_tensorboard_that_is_not_there_is_told_before_anything_is_loaded(
    index: Index, llava: Path, tmp_path: Path
) -> None:
    for report in ("tensorboard", ["tensorboard"]):
        with pytest.raises(ConfigError, match="pip install tensorboard"):
            tune(recipe_for(index, llava, tmp_path / "run", trainer={"report_to": report}))
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_replaced_unasked(index: Index, llava: Path, tmp_path: Path) -> None:
    recipe = recipe_for(index, llava, tmp_path / "run", talks={"count": 0}, watch=0, walks={"passes": 0.2})
    tune(recipe)
    with pytest.raises(InputError, match="pass --overwrite"):
        tune(recipe)
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"thesis\.txt"):
        tune(recipe, overwrite=True)


def test_a_model_without_sight_is_refused(tmp_path: Path) -> None:
    from transformers import LlamaConfig

    LlamaConfig(hidden_size=32, num_hidden_layers=1).save_pretrained(tmp_path / "blind")
    with pytest.raises(InputError, match="without a vision part"):
        load_base(str(tmp_path / "blind"))


def test_sampled_answers_estimate_the_full_softmax(index: Index, llava: Path, tmp_path: Path) -> None:
    recipe = recipe_for(index, llava, tmp_path / "run")
    ranker = new_ranker(
        recipe, load_base(recipe.model, dtype="float32"), make_bank(index, index.split(index.dataset()))
    )
    ranker.eval()
    questions = torch.randn(64, recipe.words.rank, generator=torch.Generator().manual_seed(0))
    codes = torch.arange(64) % 4
    whole = ranker.item_loss(questions, codes)
    ranker.sampled = 24
    torch.manual_seed(0)
    drawn = torch.stack([ranker.item_loss(questions, codes) for _ in range(50)]).mean()
    assert abs(float((drawn - whole).detach())) < 0.03 * float(whole)


@pytest.mark.parametrize("served", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_adapter_merged_and_served_model_agree(served: bool, index: Index, llava: Path, tmp_path: Path) -> None:
    if served and find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    tune(recipe_for(index, llava, tmp_path / "run", talks={"count": 4}, watch=0))
    merge(tmp_path / "run", tmp_path / "model", dtype="float32")
    dataset = index.dataset()
    histories = [dataset.log.history(user)[:-1].tolist() for user in range(6)]
    told = verify(
        tmp_path / "run", tmp_path / "model", histories, domain=dataset.name, served=served, log_file=tmp_path / "log"
    )
    assert told["agree"], told
    assert len(told["differences"]) == (3 if served else 1)
    shifted = tmp_path / "other"
    tune(recipe_for(index, llava, shifted, talks={"count": 4}, watch=0, seed=1))
    other = verify(shifted, tmp_path / "model", histories, domain=dataset.name, served=False)
    assert not other["agree"], "the merged weights of another run are told apart"
