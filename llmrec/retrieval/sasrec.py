"""SASRec with a cross-entropy loss over items: a causal transformer that reads a history and asks for the next item.

Self-attentive sequential recommendation (Kang and McAuley, 2018) as it is trained well: every position of a history is
a target, the loss is a softmax over all items (over a sample with the logQ correction where there are too many), items
are scored by the embedding they are read with. Trained with one negative and a binary loss, as published, it ranks far
lower.
"""

import copy
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from llmrec.log import Codes
from llmrec.progress import Progress
from llmrec.retrieval.retriever import ndcg, some_cases
from llmrec.splits import TRAIN, Split

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SasRecRecipe:
    """How SASRec is built and trained."""

    width: int = 64
    """Width of an item's vector."""
    layers: int = 2
    """Transformer blocks."""
    heads: int = 2
    """Attention heads of a block."""
    length: int = 50
    """The last items of a history that are read."""
    dropout: float = 0.4
    """Share of activations that are dropped while training."""
    rate: float = 2e-3
    """Learning rate of AdamW."""
    decay: float = 0.01
    """Weight decay."""
    batch: int = 256
    """People in a batch."""
    epochs: int = 40
    """Passes over the people, at most."""
    patience: int = 5
    """Evaluations without a better NDCG@10 on validation before training stops."""
    softmax_over: int = 50_000
    """Up to so many items the softmax is over all of them; above, over so many sampled by popularity."""
    smoothing: float = 0.0
    """Share of a target that is spread over all items."""
    seed: int = 0
    """Seed of weights, order and dropout."""


