"""Ranks for a person: candidates from the index, scored by the engine in one pass; without it, the retriever alone."""

import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.engines.engine import Engine, EngineDown, EngineRefused, Prompt
from llmrec.features import SAID, SENTENCE, words_of
from llmrec.gateway.book import KEPT, Book, Entry
from llmrec.gateway.model import Served
from llmrec.gateway.names import folded, stem
from llmrec.lexicon import names_item
from llmrec.pictures import picture_fault, suffix
from llmrec.retrieval.index import Index, merged
from llmrec.retrieval.reranking import FIRST
from llmrec.retrieval.store import Hits
from llmrec.telling import listed

log = logging.getLogger(__name__)

TRIES, WARMTH = 3, 0.8
"""How often an explanation is asked for that says only what is known, and how freely after the first time."""
LONGEST = 80  # tokens of one explanation
ENOUGH = 60.0  # seconds after which the model is no longer listened to: it writes too slowly for anybody
REMEMBERED = 1_000  # items of a history that the retriever looks at
TASTE = 0.25
"""What the model's first place counts where something was asked for; the best answer to that counts 1."""
SURE = 5.0  # how surely reviewers say it where they could not say it more surely
LOOKED_AT = 20  # items of a history, the last ones, to which a picture is held
ALIKE, PAIRED = 0.95, 400
"""The share of all pairs that are less alike than two of which one is said to look like the other; of so many items."""
SAME = 0.999  # pictures that are all so alike are placeholders
REST = 2.0  # seconds in which an engine that did not answer is not asked again

WHY_NOT = "The model did not answer in time, so this is the retriever's own order."


@dataclass(frozen=True)
class Wanted:
    """What is asked for: for whom, like what, and within which bounds."""

    history: Sequence[str] = ()
    """What the person took, oldest first."""
    words: str = ""
    picture: bytes | None = None
    like: Sequence[str] = ()
    """Items that the answer should be like."""
    where: Mapping[str, Any] = field(default_factory=dict)
    leave_out: frozenset[str] = frozenset()
    count: int = 10
    diversity: float = 0.0
    """0 takes the best as they are; 1 takes care above all that they differ."""

    @property
    def asks(self) -> bool:
        """Whether something is asked for beside what the person's history tells."""
        return bool(self.words or self.picture or self.like)


@dataclass(frozen=True)
class Place:
    """An item in its place, and what retriever and model add to its score."""

    item: str
    score: float
    retriever: float
    model: float | None


@dataclass(frozen=True)
class Ranked:
    """An answer: items in order, and how it came to be."""

    places: Sequence[Place]
    candidates: int
    """How many were looked at."""
    cold: bool
    """Whether nothing was known of the person."""
    fallback: str | None = None
    """Why the model had no part in it, if it had none."""
    empty: str | None = None
    """Why there is nothing, if there is nothing."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each stage took."""


