"""One encoder from Hugging Face or sentence-transformers: a folder that gives vectors of texts, pictures, or both.

Three shapes are known: a text model, pooled as its sentence-transformers files say or else by the mean over its tokens;
a vision model; and a pair of both in one space, such as CLIP or SigLIP, where words find pictures.
"""

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from llmrec.errors import InputError
from llmrec.pictures import picture_fault
from llmrec.progress import Progress
from llmrec.retrieval.content import Floats, unit
from llmrec.retrieval.encoder_files import PROMPTS, VOCABULARY, WEIGHTS, modules_of, read_or

POOLINGS = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU")
LONGEST = 512  # tokens: what an item says of itself seldom takes more, and the time of a text grows with its square
TEXTS, PICTURES = 64, 32  # in one batch
NARROW = 8  # times its width: a longer picture is cut, since scaled up to a tower's width it would fill the memory


class Encoder:
    """A model in a folder, loaded when it is first asked for a vector; threads may share it."""

    def __init__(self, folder: Path, name: str, device: str = "cpu"):
        if not folder.is_dir():
            raise ValueError(f"the encoder {folder.name} is missing")
        self.folder, self.name, self.device = folder, name, device
        self._lock = threading.RLock()  # nobody loads twice, and a tokenizer that two threads use at once fails

    def texts(self, texts: Sequence[str], prompts: Sequence[str] = (), progress: Progress | None = None) -> Floats:
        """One row a text, of length 1; zeros where it is empty.

        The first of the prompts that the model's own files know, or else their default, is put before each text.
        """
        import torch

        self.check_texts()
        before = self._prompt(prompts)
        # Texts of like length stand together, so that little is padded; the longest first: what fits them fits all.
        order = sorted((row for row, text in enumerate(texts) if text.strip()), key=lambda row: -len(texts[row]))
        rows = []
        for begin in range(0, len(order), TEXTS):
            batch = [before + texts[row] for row in order[begin : begin + TEXTS]]
            with torch.inference_mode():
                rows.append(self._sound(self._read(batch)))
            if progress:
                progress("reading texts", min(begin + TEXTS, len(order)), len(order))
        return _placed(rows, order, len(texts))

    def pictures(self, pictures: Sequence[Path | None], progress: Progress | None = None) -> Floats:
        """One row a picture, of length 1; zeros where there is none or it is broken."""
        import torch

        self.check_pictures()
        places, rows = [], []
        with ThreadPoolExecutor(4) as pool:
            for begin in range(0, len(pictures), PICTURES):
                prepared = list(pool.map(self._prepared, pictures[begin : begin + PICTURES]))
                known = [row for row, one in enumerate(prepared) if one is not None]
                places += [begin + row for row in known]
                for batch in _batches([one for one in prepared if one is not None]):
                    inputs = {key: value.to(self.device) for key, value in batch.items()}
                    with torch.inference_mode():
                        rows.append(self._sound(self._look(inputs)))
                if progress:
                    progress("looking at pictures", min(begin + PICTURES, len(pictures)), len(pictures))
        return _placed(rows, places, len(pictures))

    def check_texts(self) -> None:
        """Say so where the model cannot read texts."""
        if not self.dual and self.network.main_input_name != "input_ids":
            raise InputError(f"{self.name} is a {self.kind}, which reads no texts. Give one that does as text_encoder")
        self._longest, self._poolings, self._dense  # noqa: B018  (whether its files fit is part of the question)

    def check_pictures(self) -> None:
        """Say so where the model cannot look at pictures."""
        if not self.dual and self.network.main_input_name != "pixel_values":
            raise InputError(
                f"{self.name} is a {self.kind}, which looks at no pictures. Give a CLIP, a SigLIP or a vision model "
                "as picture_encoder"
            )
        self._processor  # noqa: B018  (whether it is there is part of the question)

    @property
    def kind(self) -> str:
        """The class of the model."""
        return type(self.network).__name__

    @property
    def dual(self) -> bool:
        """Whether its texts and pictures lie in one space."""
        return hasattr(self.network, "get_text_features") and hasattr(self.network, "get_image_features")

    @property
    def network(self) -> Any:
        """The model, on its device."""
        return self._loaded[0]

    @cached_property
    def _loaded(self) -> tuple[Any, bool]:
        """The model, and whether its pooler was trained."""
        import torch
        from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

        with self._lock, self._loading("model"):
            if "_loaded" in self.__dict__:  # another thread was faster
                return self._loaded
            config = AutoConfig.from_pretrained(self._base, trust_remote_code=False, local_files_only=True)
            kind = AutoModelForTextEncoding if getattr(config, "is_encoder_decoder", False) else AutoModel
            network, report = kind.from_pretrained(
                self._base, config=config, dtype=torch.float32, use_safetensors=True, trust_remote_code=False,
                local_files_only=True, output_loading_info=True,
            )  # fmt: skip
            missing = sorted(report["missing_keys"])
            lacking = [key for key in missing if "pooler" not in key and "mask_token" not in key]
            if lacking:
                raise ValueError(f"its weights lack {', '.join(lacking[:3])}{' …' if len(lacking) > 3 else ''}")
            self._loaded = network.eval().to(self.device), not any("pooler" in key for key in missing)
            return self._loaded

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        with self._lock, self._loading("tokenizer"):
            if not any(one for pattern in VOCABULARY for one in self._base.glob(pattern)):
                raise ValueError("it has no vocabulary")  # transformers would make an empty one
            tokenizer = AutoTokenizer.from_pretrained(self._base, trust_remote_code=False, local_files_only=True)
            if tokenizer.pad_token is None:
                tokenizer.pad_token = tokenizer.eos_token
            return tokenizer

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoImageProcessor

        known: Any = AutoImageProcessor  # has no annotations
        with self._lock, self._loading("image processor"):
            # Pillow's way is there on every machine, and two ways would give a picture two vectors.
            return known.from_pretrained(self._base, backend="pil", trust_remote_code=False, local_files_only=True)

    @contextmanager
    def _loading(self, what: str) -> Iterator[None]:
        try:
            with _quiet():
                yield
        except Exception as error:  # whatever the readers of many formats raise on broken files
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise InputError(
                f"The {what} of {self.name} cannot be loaded ({reason}). Give a whole folder, as save_pretrained "
                "writes it"
            ) from error

    @cached_property
    def _modules(self) -> list[tuple[str, Path]]:
        return modules_of(self.folder, self.name)

    @property
    def _base(self) -> Path:
        return self.folder / self._modules[0][1]

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """What sentence-transformers says of how texts are read."""
        return dict(read_or(self._base / "sentence_bert_config.json", {}))

    @cached_property
    def _longest(self) -> int:
        """The most tokens of a text that the model takes."""
        positions = getattr(self.network.config.get_text_config(), "max_position_embeddings", None)
        limits = (LONGEST, self._settings.get("max_seq_length"), self._tokenizer.model_max_length, positions)
        return min(limit for limit in limits if limit and limit > 0)

    def _prompt(self, names: Sequence[str]) -> str:
        asked = read_or(self.folder / PROMPTS, {})
        known = asked.get("prompts") or {}
        default = known.get(asked.get("default_prompt_name"), "")
        return str(next((known[name] for name in names if name in known), default))

    def _read(self, texts: list[str]) -> Any:
        network = self.network
        if self._settings.get("do_lower_case"):
            texts = [text.lower() for text in texts]
        # SigLIP saw only texts that were filled up to their full length, with no mask, and reads the last place.
        filled = network.config.model_type.startswith("siglip")
        with self._lock:
            inputs = self._tokenizer(
                texts, padding="max_length" if filled else True, truncation=True, max_length=self._longest,
                return_attention_mask=not filled, return_tensors="pt",
            )  # fmt: skip
        if self.dual:
            found = network.get_text_features(**_taken(network.get_text_features, inputs, self.device))
            return self._pooler_output(found)
        given = _taken(network.forward, inputs, self.device)
        hidden = network(**given).last_hidden_state
        vectors = _pooled(hidden, inputs["attention_mask"].to(self.device), self._poolings)
        for weight, bias, activation in self._dense:
            vectors = vectors @ weight.T
            vectors = activation(vectors if bias is None else vectors + bias)
        return vectors

    @cached_property
    def _poolings(self) -> list[str]:
        folder = next((path for kind, path in self._modules if kind == "Pooling"), None)
        if folder is None:
            return ["mean_tokens"]
        settings = read_or(self.folder / folder / "config.json", {})
        chosen = [one for one in POOLINGS if settings.get(f"pooling_mode_{one}")]
        named = settings.get("pooling_mode")
        chosen += [one for one in POOLINGS if named and one.removesuffix("_tokens").removesuffix("_token") == named]
        if not chosen or settings.get("include_prompt") is False:
            raise InputError(
                f"{self.name} pools in a way that is not known here ({settings}). Give an encoder that pools by one "
                f"of {', '.join(POOLINGS)}, with its prompt"
            )
        return chosen

    @cached_property
    def _dense(self) -> list[tuple[Any, Any, Any]]:
        import torch
        from safetensors.torch import load_file

        layers = []
        for folder in (self.folder / path for kind, path in self._modules if kind == "Dense"):
            with self._loading(f"layer {folder.name}"):
                weights = load_file(folder / WEIGHTS, device=self.device)
                activation = read_or(folder / "config.json", {}).get("activation_function", "Tanh").rpartition(".")[2]
                if activation not in ACTIVATIONS:
                    raise ValueError(f"its activation is {activation}, not one of {', '.join(ACTIVATIONS)}")
                layers.append((weights["linear.weight"], weights.get("linear.bias"), getattr(torch.nn, activation)()))
        return layers

    def _prepared(self, path: Path | None) -> dict[str, Any] | None:
        """What the model takes of one picture; none where the picture is missing or broken."""
        if path is None or picture_fault(path):
            return None
        with Image.open(path) as opened:
            image = _cut(opened.convert("RGB"))
        inputs = self._processor(images=image, input_data_format="channels_last", return_tensors="pt")
        return _taken(self.network.get_image_features if self.dual else self.network.forward, inputs, "cpu")

    def _look(self, inputs: dict[str, Any]) -> Any:
        network, pooler = self._loaded
        if self.dual:
            return self._pooler_output(network.get_image_features(**inputs))
        found = network(**inputs)
        if pooler and getattr(found, "pooler_output", None) is not None:
            return found.pooler_output.flatten(1)
        hidden = found.last_hidden_state
        return hidden.mean(dim=1) if hidden.ndim == 3 else hidden.flatten(2).mean(dim=2)  # patches, or a map

    def _pooler_output(self, found: Any) -> Any:
        vectors = getattr(found, "pooler_output", found)
        if getattr(vectors, "ndim", 0) != 2:
            raise InputError(
                f"{self.name} is a {self.kind}, which gives no single vector. Give a CLIP, a SigLIP or a vision model"
            )
        return vectors

    def _sound(self, vectors: Any) -> Floats:
        found = np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)
        if not np.isfinite(found).all():
            raise InputError(f"{self.name} gave vectors that are not numbers. Its weights are broken: give another")
        return unit(found)


