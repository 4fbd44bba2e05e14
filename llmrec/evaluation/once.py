"""Systems that share their parts: whatever several of them ask of a part, it answers once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from llmrec.log import Codes
from llmrec.retrieval.fusion import Fusion
from llmrec.retrieval.retriever import Floats, Retriever

ROOM = 2**30
"""Bytes of scores that are remembered of one system."""


@dataclass
class Once:
    """A retriever that keeps its last scores for whoever asks for the same histories next."""

    system: Retriever
    asked: Sequence[Codes] | None = field(default=None, repr=False)
    scores: Floats | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The retriever's own."""
        return self.system.name

    def score(self, histories: Sequence[Codes]) -> Floats:
        """A copy, since callers write into what they get. The same histories are the same object."""
        if self.scores is None or self.asked is not histories:
            self.asked, self.scores = histories, self.system.score(histories)
        return self.scores.copy()


def sharing(systems: Sequence[Retriever]) -> list[Retriever]:
    """The same systems, but a part that stands alone and in fusions scores each batch only once."""
    known: dict[int, Once] = {}

    def once(system: Retriever) -> Retriever:
        return known.setdefault(id(system), Once(system))

    return [
        replace(one, parts=tuple(map(once, one.parts))) if isinstance(one, Fusion) else once(one) for one in systems
    ]


@dataclass
class Remembered:
    """A retriever that scores each history once, for as many as there is room: a model takes long to.

    The same people are asked while fusions and the served order are fitted, chances calibrated and lists ranked.
    """

    system: Retriever
    room: int = ROOM
    known: dict[bytes, Floats] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The retriever's own."""
        return self.system.name

    def score(self, histories: Sequence[Codes]) -> Floats:
        """Scores of all items, one row a history; only histories that are new are asked about."""
        keys = [np.asarray(history, dtype=np.int64).tobytes() for history in histories]
        new = {key: history for key, history in zip(keys, histories, strict=True) if key not in self.known}
        fresh = dict(zip(new, self.system.score(list(new.values())), strict=True)) if new else {}
        found: Floats = np.stack([fresh[key] if key in fresh else self.known[key] for key in keys])
        for key, row in fresh.items():
            if row.nbytes * (len(self.known) + 1) <= self.room:
                self.known[key] = row
        return found
