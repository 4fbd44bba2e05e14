"""A tuned model, and the light reader that taught it, as retrievers: scores of all items for histories."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from llmrec.log import Codes
from llmrec.modeling.light import Teacher
from llmrec.modeling.ranker import Ranker
from llmrec.modeling.transcript import batch
from llmrec.script import of_like_length
from llmrec.tuning.material import Walks

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ModelRanking:
    """Ranks by the item words of a model in this process; what the log holds of a person goes in as one line."""

    ranker: Ranker = field(repr=False)
    walks: Walks = field(repr=False)
    name: str = "model"
    longest: int = 30
    batch_tokens: int = 4096

    def score(self, histories: Sequence[Codes]) -> Floats:
        """Scores of all items, one row a history."""
        training = self.ranker.training
        self.ranker.eval()
        device = self.ranker.words.content.device
        lines = [self.walks.line(history[-self.longest :].tolist()) for history in histories]
        found = np.empty((len(lines), len(self.ranker.words.content)), dtype=np.float32)
        with torch.no_grad():
            answers = self.ranker.words.outputs()
            for some in of_like_length([len(line) for line in lines], self.batch_tokens):
                made: dict[str, Any] = batch([lines[place] for place in some], pad=0)
                made = {name: value.to(device) for name, value in made.items() if name != "labels"}
                found[some] = self.ranker.scores(made["tokens"], made["mask"], answers).cpu().numpy()
        self.ranker.train(training)
        return found


@dataclass(frozen=True)
class LightRanking:
    """Ranks by the light reader alone, over the items of the catalogue that it learnt with."""

    teacher: Teacher = field(repr=False)
    name: str = "light reader"
    longest: int = 30

    def score(self, histories: Sequence[Codes]) -> Floats:
        """Scores of all items, one row a history; -inf where there is none, of which it knows nothing."""
        kept = [np.asarray(history[-self.longest :], dtype=np.int64) for history in histories]
        tokens = np.zeros((len(kept), max([1, *map(len, kept)])), dtype=np.int64)
        for row, history in zip(tokens, kept, strict=True):
            row[: len(history)] = history + self.teacher.vocabulary
        last = np.array([max(0, len(history) - 1) for history in kept], dtype=np.int64)
        with torch.no_grad():
            questions = self.teacher.questions(torch.from_numpy(tokens).to(self.teacher.write.device))
            asked = questions[torch.arange(len(kept)), torch.from_numpy(last)]
            found: Floats = (asked @ self.teacher.write.T).cpu().numpy()
        found[[not len(history) for history in kept]] = -np.inf
        return found
