"""What a run is said to need of memory, held against models as they are."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_model
from transformers import AutoModelForImageTextToText, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from llmrec.config import load_config
from llmrec.tuning.needs import SHAPES, STARTER, arithmetic, memory, shape_of
from llmrec.tuning.recipe import TuningRecipe

TRAIN = Path(__file__).parent.parent / "train"


@pytest.mark.parametrize("name", [*SHAPES, "starter"])
def test_the_weights_of_a_known_model_are_counted_as_transformers_counts_them(name: str) -> None:
    shape = {**SHAPES, "starter": STARTER}[name]
    qwen = name.startswith("Qwen")
    kind, model = (Qwen3Config, Qwen3ForCausalLM) if qwen else (LlamaConfig, LlamaForCausalLM)
    head = 128 if shape.width >= 2_048 else 64
    config = kind(
        hidden_size=shape.width, num_hidden_layers=shape.layers, intermediate_size=shape.inner, head_dim=head,
        num_attention_heads=shape.asking // head, num_key_value_heads=shape.keys // head,
        vocab_size=shape.vocabulary, tie_word_embeddings=shape.tied,
    )  # fmt: skip
    with torch.device("meta"):
        counted = sum(weight.numel() for weight in model(config).parameters())
    assert shape.parameters - shape.beside * 1e6 == pytest.approx(counted, rel=1e-3)


def test_a_folder_is_read_for_what_it_holds(tmp_path: Path) -> None:
    folder = tiny_model("llava", tmp_path / "model")
    shape = shape_of(str(folder))
    assert shape is not None
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert shape.layers == model.config.get_text_config().num_hidden_layers
    assert shape.parameters == pytest.approx(sum(weight.numel() for weight in model.parameters()), rel=0.05)
    assert shape_of("somebody/unknown-model") is None


def test_what_takes_less_is_said_to_take_less() -> None:
    recipe = load_config(TuningRecipe, TRAIN / "llava-7b-qlora.yaml")
    shape = SHAPES[recipe.model]

    def needs(**changes: object) -> float:
        return memory(replace(recipe, **changes), shape, device="cuda", wide=2)  # type: ignore[arg-type]

    assert needs() < needs(quantization="8bit") < needs(quantization="none")
    assert needs() < needs(batch_tokens=8_192)
    assert needs() < needs(trainer={"gradient_checkpointing": False})
    assert arithmetic(recipe, shape) > 1_000 * arithmetic(load_config(TuningRecipe, TRAIN / "starter.yaml"), STARTER)


@pytest.mark.parametrize(("name", "measured"), [("starter", 2.15), ("starter-lora", 2.81)])
def test_the_estimate_is_near_what_was_measured(name: str, measured: float) -> None:
    """Peaks of resident memory of real runs on two cores (docs/doctor.md)."""
    needs = memory(load_config(TuningRecipe, TRAIN / f"{name}.yaml"), STARTER, device="cpu", wide=4)
    assert measured <= needs < 1.25 * measured
