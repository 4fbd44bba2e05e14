"""The files of an encoder: found in a folder or on the hub, looked through, and copied as far as an index needs them.

Weights are read from safetensors alone: a pickle, or Python in a folder, could run anything.
"""

import json
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrec.errors import InputError

log = logging.getLogger(__name__)

WEIGHTS, SHARDS, MODULES = "model.safetensors", "model.safetensors.index.json", "modules.json"
PROMPTS = "config_sentence_transformers.json"
VOCABULARY = ("tokenizer.json", "vocab*", "*.model")
BESIDE = (
    *("*config.json", PROMPTS, MODULES, "special_tokens_map.json", "added_tokens.json", "merges.txt"),
    *VOCABULARY,
)
KNOWN = ("Transformer", "CLIPModel", "Pooling", "Dense", "Normalize")
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def adopt(name: str, folder: Path) -> None:
    """Copy what is needed of an encoder, a folder or a name on the hub, to a new folder."""
    source = _found(name)
    files = sorted(set(_files(source, name)))
    size = sum((source / file).stat().st_size for file in files)
    log.info("%s is copied into the index: %.0f MB", name, size / 1e6)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, folder / file)


def modules_of(folder: Path, name: str) -> list[tuple[str, Path]]:
    """The parts of a model in the order of use, the model itself first."""
    if not (folder / MODULES).is_file():
        return [("Transformer", Path())]
    try:
        found = [(str(one["type"]).rpartition(".")[2], Path(one["path"])) for one in read_or(folder / MODULES, [])]
    except (KeyError, TypeError) as error:
        raise InputError(f"{name}/{MODULES} is not a list of modules. Download the folder again") from error
    unknown = [kind for kind, _ in found if kind not in KNOWN]
    if unknown or not found or found[0][0] not in ("Transformer", "CLIPModel"):
        raise InputError(
            f"{name} is made of {', '.join(kind for kind, _ in found) or 'nothing'}; known are {', '.join(KNOWN)}, the "
            "model itself first. Give another encoder"
        )
    if any(path.is_absolute() or ".." in path.parts for _, path in found):
        raise InputError(f"{name}/{MODULES} points out of its folder. Download the folder again")
    return found


def read_or(path: Path, default: Any) -> Any:
    """The content of a JSON file, or the default where there is none; another type than the default's is an error."""
    if not path.is_file():
        return default
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}). Download the folder again") from error
    if not isinstance(content, type(default)):
        raise InputError(f"{path} holds {type(content).__name__}, not what belongs there. Download the folder again")
    return content


def _found(name: str) -> Path:
    """The folder of that name, or the one that the hub's cache keeps for it."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or name.startswith((".", "/", "~")) or not HUB_NAME.fullmatch(name):
        raise InputError(f"{name} is not a folder. Give the folder of an encoder, or its name on the hub")
    from huggingface_hub import snapshot_download

    wanted = [*BESIDE, *(f"*/{one}" for one in BESIDE), "model*.safetensors", "*/model*.safetensors"]
    try:
        return Path(snapshot_download(name, allow_patterns=[*wanted, SHARDS], ignore_patterns=["onnx/*", "openvino/*"]))
    except Exception as error:  # of the network, of the hub, or of its cache
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"{name} is not a folder here, and the hub did not give it ({reason}). Where there is a network run: "
            f"hf download {name} --local-dir FOLDER, and give that folder"
        ) from error


def _files(source: Path, name: str) -> Iterator[Path]:
    """What an index keeps of an encoder: weights, settings and vocabulary; neither code nor pickles."""
    if (source / "adapter_config.json").exists():
        raise InputError(f"{name} is an adapter, not a whole model. Merge it into its base and give the result")
    for marker in (MODULES, PROMPTS):
        if (source / marker).is_file():
            yield Path(marker)
    for kind, path in modules_of(source, name):
        inside = source / path
        if kind in ("Transformer", "CLIPModel"):
            if not (inside / "config.json").is_file():
                raise InputError(f"{name} has no config.json, so it is not a model. Give a folder that has one")
            for pattern in BESIDE:
                yield from (path / file.name for file in inside.glob(pattern) if file.is_file())
        elif (inside / "config.json").is_file():
            yield path / "config.json"
        if kind not in ("Pooling", "Normalize"):
            yield from (path / file for file in _weights(inside, name))


def _weights(folder: Path, name: str) -> list[str]:
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    if (folder / SHARDS).is_file():
        shards = sorted({Path(str(one)).name for one in read_or(folder / SHARDS, {}).get("weight_map", {}).values()})
        if lacking := [one for one in shards if not (folder / one).is_file()]:
            raise InputError(f"{name} lacks {', '.join(lacking[:3])}. Download the folder again")
        return [SHARDS, *shards]
    if any(folder.glob("*.bin")):
        raise InputError(
            f"{name} holds its weights only as a pickle ({next(folder.glob('*.bin')).name}), which could run code, so "
            'it is not read. Where you trust it, write it as safetensors once: python -c "from transformers import '
            f"AutoModel; AutoModel.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    raise InputError(f"{name} has no {WEIGHTS}, so it holds no model. Give a folder as save_pretrained writes it")
