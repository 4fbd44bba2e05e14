"""The store of items behind an index: fields, full text and vectors in one LanceDB table, searched while it is written.

    store.json      what the store keeps, and its version
    items.lance     the table, which any LanceDB opens
    writer.lock     held while somebody writes; the system frees it when a writer dies
    changes.jsonl   the ids of each write, noted before and after it: what lies beside the store looks them up anew

One process writes at a time (LanceDB's concurrent merges repeat rows); readers never wait. A write is there for all,
in every process, when it returns: what is not indexed yet is scanned, and every query asks for the newest version.
"""

import json
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.artifact import read_json, staged, write_json
from llmrec.errors import DiskFull, InputError, StoreDown
from llmrec.progress import Progress
from llmrec.retrieval import filters, rows
from llmrec.retrieval.filters import Where
from llmrec.retrieval.rows import WORDS, Floats, Layout
from llmrec.retrieval.table import fill_table, index_table, index_vectors, open_table

log = logging.getLogger(__name__)

MARKER, LOCK, CHANGES = "store.json", "writer.lock", "changes.jsonl"
VERSION = 1
REMEDY = "Make one with: llmrec index DATASET"
PROBES = 48  # partitions that a query opens; more find more and take longer
PROBED_COUNT = 1_000  # more items than that may not lie in so few partitions: then, and under a filter, all are open
LONGEST_QUERY = 2_000  # characters; a person types far fewer, and each word costs time
SMALL_PIECES = 32  # small fragments, one a write, before they are put together
UNINDEXED = 10_000  # rows that are scanned by every query before they are folded into the indexes
KEPT_VERSIONS = timedelta(hours=1)  # a query that began on an old version ends long before
PATIENCE = 120.0  # seconds to wait for another writer
READ_ONLY = ("Read-only file system", "Permission denied")


class StoreReadOnly(InputError, StoreDown):
    """Whoever opened the store may not write to it."""


@dataclass(frozen=True)
class Hits:
    """Items that answer a query, best first; a higher score is better."""

    items: list[str]
    scores: Floats


