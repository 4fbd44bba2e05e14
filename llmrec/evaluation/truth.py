"""What only whoever drew a shop knows: what is true of its items beyond the catalogue, and why people took them.

`truth/` in a dataset's folder is for evaluation alone; most datasets have none.
"""

import polars as pl

from llmrec.dataset import TRUTH, Dataset

REASONS = "reasons"


def true_items(dataset: Dataset) -> pl.DataFrame | None:
    """The catalogue with what is true of each item beside; None where nobody knows."""
    file = dataset.folder / TRUTH / "items.parquet"
    if not file.is_file():
        return None
    return dataset.items.collect().join(pl.read_parquet(file), on="item", maintain_order="left")


def true_rows(dataset: Dataset) -> pl.DataFrame | None:
    """Why each row of the log happened, in the log's order; None where nobody knows."""
    file = dataset.folder / TRUTH / "interactions.parquet"
    if not file.is_file():
        return None
    truth, log = pl.read_parquet(file), dataset.interactions.select("user", "item", "timestamp").collect()
    if REASONS not in truth.columns:
        return None
    if log.select("user", "item").equals(truth.select("user", "item")):
        return truth
    return log.join(truth.unique(log.columns), on=log.columns, how="left", maintain_order="left")
