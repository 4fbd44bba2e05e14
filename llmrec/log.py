"""The interaction log as arrays: every person's items in the order of time, as all later stages want it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Codes = npt.NDArray[np.int32]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Log:
    """Interactions grouped by person and ordered by time within; codes are positions in `users` and `items`.

    The rows of person u are `start[u]` to `start[u + 1]`. An item's code is its row in `items.parquet`.
    """

    users: pl.Series
    items: pl.Series
    start: Times
    item: Codes
    time: Times

    def __len__(self) -> int:
        return len(self.item)

    def history(self, user: int) -> Codes:
        """All items of one person, oldest first."""
        return self.item[self.start[user] : self.start[user + 1]]

    def user_of_rows(self) -> Codes:
        """The person's code of each row."""
        return np.repeat(np.arange(len(self.users), dtype=np.int32), np.diff(self.start))

    def position_of_rows(self) -> Times:
        """The place of each row in its person's history, from 0."""
        return np.arange(len(self), dtype=np.int64) - np.repeat(self.start[:-1], np.diff(self.start))


def encode(names: pl.Series, known: pl.Series) -> npt.NDArray[np.int64]:
    """The position of each name in `known` (unique names), -1 for a name that is not there."""
    return names.cast(pl.Enum(known), strict=False).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()


def numbered(names: pl.Series) -> tuple[Codes, pl.Series]:
    """Number names in their order: the code of each row, and the names that codes stand for.

    Rows are sorted by a 64-bit hash, which takes half the time of a table of strings at ten million rows; should two
    names ever share a hash, the slow way is taken.
    """
    if names.is_empty():
        return np.zeros(0, dtype=np.int32), names
    hashes = names.hash()
    order = hashes.arg_sort().to_numpy()
    ordered = hashes.to_numpy()[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    group = np.empty(len(names), dtype=np.int32)
    group[order] = np.cumsum(new, dtype=np.int32) - 1
    found = names.gather(order[new])
    if not (found.gather(group) == names).all():
        known = names.unique().sort()
        return encode(names, known).astype(np.int32), known
    by_name = found.arg_sort().to_numpy()
    place = np.empty(len(found), dtype=np.int32)
    place[by_name] = np.arange(len(found), dtype=np.int32)
    return place[group], found.gather(by_name)


def mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scatter whole numbers evenly over 64 bits (SplitMix64's finaliser): the same everywhere and for ever.

    Ties in time are broken by it, because breaking them by id leaks: sources list items by id within a moment.
    """
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


def chronological(user: npt.NDArray[Any], item: npt.NDArray[Any], time: Times, *, seed: int = 0) -> Times:
    """The order of rows by person, then time, then a hash of person, item and seed.

    Person and time are packed into one number, which sorts three times as fast as two columns; only the rows that tie
    are then looked at again.
    """
    since = time - time.min() if len(time) else time
    if int(user.max(initial=0)).bit_length() + int(since.max(initial=0)).bit_length() > 64:
        since = np.unique(time, return_inverse=True)[1]
    width = np.uint64(int(since.max(initial=0)).bit_length())
    key = (user.astype(np.uint64) << width) | since.astype(np.uint64)
    order = pl.Series(key).arg_sort().cast(pl.Int64).to_numpy(writable=True)
    ordered = key[order]
    same = ordered[1:] == ordered[:-1]
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] |= same
    tied[:-1] |= same
    rows = order[tied]
    salt = mixed(np.array([seed], dtype=np.uint64))[0]
    tie = mixed(mixed(user[rows].astype(np.uint64) ^ salt) ^ item[rows].astype(np.uint64))
    order[tied] = rows[np.lexsort((rows, tie, key[rows]))]
    return order


def in_core(user: npt.NDArray[Any], item: npt.NDArray[Any], *, user_core: int, item_core: int) -> Mask:
    """Mark the rows of the k-core: people and items with too few rows go, again and again, until none is left."""
    kept = np.ones(len(user), dtype=bool)
    of_user, of_item = np.bincount(user), np.bincount(item)
    while True:
        going = np.flatnonzero(kept & ~((of_user >= user_core)[user] & (of_item >= item_core)[item]))
        if not len(going):
            return kept
        kept[going] = False  # few after the first round: only they are counted again
        of_user -= np.bincount(user[going], minlength=len(of_user))
        of_item -= np.bincount(item[going], minlength=len(of_item))


SHORT = 3
TOLD_BY, SURE = 0.01, 5.0


@dataclass(frozen=True)
class ShortSteps:
    """How often a person's next item has one of the next ids, and one of those before, as shares of all steps."""

    forward: float
    backward: float
    steps: int

    @property
    def tell_an_order(self) -> bool:
        """Whether steps forward are too many for chance: the ids were given out, or rows listed, along histories.

        Related items may stand side by side in a catalogue and in a history, but then in both directions alike.
        """
        surplus, short = self.forward - self.backward, self.forward + self.backward
        return surplus > TOLD_BY and surplus * self.steps > SURE * (short * self.steps) ** 0.5


def short_steps(rank: npt.NDArray[Any], user: npt.NDArray[Any]) -> ShortSteps:
    """Look at rows that are ordered by person and time; `rank` is the place of each row's item among the ids."""
    step = np.diff(rank)[user[1:] == user[:-1]] if len(rank) else np.zeros(0)
    count = max(1, len(step))
    forward, backward = ((step > 0) & (step <= SHORT)).sum(), ((step < 0) & (step >= -SHORT)).sum()
    return ShortSteps(float(forward / count), float(backward / count), len(step))


def rank_of_ids(ids: pl.Series) -> Times:
    """The place of each id in the order that its numbers, or else its letters, give."""
    parts = ids.to_frame("id").select(
        before=pl.col("id").str.extract(r"^(\D*)\d+$"), number=pl.col("id").str.extract(r"(\d{1,18})$")
    )
    numbered = not parts["before"].has_nulls() and parts["before"].n_unique() == 1 and not parts["number"].has_nulls()
    keys = parts["number"].cast(pl.Int64) if numbered else ids
    return keys.rank("ordinal").cast(pl.Int64).to_numpy()
