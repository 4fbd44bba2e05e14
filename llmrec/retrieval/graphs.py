"""Nearest neighbours in memory: a graph of the fitted items for each kind of vector, with all later changes beside it.

The store answers any query, but a query costs it milliseconds before it looks at a vector. A person's candidates need
several; so the vectors that the index was made with also lie in graphs (usearch, read from disk as they are needed),
and what was written since is looked up in the store once and scanned. All lists of one answer come from one `Moment`.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.lib.format import open_memmap

from llmrec.progress import Progress
from llmrec.retrieval.content import Floats, unit
from llmrec.retrieval.fields import Bools, Fields, meets
from llmrec.retrieval.filters import Where, sql
from llmrec.retrieval.store import Hits, ItemStore

Rows = npt.NDArray[np.int64]

FOLDER = "graphs"
LINKS, CARE = 16, 128
"""Neighbours of a node, and how many are looked at to place one."""
EFFORT, MANY, EFFORT_AMONG_MANY = 128, 300_000, 192
"""How many are looked at to answer: for a recall of 0.99, and still of 0.98 at a million items."""
BATCH = 20_000
SPARE = 1.5  # how many more than its share are asked of a graph when a filter lets a share of the items pass
STEP = 45  # vectors that are scanned in the time in which a graph finds one more


def write_graphs(folder: Path, vectors: Mapping[str, Floats], progress: Progress | None = None) -> None:
    """Build and write one graph for each kind; a row of NaN is an item without such a vector."""
    from usearch.index import Index as Graph

    folder.mkdir()
    for kind, table in vectors.items():
        graph = Graph(ndim=table.shape[1], metric="ip", dtype="f32", connectivity=LINKS, expansion_add=CARE)
        known: Bools = np.asarray(np.isfinite(table).all(axis=1), dtype=bool)
        kept: Floats = open_memmap(folder / f"{kind}.npy", mode="w+", dtype=np.float32, shape=table.shape)  # type: ignore[no-untyped-call]
        for begin in range(0, len(table), BATCH):
            rows = begin + np.flatnonzero(known[begin : begin + BATCH])
            kept[begin : begin + BATCH] = np.nan
            kept[rows] = unit(table[rows])
            graph.add(rows.astype(np.uint64), kept[rows])
            if progress:
                progress(f"linking {kind} vectors", min(begin + BATCH, len(table)), len(table))
        graph.save(str(folder / f"{kind}.usearch"))


@dataclass(frozen=True)
class _Linked:
    """One graph, and its vectors once more in the order of codes: the graph gives them out twenty times as slowly."""

    graph: Any
    vectors: Floats

    @classmethod
    def open(cls, folder: Path, kind: str, items: int) -> "_Linked":
        from usearch.index import Index as Graph

        effort = EFFORT if items <= MANY else EFFORT_AMONG_MANY
        graph = Graph.restore(str(folder / f"{kind}.usearch"), view=True, expansion_search=effort)
        if graph is None:
            raise ValueError(f"{kind}.usearch holds no graph")
        vectors = np.load(folder / f"{kind}.npy", mmap_mode="r").view(np.ndarray)
        if vectors.shape != (items, graph.ndim):
            raise ValueError(f"{kind}.npy holds {vectors.shape} numbers, not {items} rows of {graph.ndim}")
        return cls(graph, vectors)

    def near(self, asked: Floats, count: int, usable: Bools) -> tuple[Rows, Floats]:
        """The nearest of the items that may be used: by the graph where most may be, by a scan where few may."""
        passing = int(np.count_nonzero(usable))
        if not passing or not len(self.graph):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        deep = min(int(SPARE * count * len(usable) / passing), count + len(usable) - passing, len(self.graph))
        if deep * STEP < passing:
            found = self.graph.search(asked, deep, threads=1)
            codes = found.keys.astype(np.int64)
            kept = usable[codes]
            if np.count_nonzero(kept) >= count or len(codes) == len(self.graph):
                return codes[kept][:count], (1 - found.distances[kept])[:count]
        rows = np.flatnonzero(usable)
        scores = (self.vectors @ asked)[rows] if passing * 3 > len(usable) else self.vectors[rows] @ asked
        known = np.isfinite(scores)
        rows, scores = rows[known], scores[known]
        best = _best(scores, count)
        return rows[best], scores[best]


@dataclass(frozen=True)
class Moment:
    """The items of the store as they are at one moment.

    Items that came after the graphs were made have the codes after the fitted items' own, until the next change.
    """

    graphs: "Graphs"
    position: int = 0
    """Up to where the store's changes are known."""
    touched: frozenset[str] = frozenset()
    """Ids of which the graphs know nothing, or something that is no longer true."""
    rows: pl.DataFrame | None = None
    """Those of them that are in the store now, in its columns, with an `item`."""
    vectors_of: Mapping[str, Floats] | None = None
    """Their vectors."""

    @cached_property
    def fresh(self) -> dict[str, int]:
        """The items of `rows`, each with its code."""
        fitted = self.graphs.code
        items = [] if self.rows is None else self.rows["item"].to_list()
        new = {item: len(fitted) + place for place, item in enumerate(item for item in items if item not in fitted)}
        return {item: fitted.get(item, new.get(item, -1)) for item in items}

    @cached_property
    def present(self) -> Bools:
        """Which codes are items of the store."""
        return self._with_fresh(np.ones(len(self.graphs.names), dtype=bool), True)

    def codes(self, ids: Sequence[str]) -> list[int]:
        """The codes of those ids that are items of the store."""
        found = (self.fresh.get(item) if item in self.touched else self.graphs.code.get(item) for item in ids)
        return [code for code in found if code is not None]

    def names(self, codes: Rows) -> list[str]:
        """The ids of codes."""
        names = self.graphs.names
        return [names[code] if code < len(names) else self._new[code - len(names)] for code in codes.tolist()]

    def allowed(self, where: Where | None = None, leave_out: Collection[str] = ()) -> Bools:
        """Which codes are in the store, meet a filter and are not left out."""
        if where:
            condition = sql(where, self.graphs.store.layout.fields)
            met = meets(self.rows, condition) if self.rows is not None and len(self.rows) else False
            answer = self._with_fresh(self.graphs.fields.passing(where), met)
        else:
            answer = self.present.copy()
        answer[self.codes([*leave_out])] = False
        return answer

    def near(self, vector: Floats, kind: str, count: int, allowed: Bools) -> tuple[Rows, Floats]:
        """The codes among `allowed` whose vector points where `vector` points, best first, with their cosines."""
        asked = unit(np.asarray(vector, dtype=np.float32)[None])[0]
        usable = allowed[: len(self.graphs.names)]
        if not self.touched:
            return self.graphs.linked[kind].near(asked, count, usable)
        codes, scores = self.graphs.linked[kind].near(asked, count, usable & self._untouched)
        if self.fresh and self.vectors_of is not None:
            cosines = self.vectors_of[kind] @ asked
            kept = allowed[self._fresh_codes] & np.isfinite(cosines)
            codes, scores = np.concatenate([codes, self._fresh_codes[kept]]), np.concatenate([scores, cosines[kept]])
            best = _best(scores, count)
            codes, scores = codes[best], scores[best]
        return codes, scores

    def vectors(self, ids: Sequence[str], kind: str) -> Floats:
        """The vectors of items; a row of NaN where there is none."""
        linked = self.graphs.linked[kind]
        answer = np.full((len(ids), linked.vectors.shape[1]), np.nan, dtype=np.float32)
        for at, item in enumerate(ids):
            if item in self.touched:
                if item in self._place and self.vectors_of is not None:
                    answer[at] = self.vectors_of[kind][self._place[item]]
            elif item in self.graphs.code:
                answer[at] = linked.vectors[self.graphs.code[item]]
        return answer

    @cached_property
    def _place(self) -> dict[str, int]:
        return {item: place for place, item in enumerate(self.fresh)}

    @cached_property
    def _fresh_codes(self) -> Rows:
        return np.array([*self.fresh.values()], dtype=np.int64)

    @cached_property
    def _new(self) -> list[str]:
        return [item for item, code in self.fresh.items() if code >= len(self.graphs.names)]

    @cached_property
    def _untouched(self) -> Bools:
        answer = np.ones(len(self.graphs.names), dtype=bool)
        answer[[self.graphs.code[item] for item in self.touched if item in self.graphs.code]] = False
        return answer

    def _with_fresh(self, fitted: Bools, fresh: Bools | bool) -> Bools:
        """What holds for the fitted items as they were, corrected for what was touched."""
        answer: Bools = np.zeros(len(fitted) + len(self._new), dtype=bool)
        answer[: len(fitted)] = fitted & self._untouched if self.touched else fitted
        answer[self._fresh_codes] = fresh
        return answer


