"""Letter labels as a scorer: candidates stand in the prompt, and the first token of the answer says which comes next.

For models whose vocabulary cannot go on with items, and as a comparison. Only the first of a retriever's list fit into
a prompt: they are dealt out anew, and everything behind them stays in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llmrec.errors import InputError
from llmrec.examples import ExampleSource
from llmrec.log import Codes
from llmrec.modeling.ranker import Ranker
from llmrec.modeling.transcript import Transcriber
from llmrec.progress import Progress
from llmrec.prompts import Template, Turn
from llmrec.retrieval.retriever import Floats, Retriever, best, leave_out
from llmrec.script import Line
from llmrec.significance import Interval, intervals
from llmrec.tasks import Draft, Happening, finish
from llmrec.tuning.material import written
from llmrec.tuning.telling import next_words

CHOOSING = ("sequential", "direct")
"""The tasks with wordings that are answered by a candidate's label."""

FEWEST = 2  # people of whom an interval can be told

Opinions = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How much an answer stays the same when the same candidates stand in another order."""

    people: int
    """Those asked: with a history, and with as many candidates as are put in order."""
    same_first: Interval | None
    """The share of people for whom both orders put the same candidate first; None where fewer than two are asked."""
    correlation: Interval | None
    """The mean rank correlation of all candidates, over the same people."""


@dataclass(frozen=True)
class LabelRanking:
    """Puts the first of a retriever's list in the order of their labels' log-probabilities, at one position."""

    ranker: Ranker = field(repr=False)
    write: Transcriber = field(repr=False)
    source: ExampleSource = field(repr=False)
    """Made for one of the choosing tasks, with as many candidates as are put in order."""
    retriever: Retriever
    name: str = "model, labels"
    orders: int = 1
    """Over how many orders of the candidates the answer is averaged."""
    seed: int = 0
    batch_tokens: int = 4096
    progress: Progress | None = field(default=None, repr=False)
    _known: dict[tuple[int, bytes, bytes], Opinions] = field(default_factory=dict, repr=False)
    """What was answered to each order, history and candidates: a prompt is long, and its answer one row."""

    def __post_init__(self) -> None:
        """Find what cannot be asked before anybody is."""
        shelf, budget = self.source.shelf, self.source.limits.budget
        dearest = np.sort(shelf.costs if self.source.limits.candidate_pictures else shelf.tokens)[::-1]
        sizes = self.source.sizes[self.task, self.template.name]
        needed = sizes.base + np.cumsum(dearest[: self.first] + sizes.candidate_line)
        if needed[-1] > budget:
            fitting = int((needed <= budget).sum())
            raise InputError(
                f"{self.first} candidates can take {int(needed[-1])} tokens, and the run was tuned with "
                f"talks.examples.budget={budget}. Ask for {f'{fitting} labels at most' if fitting > 1 else 'none'}, or "
                "tune with a larger budget or with talks.examples.candidate_pictures=false"
            )

    @property
    def first(self) -> int:
        """How many candidates are put in order."""
        return len(self.source.labels)

    @cached_property
    def task(self) -> str:
        """The task that is asked."""
        return next(iter(self.source.templates))

    @cached_property
    def template(self) -> Template:
        """The first wording that is answered by a label, by nothing else where there is one."""
        found = [one for one in self.source.templates[self.task] if {"candidates", "label"} <= one.needs]
        if not found:
            raise InputError(f"The prompts have no wording of {self.task} that is answered by a label")
        return min(found, key=lambda one: "target" in one.needs)

    @cached_property
    def tokens(self) -> Tensor:
        """The token of each label where the answer begins."""
        return torch.tensor([self.write.words(label)[0] for label in self.source.labels])

    def score(self, histories: Sequence[Codes]) -> Floats:
        """The retriever's scores, dealt out anew among its first items; people without a history keep its order."""
        scores = leave_out(self.retriever.score(histories), histories)
        items, values = best(scores, self.first)
        asked = [row for row, history in enumerate(histories) if len(history) and (items[row] >= 0).sum() > 1]
        told = self.opinions([histories[row] for row in asked], items[asked])
        for row, opinion in zip(asked, told, strict=True):
            known = items[row] >= 0
            # Where the model cannot tell two apart, the retriever's order stays.
            chosen = items[row][known][np.argsort(-opinion[known], kind="stable")]
            scores[row, chosen] = falling(values[row][known])
        return scores

    def opinions(self, histories: Sequence[Codes], items: npt.NDArray[np.int64]) -> Opinions:
        """For each history the log-probabilities of its candidates, the mean over orders; -inf where there is none."""
        found: Opinions = np.mean([self._opinions(histories, items, order) for order in range(self.orders)], axis=0)
        return found

    def agreement(self, histories: Sequence[Codes]) -> Agreement:
        """Ask for the same candidates in two orders, of people with a history."""
        histories = [history for history in histories if len(history)]
        items, _ = best(leave_out(self.retriever.score(histories), histories), self.first)
        whole = np.flatnonzero((items >= 0).all(axis=1))
        asked = [histories[row] for row in whole]
        if len(asked) < FEWEST:
            return Agreement(len(asked), None, None)
        one, other = (np.argsort(-self._opinions(asked, items[whole], order), axis=1) for order in (0, 1))
        places = zip(np.argsort(one, axis=1), np.argsort(other, axis=1), strict=True)
        alike = [np.corrcoef(first, second)[0, 1] for first, second in places]
        each = np.column_stack([one[:, 0] == other[:, 0], alike]).astype(np.float64)
        return Agreement(len(asked), *intervals(each, seed=self.seed))

    def _opinions(self, histories: Sequence[Codes], items: npt.NDArray[np.int64], order: int) -> Opinions:
        """The log-probabilities under one order, which depends on the seed and the history alone; asked for once."""
        keys = [
            (order, np.asarray(history, dtype=np.int64).tobytes(), row.tobytes())
            for history, row in zip(histories, items, strict=True)
        ]
        new = [row for row, key in enumerate(keys) if key not in self._known]
        for row, answer in zip(new, self._asked([histories[row] for row in new], items[new], order), strict=True):
            self._known[keys[row]] = answer
        return np.array([self._known[key] for key in keys]).reshape(items.shape)

    def _asked(self, histories: Sequence[Codes], items: npt.NDArray[np.int64], order: int) -> Opinions:
        found = np.full(items.shape, -np.inf)
        lines: list[Line] = []
        placed: list[npt.NDArray[np.int64]] = []
        for history, candidates in zip(histories, items, strict=True):
            rng = np.random.default_rng([self.seed, order, *history.tolist()])
            shown = rng.permutation(int((candidates >= 0).sum()))
            placed.append(shown)
            lines.append(self.line(history.tolist(), candidates[shown].tolist()))
        asked = next_words(
            self.ranker, self.write, lines, self.tokens, batch_tokens=self.batch_tokens, progress=self.progress
        )
        for row, values in enumerate(asked):
            found[row, placed[row]] = values[: len(placed[row])].log_softmax(dim=0).numpy()
        return found

    def line(self, history: Sequence[int], candidates: Sequence[int]) -> Line:
        """The prompt of one person up to where the label stands, trimmed as in training."""
        source, labels = self.source, self.source.labels[: len(candidates)]
        happening = Happening(-1, -1, candidates[0], history, frozenset(history))
        made = Draft(self.task, self.template, happening, candidates=list(candidates), label=labels[0])
        made.context.update(domain=source.shelf.dataset.name, label=labels[0])
        example = finish(made, source.shelf, labels, source.sizes[self.task, self.template.name], 0, source.limits)
        assert example is not None, "the dearest candidates fit"
        return self.write.prompt([Turn(role, written(said)) for role, said in example.prompt])


def falling(values: Floats) -> Floats:
    """Scores from the best to the last, raised by as little as it takes for no two to be equal."""
    found = np.array(values)
    for place in range(len(found) - 2, -1, -1):
        found[place] = max(found[place], np.nextafter(found[place + 1], np.float32(np.inf), dtype=np.float32))
    return found
