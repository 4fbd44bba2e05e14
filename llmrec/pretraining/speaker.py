"""A frozen language model that is shown a picture and told facts: how likely it finds them, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from llmrec.modeling.adapters import language_model
from llmrec.modeling.projector import Projection
from llmrec.modeling.transcript import Transcriber, batch
from llmrec.script import IGNORED, Line, of_like_length

BEFORE, AFTER = "Item:", "\n"  # a picture at the very beginning would be what every later word rests its eyes on
Fact = tuple[str, str]


@dataclass(frozen=True)
class Speaker:
    """Reads lines of a picture and facts, each fact on a row of its own: `category: shirt`."""

    projection: Projection
    write: Transcriber
    length: int
    """Tokens of one fact that are read, at most."""

    def shown(self, code: int) -> Line:
        """A picture before anything is said of it."""
        tokens = self.write.start + self.write.words(BEFORE) + self.write.album.places(code)
        return Line(tokens, [IGNORED] * len(tokens), (code,))

    def told(self, facts: Sequence[Fact]) -> Line:
        """Facts as they follow a picture; to be learnt are what they say and that it ends, not what they are called."""
        row = self.write.words(AFTER)
        tokens, labels = [*row], [IGNORED] * len(row)
        for name, value in facts:
            asked, said = self.write.words(f"{name}:"), self.value(value)
            tokens += asked + said
            labels += [IGNORED] * len(asked) + said
        return Line(tokens, labels)

    def value(self, value: str) -> list[int]:
        """The tokens that a fact is said with, and that it ends."""
        return self.write.words(f" {value}")[: self.length] + self.write.words(AFTER)

    def line(self, code: int, facts: Sequence[Fact]) -> Line:
        """A picture and facts."""
        before, after = self.shown(code), self.told(facts)
        return Line(before.tokens + after.tokens, before.labels + after.labels, (code,))

    def losses(self, lines: Sequence[Line]) -> tuple[Tensor, Tensor]:
        """For each line what its labels cost in nats, and how many they are."""
        made = batch(lines, pad=self.write.base.pad)
        labels = made["labels"][:, 1:].to(self._device)
        hidden = self._read(lines, made["tokens"], made["mask"])[:, :-1]
        return self._cost(hidden, labels), (labels != IGNORED).sum(dim=1)

    @torch.no_grad()
    def each(self, lines: Sequence[Line], *, budget: int = 2048) -> tuple[Tensor, Tensor]:
        """As `losses`, for many lines, a batch at a time."""
        costs, counts = torch.zeros(len(lines)), torch.zeros(len(lines))
        for places in of_like_length([len(line) for line in lines], budget):
            cost, count = self.losses([lines[place] for place in places.tolist()])
            costs[places], counts[places] = cost.float().cpu(), count.float().cpu()
        return costs, counts

    @torch.no_grad()
    def table(self, codes: Sequence[int], captions: Sequence[Sequence[Fact]]) -> Tensor:
        """What each caption costs after each picture: pictures x captions. The picture is read once for all."""
        made = batch([self.told(facts) for facts in captions], pad=self.write.base.pad)
        tokens, labels = made["tokens"].to(self._device), made["labels"][:, 1:].to(self._device)
        words = self._vectors(tokens)
        rows = []
        for code in codes:
            begun = self.shown(code)
            vectors = self._embedded([begun], torch.tensor([begun.tokens]))
            kept = language_model(self._model)(inputs_embeds=vectors, use_cache=True).past_key_values
            kept.batch_repeat_interleave(len(tokens))
            ahead = torch.ones(len(tokens), len(begun), dtype=torch.long)
            mask = torch.cat([ahead, made["mask"]], dim=1).to(self._device)
            found = language_model(self._model)(
                inputs_embeds=words,
                attention_mask=mask,
                position_ids=(mask.cumsum(dim=1) - 1)[:, len(begun) :],
                past_key_values=kept,
                use_cache=True,
            )
            rows.append(self._cost(found.last_hidden_state[:, :-1], labels).float().cpu())
        return torch.stack(rows)

    @torch.no_grad()
    def answers(self, codes: Sequence[int], name: str, values: Sequence[str], *, end: str = AFTER) -> list[str]:
        """Which of these values the model names of each picture, word by word, where it may name nothing else."""
        ways = {(*self.write.words(f" {value}"), *self.write.words(end)): value for value in values}
        said: dict[int, tuple[int, ...]] = dict.fromkeys(codes, ())
        found: dict[int, str] = {}
        while left := [code for code in said if code not in found]:
            asked = [self.line(code, []).tokens + self.write.words(f"{name}:") + list(said[code]) for code in left]
            lines = [Line(line, [IGNORED] * len(line), (code,)) for code, line in zip(left, asked, strict=True)]
            for places in of_like_length([len(line) for line in lines], 2048):
                some = [lines[place] for place in places.tolist()]
                made = batch(some, pad=self.write.base.pad)
                last = made["mask"].sum(dim=1) - 1
                hidden = self._read(some, made["tokens"], made["mask"])
                scores = self._head(hidden[torch.arange(len(some)), last.to(hidden.device)]).float().cpu()
                for place, row in zip(places.tolist(), scores, strict=True):
                    code = left[place]
                    begun = said[code]
                    next_ones = sorted({way[len(begun)] for way in ways if way[: len(begun)] == begun})
                    best = next_ones[int(row[next_ones].argmax())]
                    said[code] = (*begun, best)
                    fits = [way for way in ways if way[: len(begun) + 1] == said[code]]
                    if len(fits) == 1 or said[code] in ways:
                        found[code] = ways.get(said[code], ways[fits[0]])
        return [found[code] for code in codes]

    @property
    def _model(self) -> nn.Module:
        model: nn.Module = self.write.base.model
        return model

    @property
    def _device(self) -> torch.device:
        device: torch.device = self.write.base.model.device
        return device

    def _head(self, hidden: Tensor) -> Tensor:
        found: Tensor = self.write.base.model.get_output_embeddings()(hidden)
        return found

    def _vectors(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.write.base.model.get_input_embeddings()(tokens.to(self._device))
        return found

    def _embedded(self, lines: Sequence[Line], tokens: Tensor) -> Tensor:
        vectors = self._vectors(tokens)
        here = (tokens == self.write.base.picture_token).to(self._device)
        seen = self.projection.visual([code for line in lines for code in line.pictures])
        if int(here.sum()) != len(seen):
            raise ValueError(f"{int(here.sum())} places for visual tokens, but {len(seen)} of them")
        return vectors.masked_scatter(here[..., None], seen.to(vectors.dtype))

    def _read(self, lines: Sequence[Line], tokens: Tensor, mask: Tensor) -> Tensor:
        """The last hidden states of lines that are filled up on the right."""
        vectors, mask = self._embedded(lines, tokens), mask.to(self._device)
        places = (mask.cumsum(dim=1) - 1).clamp(min=0)
        found = language_model(self._model)(
            inputs_embeds=vectors, attention_mask=mask, position_ids=places, use_cache=False
        )
        state: Tensor = found.last_hidden_state
        return state

    def _cost(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """What the labels of each row cost; the output table is asked at labels alone, since it is what costs most."""
        there = labels != IGNORED
        costs = nn.functional.cross_entropy(self._head(hidden[there]).float(), labels[there], reduction="none")
        rows = there.nonzero()[:, 0]
        return torch.zeros(len(labels), device=costs.device).index_add(0, rows, costs)
