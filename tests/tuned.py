"""A tuned run of a small shop, and the merged model of it: real ones, made once for all tests that only read them."""

from pathlib import Path
from typing import Any

from shops import shop
from tiny_models import tiny_model

from llmrec.config import build
from llmrec.merge import merge
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.retrieval.sasrec import SasRecRecipe
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.stage import tune

ROOT = Path(__file__).parent.parent
SPARE = 3


def small_index(folder: Path, **changes: Any) -> Index:
    """An index of the small shop, with pictures; `changes` are to the shop."""
    recipe = IndexRecipe(sasrec=SasRecRecipe(width=8, epochs=1), text_width=16, picture_width=8)
    return make_index(shop(folder / "shop", **changes), folder / "index", recipe)


def small_recipe(index: Index, folder: Path, **words: Any) -> TuningRecipe:
    """How a tiny LLaVA is tuned for a moment on walks and conversations; `words` are settings of its item words."""
    content = {
        "model": str(folder / "model"),
        "index": str(index.folder),
        "out": str(folder / "run"),
        "prompts": str(ROOT / "prompts"),
        "quantization": "none",
        "dtype": "float32",
        "device": "cpu",
        "words": {"collaborative": 8, "width": 32, "rank": 16, **words},
        "walks": {"passes": 4},
        "talks": {"count": 8, "examples": {"budget": 4096, "candidates": 3}},
        "watch": 0,
        "trainer": {"disable_tqdm": True},
    }
    return build(TuningRecipe, content)


def small_run(index: Index, folder: Path, **words: Any) -> Path:
    """A tiny LLaVA that was tuned so."""
    tiny_model("llava", folder / "model")
    tune(small_recipe(index, folder, **words))
    return folder / "run"


def small_model(run: Path, folder: Path) -> Path:
    """The merged model of a run."""
    merge(run, folder / "model", dtype="float32", spare=SPARE)
    return folder / "model"
