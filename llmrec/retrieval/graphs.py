"""Nearest neighbours in memory: a graph of the fitted items for each kind of vector, with all later changes beside it.

The store answers any query, but a query costs it milliseconds before it looks at a vector. A person's candidates need
several; so the vectors that the index was made with also lie in graphs (usearch, read from disk as they are needed),
and what was written since is looked up in the store once and scanned.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llmrec.progress import Progress
from llmrec.retrieval.content import Floats, unit
from llmrec.retrieval.store import Hits, ItemStore

FOLDER = "graphs"
LINKS, CARE, EFFORT = 16, 128, 192
"""Neighbours of a node; how many are looked at to place one; how many to answer: recall above 0.98 at a million."""
BATCH = 20_000


def write_graphs(folder: Path, vectors: Mapping[str, Floats], progress: Progress | None = None) -> None:
    """Build and write one graph for each kind; a row of NaN is an item without such a vector."""
    from usearch.index import Index as Graph

    folder.mkdir()
    for kind, table in vectors.items():
        graph = Graph(ndim=table.shape[1], metric="ip", dtype="f32", connectivity=LINKS, expansion_add=CARE)
        known = np.flatnonzero(np.isfinite(table).all(axis=1))
        for begin in range(0, len(known), BATCH):
            rows = known[begin : begin + BATCH]
            graph.add(rows.astype(np.uint64), unit(table[rows]))
            if progress:
                progress(f"linking {kind} vectors", min(begin + BATCH, len(known)), len(known))
        graph.save(str(folder / f"{kind}.usearch"))


@dataclass
class _Fresh:
    """What was written since the graphs were made: ids that the graphs are wrong about, and the true vectors."""

    position: int = 0
    touched: frozenset[str] = frozenset()
    items: list[str] = field(default_factory=list)
    vectors: dict[str, Floats] = field(default_factory=dict)


class Graphs:
    """The graphs of an opened index."""

    def __init__(self, folder: Path, store: ItemStore, items: pl.Series):
        from usearch.index import Index as Graph

        self._store = store
        self._items = items
        self._code = {item: code for code, item in enumerate(items)}
        self._graphs: dict[str, Any] = {}
        for kind in store.kinds:
            graph = Graph.restore(str(folder / FOLDER / f"{kind}.usearch"), view=True, expansion_search=EFFORT)
            if graph is None:
                raise ValueError(f"{kind}.usearch holds no graph")
            self._graphs[kind] = graph
        self._fresh = _Fresh()
        self._lock = threading.Lock()

    def near(self, vector: Floats, kind: str, count: int, *, leave_out: Collection[str] = ()) -> Hits:
        """The items whose vector points where `vector` points, as the store would answer."""
        fresh = self._looked_up()
        asked = unit(np.asarray(vector, dtype=np.float32)[None])[0]
        wanted = count + len(leave_out) + min(len(fresh.touched), count)
        found = self._graphs[kind].search(asked, min(wanted, max(1, len(self._graphs[kind]))))
        barred = fresh.touched.union(leave_out)
        names = self._items.gather(found.keys.astype(np.int64)).to_list()
        pairs = [
            (item, 1 - apart) for item, apart in zip(names, found.distances.tolist(), strict=True) if item not in barred
        ]
        if fresh.items:
            scores = fresh.vectors[kind] @ asked
            unwanted = set(leave_out)
            pairs += [
                (item, score)
                for item, score in zip(fresh.items, scores.tolist(), strict=True)
                if np.isfinite(score) and item not in unwanted
            ]
        pairs = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:count]
        return Hits([item for item, _ in pairs], np.array([score for _, score in pairs], dtype=np.float32))

    def vectors(self, ids: Sequence[str], kind: str) -> Floats:
        """The vectors of items; a row of NaN where there is none."""
        fresh = self._looked_up()
        graph = self._graphs[kind]
        answer = np.full((len(ids), graph.ndim), np.nan, dtype=np.float32)
        for row, item in enumerate(ids):
            if item in fresh.touched:
                if item in fresh.items:
                    answer[row] = fresh.vectors[kind][fresh.items.index(item)]
            elif item in self._code and (found := graph.get(self._code[item])) is not None:
                answer[row] = found
        return answer

    def there(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are in the store now."""
        fresh = self._looked_up()
        present = set(fresh.items)
        return {item for item in ids if (item in present if item in fresh.touched else item in self._code)}

    def _looked_up(self) -> _Fresh:
        """What is known of later changes, brought up to date when there are new ones."""
        fresh = self._fresh
        ids, position = self._store.changes(fresh.position)
        if not ids:
            return fresh
        with self._lock:
            touched = self._fresh.touched.union(ids)
            ordered = sorted(touched)
            present = self._store.which(ordered)
            items = [item for item in ordered if item in present]
            vectors = {kind: self._store.vectors(items, kind) for kind in self._graphs}
            self._fresh = _Fresh(position, touched, items, vectors)
            return self._fresh
