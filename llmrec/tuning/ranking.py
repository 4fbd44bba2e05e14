"""A tuned model as a retriever: scores of all items for histories, read off at one position."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from llmrec.log import Codes
from llmrec.modeling.ranker import Ranker
from llmrec.modeling.transcript import batch, of_like_length
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
