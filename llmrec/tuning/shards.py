"""Tuning with the weights in shards (FSDP2 through accelerate): each process holds a part of every layer.

The layers of the language model are laid in shards, since they are what is large. All else (item words, tables of the
vocabulary, the norm, the picture part) stays whole in each process: pictures are encoded and items scored from outside
of a training step, where nothing would put shards together. What of it is tuned has its gradients averaged here.
"""

import os
from collections.abc import Mapping

import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor

from llmrec.errors import ConfigError
from llmrec.modeling.adapters import language_model
from llmrec.modeling.ranker import Ranker
from llmrec.tuning.recipe import TuningRecipe


def shards_asked_for() -> bool:
    """Whether accelerate was started with a configuration that lays weights in shards."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def check_shards(recipe: TuningRecipe) -> None:
    """Refuse what cannot lie in shards, before anything is loaded."""
    if recipe.quantization != "none":
        raise ConfigError(
            f"quantization={recipe.quantization} and weights in shards do not go together. Set quantization=none, or "
            "start with train/accelerate-ddp.yaml, which gives each process the whole quantised model"
        )
    if os.environ.get("FSDP_ACTIVATION_CHECKPOINTING", "false").lower() == "true":
        raise ConfigError(
            "fsdp_activation_checkpointing draws dropout anew when it computes a layer again, so gradients would be "
            "wrong. Take it out of the configuration of accelerate and set trainer.gradient_checkpointing=true"
        )


def shard_on_any_device() -> None:
    """Have accelerate lay weights in shards on a CPU as well: it does so on accelerators alone, but needs none.

    That is how docs/gpus.md has it tried, and tests/test_processes.py.
    """
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    together = PartialState()
    if shards_asked_for() and together.distributed_type is DistributedType.MULTI_CPU:
        together._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def layer_names(ranker: Ranker) -> list[str]:
    """The classes whose modules are laid in shards, as accelerate asks for them."""
    return sorted({type(layer).__name__ for layer in language_model(ranker.stock).layers})


def kept_whole(ranker: Ranker) -> list[nn.Module]:
    """The modules with weights of their own that stand outside of the layers."""
    inside = {id(module) for layer in language_model(ranker.stock).layers for module in layer.modules()}
    own = (module for module in ranker.modules() if any(True for _ in module.parameters(recurse=False)))
    return [module for module in own if id(module) not in inside]


def whole(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights on the CPU, put together where they lie in shards, for which all processes must call this."""
    found = {}
    for name, value in state.items():
        one = value.detach()
        found[name] = (one.full_tensor() if isinstance(one, DTensor) else one).cpu().contiguous()
    return found


def begin_alike(ranker: nn.Module) -> None:
    """Give what is whole in each process the values of the first one."""
    for value in _replicated(ranker):
        distributed.broadcast(value.data, src=0)


def average_gradients(ranker: nn.Module) -> None:
    """Average the gradients of what is whole in each process; a weight that none of them used keeps none."""
    replicated = _replicated(ranker)
    if not replicated:
        return
    used = torch.tensor([float(value.grad is not None) for value in replicated], device=replicated[0].device)
    distributed.all_reduce(used)
    for value, count in zip(replicated, used.tolist(), strict=True):
        if count:
            value.grad = torch.zeros_like(value) if value.grad is None else value.grad
            distributed.all_reduce(value.grad)
            value.grad /= distributed.get_world_size()


def _replicated(ranker: nn.Module) -> list[nn.Parameter]:
    return [value for value in ranker.parameters() if value.requires_grad and not isinstance(value, DTensor)]
