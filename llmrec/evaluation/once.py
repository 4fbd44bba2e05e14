"""Systems that share their parts: whatever several of them ask of a part, it answers once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from llmrec.log import Codes
from llmrec.retrieval.fusion import Fusion
from llmrec.retrieval.retriever import Floats, Retriever


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
