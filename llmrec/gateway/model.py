"""A merged model as the gateway sees it: its prompts as tokens, without its weights, which an engine holds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from llmrec.artifact import read_json
from llmrec.engines.engine import Prompt
from llmrec.errors import InputError
from llmrec.features import CONSIDERED, Features
from llmrec.gateway.book import Entry
from llmrec.gateway.grid import grid
from llmrec.gateway.names import stem
from llmrec.lexicon import StockWords, read_words
from llmrec.prompts import PICTURE, Prompts, Template
from llmrec.retrieval.reranking import Weights
from llmrec.script import Script, picture_token
from llmrec.shelf import WORD, numbered

MANIFEST, PROMPTS, CONFIG = "manifest.json", "prompts", "config.json"
REMEDY = "Make one with: llmrec merge RUN --out MODEL"
COUNTED = 50_000  # characters
LENGTH = 4_096  # tokens that the engine is told to read at most: an item's picture and line, a history, an answer
WALK, EXPLANATION = "walk", "explanation"
KNOWN = frozenset({"domain", "history", "item", "agreed", "taste", "explanation"})
"""What is known of an item that is to be explained; a wording that asks for more is not used."""


@dataclass(frozen=True)
class Served:
    """A merged model folder, opened to write prompts for whoever serves it."""

    folder: Path
    manifest: Mapping[str, Any] = field(repr=False)
    config: Mapping[str, Any] = field(repr=False)
    words: StockWords = field(repr=False)
    codes: Mapping[str, int] = field(repr=False)
    """The number of each item that has a word."""
    prompts: Prompts = field(repr=False)
    script: Script = field(repr=False)
    shown: int
    """The token that stands for a picture."""
    features: Features = field(repr=False)
    weights: Weights = field(repr=False)

    @classmethod
    def open(cls, folder: Path | str) -> "Served":
        """Open a merged model."""
        from transformers import AutoTokenizer

        folder = Path(folder)
        manifest = read_json(folder, MANIFEST, kind="a merged model", remedy=REMEDY)
        if manifest.get("kind") != "model":
            raise InputError(f"{folder} is a {manifest.get('kind')}, not a merged model. {REMEDY}")
        words = read_words(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        config = read_json(folder, CONFIG, kind="a merged model", remedy=REMEDY)
        shown = picture_token(config.get)
        if shown is None:
            raise InputError(f"{folder / CONFIG} names no picture token. {REMEDY}")
        script = Script(
            tokenizer,
            tokenizer,
            first=words.first,
            picture=lambda _: [shown],
            positions=words.positions,
            apart=words.apart,
        )
        codes = words.codes()
        return cls(
            folder,
            manifest,
            config,
            words,
            codes,
            Prompts.load(folder / PROMPTS),
            script,
            shown,
            Features.load(folder, codes),
            Weights.load(folder),
        )

    @property
    def domain(self) -> str:
        """What the catalogue is called in prompts."""
        return str(self.manifest["dataset"]["name"])

    @cached_property
    def longest(self) -> int:
        """How many items of a history the model was tuned to read."""
        return int(self.manifest["recipe"]["walks"]["longest"])

    @cached_property
    def length(self) -> int:
        """How many tokens the model reads at most."""
        found = self.config.get("text_config", self.config).get("max_position_embeddings", 2048)
        return min(int(found), LENGTH)

    def token(self, item: str) -> int | None:
        """The token of an item; None where it came after the model's words were made."""
        code = self.codes.get(item)
        return None if code is None else self.words.first + code

    def ranking(self, history: Sequence[str]) -> Prompt:
        """A history whose next item is asked for; all items are scored at the one position behind it."""
        return Prompt(tuple(self.script.history(self._walk, self.domain, self._known(history)).tokens))

    def line(self, history: Sequence[str]) -> list[tuple[str, str | None]]:
        """What `ranking` writes, piece by piece: words alone, or an item as one word."""
        found: list[tuple[str, str | None]] = []
        for item, group in groupby(self.ranking(history).tokens, self.words.item):
            tokens = list(group)
            text = "" if item else self.script.tokenizer.decode(tokens, skip_special_tokens=True)
            found += [(text, item)] * (len(tokens) // self.words.positions if item else bool(text.strip()))
        return found

    @cached_property
    def grid(self) -> dict[str, Any] | None:
        """The parts that a picture is cut into; None where that depends on the picture."""
        return grid(self.folder, self.config)

    def explaining(self, history: Sequence[str], entry: Entry, picture: bytes | None = None) -> Prompt:
        """A prompt for why an item fits somebody, with its line, its picture and what is known of it."""
        known = self._known(history)
        code = self.codes.get(entry.item)
        line = entry.line if picture is None else entry.pictured.replace(PICTURE, numbered(len(self.words.ids)), 1)
        context: dict[str, Any] = {
            "domain": self.domain,
            "history": [numbered(one, WORD) for one in known],
            "item": line if code is None else numbered(code, WORD) + line,
            "agreed": [] if code is None else self.features.agreed(code),
            "taste": self.features.taste(known),
            "explanation": "",
        }
        template = self._explanation
        chat = template.render({name: context[name] for name in template.needs})
        tokens = self.script.prompt(chat.prompt).tokens
        return Prompt(tuple(tokens), () if picture is None else (picture,))

    def count(self, text: str) -> int:
        """The tokens of a text; what it costs grows with the text, so the end of a long one is guessed."""
        some = text[:COUNTED]
        found = len(self.script.tokenizer(some, add_special_tokens=False)["input_ids"])
        return found if some is text or not some else round(found * len(text) / len(some))

    def sayable(self, entry: Entry) -> frozenset[str]:
        """The features that may be said of an item: what reviewers agree on, and what its own text names."""
        return self.features.known(self.codes.get(entry.item, -1), entry.text)

    def agreed(self, item: str) -> list[str]:
        """What reviewers agree on of an item, the surest first."""
        return self.features.agreed(self.codes.get(item, -1), CONSIDERED)

    @cached_property
    def said(self) -> dict[str, list[tuple[str, float]]]:
        """The items of which reviewers agree on a word, by the word's stem, and how surely."""
        found: dict[str, list[tuple[str, float]]] = {}
        for code, words in self.features.of_item.items():
            item = self.words.ids[code]
            for word, strength in words.items():
                if item:
                    found.setdefault(stem(word), []).append((item, strength))
        return found

    def shared(self, history: Sequence[str], item: str) -> list[str]:
        """What is said of several items of a history and of this one too, the surest first."""
        return self.features.shared(self._known(history), self.codes.get(item, -1), CONSIDERED)

    def reason(self, history: Sequence[str], item: str, names: Collection[str]) -> list[str]:
        """The few words of a short reason: what is said of the history and of this item too, and is no maker's name."""
        return self.features.reason(self._known(history), self.codes.get(item, -1), names)

    def _known(self, history: Sequence[str]) -> list[int]:
        """The newest items of a history that have words, oldest first."""
        return [self.codes[item] for item in history if item in self.codes][-self.longest :]

    @cached_property
    def _walk(self) -> Template:
        return self.prompts.seen(WALK)[0]

    @cached_property
    def _explanation(self) -> Template:
        """The wording that looks at most of what is known."""
        fit = [template for template in self.prompts.seen(EXPLANATION) if template.needs <= KNOWN]
        if not fit:
            raise InputError(f"{self.folder / PROMPTS} has no wording of {EXPLANATION} that needs no hint. Add one")
        return max(fit, key=lambda template: len(template.needs))
