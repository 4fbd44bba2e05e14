"""The index: everything that finds candidates for a person, fitted on one dataset and kept in one folder.

index.json              what it was made of: dataset, split, recipe, fusion weights, versions
items.parquet           the items that the retrievers know, in the order of their codes
retrievers.safetensors  what was fitted
words.json              the words that the text vectors know
store/                  the items themselves, searched and changed while people ask (see `llmrec.retrieval.store`)
graphs/                 their vectors once more, for answers within a millisecond (see `llmrec.retrieval.graphs`)
encoders/               the models that made vectors of texts or pictures, where the recipe names any
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.artifact import read_json
from llmrec.config import build
from llmrec.dataset import Dataset
from llmrec.errors import ConfigError, InputError
from llmrec.log import Codes
from llmrec.retrieval import encoders, fusion, graphs, sasrec
from llmrec.retrieval.content import Content
from llmrec.retrieval.encoders import PictureEncoder, TextEncoder
from llmrec.retrieval.fields import Bools
from llmrec.retrieval.filters import Where
from llmrec.retrieval.fusion import Candidates, Fusion
from llmrec.retrieval.graphs import Graphs, Moment
from llmrec.retrieval.neighbours import NeighbourRecipe, Neighbours
from llmrec.retrieval.popularity import Popularity
from llmrec.retrieval.retriever import Floats, Retriever
from llmrec.retrieval.sasrec import SasRec, SasRecRecipe
from llmrec.retrieval.sights import Sights
from llmrec.retrieval.store import PATIENCE, Hits, ItemStore
from llmrec.retrieval.words import Words, texts_of
from llmrec.splits import Split, split_by_name

MARKER = "index.json"
VERSION = 2
HOLDS = ("items.parquet", "retrievers.safetensors", "words.json", "store", graphs.FOLDER, encoders.FOLDER)
PARTS = ("neighbours", "sasrec", "text", "pictures")
REMEDY = "Make one with: llmrec index DATASET --out FOLDER"


@dataclass(frozen=True)
class IndexRecipe:
    """What an index is made of."""

    split: Literal["leave-one-out", "temporal", "cold-items"] = "leave-one-out"
    """Whose training rows the retrievers are fitted on; the fusion is fitted on its validation targets."""
    people: float = 1.0
    """The share of the people that anything learns from, to see what more of them are worth; all are asked."""
    refit: bool = False
    """Fit the retrievers once more on all rows, after the fusion: for serving, since nothing is left to measure on."""
    parts: tuple[str, ...] = PARTS
    """The retrievers that are fused, of neighbours, sasrec, text and pictures."""
    neighbours: NeighbourRecipe | None = None
    """How co-occurrences are counted; without it, the best of several ways on validation."""
    sasrec: SasRecRecipe = field(default_factory=SasRecRecipe)
    """How SASRec is built and trained."""
    text_encoder: str | None = None
    """Folder (or hub name) of a sentence-transformers, Hugging Face text or CLIP model; without it, weighted words."""
    picture_encoder: str | None = None
    """Folder (or hub name) of a CLIP, SigLIP or vision model; with the first two, words find pictures too."""
    text_width: int = 256
    """Dimensions of the text vectors; an encoder has its own."""
    picture_width: int = 128
    """Dimensions of the picture vectors; an encoder has its own."""
    seed: int = 0
    """Seed of everything that is drawn at random."""

    def __post_init__(self) -> None:
        if self.refit and self.people < 1:
            raise ConfigError(f"refit=true fits on all rows, and people={self.people:g} asks for some. Set one of them")
        unknown = set(self.parts) - set(PARTS)
        if unknown or not self.parts:
            raise ConfigError(
                f"parts are {', '.join(PARTS)}, one or more of them, not {', '.join(self.parts) or 'none'}"
            )
        for part, encoder in (("text", self.text_encoder), ("pictures", self.picture_encoder)):
            if encoder and part not in self.parts:
                raise ConfigError(f"{encoder} would have nothing to do, since parts leave out {part}. Add it to parts")
        if self.sasrec.seed not in (0, self.seed):
            raise ConfigError(f"sasrec.seed={self.sasrec.seed}: everything is drawn from one seed. Set seed instead")


@dataclass(frozen=True)
class Index:
    """An opened index. Its retrievers answer in codes for an evaluation; `candidates` and `search` answer in items."""

    folder: Path
    info: Mapping[str, Any] = field(repr=False)
    items: pl.Series = field(repr=False)
    popularity: Popularity = field(repr=False)
    recent: Popularity = field(repr=False)
    parts: tuple[Retriever, ...] = field(repr=False)
    fused: Fusion = field(repr=False)
    words: Words | TextEncoder | None = field(repr=False)
    sights: Sights | PictureEncoder | None = field(repr=False)
    store: ItemStore = field(repr=False)
    graphs: Graphs = field(repr=False)

    @classmethod
    def open(cls, folder: Path | str) -> "Index":
        """Open an index folder."""
        folder = Path(folder)
        info = read_json(folder, MARKER, kind="an index", remedy=REMEDY)
        if info.get("schema") != VERSION:
            raise InputError(f"{folder} has index version {info.get('schema')}, this llmrec reads {VERSION}. {REMEDY}")
        try:
            return _load(folder, info)
        except ConfigError as error:
            raise InputError(f"{error}\n{folder} was made by another version of llmrec. {REMEDY}") from error
        except InputError:
            raise
        except Exception as error:  # whatever the readers of four formats raise on broken files
            raise InputError(f"{folder} is damaged ({error}). {REMEDY}") from error

    @property
    def retrievers(self) -> list[Retriever]:
        """All systems that can be compared: popularity, each part, both fusions."""
        by_ranks = Fusion(self.parts, name="fusion by ranks", fallback=self.recent)
        learned = [self.fused] if self.fused.weights is not None else []
        return [self.popularity, self.recent, *self.parts, by_ranks, *learned]

    def dataset(self, folder: Path | None = None) -> Dataset:
        """The dataset that the index was made of; another one is an error."""
        known = Path(self.info["dataset"]["folder"])
        if folder is None and not known.exists():
            raise InputError(
                f"{self.folder} was made of {known}, which is not there any more. Say where it is now: --dataset FOLDER"
            )
        dataset = Dataset.open(folder or known)
        if dataset.fingerprint != self.info["dataset"]["fingerprint"]:
            raise InputError(
                f"{self.folder} was made of other data than {dataset.folder} holds now (fingerprints differ). "
                f"Make the index again: llmrec index {dataset.folder} --out {self.folder} --overwrite"
            )
        return dataset

    def split(self, dataset: Dataset) -> Split:
        """The split whose training rows it was fitted on."""
        if self.info["recipe"]["refit"]:
            raise InputError(
                f"{self.folder} was fitted on all rows, so nothing is left to measure on. Make one with refit=false"
            )
        told = self.info["recipe"]
        return split_by_name(dataset.log, told["split"], clock=dataset.clock, people=told.get("people", 1.0))

    def candidates(
        self, history: Sequence[str], count: int = 100, *, where: Where | None = None, keep_owned: bool = False
    ) -> Hits:
        """The fused candidates for a person who took these items, oldest first; what they have is left out.

        Items that came after the index was fitted are read and found by their content. A person of whom nothing is
        known is answered by recent popularity.
        """
        now = self.graphs.now()
        allowed = now.allowed(where, () if keep_owned else history)
        lists = self._lists(now, list(history), allowed)
        if not any(one.items.size for one in lists):
            return self._popular(now, allowed, count)
        ((codes, scores),) = fusion.fuse(lists, self.fused.weights)
        best = np.argsort(-scores, kind="stable")[:count]
        return Hits(now.names(codes[best]), scores[best])

    def popular(self, count: int = 100, *, where: Where | None = None, leave_out: frozenset[str] = frozenset()) -> Hits:
        """The items that most people take of late."""
        now = self.graphs.now()
        return self._popular(now, now.allowed(where, leave_out), count)

    def search(self, query: str | Path, count: int = 20, *, where: Where | None = None) -> Hits:
        """Items for a query in words or for a picture.

        Words ask the full text, the text vectors and, where an encoder has both in one space, the picture vectors; the
        answers are fused by ranks.
        """
        if isinstance(query, Path):
            if self.sights is None:
                raise InputError(f"{self.folder} knows no pictures. Make it from a dataset that has some")
            vector = self.sights.vectors([query])[0]
            if not vector.any():
                raise InputError(f"{query} is not a picture that can be read. Give a JPEG, PNG or WebP")
            return self.store.near(vector, "picture", count, where=where)
        lists = [self.store.words(query, fusion.DEEP, where=where)]
        for kind, vector in self._asked(query).items():
            lists.append(self.store.near(vector, kind, fusion.DEEP, where=where))
        return merged(lists, count)

    def upsert(
        self,
        items: pl.DataFrame,
        pictures: Mapping[str, Path] | None = None,
        *,
        vectors: Mapping[str, Floats] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Add new and changed items; they are found at once, by words, by pictures and as candidates by content.

        `vectors` are what `encoded` made of them, where somebody has asked for it already; `patience` is how many
        seconds to wait for another writer.
        """
        found = self.encoded(items, pictures) if vectors is None else vectors
        self.store.upsert(items, dict(found), patience=patience)

    def encoded(self, items: pl.DataFrame, pictures: Mapping[str, Path] | None = None) -> dict[str, Floats]:
        """The vectors of items by their words and pictures; a row of NaN where there is nothing to read."""
        vectors: dict[str, Floats] = {}
        if self.words is not None:
            vectors["text"] = self.words.vectors(texts_of(items, self.info["attributes"]))
        if self.sights is not None and pictures is not None:
            vectors["picture"] = self.sights.vectors([pictures.get(item) for item in items["item"]])
        # Where nothing could be read, an encoder has not said how wide its vectors are.
        nothing = {kind: np.zeros((len(items), width), np.float32) for kind, width in self.store.layout.widths.items()}
        return {kind: gaps(found if found.any() else nothing[kind]) for kind, found in vectors.items()}

    def remove(self, ids: Sequence[str], *, patience: float = PATIENCE) -> None:
        """Take items out; no query answers with them any more."""
        self.store.remove(ids, patience=patience)

    def _asked(self, query: str) -> dict[str, Floats]:
        """Where a query in words points, for each kind of vector that knows it."""
        found: dict[str, Floats] = {}
        if isinstance(self.words, TextEncoder):
            found["text"] = self.words.asked(query)
        elif self.words is not None:
            found["text"] = self.words.vectors([query])[0]
        if isinstance(self.sights, PictureEncoder) and self.sights.reads_words:
            found["picture"] = self.sights.asked(query)
        return {kind: vector for kind, vector in found.items() if vector.any()}

    def _lists(self, now: Moment, history: list[str], allowed: Bools) -> list[Candidates]:
        codes = np.array([self.graphs.code[item] for item in history if item in self.graphs.code], dtype=np.int32)
        found = []
        for part in self.parts:
            vector, kind = None, "taste"
            if isinstance(part, Neighbours):
                found.append(_counted(part, codes, allowed))
                continue
            if isinstance(part, SasRec) and len(codes):
                vector = np.append(part.person(codes), np.float32(0))
            elif isinstance(part, Content):
                kind = _KIND[part.name]
                vector = _profile(now, history, part, kind)
            found.append(_candidates(*now.near(vector, kind, fusion.DEEP, allowed)) if vector is not None else NOBODY)
        return found

    def _popular(self, now: Moment, allowed: Bools, count: int) -> Hits:
        found: list[npt.NDArray[np.int64]] = []
        for begin in range(0, len(self.items), 10_000):
            next_ones = self._by_popularity[begin : begin + 10_000]
            found.append(next_ones[allowed[next_ones]])
            if sum(map(len, found)) >= count:
                break
        codes = np.concatenate(found)[:count]
        return Hits(now.names(codes), self.recent.worth[codes])

    @cached_property
    def _by_popularity(self) -> npt.NDArray[np.int64]:
        return np.argsort(-self.recent.worth, kind="stable")


