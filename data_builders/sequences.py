"""Makes a dataset of sequence files, one person a line: `user item item item ...`, oldest first.

This is how S3-Rec and its heirs share the Amazon, Yelp and LastFM data. There is no clock: times are positions. Such
files often number items in the order in which they are met, or list the items of one moment by id. Either way the next
id is the next item strikingly often: then items get new, scattered ids, or a model would read the answers off them.

examples:
  python data_builders/sequences.py Beauty.txt --attributes Beauty_item2attributes.json --out work/beauty
  python data_builders/sequences.py user_sequence_asin.txt --titles item_textual_id.txt --out work/toys
"""

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import sources

from llmrec.dataset import Dataset, write_dataset
from llmrec.errors import InputError
from llmrec.log import encode, rank_of_ids, short_steps
from llmrec.progress import shown_progress

log = logging.getLogger(__name__)

SEED = 0


def main(arguments: list[str] | None = None) -> None:
    parser = sources.parser(__doc__, "sequences.py")
    parser.add_argument("sequences", type=Path, metavar="FILE", help="lines of a person's id and items, with spaces")
    parser.add_argument("--titles", type=Path, metavar="FILE", help="lines of an item's id, a space and its title")
    parser.add_argument("--attributes", type=Path, metavar="FILE", help="JSON: lists of attributes by item id")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="pictures named {item}.jpg, .png or .webp")
    sources.run(build, parser.parse_args(arguments))


def build(options: argparse.Namespace) -> Dataset:
    """Read sequences and what is known of items, and write the dataset."""
    events, bad = read_sequences(options.sequences, drop=options.drop_bad_rows)
    items = events.select("item").unique(maintain_order=True)
    if options.titles:
        items = items.join(read_titles(options.titles), on="item", how="left", maintain_order="left")
    if options.attributes:
        items = items.join(read_attributes(options.attributes), on="item", how="left", maintain_order="left")
    images: Mapping[str, Path] = {}
    if options.images:
        images = dict(sources.pictures_by_id(options.images, items["item"]))
    names = items["item"].sort()
    steps = short_steps(rank_of_ids(names)[encode(events["item"], names)], events["user"].rle_id().to_numpy())
    known_as: dict[str, pl.DataFrame] = {}
    if steps.tell_an_order:
        log.warning(
            "the next item has one of the next three ids in %.1f %% of the steps, one of the three before in %.1f %%: "
            "items get new ids, so that ids do not tell the order (truth/items.parquet has the source's)",
            100 * steps.forward,
            100 * steps.backward,
        )
        fresh = scattered(items["item"])
        known_as["items"] = pl.DataFrame({"item": list(fresh.values()), "source_id": list(fresh)})
        items = items.with_columns(pl.col("item").replace_strict(fresh))
        events = events.with_columns(pl.col("item").replace_strict(fresh))
        images = {fresh[item]: path for item, path in images.items()}
    with shown_progress() as progress:
        return write_dataset(
            options.out,
            items,
            events,
            name=options.sequences.stem,
            licence="as the source of the sequences tells",
            source=f"sequences: {options.sequences.name}",
            images=images,
            clock="order",
            truth=known_as,
            files=(str(options.titles or options.sequences), str(options.sequences)),
            notes={
                "steps to one of the next ids": round(steps.forward, 4),
                "steps to one of the ids before": round(steps.backward, 4),
                "new ids": "truth/items.parquet has the ids of the source" if known_as else "no",
                "left out": {"lines without an item": bad},
            },
            progress=progress,
            **sources.written(options),
        )


def read_sequences(path: Path, *, drop: bool) -> tuple[pl.DataFrame, int]:
    """The log, with positions for times."""
    users: list[str] = []
    items: list[list[str]] = []
    bad = 0
    for number, line in enumerate(sources.text_of(path).splitlines(), 1):
        parts = line.split()
        if len(parts) > 1:
            users.append(parts[0])
            items.append(parts[1:])
        elif parts and drop:
            bad += 1
        elif parts:
            raise InputError(f"{path}, line {number} has no item: {line[:40]!r}. Correct it, or add --drop-bad-rows")
    if len(users) > len(set(users)):
        seen: set[str] = set()
        again = next(user for user in users if user in seen or seen.add(user))  # type: ignore[func-returns-value]
        raise InputError(f"{path} has two lines for {again!r}. Does each line really begin with the person's id?")
    sequences = pl.DataFrame({"user": users, "item": items}, schema={"user": pl.String, "item": pl.List(pl.String)})
    position = pl.int_ranges(0, pl.col("item").list.len()).alias("timestamp")
    if not users:
        raise InputError(f"{path} has no sequence. Each line is: user item item item")
    return sequences.with_columns(position).explode("item", "timestamp"), bad


def read_titles(path: Path) -> pl.DataFrame:
    """Titles by item id."""
    pairs = [line.split(maxsplit=1) for line in sources.text_of(path).splitlines() if line.strip()]
    titles = {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}
    return pl.DataFrame(
        {"item": list(titles), "title": list(titles.values())}, schema=dict.fromkeys(("item", "title"), pl.String)
    )


def read_attributes(path: Path) -> pl.DataFrame:
    """Lists of attributes by item id, as categories."""
    try:
        content: Any = json.loads(sources.text_of(path))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}). Fetch it again") from None
    if not (isinstance(content, dict) and all(isinstance(value, list) for value in content.values())):
        raise InputError(f'{path} should be a JSON object of lists, like {{"1": ["red", "cotton"]}}')
    rows = {"item": list(content), "categories": [[str(one) for one in value] for value in content.values()]}
    return pl.DataFrame(rows, schema={"item": pl.String, "categories": pl.List(pl.String)})


def scattered(items: pl.Series) -> dict[str, str]:
    """New ids in an order that says nothing."""
    order = np.random.default_rng(SEED).permutation(len(items)) + 1
    width = len(str(len(items)))
    return {item: f"i{place:0{width}d}" for item, place in zip(items.sort(), order.tolist(), strict=True)}


if __name__ == "__main__":
    main()
