"""What a run needs of memory and arithmetic, estimated from its recipe before anything is loaded.

Memory is counted, not guessed: weights in the width they are held in, what is tuned with its gradients and both moments
of Adam, what the way back keeps of a batch, the scores of a batch over the vocabulary, and the libraries themselves.
`tests/test_needs.py` holds the counts of parameters against the models' own, and docs/doctor.md the estimate against
measured runs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llmrec.tuning.recipe import TuningRecipe

HELD: Mapping[str, float] = {"8bit": 1.0, "4bit": 0.52}
"""Bytes of a quantised weight; NF4's four bits come with scales, which double quantisation makes small."""
ADAM = 16  # bytes of a weight that is tuned in float32, its gradient and its two moments
SCORED = 0.5  # share of a batch's positions at most that are scored over the vocabulary: answers alone are
LIBRARIES = {"cpu": 1.1, "cuda": 0.8}  # GiB: torch, transformers and an index; the context and kernels of a GPU
WALKED, TALKED = 40_000, 0.7
"""The drawn shop, by which times are told: interactions of a pass, and the share of its budget that a talk fills."""
GIB = 2**30


@dataclass(frozen=True)
class Shape:
    """The sizes of a base that decide, as its published config has them."""

    layers: int
    width: int
    inner: int
    """Width of a layer's inner part."""
    asking: int
    """Width of all queries."""
    keys: int
    """Width of all keys."""
    vocabulary: int
    tied: bool
    """Whether one table is input and output."""
    beside: float
    """Millions of parameters beside the language model: the vision part and what joins it."""

    @property
    def layer(self) -> float:
        """Weights of one layer's linear maps."""
        return self.width * (2.0 * self.asking + 2 * self.keys + 3 * self.inner)

    @property
    def tables(self) -> float:
        """Weights of the input and the output table."""
        return self.vocabulary * self.width * (1.0 if self.tied else 2.0)

    @property
    def parameters(self) -> float:
        """All weights, but for those of norms."""
        return self.layers * self.layer + self.tables + self.beside * 1e6


STARTER = Shape(30, 576, 1_536, 576, 192, 49_154, True, 10.0)
SHAPES: Mapping[str, Shape] = {
    "HuggingFaceTB/SmolVLM-256M-Instruct": Shape(30, 576, 1_536, 576, 192, 49_280, False, 93.5),
    "Qwen/Qwen3-VL-2B-Instruct": Shape(28, 2_048, 6_144, 2_048, 1_024, 151_936, True, 407.0),
    "Qwen/Qwen3-VL-8B-Instruct": Shape(36, 4_096, 12_288, 4_096, 1_024, 151_936, False, 576.0),
    "llava-hf/llava-1.5-7b-hf": Shape(32, 4_096, 11_008, 4_096, 4_096, 32_064, False, 324.5),
}
"""The models that recipes name, for which nothing has to be downloaded to know what they need."""


def shape_of(model: str) -> Shape | None:
    """The sizes of a recipe's base: from its folder, the table above, or the starter's for a folder not made yet."""
    folder = Path(model).expanduser()
    if (folder / "config.json").is_file():
        return _read(folder)
    if model in SHAPES:
        return SHAPES[model]
    # `llmrec assemble` makes the folders that recipes name, and takes the starter unless it is told otherwise.
    return STARTER if model.startswith(("work/", "./", "/", "~")) else None


def _read(folder: Path) -> Shape:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config") or config
    width, heads = int(text["hidden_size"]), int(text["num_attention_heads"])
    head = int(text.get("head_dim") or width // heads)
    tied = bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", False)))
    shape = Shape(
        int(text["num_hidden_layers"]), width, int(text["intermediate_size"]), heads * head,
        int(text.get("num_key_value_heads") or heads) * head, int(text["vocab_size"]), tied, 0.0,
    )  # fmt: skip
    held = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    beside = held / (4 if config.get("dtype", config.get("torch_dtype")) == "float32" else 2) - shape.parameters
    return Shape(**{**vars(shape), "beside": max(0.0, beside / 1e6)})


def memory(recipe: TuningRecipe, shape: Shape, *, device: str, wide: int) -> float:
    """GiB that the run takes at its height on that device; `wide` is the bytes of a value that is not quantised."""
    adapter = recipe.adapter
    tuned_layers = min(adapter.layers or shape.layers, shape.layers)
    linear = shape.layers * shape.layer
    held = linear * HELD.get(recipe.quantization, wide) + (shape.tables + shape.beside * 1e6) * wide
    tuned = _tuned(recipe, shape, tuned_layers)
    # What is tuned whole is held in float32, and once more in the type that it is computed in.
    state = tuned * ADAM
    # What a layer keeps of a token for the way back: eight values of its width, its queries and keys, and both
    # branches of its inner part before and behind the product; an adapter keeps its own inputs as well.
    kept: float = 8 * shape.width + 2 * (shape.asking + shape.keys) + 4 * shape.inner
    if adapter.kind in ("lora", "dora") and adapter.dropout:
        kept += (4 * shape.width + shape.inner) * (1 if not adapter.targets else 0.5)
    way_back = tuned_layers if adapter.kind == "full" else shape.layers
    if recipe.trainer.get("gradient_checkpointing"):
        values = way_back * shape.width + kept
    else:
        values = way_back * kept
    scores = SCORED * recipe.batch_tokens * shape.vocabulary * 4 * 3  # in float32: scores, softmax, gradient
    batch = recipe.batch_tokens * values * wide + scores
    return (held + state + batch) / GIB + LIBRARIES["cuda" if device.startswith("cuda") else "cpu"]


def _tuned(recipe: TuningRecipe, shape: Shape, layers: int) -> float:
    """How many of the language model's weights learn."""
    adapter = recipe.adapter
    if adapter.kind == "full":
        return layers * shape.layer
    if adapter.kind in ("lora", "dora"):
        ends = 2 * (shape.width + shape.asking) + 2 * (shape.width + shape.keys) + 3 * (shape.width + shape.inner)
        share = min(1.0, len(adapter.targets) / 7) if adapter.targets else 1.0
        return layers * adapter.rank * ends * share
    return 0.0


def arithmetic(recipe: TuningRecipe, shape: Shape) -> float:
    """Operations of the run on the drawn shop, as 10^12: the way in, the way back, and what is computed twice."""
    layers = min(recipe.adapter.layers or shape.layers, shape.layers)
    through = shape.layers * shape.layer
    back = (layers if recipe.adapter.kind == "full" else shape.layers) * shape.layer
    each = 2 * through + 2 * back + 2 * _tuned(recipe, shape, layers)
    if recipe.trainer.get("gradient_checkpointing"):
        each += 2 * back
    tokens = (
        recipe.walks.passes * WALKED * recipe.words.positions
        + recipe.talks.count * TALKED * recipe.talks.examples.budget
    )
    return each * tokens / 1e12
