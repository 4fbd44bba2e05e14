"""Measures every retriever of an index on the dataset that it was made of, and writes the report."""

from pathlib import Path
from typing import Any

import numpy as np

from llmrec.errors import InputError
from llmrec.evaluation.ratings import rating_errors
from llmrec.evaluation.report import write_report
from llmrec.evaluation.run import cases_of, rank
from llmrec.progress import Progress
from llmrec.retrieval.index import Index
from llmrec.splits import PARTS


def evaluate_index(
    folder: Path,
    out: Path,
    *,
    dataset: Path | None = None,
    part: str = "test",
    sampled: bool = False,
    limit: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Returns what `report.json` holds."""
    asked = next((name for name in PARTS[1:] if name == part), None)
    if asked is None:
        raise InputError(f"{part!r} has no targets to rank. The parts with targets are {' and '.join(PARTS[1:])}")
    index = Index.open(folder)
    opened = index.dataset(dataset)
    split = index.split(opened)
    cases = cases_of(split, asked, protocol="sampled" if sampled else "full", limit=limit)
    systems = [rank(one, cases, seed=seed, progress=progress) for one in index.retrievers]
    ratings = opened.interactions.select("rating").collect()["rating"].to_numpy().astype(np.float64)
    warnings = []
    if part == "valid":
        warnings.append("The fusion was fitted and settings were chosen on these very targets: this is no fair test.")
    return write_report(
        out,
        opened,
        cases,
        systems,
        overwrite=overwrite,
        seed=seed,
        ratings=rating_errors(split, ratings, asked),
        warnings=warnings,
    )
