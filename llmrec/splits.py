"""Honest splits of a log: what models may learn from, what they are chosen on, and what they are measured on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from llmrec.errors import InputError
from llmrec.log import Codes, Log, Mask, Times, in_core

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")
TRAIN, VALID, TEST, UNUSED = 0, 1, 2, 3


@dataclass(frozen=True)
class Split:
    """A part for every row of a log. Anything that is fitted may read the `train` rows and no others."""

    name: str
    log: Log
    part: npt.NDArray[np.int8]
    cold: Codes
    """Items that no training row holds although they are asked for: empty but for the cold-item split."""
    people: float = 1.0
    """The share of the people whose rows teach; the others are asked all the same, and read when they are."""

    def rows(self, part: Part) -> Times:
        """The rows of one part, in the log's order. Those of `valid` and `test` are the targets to predict."""
        return np.flatnonzero(self.part == PARTS.index(part))

    def cases(self, part: Part) -> Iterator[tuple[int, Codes, int]]:
        """Each target of a part with all that its person did before: (row, history oldest first, target)."""
        owner = self.log.user_of_rows()
        for row in self.rows(part).tolist():
            yield row, self.log.item[self.log.start[owner[row]] : row], int(self.log.item[row])

    def sizes(self) -> dict[str, int]:
        """How many rows each part has."""
        counted = np.bincount(self.part, minlength=4)
        return {"train": int(counted[TRAIN]), "valid": int(counted[VALID]), "test": int(counted[TEST])}


def leave_one_out(log: Log) -> Split:
    """Each person's last item to test, the last but one to validation; people with fewer than three only train."""
    part = np.full(len(log), TRAIN, dtype=np.int8)
    long = np.diff(log.start) >= 3
    part[log.start[1:][long] - 1] = TEST
    part[log.start[1:][long] - 2] = VALID
    return Split("leave-one-out", log, part, _NO_ITEMS)


def temporal(log: Log, *, valid: float = 0.1, test: float = 0.1, targets: Literal["first", "all"] = "first") -> Split:
    """Two moments cut the whole log: training ends before the first, and whatever follows the second is test.

    `first` asks for each person's first item in a period, which is what a model trained at its beginning would face;
    `all` asks for every one. Rows of a period that are not asked for stay in histories and are not trained on.
    """
    if not (0 < valid < 1 and 0 < test < 1 and valid + test < 1):
        raise InputError(f"valid={valid} and test={test} must be shares above 0 that leave something to train on")
    if not len(log):
        return Split("temporal", log, np.zeros(0, dtype=np.int8), _NO_ITEMS)
    cuts = np.quantile(log.time, [1 - valid - test, 1 - test], method="higher")
    period = np.searchsorted(cuts, log.time, side="right").astype(np.int8)  # a moment is never cut in two
    part = period.copy()
    if targets == "first":
        again = np.zeros(len(log), dtype=bool)
        again[1:] = (period[1:] == period[:-1]) & (log.position_of_rows()[1:] > 0) & (period[1:] != TRAIN)
        part[again] = UNUSED
    return Split("temporal", log, part, _NO_ITEMS)