@dataclass
class Desk:
    """Index, model and engine together."""

    index: Index
    book: Book
    served: Served
    engine: Engine
    patience: float = 2.0
    """Seconds that the engine has to score candidates."""
    first: int = FIRST
    note: Callable[[str, float], None] = field(default=lambda *_: None, repr=False)
    """Told how long each stage took."""
    _resting: float = 0.0

    async def rank(self, wanted: Wanted) -> Ranked:
        """The best items for a wish, in one forward pass."""
        began = time.perf_counter()
        hits = await asyncio.to_thread(self._candidates, wanted)
        found = time.perf_counter()
        cold = not any(item in self.served.codes or item in self.index.graphs.code for item in wanted.history)
        if not hits.items:
            empty = "No item meets these filters." if wanted.where else "Nothing was found."
            return Ranked([], 0, cold, empty=empty, seconds={"retrieve": found - began})
        scores, fallback = await self._scores(wanted.history, hits.items)
        scored = time.perf_counter()
        places = self._added_up(hits, scores, searched=wanted.asks)
        if wanted.diversity > 0:
            places = await asyncio.to_thread(self._spread, places, wanted.count, wanted.diversity)
        seconds = {"retrieve": found - began, "score": scored - found, "order": time.perf_counter() - scored}
        for stage, value in seconds.items():
            self.note(stage, value)
        return Ranked(places[: wanted.count], len(hits.items), cold, fallback, seconds=seconds)

    async def explain(self, history: Sequence[str], entry: Entry) -> AsyncGenerator[str]:
        """Sentences on why an item fits, each as soon as it is whole; none names a feature that nobody knows of it.

        A sentence that does is left out. Where none is left it is asked again, and after some tries nothing is said:
        the short reason, which is true, stands there already.
        """
        if not self._explains:
            return
        features, sayable = self.served.features, self.served.sayable(entry)
        prompt = await asyncio.to_thread(self._explaining, history, entry)

        def may_be_said(sentence: str) -> bool:
            return not names_item(sentence) and features.sayable(sentence, sayable)

        said, until = False, time.monotonic() + ENOUGH
        for attempt in range(TRIES):
            text = ""
            pieces = self.engine.write(prompt, longest=LONGEST, temperature=WARMTH if attempt else 0.0)
            async with aclosing(pieces) as opened:
                async for piece in opened:
                    text += piece
                    *whole, text = SENTENCE.split(text)
                    for sentence in whole:
                        if may_be_said(sentence):
                            said = True
                            yield sentence.strip()
                    if time.monotonic() > until:
                        break
            if may_be_said(text):
                said = True
                yield text.strip()
            if said:
                return
            if time.monotonic() > until:
                break

    @cached_property
    def _explains(self) -> bool:
        """Whether the model has learnt to explain: from reviews; without them nothing that it says can be checked."""
        dataset = self.book.dataset
        return bool(self.served.features.counts) or dataset is None or dataset.info["counts"]["reviews"] > 0

    async def weigh(self, history: Sequence[str], items: Sequence[str]) -> dict[str, Place]:
        """The model's own log-probability of some items for a history; only of those that have a word."""
        tokens = {item: token for item in items if (token := self.served.token(item)) is not None}
        if not tokens:
            return {}
        scores = await self._in_time(self.served.ranking(history), list(tokens.values()))
        return {item: Place(item, score, 0.0, score) for item, score in zip(tokens, scores, strict=True)}

    async def reasons(self, history: Sequence[str], entries: Iterable[Entry]) -> dict[str, str]:
        """A short reason for each of some items; beside the event loop, as the store is read for it."""
        return await asyncio.to_thread(lambda: {entry.item: self.because(history, entry) for entry in entries})

    def because(self, history: Sequence[str], entry: Entry) -> str:
        """A short reason that is true by the way it is made: what is said of the history and of the item as well."""
        names = words_of(str(entry.fields.get("brand") or ""))  # a maker's name says nothing of what it is like
        shared = self.served.reason(history, entry.item, names)
        if shared:
            return f"others speak of {listed(shared)}, as they do of much that you took"
        agreed = [word for word in self.served.agreed(entry.item) if word not in names][:SAID]
        if agreed:
            return f"others speak of {listed(agreed)}"
        twin = self._looks_like(history, entry)
        if twin:
            return f"it looks like {twin}, which you took"
        return "people with a history like yours take it" if history else "many people take it"

    def _looks_like(self, history: Sequence[str], entry: Entry) -> str | None:
        """The title of what the person took whose picture is most like the item's, where few pairs are so alike."""
        if self._alike is None:
            return None
        taken = self.book.get([item for item in dict.fromkeys(history) if item != entry.item][-LOOKED_AT:])
        last = [item for item, one in taken.items() if one.fields.get("title") and _shelf(one) == _shelf(entry)]
        if not last:
            return None
        one, *others = np.nan_to_num(self.index.graphs.now().vectors([entry.item, *last], "picture"))
        likeness = np.array(others) @ one
        return taken[last[int(likeness.argmax())]].title if likeness.max() >= self._alike else None

    @cached_property
    def _alike(self) -> float | None:
        """How alike two pictures are at least of which one can say so; None where pictures tell items hardly apart."""
        if "picture" not in self.index.store.kinds:
            return None
        some = self.index.items.gather_every(max(1, len(self.index.items) // PAIRED)).to_list()
        vectors = self.index.graphs.now().vectors(some, "picture")
        vectors = vectors[np.isfinite(vectors).all(axis=1)]
        if len(vectors) < 2:
            return None
        pairs = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
        least = float(np.quantile(pairs, ALIKE))
        return least if least < SAME else None

    async def awake(self) -> None:
        """Raise where the engine does not answer, so that it is told before the first word."""
        if not await self.engine.ready():
            raise EngineDown("The engine does not answer")

    async def read_ahead(self) -> None:
        """Look at what is asked for most, so that nobody waits for what is loaded at the first time."""
        popular = self.index.popular(min(KEPT, len(self.index.items))).items
        for begin in range(0, len(popular), 1_000):  # the store takes milliseconds for each look
            await asyncio.to_thread(self.book.get, popular[begin : begin + 1_000])
        await asyncio.to_thread(self.index.search, "something for the evening", 5)
        await asyncio.to_thread(self.index.candidates, popular[:3])
        await asyncio.to_thread(lambda: self._alike)

    async def warm(self) -> None:
        """Ask the engine once for all that it does: it compiles at the first time."""
        items = self.index.items.to_list()[: self.first]
        tokens = [token for item in items if (token := self.served.token(item)) is not None]
        await self.engine.logprobs(self.served.ranking(items[:20]), tokens)
        entry = (await asyncio.to_thread(self.book.get, items[:1]))[items[0]]
        prompt = await asyncio.to_thread(self._explaining, items[:5], entry)
        async for _ in self.engine.write(prompt, longest=8):
            pass

    async def _in_time(self, prompt: Prompt, tokens: Sequence[int]) -> list[float]:
        """Log-probabilities, if they come in time; an engine that did not answer is left alone for a while."""
        if time.monotonic() < self._resting:
            raise EngineDown("The engine did not answer a moment ago")
        try:
            return await asyncio.wait_for(self.engine.logprobs(prompt, tokens), self.patience)
        except (TimeoutError, EngineDown) as error:
            self._resting = time.monotonic() + REST
            raise EngineDown(f"The engine did not answer within {self.patience:g} seconds") from error

    def _explaining(self, history: Sequence[str], entry: Entry) -> Any:
        picture = None
        with suppress(OSError):  # the file may be gone since the item was read
            picture = entry.image.read_bytes() if entry.image else None
        if picture is not None and picture_fault(picture):
            picture = None
        return self.served.explaining(history, entry, picture)

    def _candidates(self, wanted: Wanted) -> Hits:
        """Candidates in the retriever's order, without what is left out."""
        history = list(wanted.history[-REMEMBERED:])
        if not wanted.asks:
            barred = wanted.leave_out - set(history)
            some = self.index.candidates(history, self.first + len(barred), where=wanted.where)
            return _without(some, barred, self.first)
        barred = wanted.leave_out | set(history) | set(wanted.like)
        count = self.first + len(barred)
        lists = self._like(wanted.like, count, wanted.where)
        if wanted.words or wanted.picture is not None:
            lists.append(self.search(wanted.words, wanted.picture, count, where=wanted.where))
        return _without(_fused(lists, count), barred, self.first)

    def search(self, words: str, picture: bytes | None, count: int, *, where: Mapping[str, Any] | None = None) -> Hits:
        """Items for words, a picture, or both, whoever asks."""
        lists = [self.index.search(words, count, where=where)] if words else []
        if told := self._told(words, count, where or {}):
            lists.append(told)
        if picture is not None:
            lists.append(self._pictured(picture, count, where or {}))
        return _fused(lists, count)

    def _told(self, words: str, count: int, where: Mapping[str, Any]) -> Hits | None:
        """What reviewers call so: a wish may name what only the pictures show and those who have the items say."""
        worth: dict[str, float] = {}
        for word in set(folded(words)):
            for item, strength in self.served.said.get(stem(word), ()):
                worth[item] = worth.get(item, 0.0) + 1 + min(1.0, strength / SURE)
        if not worth:
            return None
        now = self.index.graphs.now()
        known = sorted(worth, key=lambda item: (-worth[item], item))
        codes = {item: code for item in known for code in now.codes([item])}
        allowed = now.allowed(where)
        best = [item for item in known if item in codes and allowed[codes[item]]][:count]
        return Hits(best, np.array([worth[item] for item in best], dtype=np.float32))

    def _pictured(self, picture: bytes, count: int, where: Mapping[str, Any]) -> Hits:
        with tempfile.NamedTemporaryFile(suffix=f".{suffix(picture)}") as file:
            file.write(picture)
            file.flush()
            return self.index.search(Path(file.name), count, where=where)

    def _like(self, items: Sequence[str], count: int, where: Mapping[str, Any]) -> list[Hits]:
        """What looks and what reads like some items."""
        found = []
        now = self.index.graphs.now()
        allowed = now.allowed(where, items)
        for kind in self.index.store.kinds:
            if kind not in ("picture", "text"):
                continue
            vectors = now.vectors(items, kind)
            known = vectors[np.isfinite(vectors).all(axis=1)]
            if len(known):
                codes, scores = now.near(known.mean(axis=0), kind, count, allowed)
                found.append(Hits(now.names(codes), scores))
        return found

    async def _scores(self, history: Sequence[str], items: Sequence[str]) -> tuple[npt.NDArray[np.float32], str | None]:
        """The model's score of each item, NaN where it knows none, or why there are none at all."""
        scores = np.full(len(items), np.nan, dtype=np.float32)
        tokens = [self.served.token(item) for item in items]
        known = [place for place, token in enumerate(tokens) if token is not None]
        if not known:
            return scores, None
        try:
            asked = [token for token in tokens if token is not None]
            scores[known] = await self._in_time(self.served.ranking(history), asked)
        except EngineDown:
            return scores, WHY_NOT
        except EngineRefused as error:
            log.error("the engine refused to score candidates")
            log.debug("why it refused: %s", error)
            return scores, WHY_NOT
        return scores, None

    def _added_up(self, hits: Hits, scores: npt.NDArray[np.float32], *, searched: bool) -> list[Place]:
        """Places by the score of retriever and model together."""
        there = np.isfinite(scores)
        if not there.any():
            parts = np.stack([hits.scores.astype(np.float64), np.zeros(len(scores))], axis=1)
        elif searched:  # first what was asked for; among what meets it about as well, what the person likes
            parts = np.stack([hits.scores / max(float(hits.scores.max()), 1e-9), TASTE * _place(scores)], axis=1)
        else:
            parts = self.served.weights.added_up(hits.scores, scores)
        total = parts.sum(axis=1)
        return [
            Place(hits.items[at], float(total[at]), float(parts[at, 0]), float(parts[at, 1]) if there[at] else None)
            for at in np.argsort(-total, kind="stable")
        ]

    def _spread(self, places: Sequence[Place], count: int, diversity: float) -> list[Place]:
        """The best that also differ: each next one is worth less by its likeness to those before it."""
        some = list(places[: max(4 * count, 20)])
        now = self.index.graphs.now()
        kind = "picture" if "picture" in self.index.store.kinds else next(iter(self.index.store.kinds))
        vectors = np.nan_to_num(now.vectors([place.item for place in some], kind))
        worth = np.array([place.score for place in some])
        worth = (worth - worth.min()) / max(float(np.ptp(worth)), 1e-9)
        chosen: list[int] = []
        likeness = np.zeros(len(some))
        while len(chosen) < min(count, len(some)):
            value = (1 - diversity) * worth - diversity * likeness
            value[chosen] = -np.inf
            chosen.append(int(value.argmax()))
            likeness = np.maximum(likeness, vectors @ vectors[chosen[-1]])
        return [some[at] for at in chosen]


def _shelf(entry: Entry) -> str | None:
    """The widest category of an item."""
    return next(iter(entry.fields.get("categories") or ()), None)


def _without(hits: Hits, barred: frozenset[str] | set[str], count: int) -> Hits:
    kept = [at for at, item in enumerate(hits.items) if item not in barred][:count]
    return Hits([hits.items[at] for at in kept], hits.scores[kept])


def _fused(lists: Sequence[Hits], count: int) -> Hits:
    """Lists fused by their ranks; a single one keeps its own scores."""
    if not lists:
        return Hits([], np.zeros(0, dtype=np.float32))
    return lists[0] if len(lists) == 1 else merged(lists, count)


def _place(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """1 for the item that the model puts first, falling to 0 for the last; nothing where it knows none."""
    found = np.zeros(len(scores))
    known = np.flatnonzero(np.isfinite(scores))
    found[known[np.argsort(-scores[known], kind="stable")]] = np.linspace(1, 0, len(known))
    return found
