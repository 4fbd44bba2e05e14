"""Item words: the projectors that turn an item's content into its input vector and its output vector."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from llmrec.modeling.bank import Bank
from llmrec.modeling.kinds import EYES, KINDS, TOLD


class ItemWords(nn.Module):
    """Reads an item's content into the model's space (input) and writes it as an answer (output).

    The score of an item at a position is `ask(hidden) . write(content)`: as a product of the hidden state with
    `ask.T write(content)` it is one row of a stock output table, and the whole is one row of a stock embedding.
    """

    mean: Tensor
    scale: Tensor
    gloss: Tensor
    content: Tensor
    known: Tensor

    def __init__(
        self,
        bank: Bank,
        hidden: int,
        *,
        size: float,
        content: Sequence[str] = KINDS,
        rank: int = 256,
        width: int = 768,
        dropout: float = 0.1,
        forget: float = 0.2,
        learnt: bool = False,
        positions: int = 1,
    ):
        super().__init__()
        self.hidden, self.rank, self.dropout, self.forget = hidden, rank, dropout, forget
        self.positions = positions
        self.still = False
        gloss = bank.gloss if bank.gloss is not None and TOLD in content else np.zeros((0, 0))
        self.register_buffer("gloss", torch.tensor(gloss, dtype=torch.float32))
        widths = {**bank.widths, TOLD: gloss.shape[1]} if len(gloss) else bank.widths
        # Where pictures tell no words, they enter as they are.
        wanted = {*content} if len(gloss) or TOLD not in content else {*content, *EYES}
        self.widths = {kind: widths[kind] for kind in KINDS if kind in widths and kind in wanted}
        """The width of each kind of content that enters the projectors."""
        own = {kind: torch.from_numpy(table) for kind, table in bank.vectors.items()}
        mean, scale = [], []
        for table in self._of_kinds(own).values():
            told = table.numpy()
            mean.append(np.nan_to_num(np.nanmean(told, axis=0)))
            # One scale a kind, so that strong directions stay strong.
            spread = np.nanstd(told, axis=0)
            scale.append(np.full(told.shape[1], max(float(np.sqrt((spread**2).mean())), 1e-6)))
        self.register_buffer("mean", torch.tensor(np.concatenate(mean), dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(np.concatenate(scale), dtype=torch.float32))
        made, known = self.prepare(own)
        self.register_buffer("content", made, persistent=False)
        self.register_buffer("known", known, persistent=False)
        entering = made.shape[1] + known.shape[1]
        self.read = nn.Sequential(nn.Linear(entering, width), nn.GELU(), nn.Linear(width, hidden * positions))
        self.write = nn.Sequential(nn.Linear(entering, width), nn.GELU(), nn.Linear(width, rank))
        self.ask = nn.Linear(hidden, rank, bias=False)
        self.size = nn.Parameter(torch.tensor(float(size)))
        self.heat = nn.Parameter(torch.tensor(0.0))
        self.own_input = nn.Embedding(len(bank), hidden * positions if learnt else 0)
        self.own_output = nn.Embedding(len(bank), rank if learnt else 0)
        nn.init.zeros_(self.own_input.weight)
        nn.init.zeros_(self.own_output.weight)

    def stand_still(self) -> None:
        """Learn no more, and drop and forget nothing: the words are from now on what they will be."""
        self.still = True
        self.requires_grad_(False).ask.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> "ItemWords":
        """As any module, but words that stand still are never in training."""
        super().train(mode and not self.still)
        return self

    def prepare(self, vectors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Content as the projectors take it: standardised, 0 for what is missing; and which kinds there are."""
        pieces, known, begin = [], [], 0
        for table in self._of_kinds(vectors).values():
            there = torch.isfinite(table).all(dim=1)
            some = slice(begin, begin + table.shape[1])
            table = (table - self.mean[some].to(table.device)) / self.scale[some].to(table.device)
            pieces.append(torch.where(there[:, None], table, torch.zeros_like(table)))
            known.append(there.float())
            begin = some.stop
        return torch.cat(pieces, dim=1), torch.stack(known, dim=1)

    def _of_kinds(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The kinds that enter, in their order; NaN where an item has none."""
        found = {}
        for kind in self.widths:
            if kind == TOLD:
                seen = torch.cat([vectors[kind].float() for kind in EYES if kind in vectors], dim=1)
                found[kind] = seen @ self.gloss[:-1].to(seen.device) + self.gloss[-1].to(seen.device)
            else:
                found[kind] = vectors[kind].float()
        return found

    def _entering(self, content: Tensor, known: Tensor) -> Tensor:
        """Content and what there is of it; in training whole kinds are forgotten, so that each can do without."""
        if self.training:
            kept = torch.ones_like(known)
            if self.forget and known.shape[1] > 1:
                kept = (torch.rand_like(known) >= self.forget).float()
                seen = [place for place, kind in enumerate(self.widths) if kind in (*EYES, TOLD)]
                kept[:, seen] = kept[:, seen[:1]]  # without its picture an item is without all that is seen of it
                kept = torch.where((known * kept).sum(dim=1, keepdim=True) > 0, kept, torch.ones_like(kept))
            known = known * kept
            widths = torch.tensor(list(self.widths.values()), device=content.device)
            content = content * torch.repeat_interleave(kept, widths, dim=1)
            content = nn.functional.dropout(content, self.dropout)
        return torch.cat([content, known], dim=1)

    def inputs(self, codes: Tensor) -> Tensor:
        """The input vectors of items by code, `items x positions x hidden`."""
        entering = self._entering(self.content[codes], self.known[codes])
        own = self.own_input(codes) if self.own_input.embedding_dim else 0
        return self._sized(self.read(entering) + own)

    def as_one(self, codes: Tensor) -> Tensor:
        """One vector an item for readers that take it at once: the mean of its input vectors."""
        return self.inputs(codes).mean(dim=1)

    def outputs(self, codes: Tensor | None = None) -> Tensor:
        """The answers, `items x rank`: all items, or those of the codes."""
        content, known = (self.content, self.known) if codes is None else (self.content[codes], self.known[codes])
        own: Any = 0
        if self.own_output.embedding_dim:
            own = self.own_output.weight if codes is None else self.own_output(codes)
        return self._written(self.write(self._entering(content, known)) + own)

    def questions(self, hidden: Tensor) -> Tensor:
        """What is asked for at positions with these hidden states."""
        found: Tensor = self.ask(hidden.to(self.ask.weight.dtype))
        return found

    @torch.no_grad()
    def tables(self, vectors: Mapping[str, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Rows for a stock embedding and a stock output table: for all items, or for new ones by their content.

        Those of the embedding are `items x positions x hidden`.
        """
        if vectors is None:
            codes = torch.arange(len(self.content), device=self.content.device)
            read, write = self.inputs(codes), self.outputs()
        else:
            content, known = self.prepare(vectors)
            entering = self._entering(content.to(self.mean.device), known.to(self.mean.device))
            read, write = self._sized(self.read(entering)), self._written(self.write(entering))
        return read, write @ self.ask.weight

    def _sized(self, vectors: Tensor) -> Tensor:
        each = vectors.reshape(*vectors.shape[:-1], self.positions, self.hidden)
        return nn.functional.layer_norm(each, (self.hidden,)) * self.size

    def _written(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors, dim=-1) * self.heat.exp()