class Graphs:
    """The graphs of an opened index."""

    def __init__(self, folder: Path, store: ItemStore, items: pl.Series):
        self.store = store
        self.names: list[str] = items.to_list()
        self.code = {item: code for code, item in enumerate(self.names)}
        self.fields = Fields(store, self.names)
        self.linked = {kind: _Linked.open(folder / FOLDER, kind, len(items)) for kind in store.kinds}
        self._moment = Moment(self)
        self._lock = threading.Lock()

    def near(self, vector: Floats, kind: str, count: int, *, leave_out: Collection[str] = ()) -> Hits:
        """The items whose vector points where `vector` points, as the store would answer."""
        now = self.now()
        codes, scores = now.near(vector, kind, count, now.allowed(leave_out=leave_out))
        return Hits(now.names(codes), scores)

    def now(self) -> Moment:
        """The items as they are now: what was changed since the last call is looked up in the store."""
        moment = self._moment
        if not self.store.changes(moment.position)[0]:
            return moment
        with self._lock:
            moment = self._moment
            ids, position = self.store.changes(moment.position)
            if ids:
                self._moment = self._followed(moment, ids, position)
            return self._moment

    def _followed(self, moment: Moment, ids: list[str], position: int) -> Moment:
        changed = set(ids)
        columns = self.store.layout.columns
        found = self.store.get(sorted(changed)).select(pl.col(name).alias(column) for name, column in columns.items())
        items = found["item"].to_list()
        vectors = {kind: self.store.vectors(items, kind) for kind in self.linked}
        if moment.rows is not None and moment.vectors_of is not None:
            kept = np.array([item not in changed for item in moment.rows["item"]], dtype=bool)
            found = pl.concat([moment.rows.filter(kept), found])
            vectors = {kind: np.concatenate([moment.vectors_of[kind][kept], vectors[kind]]) for kind in vectors}
        return Moment(self, position, moment.touched | changed, found, vectors)


def _best(scores: Floats, count: int) -> Rows:
    """The places of the highest scores, in order."""
    if len(scores) > count:
        top = np.argpartition(-scores, count - 1)[:count]
        return np.asarray(top[np.argsort(-scores[top], kind="stable")], dtype=np.int64)
    return np.argsort(-scores, kind="stable")
