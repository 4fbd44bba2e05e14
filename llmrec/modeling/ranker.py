"""The model that ranks and talks: a stock image-text-to-text model whose vocabulary goes on with the catalogue's items.

Token ids from `vocabulary` on are items: `vocabulary + code`. Their input vectors and their answers come from
`ItemWords`; everything else is the stock model. A position whose next token is an item learns by a softmax over all
items, a position whose next token is text by a softmax over the text's vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from llmrec.modeling.adapters import language_model
from llmrec.modeling.base import Base
from llmrec.modeling.company import Company, shares
from llmrec.modeling.light import Teacher
from llmrec.modeling.words import ItemWords
from llmrec.script import APART

AMONG_TEXT = 256  # items that stand against the right word of a text


@dataclass(frozen=True)
class Losses:
    """The parts of a batch's loss, as sums, and over how many targets each is."""

    item: Tensor
    items: int
    text: Tensor
    texts: int


class Ranker(nn.Module):
    """Model, adapter and item words as one module: a batch in, its loss out."""

    def __init__(
        self,
        base: Base,
        model: Any,
        words: ItemWords,
        *,
        soft: int = 0,
        text_weight: float = 1.0,
        sampled: int = 0,
        taught: float = 0.0,
        company: float = 0.0,
    ):
        super().__init__()
        self.model = model  # the base model itself, or PEFT's around it
        self.words = words
        self.soft = nn.Embedding(soft, base.hidden)
        if soft:
            nn.init.normal_(self.soft.weight, std=base.spread)
        self.vocabulary = base.vocabulary
        self.picture_token = base.picture_token
        self.text_weight = text_weight
        self.sampled = sampled
        self.teacher: Teacher | None = None
        self.taught = taught
        self.neighbours: Company | None = None
        self.company = company
        self.usual_texts = 0.0  # by which a text's loss is shared out; 0 for the batch's own number of targets
        self.offered: Tensor | None = None
        """The items among which the right one is sought in training; None for all. See `hide`."""
        self.mixed = False
        """Whether some weights are held in float32 and computed with in bfloat16."""
        self.config = base.model.config
        self.generation_config = base.model.generation_config

    @property
    def stock(self) -> Any:
        """The stock model inside of any adapter."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    def hide(self, codes: Sequence[int]) -> None:
        """Learn as if these items were not there yet: as wrong answers to everything they would learn to be none."""
        offered = torch.ones(len(self.words.content), dtype=torch.bool)
        offered[torch.as_tensor(codes, dtype=torch.long)] = False
        self.offered = None if offered.all() else offered.nonzero()[:, 0].to(self.words.content.device)

    def learn_in_float32(self) -> None:
        """Hold what is tuned in float32, and compute in the model's own type.

        A step is often smaller than bfloat16 can add to a weight, and the optimizer's means would stand still.
        """
        for value in self.parameters():
            if value.requires_grad and value.is_floating_point():
                self.mixed |= value.dtype is torch.bfloat16
                value.data = value.data.float()

    def add_model_tags(self, tags: Sequence[str] | str) -> None:
        """TRL marks the models that it tunes."""
        self.stock.add_model_tags(tags)

    def gradient_checkpointing_enable(self, *given: Any, **named: Any) -> None:
        """Trade time for memory, in the stock model; what there is to choose is the trainer's and its affair."""
        self.stock.gradient_checkpointing_enable(*given, **named)
        self.stock.enable_input_require_grads()

    def embedded(self, tokens: Tensor, pictures: Tensor | None) -> Tensor:
        """Input vectors: text from the model's table, items from their words, pictures as their visual tokens."""
        is_item = tokens >= self.vocabulary
        table = self.stock.get_input_embeddings()
        vectors: Tensor = table(tokens.masked_fill(is_item, 0))
        if is_item.any():
            numbers, position = self._items(tokens[is_item])
            codes, place = torch.unique(numbers, return_inverse=True)
            made = self.words.inputs(codes).to(vectors.dtype)
            # A table, since an index would add its gradients up in an order of chance. Gemma multiplies what its own
            # table gives; an item's word is what the model is to see.
            read = nn.functional.embedding(place * self.words.positions + position, made.flatten(0, 1))
            vectors = vectors.masked_scatter(is_item[..., None], read)
        if pictures is not None and len(pictures):
            here = tokens == self.picture_token
            if int(here.sum()) != len(pictures):
                raise ValueError(f"{int(here.sum())} places for visual tokens, but {len(pictures)} of them")
            vectors = vectors.masked_scatter(here[..., None], pictures[:, 0].to(vectors.dtype))
        return vectors

    def _items(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The code of the item that each token belongs to, and which of its positions the token is."""
        places = tokens - self.vocabulary
        return places % APART, places // APART

    def hidden(
        self, tokens: Tensor, mask: Tensor, pictures: Tensor | None = None, grids: Tensor | None = None
    ) -> Tensor:
        """The last hidden states, after the final norm."""
        embedded, positions = self.embedded(tokens, pictures), self.positions(tokens, mask, grids)
        ahead = len(self.soft.weight)
        if ahead:
            rows = len(tokens)
            prompt = self.soft.weight.to(embedded.dtype).expand(rows, -1, -1)
            embedded = torch.cat([prompt, embedded], dim=1)
            mask = torch.cat([mask.new_ones(rows, ahead), mask], dim=1)
            first = torch.arange(ahead, device=positions.device).expand(*positions.shape[:-1], ahead)
            positions = torch.cat([first, positions + ahead], dim=-1)
        given: dict[str, Any] = {"inputs_embeds": embedded, "attention_mask": mask, "position_ids": positions}
        if pictures is not None and pictures.shape[1] > 1:  # what Qwen3-VL adds in its first layers
            here = tokens == self.picture_token
            given["visual_pos_masks"] = torch.cat([here.new_zeros(len(tokens), ahead), here], dim=1)
            given["deepstack_visual_embeds"] = list(pictures[:, 1:].to(given["inputs_embeds"].dtype).unbind(dim=1))
        found = language_model(self.stock)(**given, use_cache=False)
        state: Tensor = found.last_hidden_state[:, ahead:]
        return state

    def last(self, tokens: Tensor, mask: Tensor, pictures: Tensor | None = None, grids: Tensor | None = None) -> Tensor:
        """The last hidden state of each row, where its next token is asked for; rows are filled up on the right."""
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.mixed):
            hidden = self.hidden(tokens, mask, pictures, grids)
        return hidden[torch.arange(len(tokens), device=tokens.device), mask.sum(dim=1) - 1]

    def positions(self, tokens: Tensor, mask: Tensor, grids: Tensor | None) -> Tensor:
        """Where each token stands; models that count a picture by its rows and columns say so themselves."""
        plain = (mask.cumsum(dim=1) - 1).clamp(min=0)
        if grids is None or not hasattr(self.stock.model, "get_rope_index"):
            return plain
        text = tokens.masked_fill(tokens >= self.vocabulary, 0)
        kinds = (tokens == self.picture_token).int()
        found: Tensor = self.stock.model.get_rope_index(
            input_ids=text, mm_token_type_ids=kinds, image_grid_thw=grids, attention_mask=mask
        )[0]
        return found

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor,
        labels: Tensor,
        pictures: Tensor | None = None,
        grids: Tensor | None = None,
        walks: bool = False,
    ) -> dict[str, Any]:
        """The loss of a batch, with its parts; in walks teacher and neighbours have a say, where there are any."""
        hidden = self.hidden(tokens, mask, pictures, grids)[:, :-1]
        labels = labels[:, 1:]
        opinion = self.teacher.questions(tokens[:, :-1]) if self.teacher and self.taught and walks else None
        near = None
        if self.neighbours and self.company and walks:
            near = self.neighbours.near(tokens[:, :-1], labels >= self.vocabulary)
        losses = self.losses(hidden, labels, opinion, near)
        # A batch of one-word answers must not weigh as much as one of whole explanations.
        texts = self.usual_texts or max(1, losses.texts)
        total = losses.item / max(1, losses.items) + self.text_weight * losses.text / texts
        return {"loss": total, "losses": losses}

    def losses(self, hidden: Tensor, labels: Tensor, opinion: Tensor | None = None, near: Any = None) -> Losses:
        """Sums of both losses over the positions that have a label."""
        items, texts = labels >= self.vocabulary, (labels >= 0) & (labels < self.vocabulary)
        zero = hidden.sum() * 0.0  # keeps every parameter in the graph, as several processes need it
        item_loss = text_loss = zero.float()
        if items.any():
            questions = self.words.questions(hidden[items])
            asked = None if opinion is None else opinion[items]
            item_loss = self.item_loss(questions, labels[items] - self.vocabulary, asked, near)
        if texts.any():
            text_loss = self._text_loss(hidden[texts], labels[texts])
        return Losses(item_loss, int(items.sum()), text_loss, int(texts.sum()))

    def _text_loss(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Softmax over the text's vocabulary and some items: where text belongs, no item may come up."""
        logits = self.stock.get_output_embeddings()(hidden).float()
        count = len(self.words.content)
        drawn = torch.randint(count, (min(count, AMONG_TEXT),), device=labels.device)
        items = (self.words.questions(hidden) @ self.words.outputs(drawn).T).float()
        items = items + math.log(count / len(drawn))  # each stands for those that were not drawn
        return nn.functional.cross_entropy(torch.cat([logits, items], dim=1), labels, reduction="sum")

    def item_loss(self, questions: Tensor, codes: Tensor, opinion: Tensor | None = None, near: Any = None) -> Tensor:
        """Softmax over the items on offer, all, or some drawn for the batch and corrected for their chance to be.

        What is to be answered is the item that was taken; `opinion`, what the teacher asks for, and `near`, how near
        items are to what was taken before, have their shares of it.
        """
        offered = self.offered
        count = len(self.words.content if offered is None else offered)
        if not self.sampled or self.sampled >= count:
            chosen, correction = offered, None
            place = codes if offered is None else torch.searchsorted(offered, codes)
        else:
            own, place = torch.unique(codes, return_inverse=True)
            drawn = torch.randint(count, (self.sampled,), device=codes.device)
            drawn = drawn if offered is None else offered[drawn]
            drawn = drawn[~torch.isin(drawn, own)]
            chosen = torch.cat([own, drawn])
            # A drawn item stands for all that were not: its weight is the inverse of its chance to be drawn.
            correction = torch.zeros(len(chosen), device=codes.device)
            correction[len(own) :] = math.log((count - len(own)) / max(1, len(drawn)))
        logits = (questions @ self.words.outputs(chosen).T).float()
        logits = logits if correction is None else logits + correction
        taken = nn.functional.cross_entropy(logits, place, reduction="none")
        if near is not None:
            wished = shares(near, chosen, correction, logits.device)
            known = self.company * wished.sum(dim=1)  # none where nothing is near
            taken = (1 - known) * taken + self.company * nn.functional.cross_entropy(logits, wished, reduction="none")
        taken = taken.sum()
        if opinion is None or self.teacher is None:
            return taken
        answers = self.teacher.write if chosen is None else self.teacher.write[chosen]
        wished = opinion @ answers.T
        wished = wished if correction is None else wished + correction
        believed = nn.functional.cross_entropy(logits, wished.softmax(dim=1), reduction="sum")
        return (1 - self.taught) * taken + self.taught * believed

    @torch.no_grad()
    def scores(
        self,
        tokens: Tensor,
        mask: Tensor,
        answers: Tensor,
        pictures: Tensor | None = None,
        grids: Tensor | None = None,
    ) -> Tensor:
        """Scores of all items at the last position of each row; `answers` are `words.outputs()`, made once."""
        questions = self.words.questions(self.last(tokens, mask, pictures, grids))
        return (questions @ answers.T).float()