def _taken(call: Callable[..., Any], inputs: Any, device: str) -> dict[str, Any]:
    """Those of a tokenizer's or processor's outputs that a model takes."""
    known = inspect.signature(call).parameters
    return {key: value.to(device) for key, value in inputs.items() if key in known}


def _pooled(hidden: Any, mask: Any, poolings: Sequence[str]) -> Any:
    """One vector a text of one vector a token, as sentence-transformers defines it; several ways side by side."""
    import torch

    rows, places = torch.arange(len(mask), device=mask.device), torch.arange(mask.shape[1], device=mask.device)
    shares = mask[..., None].to(hidden.dtype)
    rising = shares * (places + 1)[:, None]
    ways: dict[str, Callable[[], Any]] = {
        "cls_token": lambda: hidden[rows, mask.argmax(dim=1)],  # the first that is no padding
        "max_tokens": lambda: hidden.masked_fill(shares == 0, float("-inf")).amax(dim=1),
        "mean_tokens": lambda: (hidden * shares).sum(dim=1) / shares.sum(dim=1),
        "mean_sqrt_len_tokens": lambda: (hidden * shares).sum(dim=1) / shares.sum(dim=1).sqrt(),
        "weightedmean_tokens": lambda: (hidden * rising).sum(dim=1) / rising.sum(dim=1),
        "lasttoken": lambda: hidden[rows, (mask * (places + 1)).argmax(dim=1)],
    }
    return torch.cat([ways[one]() for one in poolings], dim=1)


def _cut(image: Image.Image) -> Image.Image:
    """The middle of a picture that is very long or very high."""
    width, height = (min(side, NARROW * other) for side, other in (image.size, image.size[::-1]))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height)) if (width, height) != image.size else image


def _batches(prepared: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All at once where all have one size, else each alone."""
    import torch

    if len({tuple((key, value.shape) for key, value in one.items()) for one in prepared}) == 1:
        yield {key: torch.cat([one[key] for one in prepared]) for key in prepared[0]}
    else:
        yield from prepared


def _placed(rows: list[Floats], places: Sequence[int], count: int) -> Floats:
    """Rows at their places among rows of zeros."""
    if not rows:
        return np.zeros((count, 1), dtype=np.float32)
    found = np.concatenate(rows)
    table = np.zeros((count, found.shape[1]), dtype=np.float32)
    table[list(places)] = found
    return table


@contextmanager
def _quiet() -> Iterator[None]:
    """Bars and tables of transformers would run through ours; what matters in them is checked and told here."""
    from transformers.utils import logging

    told: Any = logging  # has no annotations
    level, bars = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity_error()
    told.disable_progress_bar()
    try:
        yield
    finally:
        told.set_verbosity(level)
        if bars:
            told.enable_progress_bar()