@dataclass(frozen=True)
class ItemStore:
    """An open store. Safe to share between threads; a process that was forked opens its own."""

    folder: Path
    layout: Layout
    table: Any  # of LanceDB, whose own types lag behind what it takes

    @classmethod
    def create(
        cls, folder: Path | str, items: pl.DataFrame, vectors: Mapping[str, Floats], *, progress: Progress | None = None
    ) -> "ItemStore":
        """Write a store of a catalogue, whole or not at all.

        `vectors` holds one row an item for each kind; a row of NaN means that the item has no such vector. Lengths do
        not count, only directions do: vectors are kept at unit length.
        """
        folder = Path(folder)
        items = rows.sound_items(items)
        layout = Layout.of(items, vectors)
        frame = rows.stored(items, layout)
        sound = rows.sound_vectors(vectors, layout, len(frame))
        with staged(folder, marker=MARKER) as partial, _explained(folder, "written"):
            table = fill_table(partial, frame, layout, sound, progress)
            index_table(table, layout, progress)
            (partial / LOCK).touch()
            (partial / CHANGES).touch()
            write_json(partial / MARKER, {"schema": VERSION, **layout.content()})
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path | str) -> "ItemStore":
        """Open a store to search it and to write to it; a read-only folder can be searched."""
        folder = Path(folder)
        content = read_json(folder, MARKER, kind="a store of items", remedy=REMEDY)
        version = content.get("schema")
        if version != VERSION:
            newer = isinstance(version, int) and version > VERSION
            advice = "Upgrade llmrec" if newer else "Build the index again"
            raise InputError(f"{folder} has store version {version}, this llmrec reads {VERSION}. {advice}")
        try:
            layout = Layout.read(content)
            table = open_table(folder)
            lacking = {WORDS, *layout.columns.values(), *layout.vector_columns.values()} - set(table.schema.names)
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, OSError) as error:
            raise InputError(f"{folder} is damaged ({_short(error)}). Build the index again") from error
        if lacking:
            raise InputError(f"{folder} is damaged (no column {', '.join(sorted(lacking))}). Build the index again")
        return cls(folder, layout, table)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of vector that the store keeps."""
        return tuple(self.layout.widths)

    def near(
        self,
        vector: npt.ArrayLike,
        kind: str,
        count: int,
        *,
        where: Where | None = None,
        leave_out: Collection[str] = (),
    ) -> Hits:
        """The items whose vector points where `vector` points, by cosine."""
        query = self._nearest(vector, kind)
        wide = bool(where) or count + len(leave_out) > PROBED_COUNT
        query = query.minimum_nprobes(PROBES).maximum_nprobes(0) if wide else query.nprobes(PROBES)
        return self._hits(query, "_distance", count, where, leave_out)

    def exact(
        self,
        vector: npt.ArrayLike,
        kind: str,
        count: int,
        *,
        where: Where | None = None,
        leave_out: Collection[str] = (),
    ) -> Hits:
        """What `near` would answer if it looked at every item: slow, and the measure of its recall."""
        query = self._nearest(vector, kind).bypass_vector_index()
        return self._hits(query, "_distance", count, where, leave_out)

    def words(self, query: str, count: int, *, where: Where | None = None, leave_out: Collection[str] = ()) -> Hits:
        """The items that hold any of a query's words, by BM25. The query is plain text: nothing in it is syntax."""
        from lancedb import query as lance

        asked = rows.folded(query[:LONGEST_QUERY])
        if not asked.strip():
            return Hits([], np.zeros(0, dtype=np.float32))
        match: Any = lance.MatchQuery
        search = self._read(lambda: self.table.search(match(asked, WORDS), query_type="fts"))
        return self._hits(search, "_score", count, where, leave_out)

    def get(self, ids: Sequence[str]) -> pl.DataFrame:
        """The fields of items in the order of their ids; an id that is not in the store is left out."""
        found = self.layout.names(self._rows(ids, list(self.layout.columns.values())))
        known = set(found["item"])
        wanted = pl.DataFrame({"item": [item for item in ids if item in known]}, schema={"item": pl.String})
        return wanted.join(found, on="item", how="left", maintain_order="left").select(list(self.layout.columns))

    def column(self, field: str) -> pl.DataFrame:
        """Each item with its value of one field, in no order."""
        column = self.layout.columns[field]
        chosen = {"item": self.layout.columns["item"], "value": column}
        found = pl.from_arrow(self._read(lambda: self.table.search().select(chosen).to_arrow()))
        assert isinstance(found, pl.DataFrame)
        return found

    def vectors(self, ids: Sequence[str], kind: str) -> Floats:
        """The vectors of items, at unit length; a row of NaN where there is none."""
        column = self.layout.vector_column(kind)
        found = self._rows(ids, [self.layout.columns["item"], column])
        found = found.filter(pl.col(column).is_not_null())
        place = {item: row for row, item in enumerate(found["item"])}
        known = [row for row, item in enumerate(ids) if item in place]
        answer = np.full((len(ids), self.layout.widths[kind]), np.nan, dtype=np.float32)
        if known:
            answer[known] = found[column].gather([place[ids[row]] for row in known]).to_numpy()
        return answer

    def which(self, ids: Sequence[str], where: Where | None = None) -> set[str]:
        """Those of the ids that are in the store and meet a filter."""
        condition = filters.sql(where or {}, self.layout.fields)
        return set(self._rows(ids, [self.layout.columns["item"]], condition)[self.layout.columns["item"]])

    def count(self, where: Where | None = None) -> int:
        """How many items there are, or meet a filter."""
        condition = filters.sql(where or {}, self.layout.fields)
        return int(self._read(lambda: self.table.count_rows(condition or None)))

    def upsert(self, items: pl.DataFrame, vectors: Mapping[str, Floats], *, patience: float = PATIENCE) -> None:
        """Add new items and replace those that are there; all queries find them when this returns.

        A kind of vector that is left out stays as it is for known items and is missing for new ones. `patience` is how
        many seconds to wait for another writer.
        """
        items = rows.sound_items(items)
        frame = rows.stored(items, self.layout)
        sound = rows.sound_vectors(vectors, self.layout, len(frame))
        if frame.is_empty():
            return
        with self._writing(patience):
            for kind in self.layout.widths.keys() - sound.keys():
                kept = self.vectors(items["item"].to_list(), kind)
                sound[kind] = np.nan_to_num(kept), np.isnan(kept).all(axis=1)
            self._note(items["item"].to_list())
            merge = self.table.merge_insert("item").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(rows.arrow(frame, self.layout, sound), on_bad_vectors="null")
            self._note(items["item"].to_list())
            self._tidy_if_due()

    def remove(self, ids: Sequence[str], *, patience: float = PATIENCE) -> None:
        """Take items out; ids that are not in the store are passed over."""
        if known := rows.sound_ids(ids):
            with self._writing(patience):
                self._note(known)
                self.table.delete(f"item IN ({rows.quoted(known)})")
                self._note(known)
                self._tidy_if_due()

    def changes(self, since: int = 0) -> tuple[list[str], int]:
        """The ids that were written or removed since a position, and the position now; 0 is when the store was made.

        An id is noted before it is written, so that no change is missed, and once more after, so that a reader who was
        faster than the write looks again.
        """
        path = self.folder / CHANGES
        with _explained(self.folder, "read"):
            size = path.stat().st_size
            if size <= since:
                return [], since
            with path.open("rb") as file:
                file.seek(since)
                whole = file.read().rpartition(b"\n")[0]
        found: list[str] = []
        for line in whole.splitlines():
            with suppress(ValueError):  # a line that a kill cut short
                found += json.loads(line)
        return found, since + len(whole) + 1 if whole else since

    def optimize(self) -> None:
        """Fold what was written since into the indexes, put small pieces together, drop versions of long ago."""
        with self._writing():
            self._tidy()

    def _note(self, ids: Sequence[str]) -> None:
        with (self.folder / CHANGES).open("ab") as file:
            file.write(b"\n" + json.dumps(list(ids)).encode() + b"\n")  # first ends what a kill may have cut short
            file.flush()
            os.fsync(file.fileno())

    def _nearest(self, vector: npt.ArrayLike, kind: str) -> Any:
        # By L2 on unit vectors: asked for the cosine, a compressed index answers with twice the distance of a scan, and
        # items that are not indexed yet would be merged in at the wrong place.
        column = self.layout.vector_column(kind)
        query = rows.unit(vector, kind, self.layout.widths[kind])
        found = self._read(lambda: self.table.search(query, vector_column_name=column, query_type="vector"))
        return found.distance_type("l2")

    def _hits(self, query: Any, score: str, count: int, where: Where | None, leave_out: Collection[str]) -> Hits:
        if count < 1:
            raise InputError(f"A query asks for at least one item, not {count}")
        condition = filters.sql(where or {}, self.layout.fields)
        if condition:
            query = query.where(condition, prefilter=True)
        unwanted = frozenset(leave_out)
        query = query.select(["item", score]).limit(count + len(unwanted))
        found = self._read(query.to_arrow)
        scores = found[score].to_numpy()
        if score == "_distance":
            scores = 1 - scores / 2  # the squared distance of two directions, as their cosine
        pairs = [
            pair for pair in zip(found["item"].to_pylist(), scores.tolist(), strict=True) if pair[0] not in unwanted
        ]
        pairs = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:count]
        return Hits([item for item, _ in pairs], np.array([score for _, score in pairs], dtype=np.float32))

    def _rows(self, ids: Sequence[str], columns: list[str], where: str = "") -> pl.DataFrame:
        sound = rows.sound_ids(ids)
        condition = f"item IN ({rows.quoted(sound)})" if sound else "false"
        condition += f" AND ({where})" if where else ""
        found = self._read(lambda: self.table.search().where(condition).select(columns).to_arrow())
        frame = pl.from_arrow(found)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def _read(self, read: Callable[[], Any]) -> Any:
        with _explained(self.folder, "read"):
            return read()

    @contextmanager
    def _writing(self, patience: float = PATIENCE) -> Iterator[None]:
        """Hold the store's only pen, looking at its newest version: a merge into an older one repeats rows."""
        from filelock import FileLock, Timeout

        with _explained(self.folder, "written"):
            if not (self.folder / MARKER).is_file():  # the lock would make the folder anew where it was taken away
                raise StoreDown(f"{self.folder} is not there. Put it back, or build the index again")
            try:
                lock = FileLock(self.folder / LOCK, timeout=patience)
                lock.acquire()
            except Timeout:
                raise StoreDown(
                    f"{self.folder} has been written by another process for {patience:.0f} seconds. Try again later"
                ) from None
            try:
                self.table.checkout_latest()
                yield
            finally:
                lock.release()

    def _tidy_if_due(self) -> None:
        small = self.table.stats()["fragment_stats"]["num_small_fragments"]
        indexed = self.table.index_stats(f"{WORDS}_idx")
        if small <= SMALL_PIECES and (indexed is None or indexed.num_unindexed_rows <= UNINDEXED):
            return
        try:
            self._tidy()
        except (RuntimeError, OSError, ValueError) as error:  # what was asked for is written all the same
            log.warning("%s is slower than it could be: its indexes were not renewed (%s)", self.folder, _short(error))

    def _tidy(self) -> None:
        index_vectors(self.table, self.layout, None)  # first: rows of different parts of an index stay apart
        self.table.optimize(cleanup_older_than=KEPT_VERSIONS)


@contextmanager
def _explained(folder: Path, doing: str) -> Iterator[None]:
    """Say what went wrong with a store where LanceDB says what went wrong inside."""
    try:
        yield
    except (RuntimeError, OSError, ValueError) as error:
        if "No space left on device" in str(error):
            raise DiskFull(
                f"The disk was full while {folder} was {doing}. What was there before is untouched"
            ) from error
        if doing == "written" and any(sign in str(error) for sign in READ_ONLY):
            raise StoreReadOnly(f"{folder} cannot be written ({_short(error)}). Searching it still works") from error
        raise StoreDown(
            f"{folder} could not be {doing} ({_short(error)}). If this stays so, build the index again"
        ) from error


def _short(error: BaseException) -> str:
    """The first sentence of an error: LanceDB adds places in its own source."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
