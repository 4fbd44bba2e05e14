"""Stock model folders: any image-text-to-text model, with item words, as plain transformers and vLLM load it.

config.json …                 the model's own files, as transformers writes them
model-0000i-of-0000n.…        its weights under the Hub's names
items-00000000.safetensors    the input and the output table of a model with item words, and which item has which row
model.safetensors.index.json  which file holds which weight; a refresh of the items changes this and the file above
"""

import copy
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion
from transformers.modeling_utils import remove_tied_weights_from_state_dict

from llmrec.artifact import read_json, staged_file, write_json
from llmrec.errors import InputError
from llmrec.lexicon import INDEX, StockWords, Tables, open_tables, weight_index
from llmrec.modeling.vocabulary import extend_tokenizer
from llmrec.tokens import TOKENIZER_FILE

CONFIG, WHOLE = "config.json", "model.safetensors"
_FILES = (
    *(CONFIG, "generation_config.json", INDEX, TOKENIZER_FILE, "tokenizer_config.json", "special_tokens_map.json"),
    *("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json", "chat_template.jinja"),
)
_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|items-\d{8}\.safetensors")
_TOWERS = ("clip_vision_model", "siglip_vision_model")


@dataclass(frozen=True)
class ItemTable:
    """Items by number with their vectors: inputs as the layers read them (items x positions x hidden), and outputs."""

    ids: Sequence[str]
    inputs: Tensor
    outputs: Tensor
    spare: int = 0
    """How many rows more for items to come."""


def stock_names(folder: Path) -> set[str]:
    """The names that a stock folder may hold, with those of the weights that lie there: what may be replaced."""
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    return {*_FILES, *(name for name in there if _WEIGHTS.fullmatch(name))}


def write_stock(
    model: Any, processor: Any, folder: Path, *, words: ItemTable | None = None, shard: str = "2GB"
) -> StockWords | None:
    """Write a model into a folder, which the caller stages; with `words` the vocabulary goes on with the items."""
    if getattr(model, "hf_quantizer", None) is not None:
        raise InputError("The model is quantised, but a stock folder holds whole weights. Load it without quantisation")
    folder.mkdir(parents=True, exist_ok=True)
    weights = remove_tied_weights_from_state_dict(model.state_dict(), model)
    processor.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    _write_config(model, folder)
    if words is None:
        _write_weights(_hub_names(model, weights), folder, shard, beside={})
        return None
    _check(words.ids, words.inputs, words.outputs, positions=None, width=model.get_input_embeddings().weight.shape[1])
    rows: list[str | None] = [*words.ids, *[None] * words.spare]
    positions = words.inputs.shape[1]
    known = StockWords(extend_tokenizer(folder, len(rows) * positions), tuple(rows), positions)
    read, write, scale = _extended(model, words, known)
    _untie(folder, len(read))
    places = [_name_of(model, model.get_input_embeddings()), _name_of(model, model.get_output_embeddings())]
    for name in places:
        weights.pop(name, None)
    hub = [next(iter(_hub_names(model, {name: read}))) for name in places]
    if hub[0].startswith("language_model.model.") and hub[1] == "lm_head.weight":
        hub[1] = "language_model.lm_head.weight"  # a tied head was not in the file, so its renaming is not remembered
    beside = _write_tables(folder, Tables(known, hub[0], hub[1], scale), read, write, number=0)
    _write_weights(_hub_names(model, weights), folder, shard, beside=beside)
    return known


