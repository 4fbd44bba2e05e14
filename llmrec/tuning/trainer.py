"""TRL's SFTTrainer on our batches: both losses, two learning rates, checkpoints that are whole, a watch on ranking."""

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset as Table
from transformers import TrainerCallback
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer import SCHEDULER_NAME
from trl.trainer.sft_trainer import SFTTrainer

from llmrec.errors import LlmrecError
from llmrec.modeling.adapters import language_model
from llmrec.modeling.album import Album
from llmrec.modeling.base import Base
from llmrec.modeling.ranker import Ranker
from llmrec.modeling.transcript import batch
from llmrec.tuning.material import Material
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.run import EVENTS, save_weights
from llmrec.tuning.settings import settings
from llmrec.tuning.shards import average_gradients, begin_alike, kept_whole, layer_names, shard_on_any_device

log = logging.getLogger(__name__)

WHOLE = "whole"  # a file in each checkpoint that was written to its end
Watch = Callable[[], Mapping[str, float]]


class Tuner(SFTTrainer):
    """Trains a `Ranker`. A row of its dataset is a whole batch of the plan, so that padding is known beforehand."""

    def __init__(
        self, recipe: TuningRecipe, base: Base, ranker: Ranker, material: Material, album: Album, watch: Watch
    ):
        def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
            planned = material.plan.batches[rows[0]["batch"]]
            return batch(material.lines(planned), pad=base.pad, album=album) | {"walks": planned.walks}

        self._recipe = recipe
        chosen = settings(recipe, str(base.model.device.type), base.model.dtype)  # which begins anew who works together
        shard_on_any_device()
        super().__init__(
            model=cast(Any, ranker),  # any module will do that names its config
            args=chosen,
            train_dataset=Table.from_dict({"batch": list(range(len(material.plan.batches)))}),
            data_collator=collate,
            processing_class=base.processor,
            callbacks=[_Watch(self, watch, recipe.watch)] if recipe.watch else None,
        )
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
                callback.logging_dir = str(recipe.out / EVENTS)  # the checkpoints, where it would be, go in the end

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The plan's own order: it is random already, and a run that goes on must meet the same batches."""
        from torch.utils.data import SequentialSampler

        return SequentialSampler(cast(Any, self.train_dataset if train_dataset is None else train_dataset))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The batch's loss; what is not a number stops the run before it reaches the weights."""
        del num_items_in_batch  # batches are weighed alike: they hold about as many tokens each
        try:
            found = model(**inputs)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise LlmrecError(
                f"Memory ran out with batches of {self._recipe.batch_tokens} tokens. Lower batch_tokens (and raise "
                "trainer.gradient_accumulation_steps), or set trainer.gradient_checkpointing=true"
            ) from error
        loss, parts = found["loss"], found["losses"]
        if not torch.isfinite(loss):
            raise LlmrecError(
                f"The loss is {loss.item()} at step {self.state.global_step}, so the run stops; the last checkpoint is "
                "good. Lower trainer.learning_rate or words.learning_rate"
            )
        self._metrics["train"]["tokens"].append(float(inputs["mask"].sum()))
        if parts.items:
            self._metrics["train"]["item_loss"].append(float(parts.item.detach()) / parts.items)
        if parts.texts:
            self._metrics["train"]["text_loss"].append(float(parts.text.detach()) / parts.texts)
        return (loss, found) if return_outputs else loss

    def _prepare_for_training(self, *given: Any, **named: Any) -> Any:
        """Where weights are to lie in shards: the layers' alone, and scores may be asked for as losses are."""
        if not self.is_fsdp_enabled:
            return cast(Any, super())._prepare_for_training(*given, **named)
        from torch.distributed.fsdp import register_fsdp_forward_method

        ranker = cast(Ranker, self.model)
        plugin = self.accelerator.state.fsdp_plugin
        plugin.transformer_cls_names_to_wrap, plugin.ignored_modules = layer_names(ranker), kept_whole(ranker)
        begin_alike(ranker)
        prepared = cast(Any, super())._prepare_for_training(*given, **named)
        register_fsdp_forward_method(ranker, "last")
        return prepared

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """As ever, and then the gradients of what does not lie in shards are averaged."""
        loss = cast(Any, super()).training_step(model, inputs, num_items_in_batch)
        if self.is_fsdp_enabled and self.accelerator.sync_gradients:
            average_gradients(model)
        return loss

    def create_optimizer(self, model: Any = None) -> Any:  # noqa: ARG002  # the trainer's signature
        """AdamW with one rate for the adapter and another for the item words."""
        if self.optimizer is None:
            ranker = self.accelerator.unwrap_model(self.model)
            inside = {id(value) for layer in language_model(ranker.stock).layers for value in layer.parameters()}
            tuned = {name: value for name, value in ranker.named_parameters() if value.requires_grad and value.numel()}
            words = [value for name, value in tuned.items() if name.startswith("words.")]
            rest = [value for name, value in tuned.items() if not name.startswith("words.")]  # a soft prompt as well
            rates = [
                (words, self._recipe.words.learning_rate),
                # What may lie in shards and what never does cannot be moved on by one call.
                ([value for value in rest if id(value) in inside], self.args.learning_rate),
                ([value for value in rest if id(value) not in inside], self.args.learning_rate),
            ]
            groups = [{"params": some, "lr": rate} for some, rate in rates if some]
            # Fused: a step over 135 million weights takes 0.1 instead of 0.7 seconds on two cores.
            self.optimizer = torch.optim.AdamW(groups, weight_decay=self.args.weight_decay, fused=True)
        return self.optimizer

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Weights in shards are put together by all processes."""
        if self.is_fsdp_enabled:
            self._save(output_dir)
        else:
            super().save_model(output_dir, _internal_call)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Only what is tuned, as safetensors; the base stays where it is."""
        del state_dict
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self.accelerator.unwrap_model(self.model), folder, write=self.args.should_save)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """In shards as it lies, and without the whole model beside, of which `_save` has written what is tuned."""
        if not self.is_fsdp_enabled:
            cast(Any, super())._save_optimizer_and_scheduler(output_dir)
            return
        from accelerate.utils import save_fsdp_optimizer

        plugin = self.accelerator.state.fsdp_plugin
        save_fsdp_optimizer(plugin, self.accelerator, self.optimizer, self.model, output_dir)
        if self.args.should_save:
            torch.save(cast(Any, self.lr_scheduler).state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        cast(Any, super())._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process writes its own state of chance
        if self.args.should_save:
            (Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}" / WHOLE).touch()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The stage has read the weights already: once they lie in shards they take no whole ones."""


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; those that were not are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for path in found:
        if not (path / WHOLE).exists():
            shutil.rmtree(path)
    whole = [path for path in found if path.exists()]
    return whole[-1] if whole else None


class _Watch(TrainerCallback):
    """Measures the ranking of held-out people now and then; the end is measured by the stage."""

    def __init__(self, tuner: Tuner, watch: Watch, times: int):
        self._tuner, self._watch, self._times = tuner, watch, times

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:  # noqa: ARG002
        every = max(1, state.max_steps // self._times)
        if state.global_step % every == 0 and state.global_step < state.max_steps:
            # In every process: a log puts off the trainer's own, for which all of them must meet.
            self._tuner.log(dict(self._watch()))
