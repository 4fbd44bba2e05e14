"""What a model in this process reads: chats as its tokens, with the pictures of items, in batches."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from llmrec.modeling.album import Album
from llmrec.modeling.base import Base
from llmrec.script import IGNORED, Line, Script


class Transcriber(Script):
    """Writes chats as tokens of a loaded model, pictures as the places that its album says."""

    def __init__(self, base: Base, album: Album, positions: int = 1):
        super().__init__(
            base.tokenizer, base.processor, first=base.vocabulary, picture=album.places, positions=positions
        )
        self.base, self.album = base, album


def batch(lines: Sequence[Line], *, pad: int, album: Album | None = None) -> dict[str, Tensor]:
    """Lines of about the same length as one batch, filled on the right."""
    longest = max(len(line) for line in lines)
    tokens = np.full((len(lines), longest), pad, dtype=np.int64)
    labels = np.full((len(lines), longest), IGNORED, dtype=np.int64)
    mask = np.zeros((len(lines), longest), dtype=np.int64)
    for row, line in enumerate(lines):
        tokens[row, : len(line)], labels[row, : len(line)] = line.tokens, line.labels
        mask[row, : len(line)] = 1
    made = {"tokens": torch.from_numpy(tokens), "mask": torch.from_numpy(mask), "labels": torch.from_numpy(labels)}
    shown = [code for line in lines for code in line.pictures]
    if shown and album is not None:
        made |= album.visible(shown)
    return made
