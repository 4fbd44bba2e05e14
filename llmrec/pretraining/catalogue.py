"""What a pretraining stage reads of a dataset: pictures, texts and pairs, with some items held out of all of them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from llmrec import said
from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.pretraining import tower
from llmrec.pretraining.gallery import Gallery, Places, hang
from llmrec.pretraining.pairs import Pairs, count
from llmrec.pretraining.recipe import TowerRecipe
from llmrec.pretraining.texts import Texts, tokens
from llmrec.progress import Progress
from llmrec.retrieval.words import texts_of
from llmrec.said import Said, training_reviews
from llmrec.splits import Split, split_by_name

FEWEST = 20  # pictures: fewer teach nothing and measure nothing


@dataclass(frozen=True)
class Catalogue:
    """A catalogue as a picture tower sees it; `taught` and `held_out` are places in the gallery."""

    items: pl.DataFrame = field(repr=False)
    split: Split = field(repr=False)
    gallery: Gallery
    tokenizer: Any = field(repr=False)
    texts: Texts = field(repr=False)
    said: Said | None = field(repr=False)
    pairs: Pairs = field(repr=False)
    taught: Places = field(repr=False)
    held_out: Places = field(repr=False)


def read(dataset: Dataset, recipe: TowerRecipe, *, progress: Progress | None = None) -> Catalogue:
    """Read pictures, texts and pairs. Held-out items are in no pair, and the tokenizer has not seen their words."""
    items = dataset.items.collect()
    pictures = [dataset.picture(image) for image in items["image"]]
    if not any(pictures):
        raise InputError(
            f"{dataset.folder} has no pictures, so there is nothing for a picture tower to look at. Build the dataset "
            "with pictures, or go on without a tower"
        )
    gallery = hang(pictures, recipe.shape.image_size, memory_mib=recipe.memory_mib, progress=progress)
    if len(gallery) < FEWEST:
        raise InputError(
            f"{dataset.folder} has {len(gallery)} pictures that can be read, and a tower needs {FEWEST} at least. See "
            f"what is wrong with the others: llmrec validate {dataset.folder}"
        )
    order = np.random.default_rng(recipe.seed).permutation(len(gallery))
    asked = max(1, round(recipe.held_out * len(gallery)))
    held_out, taught = np.sort(order[:asked]), np.sort(order[asked:])
    allowed = np.zeros(len(items), dtype=bool)
    allowed[gallery.items[taught]] = True

    split = split_by_name(dataset.log, recipe.split, clock=dataset.clock, people=recipe.people)
    own = texts_of(items)
    heard = training_reviews(dataset, split) if recipe.reviews or recipe.losses.words else [[] for _ in own]
    read_along = heard if recipe.reviews else [[] for _ in own]
    lines = [line for code in np.flatnonzero(allowed).tolist() for line in (own[code], *read_along[code])]
    tokenizer = tower.make_tokenizer(lines, recipe.shape)
    shape = recipe.shape
    return Catalogue(
        items=items,
        split=split,
        gallery=gallery,
        tokenizer=tokenizer,
        texts=tokens(tokenizer, own, read_along, length=shape.text_length, drawn=recipe.reviews),
        said=said.count(own, heard, allowed) if recipe.losses.words else None,
        pairs=count(split, allowed, window=recipe.window, damping=recipe.damping),
        taught=taught,
        held_out=held_out,
    )
