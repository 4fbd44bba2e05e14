"""The fields of the fitted items in memory: which of a million meet a filter, within milliseconds.

A column is read from the store when it is first asked about and kept. What is kept may be older than the store: whoever
asks looks at the items that were changed since by `meets`, as the graphs do with their vectors.
"""

import functools
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.retrieval import filters
from llmrec.retrieval.filters import Where
from llmrec.retrieval.store import ItemStore

Bools = npt.NDArray[np.bool_]
KEPT = 32
"""Filters whose answers are kept: a byte an item each."""


class Fields:
    """The fields of some items of a store, in the order of these items."""

    def __init__(self, store: ItemStore, items: Sequence[str]):
        self._store = store
        self._items = items
        self._columns: dict[str, pl.Series] = {}
        self._lock = threading.Lock()
        self._answer = functools.lru_cache(maxsize=KEPT)(self._answered)

    def passing(self, where: Where) -> Bools:
        """Which of the items meet a filter; not to be written to."""
        condition = filters.sql(where, self._store.layout.fields)
        return self._answer(condition, tuple(where))

    def _answered(self, condition: str, names: tuple[str, ...]) -> Bools:
        return meets(pl.DataFrame([self._column(name) for name in names]), condition)

    def _column(self, name: str) -> pl.Series:
        column = self._store.layout.columns[name]
        with self._lock:
            if name not in self._columns:
                found = self._store.column(name)
                asked = pl.DataFrame({"": self._items}, schema={"": pl.String})
                joined = asked.join(found, left_on="", right_on="item", how="left", maintain_order="left")
                self._columns[name] = joined["value"].alias(column)
            return self._columns[name]


def meets(frame: pl.DataFrame, condition: str) -> Bools:
    """Which rows of a frame in the store's columns meet a condition of `filters.sql`, as LanceDB would answer."""
    met = frame.with_columns(pl.sql_expr(condition).fill_null(False).alias(""))[""]
    return np.asarray(met.to_numpy(), dtype=bool)
