"""New and changed items in a merged model: their words come from the projectors that it carries, with no training.

The rows of its two tables change and nothing else; the index, where one is given, finds the items from then on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llmrec.artifact import read_json
from llmrec.dataset import Dataset
from llmrec.environment import device_for
from llmrec.errors import InputError
from llmrec.lexicon import read_words
from llmrec.modeling.album import Album
from llmrec.modeling.bank import Bank, Floats
from llmrec.modeling.base import load_base
from llmrec.modeling.stock import refresh_words
from llmrec.modeling.words import ItemWords
from llmrec.progress import Progress
from llmrec.retrieval.index import Index
from llmrec.tuning.material import picture_paths
from llmrec.tuning.run import MANIFEST, WORDS, item_words, recipe_of

REMEDY = "Make one with: llmrec merge RUN --out MODEL"


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did."""

    changed: int
    added: int
    removed: int
    free: int
    """Rows that are left for items to come."""


def refresh(
    model: Path,
    catalogue: Dataset,
    index: Index | None = None,
    *,
    remove: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Refreshed:
    """Give the items of a catalogue words in a merged model, and put them into the index.

    Without an index it is the one that the model was tuned with. What the log told of items that the model knows stays
    as it was; new ones have none of it. With `remove`, items that the catalogue lacks are taken out of both.
    """
    manifest = read_json(model, MANIFEST, kind="a merged model", remedy=REMEDY)
    if manifest.get("kind") != "model":
        raise InputError(f"{model} is a {manifest.get('kind')}, not a merged model. {REMEDY}")
    index = index or Index.open(Path(manifest["index"]["folder"]))
    bank, before = Bank.load(model), read_words(model)
    words = _projectors(model, manifest, bank)
    items = catalogue.items.collect()
    ids = items["item"].to_list()
    paths = picture_paths(catalogue)
    if progress:
        progress("reading words and pictures", 0, None)
    encoded = index.encoded(items, {item: path for item, path in zip(ids, paths, strict=True) if path})
    vectors = _vectors(model, index, encoded, bank, ids, paths, device, progress)
    with torch.no_grad():
        read, write = words.tables({kind: torch.from_numpy(table) for kind, table in vectors.items()})
    known = {item for item in before.ids if item}
    gone = sorted(known - set(ids)) if remove else []
    after = refresh_words(model, ids, read, write, removed=gone)
    if progress:
        progress("putting items into the index", 0, None)
    index.upsert(items, vectors=encoded)
    if gone:
        index.remove(gone)
    added = sum(item not in known for item in ids)
    return Refreshed(len(ids) - added, added, len(gone), len(after.free()))


def _projectors(model: Path, manifest: dict[str, Any], bank: Bank) -> ItemWords:
    """The projectors that a merged model carries."""
    from safetensors.torch import load_file

    words = item_words(recipe_of(manifest, model), bank, manifest["base"]["hidden"])
    state = load_file(model / WORDS)
    if any(name.startswith("own_") for name in state):
        raise InputError(
            f"{model} learnt a vector of its own for each item (words.learnt), so projectors alone do not make its "
            "words. Tune with words.learnt=false where items come and go"
        )
    words.load_state_dict(state, strict=False)
    return words.eval()


def _vectors(
    model: Path,
    index: Index,
    encoded: Mapping[str, Floats],
    bank: Bank,
    ids: Sequence[str],
    paths: Sequence[Path | None],
    device: str,
    progress: Progress | None,
) -> dict[str, Floats]:
    """The content of a catalogue's items, by kind, as the bank has it."""
    found: dict[str, Floats] = {}
    place = {item: row for row, item in enumerate(bank.ids.to_list())}
    rows = [place.get(item, -1) for item in ids]
    for kind, table in bank.vectors.items():
        if kind in encoded:
            found[kind] = encoded[kind]
        elif kind == "sight":
            base = load_base(str(model), dtype="float32", device=device_for(device))
            found[kind] = Album(base, paths).means(progress)
        else:  # what the log told
            found[kind] = np.concatenate([table, np.full((1, table.shape[1]), np.nan, np.float32)])[rows]
        if found[kind].shape[1] != table.shape[1]:
            raise InputError(
                f"{index.folder} makes {kind} vectors of {found[kind].shape[1]} values, but {model} was tuned on "
                f"{table.shape[1]}. Give the index that it was tuned with"
            )
    return found
