"""What a tower has learnt, measured on items that taught it nothing and on what people of validation took next."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from llmrec.pretraining import probes, tower
from llmrec.pretraining.catalogue import Catalogue
from llmrec.pretraining.gallery import Places
from llmrec.retrieval.content import Content, unit
from llmrec.retrieval.retriever import ndcg, some_cases
from llmrec.schema import ITEM_COLUMNS

Floats = npt.NDArray[np.float32]
CASES = 2_000  # people whose next item is asked for
MANY_VALUES = 60  # a column with more values is no attribute


def learnt(model: Any, catalogue: Catalogue, *, seed: int) -> dict[str, Any]:
    """Texts found by pictures, columns read by a line, and next items found by likeness alone."""
    everything = np.arange(len(catalogue.gallery))
    vectors, means = tower.picture_vectors(model, catalogue.gallery, everything)
    columns = attributes(catalogue.items)
    return {
        "picture_to_text": _recall(model, catalogue, vectors, seed),
        "read_from_vector": _read(vectors, catalogue, columns),
        "read_from_patches": _read(means, catalogue, columns),
        "next_item_ndcg@10": {
            "vector": next_item(vectors, catalogue, seed=seed),
            "patches": next_item(means - means.mean(axis=0), catalogue, seed=seed),
        },
        "widths": {"vector": vectors.shape[1], "patches": means.shape[1]},
    }


def next_item(vectors: Floats, catalogue: Catalogue, *, part: str = "valid", seed: int = 0) -> float:
    """NDCG@10 of the next item among all, ranked by its picture's likeness to those of the history."""
    table = np.zeros((len(catalogue.items), vectors.shape[1]), dtype=np.float32)
    table[catalogue.gallery.items] = unit(vectors)
    cases = some_cases(catalogue.split, "test" if part == "test" else "valid", CASES, seed=seed)
    return ndcg(Content(lambda: table, name="pictures"), cases)


def _recall(model: Any, catalogue: Catalogue, vectors: Floats, seed: int) -> dict[str, float] | None:
    known = catalogue.texts.known()[catalogue.gallery.items[catalogue.held_out]]
    asked: Places = catalogue.held_out[known]
    if len(asked) < 2:
        return None
    device = next(model.parameters()).device
    ids, mask = catalogue.texts.batch(catalogue.gallery.items[asked], np.random.default_rng(seed))
    with torch.inference_mode():
        found = tower.text_vectors(model, ids.to(device), mask.to(device)).float().cpu().numpy()
    return probes.recall(vectors[asked], found, seed=seed)


def _read(vectors: Floats, catalogue: Catalogue, columns: dict[str, list[str | None]]) -> dict[str, dict[str, float]]:
    codes = catalogue.gallery.items.tolist()
    found = {
        name: probes.reads(vectors, [values[code] for code in codes], catalogue.taught, catalogue.held_out)
        for name, values in columns.items()
    }
    return {name: one for name, one in found.items() if one is not None}


def attributes(items: pl.DataFrame) -> dict[str, list[str | None]]:
    """Columns of few values that may tell a picture's looks: brand, the narrowest category, and all that is text."""
    columns = {"category": items["categories"].list.last().to_list(), "brand": items["brand"].to_list()}
    free = [name for name in items.columns if name not in ITEM_COLUMNS and items[name].dtype == pl.String]
    columns |= {name: items[name].to_list() for name in free}
    return {name: values for name, values in columns.items() if _few(values)}


def _few(values: list[str | None]) -> bool:
    return 2 <= len({value for value in values if value is not None}) <= MANY_VALUES
