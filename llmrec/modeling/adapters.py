"""What of the language model is tuned: LoRA and its kin through PEFT, a soft prompt, everything, or nothing."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from llmrec.errors import InputError
from llmrec.modeling.base import Base


def adapted(
    base: Base, kind: str, *, targets: Sequence[str], rank: int, alpha: int, dropout: float, last: int = 0
) -> Any:
    """The base model with an adapter around its language model; what is not tuned is frozen.

    A soft prompt changes nothing in the model: it stands in front of what the model reads (see `Ranker`).
    """
    import peft

    model = base.model
    model.requires_grad_(False)
    if kind in ("frozen", "prompt"):
        return model
    if kind == "full":
        inner = language_model(model)
        for part in (*inner.layers[-last:], inner.norm) if last else (inner,):
            part.requires_grad_(True)
        return model
    layers = linear_layers(model, last)
    chosen = [name for name in layers if not targets or name.rpartition(".")[2] in targets]
    if not chosen:
        there = sorted({name.rpartition(".")[2] for name in layers})
        raise InputError(f"adapter.targets names no layer of {base.name}. Its linear layers are {', '.join(there)}")
    if kind == "ia3":
        inner = [name for name in chosen if name.endswith("down_proj")]
        config: Any = peft.IA3Config(target_modules=chosen, feedforward_modules=inner)
    else:
        config = peft.LoraConfig(
            r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=chosen, use_dora=kind == "dora"
        )
    if getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False):
        prepare: Any = peft.prepare_model_for_kbit_training
        model = prepare(model, use_gradient_checkpointing=False)
    return peft.get_peft_model(model, config)


def language_model(model: Any) -> Any:
    """The language model inside of an image-text-to-text model."""
    inner = model.model
    return inner.language_model if hasattr(inner, "language_model") else inner.text_model


def linear_layers(model: Any, last: int = 0) -> list[str]:
    """The names of all linear layers of the language model, or of its last layers: adapters never go elsewhere."""
    inner = language_model(model)
    inside = {id(module) for part in (inner.layers[-last:] if last else [inner]) for module in part.modules()}
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and id(module) in inside]