def network(items: int, recipe: SasRecRecipe) -> "torch.nn.Module":
    """The untrained network. Called with codes padded at the left by `items`, it gives a vector at every position."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before_attention, self.before_feeding = nn.LayerNorm(recipe.width), nn.LayerNorm(recipe.width)
            self.mixing = nn.Linear(recipe.width, 3 * recipe.width)
            self.joining = nn.Linear(recipe.width, recipe.width)
            self.feeding = nn.Sequential(
                nn.Linear(recipe.width, 4 * recipe.width),
                nn.GELU(),
                nn.Dropout(recipe.dropout),
                nn.Linear(4 * recipe.width, recipe.width),
            )
            self.dropout = nn.Dropout(recipe.dropout)

        def forward(self, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
            people, length, width = states.shape
            parts = self.mixing(self.before_attention(states)).view(people, length, 3, recipe.heads, -1)
            query, key, value = parts.permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
            states = states + self.dropout(self.joining(mixed.transpose(1, 2).reshape(people, length, width)))
            fed: torch.Tensor = self.dropout(self.feeding(self.before_feeding(states)))
            return states + fed

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.item = nn.Embedding(items + 1, recipe.width, padding_idx=items)
            self.place = nn.Embedding(recipe.length, recipe.width)  # counted from the last item back
            self.blocks = nn.ModuleList(Block() for _ in range(recipe.layers))
            self.norm = nn.LayerNorm(recipe.width)
            self.dropout = nn.Dropout(recipe.dropout)
            self.apply(self._start)

        @staticmethod
        def _start(module: nn.Module) -> None:
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

        def forward(self, codes: torch.Tensor) -> torch.Tensor:
            length = codes.shape[1]
            places = torch.arange(length - 1, -1, -1, device=codes.device)
            states = self.dropout(self.item(codes) * math.sqrt(recipe.width) + self.place(places))
            known = codes != items
            causal = torch.ones(length, length, dtype=torch.bool, device=codes.device).tril()
            own = torch.eye(length, dtype=torch.bool, device=codes.device)  # padding looks at itself, not at nothing
            seen = (causal & known[:, None, :]) | own
            for block in self.blocks:
                states = block(states, seen[:, None])
            normed: torch.Tensor = self.norm(states)
            return normed

    torch.manual_seed(recipe.seed)
    return Network()


@dataclass(frozen=True)
class SasRec:
    """A trained SASRec: vectors of people from their histories, vectors of items, and scores between the two."""

    recipe: SasRecRecipe
    items: int
    network: Any
    epochs: int = 0
    """Passes over the people that the kept weights have seen."""
    name: str = "sasrec"

    def people(self, histories: Sequence[Codes]) -> Floats:
        """One vector a history; the score of an item is its product with the item's vector."""
        import torch

        device = next(self.network.parameters()).device
        self.network.eval()
        parts = []
        with torch.inference_mode():
            for begin in range(0, len(histories), 512):
                codes = torch.from_numpy(padded(histories[begin : begin + 512], self.recipe.length, self.items))
                parts.append(self.network(codes.to(device))[:, -1].float().cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, self.recipe.width), dtype=np.float32)

    def person(self, history: Codes) -> Floats:
        """The vector of one history, without PyTorch, whose calls take three times as long for so little."""
        known, heads = self._weights, self.recipe.heads
        codes = history[-self.recipe.length :]
        count, width = len(codes), self.recipe.width
        states = known["item.weight"][codes] * np.float32(math.sqrt(width)) + known["place.weight"][count - 1 :: -1]
        later = np.triu(np.full((count, count), -np.inf, dtype=np.float32), 1)
        for layer in range(self.recipe.layers):
            name, first = f"blocks.{layer}.", 0 if layer + 1 < self.recipe.layers else count - 1
            parts = self._linear(self._normed(states, f"{name}before_attention"), f"{name}mixing")
            query, key, value = parts.reshape(count, 3, heads, -1).transpose(1, 2, 0, 3)
            query, states = query[:, first:], states[first:]  # of the last layer the last place alone is asked
            chances = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(width // heads)) + later[first:]
            chances = np.exp(chances - chances.max(axis=-1, keepdims=True))
            mixed = chances @ value / chances.sum(axis=-1, keepdims=True)
            states = states + self._linear(mixed.transpose(1, 0, 2).reshape(len(states), width), f"{name}joining")
            fed = self._linear(self._normed(states, f"{name}before_feeding"), f"{name}feeding.0")
            fed = fed * (1 + erf(fed / np.float32(math.sqrt(2)))) / 2
            states = states + self._linear(fed, f"{name}feeding.3")
        found: Floats = self._normed(states[-1:], "norm")[0]
        return found

    def _linear(self, states: Floats, name: str) -> Floats:
        found: Floats = states @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return found

    def _normed(self, states: Floats, name: str) -> Floats:
        centred = states - states.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(1e-5))
        found: Floats = scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return found

    @cached_property
    def _weights(self) -> dict[str, Floats]:
        held = self.network.state_dict()
        return {name: np.ascontiguousarray(one.float().cpu().numpy()) for name, one in held.items()}

    @property
    def vectors(self) -> Floats:
        """The vector of every item."""
        return np.asarray(self.network.item.weight[: self.items].detach().float().cpu().numpy())

    def flat_vectors(self) -> Floats:
        """The items' vectors with one more component, at one length: the nearest by angle are those of highest score.

        A vector of a person gets a 0 there, so that products stay as they are.
        """
        vectors = self.vectors
        squares = (vectors**2).sum(axis=1)
        return np.column_stack([vectors, np.sqrt(np.maximum(squares.max() - squares, 0))]).astype(np.float32)

    def score(self, histories: Sequence[Codes]) -> Floats:
        """Scores of all items, one row a history; -inf where there is no history, since it has learnt from none."""
        scores = self.people(histories) @ self.vectors.T
        scores[[not len(history) for history in histories]] = -np.inf
        return np.asarray(scores, dtype=np.float32)


def padded(histories: Sequence[Codes], length: int, filler: int) -> npt.NDArray[np.int64]:
    """The last items of each history at the right of a table, no wider than the longest needs."""
    wide = max(1, min(length, max((len(history) for history in histories), default=1)))
    table = np.full((len(histories), wide), filler, dtype=np.int64)
    for line, history in zip(table, histories, strict=True):
        if len(history):
            line[-min(wide, len(history)) :] = history[-wide:]
    return table


