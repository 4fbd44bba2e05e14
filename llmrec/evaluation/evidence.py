"""Whether a reason is why: without the history that it speaks of, does the item lose more than without other history?

A reason names features ("navy"). The items of the history of which reviewers say the same are what it rests on. Leaving
them out must cost the explained item more of its score than leaving out as many others, or the reason is a story. Where
most of the history says the same, as many of these as there are others are left out. A reason that names earlier items
themselves rests on these.

Against all others the named feature need not be why: what shares it is like the item in other ways too. So there is a
placebo: earlier choices that have another feature of the item, of which the reason does not speak.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.evaluation.figures import mean
from llmrec.evaluation.hearing import Hearing
from llmrec.significance import compare

DRAWS = 4  # ways of leaving out some, of which the mean is taken
FEWEST = 10  # cases of which something can be said
ELSE, PLACEBO = "as much else", "as much that has other features of the item"


@dataclass(frozen=True)
class Told:
    """A reason: for whom, of which item, and the features and earlier items that it names."""

    history: Sequence[int]
    item: int
    words: Collection[str]
    cited: Collection[int] = ()


def rests_on(told: Told, said: dict[int, frozenset[str]]) -> list[int]:
    """The places of the history that the reason names, or of which reviewers say what it names."""
    wanted = frozenset(told.words)
    return [
        place for place, item in enumerate(told.history) if item in told.cited or said.get(item, frozenset()) & wanted
    ]


def evidence(hearing: Hearing, name: str, reasons: Sequence[Told], against: str = ELSE) -> dict[str, Any]:
    """How much items lose without what their reasons rest on, and without as much else; in nats of log-probability."""
    said = {item: frozenset(words) for item, words in hearing.source.features.of_item.items()}
    rng = np.random.default_rng(hearing.seed)
    longest = hearing.opened.ranking.longest
    asked: list[list[int]] = []
    items: list[int] = []
    left_out: list[int] = []
    for told in reasons:
        history = list(told.history)[-longest:]
        places = rests_on(replace(told, history=history), said)
        rest = sorted(set(range(len(history))) - set(places))
        if against == PLACEBO:
            others = said.get(told.item, frozenset()) - frozenset(told.words)
            rest = [place for place in rest if said.get(history[place], frozenset()) & others]
        size = min(len(places), len(rest))
        if not size:  # nothing to leave out, or nothing to hold it against
            continue
        drawn = [rng.choice(some, size=size, replace=False).tolist() for some in (places, rest) for _ in range(DRAWS)]
        asked += [history, *([item for at, item in enumerate(history) if at not in out] for out in drawn)]
        items.append(told.item)
        left_out.append(size)
    content: dict[str, Any] = {"name": name, "against": against, "reasons": len(reasons), "cases": len(items)}
    content["missing"] = None
    if len(items) < FEWEST:
        beside = " that has others of the item's features beside it" if against == PLACEBO else ""
        content["missing"] = f"of {len(reasons)} reasons {len(items)} rest on a part of the history{beside}"
        return content
    scores = hearing.scores([np.asarray(history, dtype=np.int32) for history in asked])
    if scores is None:
        content["missing"] = "the run ranks by letters, so leaving out history says nothing of a score"
        return content
    width = 1 + 2 * DRAWS
    own = np.array([scores[row, items[row // width]] for row in range(len(asked))]).reshape(len(items), width)
    without: npt.NDArray[np.float64] = own[:, 0] - own[:, 1 : 1 + DRAWS].mean(axis=1)
    other = own[:, 0] - own[:, 1 + DRAWS :].mean(axis=1)
    content |= {
        "left_out": float(np.mean(left_out)),
        "fall": mean(without),
        "fall_of_others": mean(other),
        "more_often": mean((without > other).astype(np.float64)),
        "gap": asdict(compare(without, other, seed=hearing.seed)),
    }
    return content
