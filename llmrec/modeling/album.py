"""Pictures as visual tokens: each is encoded once, by the frozen vision part, and kept.

How a picture enters the language model differs between models: how many places it takes, what stands around them, what
is added in deeper layers. So the model's own processor and its own forward pass are asked, up to the point where the
language model would begin.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from llmrec.errors import InputError
from llmrec.modeling.adapters import language_model
from llmrec.modeling.base import Base
from llmrec.progress import Progress

Floats = npt.NDArray[np.float32]

BATCH = 32
KEPT_BYTES = 4 * 2**30
"""Visual tokens that are kept in memory; beyond it the oldest go and are made again when they are needed."""


@dataclass(frozen=True)
class Sight:
    """One picture as the language model takes it."""

    tokens: Tensor
    """visual tokens x (1 + deeper layers that get some) x hidden"""
    grid: Tensor | None
    """Time, height and width in patches, where the model counts positions by them."""


def mean_of(sight: Sight) -> Floats:
    """The mean of a picture's visual tokens."""
    found: Floats = sight.tokens[:, 0].float().mean(dim=0).numpy()
    return found


class Album:
    """The pictures of a catalogue for one model."""

    def __init__(self, base: Base, paths: Sequence[Path | None]):
        if not base.tokenizer.chat_template and not getattr(base.processor, "chat_template", None):
            raise InputError(f"{base.name} has no chat template. Take a model that was tuned for chat, or assemble one")
        self._base = base
        self._paths = paths
        self._kept: OrderedDict[int, Sight] = OrderedDict()
        self._bytes = 0
        self._places: dict[int, list[int]] = {}
        shapes = [self._cut(self._processed([Image.new("RGB", size)])["input_ids"][0].tolist()) for size in SHAPES]
        self._fixed = shapes[0] if all(len(one) == len(shapes[0]) for one in shapes) else None

    @property
    def usual(self) -> int:
        """How many tokens a picture takes, at the most of what was tried."""
        return len(self._fixed or self._cut(self._processed([Image.new("RGB", SHAPES[-1])])["input_ids"][0].tolist()))

    @property
    def steady(self) -> bool:
        """Whether each picture takes the same tokens, whatever its shape."""
        return self._fixed is not None

    def places(self, code: int) -> list[int]:
        """The tokens that stand for an item's picture in a text."""
        if self._fixed is not None:
            return self._fixed
        if code not in self._places:
            self._places[code] = self._cut(self._processed([self.read(code)])["input_ids"][0].tolist())
        return self._places[code]

    @property
    def has_pictures(self) -> bool:
        """Whether any item has a picture."""
        return any(self._paths)

    def means(self, progress: Progress | None = None) -> Floats:
        """For each item the mean of its picture's visual tokens; a row of NaN where it has no picture."""
        codes = [code for code, path in enumerate(self._paths) if path]
        found = np.full((len(self._paths), self._base.hidden), np.nan, dtype=np.float32)
        for begin in range(0, len(codes), BATCH):
            some = codes[begin : begin + BATCH]
            self.encode(some)
            for code in some:
                found[code] = mean_of(self._kept[code])
            if progress:
                progress("looking at pictures", begin + len(some), len(codes))
        return found

    def visible(self, codes: Sequence[int]) -> dict[str, Tensor]:
        """What a batch needs to show these pictures, one after the other."""
        self.encode(codes)
        sights = [self._kept[code] for code in codes]
        found = {"pictures": torch.cat([sight.tokens for sight in sights])}
        grids = [sight.grid for sight in sights if sight.grid is not None]
        return {**found, "grids": torch.stack(grids)} if grids else found

    def encode(self, codes: Sequence[int], progress: Progress | None = None) -> None:
        """Encode the pictures that are not kept yet. Those that were looked at longest ago make room, none of these."""
        step = BATCH if self._fixed is not None else 1
        needed = dict.fromkeys(codes)
        for code in needed:
            if code in self._kept:
                self._kept.move_to_end(code)
        missing = [code for code in needed if code not in self._kept]
        for begin in range(0, len(missing), step):
            some = missing[begin : begin + step]
            for code, sight in zip(some, self.encoded([self.read(code) for code in some]), strict=True):
                self._kept[code] = sight
                self._bytes += sight.tokens.nbytes
            while self._bytes > KEPT_BYTES and (oldest := next(iter(self._kept))) not in needed:
                self._bytes -= self._kept.pop(oldest).tokens.nbytes
            if progress:
                progress("encoding pictures", begin + len(some), len(missing))

    @torch.no_grad()
    def encoded(self, images: Sequence[Any]) -> list[Sight]:
        """Pictures as the language model sees them, made now; those of one call have the same number of tokens."""
        model = self._base.model
        prepared = self._processed(images)
        prepared = {name: value.to(model.device) for name, value in prepared.items() if isinstance(value, Tensor)}
        prepared["pixel_values"] = prepared["pixel_values"].to(model.dtype)
        given = _reaching(model, prepared)
        here = prepared["input_ids"] == self._base.picture_token
        layers = [given["inputs_embeds"][here]]
        layers += [layer.to(layers[0].dtype) for layer in given.get("deepstack_visual_embeds") or []]
        tokens = torch.stack(layers, dim=1).reshape(len(images), -1, len(layers), layers[0].shape[-1])
        grids = prepared.get("image_grid_thw")
        return [Sight(one.cpu(), None if grids is None else grids[row].cpu()) for row, one in enumerate(tokens)]

    def read(self, code: int) -> Any:
        """An item's picture as it lies on the disk."""
        path = self._paths[code]
        assert path is not None, "only items with a picture are shown"
        with Image.open(path) as image:
            return image.convert("RGB")

    def _processed(self, images: Sequence[Any]) -> dict[str, Any]:
        """Each picture in a chat of its own, as the model's processor prepares it."""
        messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "."}]}]
        text = self._base.processor.apply_chat_template(messages, tokenize=False)
        made = self._base.processor(
            text=[text] * len(images), images=[[image] for image in images], return_tensors="pt"
        )
        return dict(made)

    def _cut(self, ids: list[int]) -> list[int]:
        """What a picture adds to the tokens of a chat: its places and whatever the model wants around them."""
        bare = [{"role": "user", "content": [{"type": "text", "text": "."}]}]
        text = self._base.processor.apply_chat_template(bare, tokenize=False)
        around = self._base.processor(text=[text], return_tensors="pt")["input_ids"][0].tolist()
        begin = next(place for place, (one, other) in enumerate(zip(ids, [*around, -1], strict=False)) if one != other)
        added = ids[begin : begin + len(ids) - len(around)]
        places = [place for place, token in enumerate(ids) if token == self._base.picture_token]
        whole = added.count(self._base.picture_token) == len(places)
        return added if whole else ids[places[0] : places[-1] + 1]


SHAPES = ((224, 224), (336, 168), (448, 448))


class _Reached(Exception):
    """The language model was reached: what it was given is known."""

    def __init__(self, given: dict[str, Any]):
        self.given = given


def _reaching(model: Any, prepared: dict[str, Any]) -> dict[str, Any]:
    """Run a model up to its language model, and return what that was given."""

    def stop(_: Any, __: Any, given: dict[str, Any]) -> None:
        raise _Reached(given)

    hook = language_model(model).register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model.model(**prepared)
    except _Reached as reached:
        return reached.given
    finally:
        hook.remove()
    raise AssertionError("the language model was not asked")