def cold_items(log: Log, *, share: float = 0.1, seed: int = 0, newest: bool = True) -> Split:
    """Items that nobody had taken yet when training ended are the targets, half of the items for validation.

    The share of items that appeared last is cold, and training ends when the first of them appears: later rows of
    other items stay in histories and teach nothing. A log without a clock knows no last: `newest=False` hides a random
    share from the whole log instead. A target needs a history with a trained item, so that there is a person to know.
    """
    if not 0 < share < 1:
        raise InputError(f"share={share} must lie between 0 and 1")
    taken = np.unique(log.item)
    rng = np.random.default_rng(seed)
    early = np.ones(len(log), dtype=bool)
    if newest and len(log):
        first = np.full(len(log.items), np.iinfo(np.int64).max)
        np.minimum.at(first, log.item, log.time)
        cut = np.quantile(first[taken], 1 - share, method="higher")
        hidden = rng.permutation(taken[first[taken] >= cut])
        early = log.time < cut
    else:
        hidden = rng.permutation(taken)[: max(2, round(share * len(taken)))]
    role = np.full(len(log.items), TRAIN, dtype=np.int8)
    role[hidden[: len(hidden) // 2]] = VALID
    role[hidden[len(hidden) // 2 :]] = TEST
    part = role[log.item]
    part[(part == TRAIN) & ~early] = UNUSED
    trained = np.concatenate([[0], np.cumsum(part == TRAIN)])
    before = trained[:-1] - np.repeat(trained[log.start[:-1]], np.diff(log.start))
    part[(part != TRAIN) & (before == 0)] = UNUSED
    return Split("cold-items", log, part, np.sort(hidden).astype(np.int32))


def same_rows(told: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two recipes learn from the same rows of a log; one that names no share of the people takes all."""
    return (told.get("split"), float(told.get("people", 1.0))) == (other.get("split"), float(other.get("people", 1.0)))


def rows_told(recipe: Mapping[str, Any]) -> str:
    """Which rows a recipe learns from, as a person would set it."""
    return f"split={recipe.get('split')} people={float(recipe.get('people', 1.0)):g}"


def split_by_name(log: Log, name: str, *, clock: str = "ms", people: float = 1.0) -> Split:
    """The split of that name with its defaults; the temporal one needs a clock. Only `people` of all teach."""
    return _taught_by(_named(log, name, clock), people)


def _taught_by(split: Split, share: float) -> Split:
    """The same where only a share of the people teach; more are those of a smaller share and others."""
    if not 0 < share <= 1:
        raise InputError(f"people={share} should be above 0 and at most 1: it is the share of them that is learnt from")
    if share == 1:
        return split
    count = len(split.log.users)
    teaching = np.zeros(count, dtype=bool)
    teaching[np.random.default_rng(0).permutation(count)[: max(1, round(share * count))]] = True
    part = split.part.copy()
    part[(part != TEST) & ~teaching[split.log.user_of_rows()]] = UNUSED
    return replace(split, part=part, people=share)


def _named(log: Log, name: str, clock: str) -> Split:
    if name == "leave-one-out":
        return leave_one_out(log)
    if name == "temporal":
        if clock != "ms":
            raise InputError(
                "This dataset's timestamps only say what came first, so no moment can cut it. Use leave-one-out"
            )
        return temporal(log)
    if name == "cold-items":
        return cold_items(log, newest=clock == "ms")
    raise InputError(f"{name!r} is not a split. The splits are leave-one-out, temporal and cold-items")


def everything(log: Log) -> Split:
    """All rows to train on and none to measure on: for a system that goes into service."""
    return Split("everything", log, np.full(len(log), TRAIN, dtype=np.int8), _NO_ITEMS)


def core_rows(log: Log, *, user_core: int, item_core: int) -> Mask:
    """The rows of the k-core of a log."""
    return in_core(log.user_of_rows(), log.item, user_core=user_core, item_core=item_core)


def sampled_candidates(split: Split, part: Part, *, negatives: int = 99, seed: int = 0) -> Codes:
    """One row of item codes a target: the target first, then uniform samples of what its person never took.

    This is the 1+99 protocol of P5 and VIP5. It flatters every model, so reports label figures that come from it.
    """
    log, rows = split.log, split.rows(part)
    owner = log.user_of_rows()
    taken = most_taken(split, part)
    if taken + negatives > len(log.items):
        raise InputError(
            f"{negatives} negatives cannot be drawn: a person took {taken} of {len(log.items)} items. Ask for fewer"
        )
    rng = np.random.default_rng(seed)
    table = np.empty((len(rows), negatives + 1), dtype=np.int32)
    table[:, 0] = log.item[rows]
    for line, row in zip(table, rows, strict=True):
        line[1:] = draw_unseen(rng, len(log.items), log.history(int(owner[row])), negatives)
    return table


def most_taken(split: Split, part: Part) -> int:
    """How many rows the person with the most of them has, of those with targets in a part."""
    log = split.log
    owners = log.user_of_rows()[split.rows(part)]
    return int((log.start[owners + 1] - log.start[owners]).max()) if len(owners) else 0


def draw_unseen(rng: np.random.Generator, items: int, seen: Codes, count: int) -> Codes:
    """Draw different items, each as likely as the others, that are not in `seen`."""
    barred = set(seen.tolist())
    drawn: list[int] = []
    while len(drawn) < count:
        for code in rng.integers(items, size=2 * (count - len(drawn)) + 4).tolist():
            if code not in barred:
                barred.add(code)
                drawn.append(code)
                if len(drawn) == count:
                    break
    return np.array(drawn, dtype=np.int32)


_NO_ITEMS: Codes = np.zeros(0, dtype=np.int32)
