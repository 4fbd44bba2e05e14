"""What is known of each item before any training: vectors of its picture, its words and of who takes it with what.

picture        the index's vector of its picture
sight          what the model itself sees of the picture: the mean of its visual tokens
told           what these two tell in words, those that reviews share (gloss.py); made of them, not stored
text           the index's vector of its words
collaborative  the company it keeps in the training rows
popularity     the logarithm of how often it was taken in them
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.errors import InputError
from llmrec.modeling.album import Album
from llmrec.modeling.gloss import fit_gloss
from llmrec.modeling.kinds import EYES, KINDS, TOLD
from llmrec.progress import Progress
from llmrec.retrieval.index import Index, stored
from llmrec.said import Said
from llmrec.splits import TRAIN, Split

Floats = npt.NDArray[np.float32]

GLOSS = "gloss"
FILE, ITEMS = "bank.safetensors", "items.parquet"


@dataclass(frozen=True)
class Bank:
    """The content of a catalogue's items, by kind: one row an item, a row of NaN where it has none of that kind."""

    ids: pl.Series = field(repr=False)
    vectors: dict[str, Floats] = field(repr=False)
    gloss: Floats | None = field(default=None, repr=False)
    """What the vectors of EYES tell in words, where that is known: see gloss.py."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def widths(self) -> dict[str, int]:
        """The width of each kind."""
        return {kind: table.shape[1] for kind, table in self.vectors.items()}

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        from safetensors.numpy import save_file

        tables = self.vectors if self.gloss is None else {**self.vectors, GLOSS: self.gloss}
        save_file({kind: np.ascontiguousarray(table) for kind, table in tables.items()}, folder / FILE)
        pl.DataFrame({"item": self.ids}).write_parquet(folder / ITEMS)

    @classmethod
    def load(cls, folder: Path) -> "Bank":
        """Read it from a folder."""
        from safetensors.numpy import load_file

        try:
            found = load_file(folder / FILE)  # in the order of names, where the projectors want that of the kinds
            vectors = {kind: found[kind] for kind in KINDS if kind in found}
            return cls(pl.read_parquet(folder / ITEMS)["item"], vectors, found.get(GLOSS))
        except Exception as error:  # whatever the readers of two formats raise on missing or broken files
            raise InputError(f"{folder} holds no whole item bank ({error}). Tune again, or take another run") from error


def make_bank(
    index: Index,
    split: Split,
    *,
    kinds: Sequence[str] = KINDS,
    width: int = 128,
    album: Album | None = None,
    said: Said | None = None,
    progress: Progress | None = None,
) -> Bank:
    """Gather the vectors of all items of an index; who takes what comes from the split's training rows alone."""
    vectors: dict[str, Floats] = {}
    for kind in dict.fromkeys((*kinds, *EYES) if TOLD in kinds else kinds):
        if kind == "collaborative":
            if progress:
                progress("collaborative vectors", 0, None)
            vectors[kind] = collaborative(split, width)
        elif kind == "popularity":
            vectors[kind] = popularity(split)
        elif kind == "sight":
            if album is not None and album.has_pictures:
                vectors[kind] = album.means(progress)
        elif kind in index.store.kinds:
            vectors[kind] = stored(index.store, index.items, kind)
    vectors = {kind: vectors[kind] for kind in KINDS if kind in vectors}
    if not vectors:
        raise InputError(f"{index.folder} has none of the vectors asked for: {', '.join(kinds)}")
    eyes = [vectors[kind] for kind in EYES if kind in vectors]
    gloss = fit_gloss(np.concatenate(eyes, axis=1), said) if TOLD in kinds and eyes and said else None
    return Bank(index.items, vectors, gloss)


def popularity(split: Split) -> Floats:
    """The logarithm of how often each item was taken in training; unknown of those that nobody took."""
    taken = _taken(split)
    return np.where(taken > 0, np.log1p(taken), np.nan).astype(np.float32)[:, None]


def collaborative(split: Split, width: int) -> Floats:
    """Items as the company they keep: main directions of the neighbours' table; none for items that nobody took."""
    from scipy import sparse
    from scipy.sparse.linalg import svds

    from llmrec.retrieval import neighbours

    taken = _taken(split)
    table: Any = neighbours.fit(split).weights
    table = sparse.csr_array((table + table.T) / 2, dtype=np.float64)
    count = max(1, min(width, table.shape[0] - 2))
    start = np.random.default_rng(0).normal(size=table.shape[0])
    left, strength, _ = svds(table, k=count, v0=start)
    order = np.argsort(-strength)
    places = left[:, order] * np.sqrt(strength[order])
    places *= np.where(np.take_along_axis(places, np.abs(places).argmax(axis=0)[None], axis=0) < 0, -1, 1)  # one sign
    lengths = np.linalg.norm(places, axis=1, keepdims=True)
    places = places / np.where(lengths > 0, lengths, 1) * np.sqrt(count)
    found: Floats = places.astype(np.float32)
    found[taken == 0] = np.nan
    return found


def _taken(split: Split) -> npt.NDArray[np.int64]:
    """How often each item was taken in training."""
    return np.bincount(split.log.item[split.part == TRAIN], minlength=len(split.log.items))
