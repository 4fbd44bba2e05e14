"""Loads heavy packages in a process of their own and does with each what llmrec does: a crash ends nothing else.

`python -m llmrec.doctor.probe NAME …` writes a line of JSON when it begins a package, and one when it is done with it.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

Facts = dict[str, Any]
SIDE, MEASURED = 576, 0.5  # of a matrix; seconds


def torch() -> Facts:
    """Its build, the GPUs that it sees, and how fast it multiplies here."""
    import torch as package

    from llmrec.modeling.base import dtype_for

    facts: Facts = {"cuda": package.version.cuda, "hip": getattr(package.version, "hip", None), "devices": []}
    try:
        if package.cuda.is_available():
            facts["devices"] = [_device(number) for number in range(package.cuda.device_count())]
        elif package.version.cuda:
            package.cuda.init()  # type: ignore[no-untyped-call]
    except Exception as error:  # the driver's own words are the reason that is told
        facts["cuda_error"] = str(error).strip().splitlines()[0][:200]
    wide = {"float32": package.float32, "bfloat16": package.bfloat16}
    facts["speed"] = {name: _speed(dtype, "cpu") for name, dtype in wide.items()}
    facts["computes_in"] = str(dtype_for("auto", "cpu")).removeprefix("torch.")
    for number, device in enumerate(facts["devices"]):
        dtype = package.bfloat16 if device["bfloat16"] else package.float16
        device["speed"] = _speed(dtype, f"cuda:{number}", side=4_096)
    return facts


def _device(number: int) -> Facts:
    import torch as package

    properties = package.cuda.get_device_properties(number)
    free, total = package.cuda.mem_get_info(number)
    return {
        "name": properties.name,
        "total": total / 2**30,
        "free": free / 2**30,
        "capability": f"{properties.major}.{properties.minor}",
        "bfloat16": properties.major >= 8,  # before, it is emulated
    }


def _speed(dtype: Any, device: str, side: int = SIDE) -> float:
    """Billions of operations a second in products of matrices, the best in a moment: others may hold up one of them."""
    import torch as package

    left = package.ones(side, side, dtype=dtype, device=device)
    best, until = 0.0, time.perf_counter() + MEASURED
    while time.perf_counter() < until:
        began = time.perf_counter()
        product = left @ left
        float(product[0, 0])  # waits for a GPU
        best = max(best, 2 * side**3 / (time.perf_counter() - began) / 1e9)
    return best


def torchvision() -> Facts:
    """Resizes a picture as transformers does; beside the wrong build of torch it cannot even be imported."""
    import torch as package
    from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]

    return {"resized": list(functional.resize(package.zeros(3, 8, 8), [4, 4], antialias=True).shape)}


def transformers() -> Facts:
    """The classes that models are loaded with."""
    from transformers import (
        AutoModelForImageTextToText,
        AutoProcessor,
        BitsAndBytesConfig,
        LlavaForConditionalGeneration,
    )

    return {"classes": [AutoModelForImageTextToText.__name__, AutoProcessor.__name__, BitsAndBytesConfig.__name__,
                        LlavaForConditionalGeneration.__name__]}  # fmt: skip


def trl() -> Facts:
    """The trainer that is built upon."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    return {"classes": [SFTConfig.__name__, SFTTrainer.__name__]}


def peft() -> Facts:
    """A LoRA adapter around a layer."""
    from peft import LoraConfig, get_peft_model
    from torch import nn

    model: Any = get_peft_model(nn.Sequential(nn.Linear(4, 4)), LoraConfig(target_modules=["0"]))
    return {"trained": sum(weight.numel() for weight in model.parameters() if weight.requires_grad)}


def bitsandbytes() -> Facts:
    """Weights to NF4 and back, on each kind of device there is."""
    import torch as package
    from bitsandbytes import functional

    lost = {}
    for device in ("cpu", *(["cuda"] if package.cuda.is_available() else [])):
        weights = package.linspace(-1, 1, 64 * 64, device=device).reshape(64, 64)
        held, state = functional.quantize_4bit(weights, quant_type="nf4", compress_statistics=True)
        back = functional.dequantize_4bit(held, state)
        lost[device] = float((back - weights).abs().max())
        if held.numel() * 2 != weights.numel() or lost[device] > 0.2:
            raise RuntimeError(f"NF4 on {device} loses {lost[device]:.2f} of a range of 2 in {held.numel()} bytes")
    return {"lost": lost}


def lancedb() -> Facts:
    """A table on the disk, written and read."""
    import lancedb as package

    with tempfile.TemporaryDirectory() as folder:
        table = package.connect(folder).create_table("items", [{"item": "a", "vector": [0.0, 1.0]}])
        return {"rows": table.count_rows()}


def polars() -> Facts:
    """A frame that computes."""
    import polars as package

    return {"sum": package.DataFrame({"a": [1, 2]})["a"].sum()}


def vllm() -> Facts:
    """Which build it is, by what it would run on; it is imported and not started."""
    from vllm.platforms import current_platform  # type: ignore[import-not-found, import-untyped, unused-ignore]

    importlib.import_module("vllm.entrypoints.cli.main")
    return {"device": str(current_platform.device_type)}


PROBES: Mapping[str, Callable[[], Facts]] = {
    probe.__name__: probe
    for probe in (torch, torchvision, transformers, peft, trl, bitsandbytes, lancedb, polars, vllm)
}


def main(names: list[str]) -> None:
    """Probe the packages of those names, one after the other."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what packages print is no answer
    for name in names:
        print(json.dumps({"begin": name}), file=told, flush=True)
        began = time.perf_counter()
        answer: Facts = {"name": name}
        try:
            answer |= PROBES[name]()
            module = sys.modules[name]
            answer["version"] = str(getattr(module, "__version__", ""))
            answer["file"] = str(getattr(module, "__file__", ""))
        except BaseException as error:  # whatever a broken package raises is what is to be told
            lines = str(error).strip().splitlines() or [""]
            answer["error"] = f"{type(error).__name__}: {lines[0][:300]}"
        answer["seconds"] = round(time.perf_counter() - began, 2)
        print(json.dumps(answer), file=told, flush=True)
    told.flush()
    os._exit(0)  # some packages crash in what they do at the end, which is nobody's concern here


if __name__ == "__main__":
    main(sys.argv[1:])
