"""The run folder: what a tuning leaves behind, and how it is opened again.

manifest.json      recipe, dataset, versions, what was measured; written last, so that a folder with it is whole
adapter/           PEFT's adapter (none when the model was frozen; the whole language model when all was tuned)
words.safetensors  the projectors of item words
bank.safetensors   the items' content, items.parquet their ids
reader.safetensors the light reader that taught the words, with its tables of these items (none without words.warm)
features.json      what reviewers agree on of each item, which explanations are held against (none without talks)
prompts/           the templates that it was tuned with
tensorboard/       what was logged, with trainer.report_to=tensorboard
checkpoints/       where a run that was stopped goes on from; gone when it is whole
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llmrec.artifact import read_json
from llmrec.config import build
from llmrec.environment import device_for
from llmrec.errors import InputError
from llmrec.modeling.adapters import adapted, language_model
from llmrec.modeling.bank import Bank
from llmrec.modeling.base import Base, load_base
from llmrec.modeling.ranker import Ranker
from llmrec.modeling.words import ItemWords
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.shards import whole

MANIFEST, PROMPTS, CHECKPOINTS = "manifest.json", "prompts", "checkpoints"
EVENTS = "tensorboard"
WORDS, ADAPTER = "words.safetensors", "adapter"
ADAPTER_WEIGHTS, LANGUAGE, SOFT = "adapter_model.safetensors", "language_model.safetensors", "soft_prompt.safetensors"
REMEDY = "Make one with: python -m llmrec.sft RECIPE"


def new_ranker(recipe: TuningRecipe, base: Base, bank: Bank) -> Ranker:
    """The model of a recipe before anything is learnt."""
    torch.manual_seed(recipe.seed)
    adapter = recipe.adapter
    model = adapted(
        base,
        adapter.kind,
        targets=adapter.targets,
        rank=adapter.rank,
        alpha=adapter.alpha,
        dropout=adapter.dropout,
        last=adapter.layers,
    )
    # As long as the words of a text are, so that the model takes items for words from the first step on.
    words = item_words(recipe, bank, base.hidden, size=1.5 * base.spread)
    soft = adapter.tokens if adapter.kind == "prompt" else 0
    ranker = Ranker(
        base,
        model,
        words,
        soft=soft,
        text_weight=recipe.talks.weight,
        sampled=recipe.walks.sampled,
        taught=recipe.words.taught,
        company=recipe.walks.company,
    )
    return ranker.to(base.model.device)


def item_words(recipe: TuningRecipe, bank: Bank, hidden: int, *, size: float = 1.0) -> ItemWords:
    """The projectors of a recipe before anything is learnt."""
    return ItemWords(
        bank,
        hidden,
        size=size,
        content=recipe.words.content,
        rank=recipe.words.rank,
        width=recipe.words.width,
        dropout=recipe.words.dropout,
        forget=recipe.words.forget,
        learnt=recipe.words.learnt,
        positions=recipe.words.positions,
    )


def save_weights(ranker: Ranker, folder: Path, *, write: bool = True) -> None:
    """Write everything that was tuned into a folder, as safetensors.

    Weights in shards are put together, for which all processes must call this; those without `write` write nothing.
    """
    from safetensors.torch import save_file

    def save(state: Mapping[str, Tensor], path: Path) -> None:
        made = whole(state)
        if write:
            path.parent.mkdir(exist_ok=True)
            save_file(made, path)

    words = {name: value for name, value in ranker.words.state_dict().items() if value.numel()}
    save(words, folder / WORDS)
    if hasattr(ranker.model, "peft_config"):
        tuned = {name for name, value in ranker.model.named_parameters() if value.requires_grad}
        made = whole({name: value for name, value in ranker.model.state_dict().items() if name in tuned})
        if write:
            ranker.model.save_pretrained(folder / ADAPTER, state_dict=made, safe_serialization=True)
    elif len(ranker.soft.weight):
        save({"soft": ranker.soft.weight}, folder / ADAPTER / SOFT)
    elif any(value.requires_grad for value in ranker.model.parameters()):
        save(language_model(ranker.stock).state_dict(), folder / ADAPTER / LANGUAGE)
    elif write:
        (folder / ADAPTER).mkdir(exist_ok=True)


def load_weights(ranker: Ranker, folder: Path) -> None:
    """Read what was tuned back into a ranker of the same recipe."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        missing, unexpected = ranker.words.load_state_dict(load_file(folder / WORDS), strict=False)
        missing = [name for name in missing if ranker.words.state_dict()[name].numel()]
        if missing or unexpected:
            raise ValueError(f"words.safetensors lacks {missing} and has too much: {unexpected}")
        adapter = folder / ADAPTER
        if hasattr(ranker.model, "peft_config"):
            set_peft_model_state_dict(ranker.model, load_file(adapter / ADAPTER_WEIGHTS))
        elif len(ranker.soft.weight):
            ranker.soft.load_state_dict({"weight": load_file(adapter / SOFT)["soft"]})
        elif (adapter / LANGUAGE).exists():
            language_model(ranker.stock).load_state_dict(load_file(adapter / LANGUAGE))
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder} holds no whole weights ({error}). {REMEDY}") from error


def open_run(folder: Path, *, device: str = "auto") -> tuple[TuningRecipe, Base, Bank, Ranker]:
    """Load a whole run."""
    manifest = read_json(folder, MANIFEST, kind="a tuned run", remedy=REMEDY)
    recipe = recipe_of(manifest, folder)
    base = load_base(
        recipe.model,
        quantization=recipe.quantization,
        dtype=recipe.dtype,
        attention=recipe.attention,
        device=device_for(device, "device="),
    )
    bank = Bank.load(folder)
    ranker = new_ranker(recipe, base, bank)
    load_weights(ranker, folder)
    return recipe, base, bank, ranker.eval()


def recipe_of(manifest: dict[str, Any], folder: Path) -> TuningRecipe:
    """The recipe that a run was made by."""
    return build(TuningRecipe, manifest["recipe"], str(folder / MANIFEST))


def plain(recipe: TuningRecipe) -> dict[str, Any]:
    """A recipe as JSON takes it."""

    def told(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, dict):
            return {key: told(one) for key, one in value.items()}
        return [told(one) for one in value] if isinstance(value, tuple | list) else value

    found: dict[str, Any] = told(asdict(recipe))
    return found
