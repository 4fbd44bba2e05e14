"""A model's projector by itself: what the frozen tower gives it of each picture, and the visual tokens it makes."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from llmrec.errors import InputError
from llmrec.modeling.album import BATCH, Album
from llmrec.modeling.base import Base
from llmrec.progress import Progress

NAMES = ("multi_modal_projector", "connector", "visual.merger")
"""What LLaVA, Gemma and InternVL call it, what Idefics and SmolVLM do, and what Qwen does."""
BLANK = -1
"""The code of a picture that shows nothing."""
BLANK_PICTURE = Image.new("RGB", (224, 224), (128, 128, 128))
NEAR = 1e-3  # how far what it makes may lie from what the language model gets, over its spread


def find_projector(base: Base) -> nn.Module:
    """The part between the vision tower and the language model."""
    inner = base.model.model
    for name in NAMES:
        try:
            found: nn.Module = inner.get_submodule(name)
        except AttributeError:
            continue
        return found
    raise InputError(
        f"{base.name} is a {type(base.model).__name__}, in which no projector was found by the names "
        f"{', '.join(NAMES)}. Take a LLaVA (llmrec assemble makes one), or tune this one: python -m llmrec.sft"
    )


class Projection:
    """The pictures of a catalogue up to the projector, each seen once by the tower, and on from there at every call."""

    def __init__(self, base: Base, album: Album):
        self.base, self.album = base, album
        self.projector = find_projector(base)
        self._kept: dict[int, Tensor] = {}
        if not album.steady:
            raise InputError(
                f"{base.name} is a {type(base.model).__name__} that makes more visual tokens of one picture than of "
                "another, which captions cannot learn by. Let its processor cut no pictures into tiles, where it can "
                "(do_image_splitting, crop_to_patches), or tune it as it is: python -m llmrec.sft"
            )

    @property
    def weights(self) -> list[nn.Parameter]:
        """What of the model can be taught here."""
        return list(self.projector.parameters())

    def encode(self, codes: Sequence[int], progress: Progress | None = None) -> None:
        """Let the tower look at these pictures, if it has not."""
        missing = [code for code in dict.fromkeys(codes) if code not in self._kept]
        for begin in range(0, len(missing), BATCH):
            some = missing[begin : begin + BATCH]
            images = [BLANK_PICTURE if code == BLANK else self.album.read(code) for code in some]
            for code, given in zip(some, self.given(images), strict=True):
                self._kept[code] = given
            if progress:
                progress("looking at pictures", begin + len(some), len(missing))

    def given(self, images: Sequence[Any]) -> list[Tensor]:
        """What the tower gives the projector of each picture: tiles x patches x width."""
        calls: list[tuple[list[Any], Any]] = []

        def note(_: Any, one: tuple[Any, ...], others: dict[str, Any], made: Any) -> None:
            calls.append(([*one, *others.values()], made))

        hook = self.projector.register_forward_hook(note, with_kwargs=True)
        try:
            sights = self.album.encoded(images)
        finally:
            hook.remove()
        tokens = torch.cat([sight.tokens for sight in sights])
        plain = len(calls) == 1 and len(calls[0][0]) == 1 and tokens.shape[1] == 1
        if not plain or not _same(calls[0][1], tokens[:, 0]) or len(calls[0][0][0]) % len(images):
            raise InputError(
                f"{self.base.name} is a {type(self.base.model).__name__}, whose language model gets more than what its "
                "projector makes of a picture, or gets it in another order. Captions teach models like LLaVA-1.5 and "
                "Gemma 3. Tune this one as it is: python -m llmrec.sft"
            )
        return list(calls[0][0][0].cpu().chunk(len(images)))

    def means(self, codes: Sequence[int]) -> Tensor:
        """For each picture the mean of what the tower gives, one row each."""
        self.encode(codes)
        return torch.stack([self._kept[code].flatten(0, -2).float().mean(dim=0) for code in codes])

    def visual(self, codes: Sequence[int]) -> Tensor:
        """The visual tokens of these pictures, one after the other, with the way back to the projector's weights."""
        self.encode(codes)
        return self.made([self._kept[code] for code in codes])

    def made(self, given: Sequence[Tensor]) -> Tensor:
        """The visual tokens that the projector makes of what the tower gave."""
        weight = self.weights[0]
        found: Tensor = self.projector(torch.cat(list(given)).to(weight.device, weight.dtype))
        return found.reshape(-1, found.shape[-1])


def _same(made: Any, tokens: Tensor) -> bool:
    """Whether a model's visual tokens are what its projector made, one after the other."""
    if not isinstance(made, Tensor) or made.numel() != tokens.numel():
        return False
    away = (made.reshape(tokens.shape).cpu().float() - tokens.float()).abs().max()
    return bool(away <= NEAR * tokens.float().std())
