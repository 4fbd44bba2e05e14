"""Chats as the tokens that a model reads: text by its tokenizer, pictures as their places, items as their words."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.prompts import Template, Turn
from llmrec.shelf import WORD, Piece, Word, numbered, pieces

KNOWN_TEXTS = 50_000
APART = 1 << 24
"""How far the second token of an item lies behind its first while it is tuned: more than a catalogue has items."""
IGNORED = -100
"""The label of a token from which nothing is learnt."""
PICTURE_TOKENS = ("image_token_id", "image_token_index")
"""What configs call the token that stands for a picture."""


@dataclass(frozen=True)
class Line:
    """One sequence of tokens, what is to be learnt at each of them, and the items whose pictures stand in it."""

    tokens: list[int]
    labels: list[int]
    pictures: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)


def picture_token(setting: Callable[[str], Any]) -> int | None:
    """The token that stands once for each visual token of a picture, of a config whose settings are asked by name."""
    return next((int(found) for name in PICTURE_TOKENS if (found := setting(name)) is not None), None)


class Script:
    """Writes chats as tokens of one model, whose items are the tokens from `first` on.

    An item may be several tokens: the one that is answered, and further ones that lie `apart` tokens behind each other
    and are only read.
    """

    def __init__(
        self,
        tokenizer: Any,
        chat: Any,
        *,
        first: int,
        picture: Callable[[int], list[int]],
        positions: int = 1,
        apart: int = APART,
    ):
        self.tokenizer, self.chat = tokenizer, chat
        """What reads text, and what puts the model's chat template around turns."""
        self.first, self.picture = first, picture
        self.positions, self.apart = positions, apart
        self._known: dict[str, list[int]] = {}

    def words(self, text: str) -> list[int]:
        """The tokens of a text; short ones are kept, since prompts repeat them."""
        found = self._known.get(text)
        if found is None:
            found = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
            if len(self._known) < KNOWN_TEXTS:
                self._known[text] = found
        return found

    def tokens(self, parts: Sequence[Piece]) -> list[int]:
        """The tokens of text, pictures and item words in their order."""
        found: list[int] = []
        for part in parts:
            if isinstance(part, str):
                found += self.words(part)
            elif isinstance(part, Word):
                found += [self.first + place * self.apart + part.code for place in range(self.positions)]
            else:
                found += self.picture(part)
        return found

    def prompt(self, turns: Sequence[Turn]) -> Line:
        """A conversation with the model's chat template around it, up to where the answer begins."""
        messages = [{"role": turn.role, "content": [{"type": "text", "text": turn.text}]} for turn in turns]
        asked = pieces(self.chat.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        tokens = self.tokens(asked)
        return Line(tokens, [IGNORED] * len(tokens), tuple(part for part in asked if isinstance(part, int)))

    def talk(self, turns: Sequence[Turn], answer: str) -> Line:
        """A prompt and its answer: the answer is learnt, and that it ends."""
        asked = self.prompt(turns)
        said = [*self.tokens(pieces(answer)), self.end]
        learnt = [token if token < self.first + self.apart else IGNORED for token in said]
        return Line(asked.tokens + said, asked.labels + learnt, asked.pictures)

    def walk(self, text: str, *, learn: bool = True) -> Line:
        """A history up to its last item, each item learnt from those before it.

        It is no chat: what a chat template puts around a turn would cost more tokens than the history has.
        """
        told = pieces(text)
        last = max((place for place, part in enumerate(told) if isinstance(part, Word)), default=None)
        tokens = self.start + self.tokens(told if last is None else told[: last + 1])
        answered = range(self.first, self.first + self.apart)
        labels = [token if learn and token in answered else IGNORED for token in tokens]
        return Line(tokens, labels)

    @cached_property
    def start(self) -> list[int]:
        """What the tokenizer puts in front of any text."""
        begun = self.tokenizer("")["input_ids"]
        return [token for token in begun if token != self.end][:1]

    @cached_property
    def end(self) -> int:
        """The token that ends an answer."""
        return int(self.tokenizer.eos_token_id)

    def history(self, template: Template, domain: str, items: Sequence[int], *, learn: bool = False) -> Line:
        """A history as a walk in one wording; without items it ends where the first would stand."""
        marks = [numbered(code, WORD) for code in items]
        context = {"domain": domain, "history": marks, "word": numbered(0, WORD)}
        text = template.render({name: context[name] for name in template.needs}).prompt[-1].text
        if items:
            return self.walk(text, learn=learn)
        opening = self.walk(text + numbered(0, WORD))
        return Line(opening.tokens[: -self.positions], opening.labels[: -self.positions])


def of_like_length(
    lengths: Sequence[int] | npt.NDArray[np.int64],
    budget: int,
    rng: np.random.Generator | None = None,
    *,
    padding: float = 1.0,
) -> Iterator[npt.NDArray[np.int64]]:
    """Places cut into batches, shortest first, whose longest line times their number stays within the budget.

    No more than a share of `padding` of a batch is filled up. Lines of one length stand in their own order, or in a
    random one.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(sizes, kind="stable") if rng is None else np.lexsort((rng.random(len(sizes)), sizes))
    begin = 0
    while begin < len(order):
        end, real = begin + 1, int(sizes[order[begin]])
        while end < len(order):
            whole = int(sizes[order[end]]) * (end + 1 - begin)
            real += int(sizes[order[end]])
            if whole > budget or real < (1 - padding) * whole:
                break
            end += 1
        yield order[begin:end]
        begin = end