def refresh_words(
    folder: Path, ids: Sequence[str], inputs: Tensor, outputs: Tensor, *, removed: Sequence[str] = ()
) -> StockWords:
    """Give items new vectors, and new items the next free rows; an item keeps its row as long as it is there.

    Only the file of the two tables is written anew, beside the old one; then the index names the new one. A process
    that is killed leaves the folder as it was, and a reader sees the one state or the other. The old file stays until
    the next refresh, for readers that have begun.
    """
    old, tables = open_tables(folder)
    with safe_open(old, "pt") as file:
        read, write = file.get_tensor(tables.read), file.get_tensor(tables.write)
    words = tables.words
    _check(ids, inputs, outputs, positions=words.positions, width=read.shape[1])
    numbers = words.codes()
    unknown = [item for item in removed if item not in numbers]
    if unknown:
        raise InputError(f"{folder} has no item {unknown[0]!r}, so it cannot be removed. Check the ids")
    both = set(removed) & set(ids)
    if both:
        raise InputError(f"The item {min(both)!r} is to be removed and to be set at once. Do one of the two")
    rows, free = list(words.ids), words.free()
    new = [item for item in ids if item not in numbers]
    if len(new) > len(free):
        raise InputError(
            f"{folder} has {len(free):,} free rows, but {len(new):,} items are new. Remove items that are gone, "
            "or merge the run again with more spare rows"
        )
    for item, number in zip(new, free[: len(new)], strict=True):
        numbers[item], rows[number] = number, item
    places = torch.tensor([words.first + numbers[item] for item in ids], dtype=torch.long)
    made = (inputs.detach().cpu().float() / tables.scale).to(read.dtype)
    for position in range(words.positions):
        read[places + position * words.apart] = made[:, position]
    write[places] = outputs.detach().cpu().to(write.dtype)
    for item in removed:
        write[words.first + numbers[item]] = 0
        rows[numbers[item]] = ""
    refreshed = StockWords(words.first, tuple(rows), words.positions)
    for left in folder.glob("items-*.safetensors"):
        if left != old:
            left.unlink()
    number = int(old.stem.removeprefix("items-")) + 1
    beside = _write_tables(
        folder, Tables(refreshed, tables.read, tables.write, tables.scale), read, write, number=number
    )
    index = weight_index(folder)
    index["weight_map"] |= beside
    with staged_file(folder / INDEX, mark="weight_map") as partial:
        write_json(partial, index)
    return refreshed


def _check(ids: Sequence[str], inputs: Tensor, outputs: Tensor, *, positions: int | None, width: int) -> None:
    seen: set[str] = set()
    for item in ids:
        if not item or item in seen:
            raise InputError(f"The item id {item!r} is {'empty' if not item else 'there twice'}. Each needs its own")
        seen.add(item)
    several = positions or (inputs.shape[1] if inputs.dim() > 1 else 1)
    wanted: dict[str, tuple[Tensor, tuple[int, ...]]] = {
        "input": (inputs, (len(ids), several, width)),
        "output": (outputs, (len(ids), width)),
    }
    for what, (table, shape) in wanted.items():
        if tuple(table.shape) != shape:
            raise InputError(
                f"{len(ids):,} items need {what} vectors of the shape {' x '.join(map(str, shape))}, "
                f"but they are {' x '.join(map(str, table.shape))}. Make them for this model and these items"
            )
        if not bool(torch.isfinite(table).all()):
            row = int((~torch.isfinite(table).flatten(1).all(dim=1)).nonzero()[0])
            raise InputError(f"The {what} vector of the item {ids[row]!r} holds NaN or infinity. Check how it was made")


