"""The losses of a picture tower."""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from llmrec.said import Said


def contrast(pictures: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Each picture finds its text among all of the batch, and each text its picture."""
    likeness = pictures @ texts.T * scale
    own = torch.arange(len(likeness), device=likeness.device)
    return (functional.cross_entropy(likeness, own) + functional.cross_entropy(likeness.T, own)) / 2


def together(pictures: torch.Tensor, weights: torch.Tensor, temperature: float) -> torch.Tensor:
    """Each picture's likeness to the others of the batch follows how often their items are taken together.

    All pairs of a batch count, each by its weight, not one drawn positive; pictures that go with none are left out.
    """
    likeness = pictures @ pictures.T / temperature
    itself = torch.eye(len(likeness), dtype=torch.bool, device=likeness.device)
    odds = functional.log_softmax(likeness.masked_fill(itself, -1e4), dim=1)
    total = weights.sum(dim=1)
    some = total > 0
    if not some.any():
        return likeness.sum() * 0
    return -((weights * odds).sum(dim=1)[some] / total[some]).mean()


def told(heard: torch.Tensor, wanted: torch.Tensor, mean: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """How far measures that were told lie from the true ones, in units of their spread over the catalogue."""
    return functional.smooth_l1_loss(heard, (wanted - mean) / spread)


def in_words(logits: torch.Tensor, said: Said, items: npt.NDArray[np.int64]) -> torch.Tensor:
    """How badly the shares of words were told: 1 for who tells of every item what is said of them all."""
    share = torch.from_numpy(said.share[items]).to(logits)
    trust = torch.from_numpy(said.trust[items]).to(logits)[:, None]
    usual = torch.from_numpy(said.usual).to(logits)
    wrong = functional.binary_cross_entropy_with_logits(logits + torch.logit(usual), share, reduction="none")
    blind = functional.binary_cross_entropy(usual.expand_as(share), share, reduction="none")
    return (wrong * trust).sum() / (blind * trust).sum().clamp(min=1e-6)