def fit(
    split: Split, recipe: SasRecRecipe | None = None, *, device: str = "cpu", progress: Progress | None = None
) -> SasRec:
    """Train on the training rows; keep the epoch that ranks validation best, or the last where nothing is asked."""
    import torch

    recipe = recipe or SasRecRecipe()
    items = len(split.log.items)
    rng = np.random.default_rng(recipe.seed)
    model = SasRec(recipe, items, network(items, recipe).to(device))
    histories = [line for line in _training_histories(split) if len(line) > 1]
    wanted = some_cases(split, "valid", 5_000, seed=recipe.seed)
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    counts = np.bincount(np.concatenate([*histories, np.zeros(0, np.int32)]), minlength=items).astype(np.float64)
    best, kept, waited, reached = -1.0, copy.deepcopy(model.network.state_dict()), 0, 0
    for epoch in range(recipe.epochs):
        model.network.train()
        losses = []
        for batch in _batches(histories, recipe, rng):
            codes = torch.from_numpy(padded(batch, recipe.length + 1, items)).to(device)
            loss = _loss(model.network, codes, items, counts, recipe, rng)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        value = ndcg(model, wanted)
        log.info("epoch %d: loss %.3f, NDCG@10 on validation %.4f", epoch + 1, np.mean(losses), value)
        if progress:
            progress("training SASRec", epoch + 1, recipe.epochs)
        if value > best or not wanted:
            best, kept, waited, reached = value, copy.deepcopy(model.network.state_dict()), 0, epoch + 1
        else:
            waited += 1
            if waited >= recipe.patience:
                break
    model.network.load_state_dict(kept)
    return replace(model, epochs=reached)


def restore(items: int, recipe: SasRecRecipe, state: Mapping[str, npt.NDArray[Any]]) -> SasRec:
    """A trained SASRec from its weights."""
    import torch

    made = network(items, recipe)
    made.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    return SasRec(recipe, items, made.eval())


def _training_histories(split: Split) -> Iterator[Codes]:
    for user in range(len(split.log.users)):
        rows = slice(split.log.start[user], split.log.start[user + 1])
        yield split.log.item[rows][split.part[rows] == TRAIN]


def _batches(histories: list[Codes], recipe: SasRecRecipe, rng: np.random.Generator) -> Iterator[list[Codes]]:
    """People of about the same length together, so that little is padding; the batches come in a random order."""
    lengths = np.minimum([len(line) for line in histories], recipe.length + 1)
    order = np.argsort(lengths + 2 * rng.random(len(histories)))
    starts = rng.permutation(np.arange(0, len(order), recipe.batch))
    for begin in starts:
        yield [histories[place] for place in order[begin : begin + recipe.batch]]


def _loss(network: Any, codes: Any, items: int, counts: Any, recipe: SasRecRecipe, rng: np.random.Generator) -> Any:
    import torch

    targets = codes[:, 1:]
    asked = targets != items
    states = network(codes[:, :-1])[asked]
    targets = targets[asked]
    if items <= recipe.softmax_over:
        logits = states @ network.item.weight[:items].T
        return torch.nn.functional.cross_entropy(logits, targets, label_smoothing=recipe.smoothing)
    chance = (counts + 1) / (counts + 1).sum()
    drawn = torch.from_numpy(np.unique(rng.choice(items, size=recipe.softmax_over, p=chance))).to(codes.device)
    bias = torch.from_numpy(np.log(-np.expm1(recipe.softmax_over * np.log1p(-chance)))).to(states)
    others = states @ network.item.weight[drawn].T - bias[drawn]
    others = others.masked_fill(drawn[None] == targets[:, None], float("-inf"))
    own = (states * network.item.weight[targets]).sum(-1, keepdim=True) - bias[targets, None]
    return torch.nn.functional.cross_entropy(torch.cat([own, others], 1), torch.zeros_like(targets))