_KIND = {"text": "text", "pictures": "picture"}
NOBODY = Candidates(np.zeros((1, 0), dtype=np.int64), np.zeros((1, 0), dtype=np.float32))


def _counted(part: Neighbours, codes: Codes, allowed: Bools) -> Candidates:
    row = part.sparse_scores([codes])
    kept = allowed[row.indices]
    found, scores = row.indices[kept], row.data[kept]
    order = np.argsort(-scores, kind="stable")[: fusion.DEEP]
    return _candidates(found[order], scores[order])


def _profile(now: Moment, history: list[str], part: Content, kind: str) -> Floats | None:
    """The mean of the last items' vectors, the last ones weighing most; nothing where none has a vector."""
    last = history[-part.recent :]
    weights = part.decay ** np.arange(len(last) - 1, -1, -1, dtype=np.float32)
    profile = weights @ np.nan_to_num(now.vectors(last, kind))
    return np.asarray(profile, dtype=np.float32) if np.any(profile) else None


def _candidates(codes: npt.NDArray[np.int64], scores: Floats) -> Candidates:
    return Candidates(np.asarray(codes, dtype=np.int64)[None], scores[None])


def _load(folder: Path, info: Mapping[str, Any]) -> Index:
    from safetensors.numpy import load_file
    from scipy import sparse

    arrays = load_file(folder / "retrievers.safetensors")
    items = pl.read_parquet(folder / "items.parquet")["item"]
    store = ItemStore.open(folder / "store")
    recipe = build(IndexRecipe, info["recipe"], str(folder / MARKER))
    reader, viewer = encoders.restored(folder, info.get("encoders", {}))
    known: Words | TextEncoder | None = reader
    if "words.axes" in arrays:
        known = Words(json.loads((folder / "words.json").read_text(encoding="utf-8")), arrays["words.axes"])
    seen: Sights | PictureEncoder | None = viewer
    if "sights.axes" in arrays:
        seen = Sights(arrays["sights.mean"], arrays["sights.axes"])
    parts: list[Retriever] = []
    for name in info["parts"]:
        if name == "neighbours":
            pieces = tuple(arrays[f"neighbours.{piece}"] for piece in ("data", "indices", "indptr"))
            weights = sparse.csr_array(pieces, shape=(len(items),) * 2)
            parts.append(Neighbours(build(NeighbourRecipe, info["neighbours"]), weights))
        elif name == "sasrec":
            state = {key.removeprefix("sasrec."): value for key, value in arrays.items() if key.startswith("sasrec.")}
            parts.append(sasrec.restore(len(items), recipe.sasrec, state))
        else:
            parts.append(Content(functools.partial(_filled, store, items, _KIND[name]), name))
    weights = None if info["fusion"] is None else np.array(info["fusion"])
    recent = Popularity(arrays["recent"], name="recent popularity")
    return Index(
        folder=folder,
        info=info,
        items=items,
        popularity=Popularity(arrays["popularity"]),
        recent=recent,
        parts=tuple(parts),
        fused=Fusion(tuple(parts), weights, name="learned fusion", fallback=recent),
        words=known,
        sights=seen,
        store=store,
        graphs=Graphs(folder, store, items),
    )


def merged(lists: Sequence[Hits], count: int) -> Hits:
    """The best of several lists of one query, by their ranks; the names decide between equals."""
    names = sorted({item for one in lists for item in one.items})
    place = {item: number for number, item in enumerate(names)}
    tables = [
        Candidates(np.array([[place[item] for item in one.items]], dtype=np.int64), one.scores[None]) for one in lists
    ]
    ((found, scores),) = fusion.fuse(tables, None)
    best = np.argsort(-scores, kind="stable")[:count]
    return Hits([names[number] for number in found[best]], scores[best])


def stored(store: ItemStore, items: pl.Series, kind: str) -> Floats:
    """The vectors of all items, in the order of their codes; a row of NaN where an item has none."""
    chunks = [store.vectors(items[at : at + 10_000].to_list(), kind) for at in range(0, len(items), 10_000)]
    return np.concatenate(chunks)


def _filled(store: ItemStore, items: pl.Series, kind: str) -> Floats:
    return np.nan_to_num(stored(store, items, kind))


def gaps(vectors: Floats) -> Floats:
    """Rows of zeros as rows of NaN, which the store takes for no vector."""
    return np.asarray(np.where(vectors.any(axis=1, keepdims=True), vectors, np.nan), dtype=np.float32)
