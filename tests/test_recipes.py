"""Every recipe in train/ is read, and every tuning recipe runs with a tiny model in the place of its own."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from shops import shop
from tiny_models import tiny_model

from llmrec.compare.suite import distinct, plan, read_suite
from llmrec.config import load_config
from llmrec.errors import ConfigError, InputError
from llmrec.pretraining.recipe import CaptionRecipe, TowerRecipe, load_recipe
from llmrec.retrieval.index import IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.retrieval.sasrec import SasRecRecipe
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.stage import tune

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "train").rglob("*.yaml"))
TUNING = [path for path in RECIPES if "index" in (yaml.safe_load(path.read_text()) or {})]
TOWERS = [path for path in RECIPES if path.name.startswith("tower")]
CAPTIONS = [path for path in RECIPES if path.name.startswith("captions")]
LAUNCHES = [path for path in RECIPES if path.name.startswith("accelerate-")]
SUITES = [path for path in RECIPES if path.parent.name == "suites"]


def name(path: Path) -> str:
    return path.stem


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    recipe = IndexRecipe(sasrec=SasRecRecipe(width=8, epochs=1), text_width=16, picture_width=8)
    make_index(shop(folder / "shop"), folder / "index", recipe)
    tiny_model("llava", folder / "model")
    return folder


def test_there_is_no_other_file_among_the_recipes() -> None:
    assert set(RECIPES) == {*TUNING, *TOWERS, *CAPTIONS, *LAUNCHES, *SUITES}
    assert len(TUNING) >= 10


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_a_recipe_opens_with_the_command_that_runs_it(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert str(path.relative_to(ROOT)) in first


@pytest.mark.parametrize("path", TUNING, ids=name)
def test_a_tuning_recipe_plans_and_begins_its_run_with_a_tiny_model(path: Path, made: Path, tmp_path: Path) -> None:
    here = [f"model={made / 'model'}", f"index={made / 'index'}", f"out={tmp_path / 'run'}", "device=cpu"]
    here += [f"prompts={ROOT / 'prompts'}", "dtype=float32", "quantization=none", "words.collaborative=8"]
    recipe = load_config(TuningRecipe, path, [*here, "talks.count=8", "talks.examples.candidates=4"])
    told = tune(recipe, dry=True)["plan"]
    assert told["batches"] > 0
    assert told["padding"] < 0.1
    assert told["trained_parameters"] > 0
    assert not (tmp_path / "run").exists()
    manifest = tune(replace(recipe, trainer={**recipe.trainer, "max_steps": 2, "disable_tqdm": True}))
    assert all(math.isfinite(value) for value in manifest["measured"].values())
    assert (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize("path", TOWERS, ids=name)
def test_a_tower_recipe_is_read(path: Path) -> None:
    assert isinstance(load_recipe(path), TowerRecipe)


@pytest.mark.parametrize("path", CAPTIONS, ids=name)
def test_a_caption_recipe_is_read(path: Path) -> None:
    assert isinstance(load_recipe(path), CaptionRecipe)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("path", SUITES, ids=name)
def test_a_suite_is_read_and_its_settings_are_those_of_the_commands(path: Path, quick: bool, tmp_path: Path) -> None:
    planned = plan(read_suite(path), tmp_path, quick=quick)
    for stage in distinct(planned):
        if stage.command[1] == "llmrec.sft":
            load_config(TuningRecipe, ROOT / stage.command[2], list(stage.command[3:]))
        elif stage.command[2] == "pretrain":
            settings = [word for word in stage.command[4:] if "=" in word]
            load_recipe(ROOT / stage.command[stage.command.index("--recipe") + 1], settings)
        elif stage.command[2] == "index":
            load_config(IndexRecipe, None, [word for word in stage.command if "=" in word])


@pytest.mark.parametrize("path", LAUNCHES, ids=name)
def test_accelerate_takes_its_settings(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    assert load_config_from_file(str(path)).num_processes == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("walks.pases=3", "did you mean walks.passes"),
        ("words.dropout=1.5", "dropout is 1.5"),
        ("adapter.kind=full", "set quantization=none"),
        ("words.content=[sound]", "content is some of"),
        ("batch_tokens=3", "at least 32"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, message: str, tmp_path: Path) -> None:
    given = ["model=m", f"index={tmp_path}", f"out={tmp_path}", "quantization=4bit", setting]
    with pytest.raises(ConfigError, match=message):
        load_config(TuningRecipe, None, given)


def test_a_gpu_recipe_says_that_there_is_no_gpu_before_anything_is_loaded(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    recipe = load_config(TuningRecipe, ROOT / "train" / "llava-7b-qlora.yaml", [f"out={tmp_path / 'run'}"])
    with pytest.raises(InputError, match="sees no GPU"):
        tune(recipe)
    assert not (tmp_path / "run").exists()


def test_a_wrong_trainer_setting_names_the_nearest(made: Path, tmp_path: Path) -> None:
    given = [f"model={made / 'model'}", f"index={made / 'index'}", f"out={tmp_path / 'run'}", "quantization=none"]
    given += ["device=cpu", "talks.count=0", f"prompts={ROOT / 'prompts'}", "trainer.learning_rat=1"]
    with pytest.raises(ConfigError, match=r"did you mean trainer\.learning_rate"):
        tune(load_config(TuningRecipe, None, given))
