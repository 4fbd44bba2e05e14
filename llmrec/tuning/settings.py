"""The recipe's `trainer` section: what TRL's SFTConfig takes, with our defaults under it."""

import dataclasses
import difflib
from importlib.util import find_spec
from typing import Any

import torch
from trl.trainer.sft_config import SFTConfig

from llmrec.errors import ConfigError
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.run import CHECKPOINTS

OURS = (
    "output_dir",
    "max_length",
    "packing",
    "per_device_train_batch_size",
    "num_train_epochs",
    "remove_unused_columns",
    "dataset_kwargs",
    "bf16",
    "fp16",
    "use_cpu",
    "seed",
    "data_seed",
)


def check_settings(recipe: TuningRecipe) -> None:
    """Find wrong keys before anything is loaded."""
    taken = sorted(set(recipe.trainer) & set(OURS))
    if taken:
        raise ConfigError(f"trainer.{taken[0]} is set by llmrec itself: batches and passes are planned before the run")
    reports = recipe.trainer.get("report_to") or ()
    if "tensorboard" in ([reports] if isinstance(reports, str) else reports) and not find_spec("tensorboard"):
        raise ConfigError("trainer.report_to=tensorboard needs TensorBoard, which is not here: pip install tensorboard")
    known = {field.name for field in dataclasses.fields(SFTConfig)}
    unknown = [name for name in recipe.trainer if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        raise ConfigError(
            f"unknown key trainer.{unknown[0]}: {f'did you mean trainer.{near[0]}?' if near else 'see TRL’s SFTConfig'}"
        )


def settings(recipe: TuningRecipe, device: str, dtype: torch.dtype) -> SFTConfig:
    """The section as TRL's own config."""
    chosen: dict[str, Any] = {
        "learning_rate": 3e-4,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "gradient_accumulation_steps": 1,
        "gradient_checkpointing": False,
        "logging_steps": 10,
        "save_strategy": "steps",
        "save_steps": 0.2,
        "save_total_limit": 1,
        "report_to": "none",
        "ddp_broadcast_buffers": False,  # the items' content is the same everywhere
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": device.startswith("cuda"),
        "disable_tqdm": None,
        **recipe.trainer,
    }
    return SFTConfig(
        output_dir=str(recipe.out / CHECKPOINTS),
        per_device_train_batch_size=1,  # one row is one batch of the plan
        num_train_epochs=1,
        max_length=None,
        packing=False,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        bf16=dtype is torch.bfloat16,
        fp16=dtype is torch.float16,
        use_cpu=device == "cpu",
        seed=recipe.seed,
        data_seed=recipe.seed,
        **chosen,
    )
