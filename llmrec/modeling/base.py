"""Loads any image-text-to-text model of Hugging Face, whole or in 4 or 8 bits, and finds its parts."""

import importlib.util
import logging
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch

from llmrec.errors import InputError
from llmrec.script import picture_token

log = logging.getLogger(__name__)

Quantization = Literal["none", "4bit", "8bit"]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]


@dataclass(frozen=True)
class Base:
    """A loaded model and what turns text and pictures into its input."""

    name: str
    model: Any
    processor: Any

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the processor."""
        return self.processor.tokenizer

    @property
    def picture_token(self) -> int:
        """The id that stands once for each visual token of a picture."""
        found = picture_token(lambda name: getattr(self.model.config, name, None))
        if found is not None:
            return found
        raise InputError(f"{self.name} names no picture token in its config. Take another model")

    @property
    def vocabulary(self) -> int:
        """How many rows the model's input table has."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def pad(self) -> int:
        """The token that fills up a line: the tokenizer's own, or the one that ends an answer."""
        tokenizer = self.tokenizer
        return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)

    @property
    def spread(self) -> float:
        """The standard deviation of the values of the model's input table."""
        return float(self.model.get_input_embeddings().weight.detach().float().std())

    @property
    def hidden(self) -> int:
        """The width of the language model."""
        return int(self.model.config.get_text_config().hidden_size)


def load_base(
    name: str,
    *,
    quantization: Quantization = "none",
    dtype: Dtype = "auto",
    attention: str = "auto",
    device: str = "cpu",
    train: bool = False,
) -> Base:
    """Load a model folder or hub name; what it is run with stands in the log."""
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    folder = Path(name).expanduser()
    if name.startswith((".", "/", "~")) and not folder.is_dir():
        raise InputError(f"{name} is not a folder. Give a model folder (llmrec assemble makes one) or a hub name")
    try:
        config = AutoConfig.from_pretrained(name)
        if getattr(config, "vision_config", None) is None:
            raise InputError(
                f"{name} is a {config.model_type} model without a vision part. Join one to it: "
                f"llmrec assemble --tower TOWER --language {name} --out MODEL"
            )
        chosen = attention_for(device) if attention == "auto" else attention
        held = dtype_for(dtype, device)
        options: dict[str, Any] = {"dtype": held, "attn_implementation": chosen}
        if quantization != "none":
            options["quantization_config"] = _quantized(quantization, held)
            options["device_map"] = {"": device}
        loaders: tuple[Any, Any] = AutoProcessor, AutoModelForImageTextToText  # half typed
        processor, model = loaders[0].from_pretrained(name), loaders[1].from_pretrained(name, **options)
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"No image-text-to-text model could be loaded from {name} ({reason})") from error
    if quantization == "none":
        model = model.to(device)
    elif quantization == "4bit":
        _as_quantized(model)
    model.train(train)
    how = str(held).removeprefix("torch.") if quantization == "none" else f"{quantization} in {held}"
    log.info("%s: %s, attention by %s, on %s", name, how, chosen, device)
    return Base(name, model, processor)


def attention_for(device: str) -> str:
    """FlashAttention where it is installed and there is a GPU, PyTorch's own otherwise."""
    if device.startswith("cuda") and importlib.util.find_spec("flash_attn"):
        return "flash_attention_2"
    return "sdpa"


@cache
def dtype_for(dtype: Dtype, device: str) -> torch.dtype:
    """The type to compute in: what was asked for, else bfloat16 where the machine is at home in it.

    Many processors multiply bfloat16 a hundred times slower than float32, others three times faster: it is tried.
    """
    if dtype != "auto":
        found: torch.dtype = getattr(torch, dtype)
        return found
    if device.startswith("cuda"):
        return torch.bfloat16
    return min((torch.bfloat16, torch.float32), key=_seconds)


def dtype_name(dtype: Dtype, device: str) -> str:
    """The same as vLLM and a manifest call it."""
    return str(dtype_for(dtype, device)).removeprefix("torch.")


def _seconds(dtype: torch.dtype) -> float:
    """The time of a small product of matrices, the best of three."""
    left, right = torch.ones(64, 576, dtype=dtype), torch.ones(576, 576, dtype=dtype)
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        left @ right
        spent.append(time.perf_counter() - began)
    return min(spent)


def _as_quantized(model: Any) -> None:
    """Have bitsandbytes leave its weights as they are on a processor with AVX512-BF16.

    It would lay them out anew for its own product in bfloat16, which takes sizes that 32 divides and no others, and is
    not the same from machine to machine.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _quantized(quantization: Quantization, dtype: torch.dtype) -> Any:
    import transformers

    made: Any = transformers.BitsAndBytesConfig
    # The vision part stays whole: its picture vectors are made once, and every later step reads them.
    whole = ["vision_tower", "visual", "vision_model", "multi_modal_projector", "lm_head"]
    if quantization == "8bit":
        return made(load_in_8bit=True, llm_int8_skip_modules=whole)
    return made(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=whole,
    )
