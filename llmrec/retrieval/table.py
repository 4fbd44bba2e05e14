"""The LanceDB table of a store: filled batch by batch, and given its indexes for ids, words and vectors."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from llmrec.progress import Progress
from llmrec.retrieval import rows
from llmrec.retrieval.rows import WORDS, Floats, Layout

TABLE = "items"
BATCH = 20_000
SCANNED = 2**20  # components of vectors: a scan over fewer is as fast as an index, and exact
FEWEST_INDEXED = 4_096
PARTITION = 4_096  # vectors of one partition of an index
INDEX_PARTS = 8  # folding rows in adds a part to a vector index, and a query searches them all


def open_table(folder: Path) -> Any:
    """The table of a folder; each query on it asks for the newest version, which takes a fraction of a millisecond."""
    return _connect(folder).open_table(TABLE)


def fill_table(
    folder: Path,
    frame: pl.DataFrame,
    layout: Layout,
    vectors: Mapping[str, tuple[Floats, Any]],
    progress: Progress | None,
) -> Any:
    """Write the table batch by batch: the words and the vectors of all items at once would need their memory twice."""
    import pyarrow as pa

    def part(start: int) -> pa.Table:
        cut = {
            kind: (array[start : start + BATCH], mask[start : start + BATCH]) for kind, (array, mask) in vectors.items()
        }
        return rows.arrow(frame.slice(start, BATCH), layout, cut)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(frame), BATCH):
            yield from part(start).to_batches()
            if progress:
                progress("Items", min(start + BATCH, len(frame)), len(frame))

    schema = part(len(frame)).schema
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    return _connect(folder).create_table(TABLE, reader, schema=schema, on_bad_vectors="null")  # null stays null


def index_table(table: Any, layout: Layout, progress: Progress | None) -> None:
    """Index ids, words and vectors."""
    from lancedb.index import FTS, BTree

    table.create_index("item", config=BTree())
    # The ICU tokenizer parts languages written without spaces; its own stop words are those of many languages at once,
    # and in one of them "cat" is one.
    text = FTS(with_position=False, base_tokenizer="icu", custom_stop_words=rows.STOP_WORDS.split())
    table.create_index(WORDS, config=text)
    index_vectors(table, layout, progress)


def index_vectors(table: Any, layout: Layout, progress: Progress | None) -> None:
    """Give an index to vectors that are too many to scan; anew where most have come since, or it is in many parts."""
    from lancedb.index import IvfSq

    for done, (kind, column) in enumerate(layout.vector_columns.items()):
        if progress:
            progress("Vector indexes", done, len(layout.widths))
        count = table.count_rows(f"{column} IS NOT NULL")
        if count < FEWEST_INDEXED or count * layout.widths[kind] < SCANNED:
            continue
        made = table.index_stats(f"{column}_idx")
        if made is None or made.num_unindexed_rows > made.num_indexed_rows or made.num_indices > INDEX_PARTS:
            table.create_index(column, config=IvfSq(distance_type="l2", target_partition_size=PARTITION), replace=True)
    if progress:
        progress("Vector indexes", len(layout.widths), len(layout.widths))


def _connect(folder: Path) -> Any:
    import lancedb

    return lancedb.connect(folder, read_consistency_interval=timedelta(0))