def _extended(model: Any, words: ItemTable, known: StockWords) -> tuple[Tensor, Tensor, float]:
    """The model's two tables with the rows of the items."""
    reading, writing = model.get_input_embeddings(), model.get_output_embeddings()
    if getattr(writing, "bias", None) is not None:
        raise InputError("The model's output table has a bias, which item words do not have. Take another model")
    first, items, rows = known.first, len(words.ids), len(reading.weight)
    if first > min(rows, len(writing.weight)):
        raise InputError(
            f"The tokenizer goes up to the id {first - 1:,}, but the model's table has {rows:,} rows. "
            "They do not belong together: check the model folder"
        )
    # Gemma multiplies what its table gives by the root of its width, which vLLM does as well.
    scale = float(getattr(reading, "embed_scale", 1.0))
    last = first + known.apart * known.positions
    read = torch.zeros(max(rows, last), reading.weight.shape[1], dtype=model.dtype)
    write = torch.zeros_like(read)
    read[:rows] = reading.weight.detach().cpu()
    write[: len(writing.weight)] = writing.weight.detach().cpu()
    inputs = words.inputs.detach().cpu().float() / scale
    write[first:last] = 0
    write[first : first + items] = words.outputs.detach().cpu().to(write.dtype)
    for position in range(known.positions):
        begin = first + position * known.apart
        read[begin : begin + items] = inputs[:, position].to(read.dtype)
        # A free row reads as the mean of the items and answers nothing: its score is 0 wherever it is asked for.
        read[begin + items : begin + known.apart] = inputs[:, position].mean(dim=0).to(read.dtype)
    return read, write, scale


def _name_of(model: Any, module: Any) -> str:
    return next(f"{name}.weight" for name, there in model.named_modules() if there is module)


def _hub_names(model: Any, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as models on the Hub call them.

    transformers renames back what it renamed at loading, but for the towers of CLIP and SigLIP inside of another
    model, whose inner name it leaves out; vLLM asks for it, and transformers takes both.
    """
    hub: dict[str, Tensor] = revert_weight_conversion(model, dict(weights))
    if getattr(getattr(model.config, "vision_config", None), "model_type", None) not in _TOWERS:
        return hub
    inner = re.compile(r"^(model\.)?vision_tower\.(?!vision_model\.)")
    return {inner.sub(r"\1vision_tower.vision_model.", name): value for name, value in hub.items()}


def _write_config(model: Any, folder: Path) -> None:
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.dtype = model.dtype
    config.save_pretrained(folder)


def _untie(folder: Path, rows: int) -> None:
    """Say in the config that the vocabulary has so many rows and that the output table is one of its own."""
    config = read_json(folder, CONFIG, kind="a model folder", remedy="Write it again")
    for part in (config, config.get("text_config", {})):
        part["tie_word_embeddings"] = False
        if part is not config or "vocab_size" in config:
            part["vocab_size"] = rows
    write_json(folder / CONFIG, config)


def _write_weights(weights: Mapping[str, Tensor], folder: Path, shard: str, *, beside: Mapping[str, str]) -> None:
    split = split_torch_state_dict_into_shards(
        dict(weights), filename_pattern="model{suffix}.safetensors", max_shard_size=shard
    )
    where = dict(beside)
    for file, names in split.filename_to_tensors.items():
        # A file of the plain name would be taken for all there is.
        name = "model-00001-of-00001.safetensors" if beside and file == WHOLE else file
        content = {weight: weights[weight].detach().cpu().contiguous() for weight in names}
        _save(content, folder / name, {"format": "pt"})
        where |= dict.fromkeys(names, name)
    if beside or split.is_sharded:
        size = sum((folder / file).stat().st_size for file in set(where.values()))
        write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": dict(sorted(where.items()))})


def _save(content: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    save_file(dict(content), path, metadata=metadata)
    shutil.copymode(path.parent / CONFIG, path)  # safetensors lets the owner alone read, but a server may be another


def _write_tables(folder: Path, tables: Tables, read: Tensor, write: Tensor, *, number: int) -> dict[str, str]:
    """Write the two tables with what they say about themselves; returns which file holds which."""
    about = {
        "first": tables.words.first,
        "ids": tables.words.ids,
        "positions": tables.words.positions,
        "input": tables.read,
        "output": tables.write,
        "scale": tables.scale,
    }
    name = f"items-{number:08}.safetensors"
    with staged_file(folder / name, mark="") as partial:
        metadata = {"format": "pt", "items": json.dumps(about, ensure_ascii=False)}
        _save({tables.read: read, tables.write: write}, partial, metadata)
    return {tables.read: name, tables.write: name}
