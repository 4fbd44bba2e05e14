"""Makes a dataset of Amazon reviews as published in 2014, 2018 and 2023: a file of reviews and one of metadata.

The release is seen from the fields. What tells the future of an item (average rating, number of ratings, sales rank,
"also bought") is never taken. Pictures come from a folder with {asin}.jpg, or are fetched from their addresses, a few
at a time; a second run goes on where the first one stopped.

examples:
  python data_builders/amazon.py reviews_Beauty_5.json.gz --meta meta_Beauty.json.gz --out work/beauty
  python data_builders/amazon.py Baby_Products.jsonl.gz --meta meta_Baby_Products.jsonl.gz --core 5 --out work/baby
  python data_builders/amazon.py reviews_Toys_and_Games_5.json.gz --meta meta_Toys_and_Games.json.gz \\
      --fetch work/toys-pictures --out work/toys
"""

import argparse
import ast
import html
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fetching
import polars as pl
import sources

from llmrec.dataset import Dataset, write_dataset
from llmrec.errors import InputError
from llmrec.progress import Progress, shown_progress

log = logging.getLogger(__name__)

LONGEST_LINE = 2**20
"""A line of metadata is a few kilobytes; parsing a huge literal could exhaust the memory."""
TELLS_THE_FUTURE = re.compile(r"rank|review|rating", re.IGNORECASE)
MOST_BAD = 0.5
"""With more unusable lines than this share, the file is something else than it should be."""


@dataclass(frozen=True)
class Release:
    """How a release names what is in a review."""

    year: str
    user: str
    item: str
    rating: str
    review: str
    summary: str
    time: str
    to_ms: int


RELEASES = (
    Release("2023", "user_id", "parent_asin", "rating", "text", "title", "timestamp", 1),
    Release("2014 or 2018", "reviewerID", "asin", "overall", "reviewText", "summary", "unixReviewTime", 1000),
)
EVENTS = {
    "user": pl.String,
    "item": pl.String,
    "timestamp": pl.Int64,
    "rating": pl.Float64,
    "review": pl.String,
    "summary": pl.String,
}
ITEMS = {
    "item": pl.String,
    "title": pl.String,
    "description": pl.String,
    "categories": pl.List(pl.String),
    "brand": pl.String,
    "price": pl.Float64,
    "address": pl.String,
}


def main(arguments: list[str] | None = None) -> None:
    parser = sources.parser(__doc__, "amazon.py", ratings=True)
    parser.add_argument("reviews", type=Path, metavar="REVIEWS", help="the reviews, such as reviews_Beauty_5.json.gz")
    parser.add_argument("--meta", type=Path, metavar="FILE", help="the metadata; without it items have only an id")
    parser.add_argument(
        "--detail",
        action="append",
        default=[],
        metavar="NAME",
        help="2023: keep this entry of the details, such as Color, as an attribute; may be repeated",
    )
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument("--images", type=Path, metavar="FOLDER", help="pictures named {asin}.jpg, .png or .webp")
    pictures.add_argument("--fetch", type=Path, metavar="FOLDER", help="fetch pictures and keep them in this folder")
    sources.run(build, parser.parse_args(arguments))


def build(options: argparse.Namespace) -> Dataset:
    """Read reviews and metadata, get the pictures, and write the dataset."""
    if options.fetch and not options.meta:
        raise InputError("--fetch needs --meta, for the addresses of pictures are in the metadata")
    for name in options.detail:
        if TELLS_THE_FUTURE.search(name):
            raise InputError(f"--detail {name!r} tells how an item fared later. Leave it out: a model must not know")
    for path in (options.reviews, options.meta):
        if path:
            sources.existing(path)
    left_out: Counter[str] = Counter()
    with shown_progress() as progress:
        events, release = read_reviews(options.reviews, left_out, progress)
        events, left_out["interactions rated too low"] = sources.well_rated(events, options.min_rating)
        kept = sources.kept_items(events, options.core)
        items = read_items(options.meta, kept, options.detail, left_out, progress)
        images: Mapping[str, Path] = {}
        if options.images:
            images = dict(sources.pictures_by_id(options.images, items["item"]))
        elif options.fetch:
            addresses = dict(items.select("item", "address").drop_nulls().iter_rows())
            result = fetching.fetch(addresses, options.fetch, progress=progress)
            images = result.pictures
            left_out.update({f"pictures whose address {fault}": count for fault, count in result.faults.items()})
        beyond = len(events)
        events = events.filter(pl.col("item").is_in(kept)) if options.core > 1 else events
        left_out[f"interactions with items outside the {options.core}-core"] = beyond - len(events)
        return write_dataset(
            options.out,
            items.drop("address"),
            events,
            name=options.reviews.name.split(".")[0],
            licence="Amazon review data: for research; see the page of the release",
            source=f"Amazon reviews, release of {release.year}: {options.reviews.name}",
            images=images,
            rating_scale=(1.0, 5.0),
            files=(str(options.meta or options.reviews), str(options.reviews)),
            notes={"left out": {what: count for what, count in left_out.items() if count}},
            progress=progress,
            **sources.written(options),
        )


def read_reviews(path: Path, left_out: Counter[str], progress: Progress) -> tuple[pl.DataFrame, Release]:
    """All reviews in the contract's columns, and the release that they are of."""
    release = _release(path)

    def rows() -> Iterator[dict[str, Any]]:
        good = bad = 0
        for number, row in sources.json_lines(path):
            if number % 50_000 == 0:
                progress("reading reviews", number, None)
            made = _event(row, release) if row else None
            if made:
                good += 1
                yield made
            else:
                bad += 1
        _check_share(path, good, bad)
        left_out["unusable lines of reviews"] = bad

    return sources.table_of(rows(), EVENTS), release


def read_items(
    meta: Path | None, kept: set[str], details: list[str], left_out: Counter[str], progress: Progress
) -> pl.DataFrame:
    """The catalogue of the reviewed items: their metadata where there are any, else the id alone."""
    columns = ITEMS | dict.fromkeys(details, pl.String)
    described: set[str] = set()

    def rows() -> Iterator[dict[str, Any]]:
        if meta:
            good = bad = 0
            for number, row in sources.json_lines(meta, read=lambda line: parsed(line, kept)):
                if number % 20_000 == 0:
                    progress("reading metadata", number, None)
                item = _item_id(row) if row else None
                if row is None or item is None:
                    bad += 1
                    continue
                good += 1
                if item in kept and item not in described:
                    described.add(item)
                    yield item_of(item, row, details)
            _check_share(meta, good, bad)
            left_out["unusable lines of metadata"] = bad
        yield from ({"item": item} for item in sorted(kept - described))

    table = sources.table_of(rows(), columns)
    if meta and not described:
        raise InputError(f"{meta} describes none of the reviewed items. Take the metadata of the same category")
    if meta and len(described) < len(kept):
        log.warning("%s reviewed items have no metadata; they are kept with their id alone", len(kept) - len(described))
    return table


def parsed(line: str, kept: set[str]) -> Any:
    """One line of metadata: JSON, or as in 2014 a Python literal. Nothing in it is ever evaluated.

    Most lines are about items that nobody here reviewed, and literals are slow to parse: of those only the id is read.
    """
    if len(line) > LONGEST_LINE:
        raise ValueError("too long")
    told = _ID.search(line)
    if told and told[1] not in kept:
        return {"asin": told[1]}
    try:
        return json.loads(line)
    except ValueError:
        return ast.literal_eval(line.strip())


def item_of(item: str, row: Mapping[str, Any], details: list[str]) -> dict[str, Any]:
    """One item in the contract's columns, from the metadata of any release."""
    title = _clean(row.get("title"))
    if title and "getTime" in title:  # 2018: a script of the page stands where the title should be
        title = None
    about = row.get("details")
    if isinstance(about, str):
        about = _object(about)
    about = about if isinstance(about, dict) else {}
    texts = [*_listed(row.get("features") or row.get("feature")), *_listed(row.get("description"))]
    brand = _clean(row.get("brand")) or _clean(row.get("store")) or _clean(about.get("Brand"))
    return {
        "item": item,
        "title": title,
        "description": "\n".join(dict.fromkeys(text for text in map(_clean, texts) if text)) or None,
        "categories": _categories(row),
        "brand": brand,
        "price": price_of(row.get("price")),
        "address": _address(row),
        **{name: _clean(about.get(name)) for name in details},
    }


def price_of(value: Any) -> float | None:
    """A plain price in dollars; ranges, "from" prices and what else stands there are no price."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1e9 else None
    found = re.fullmatch(r"\$?\s?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?", value.strip()) if isinstance(value, str) else None
    return float(found[1].replace(",", "") + (found[2] or "")) if found else None


def _release(path: Path) -> Release:
    for _, row in sources.json_lines(path):
        if row:
            for release in RELEASES:
                if release.user in row and release.item in row:
                    return release
            names = ", ".join(list(row)[:8])
            raise InputError(f"{path} holds no Amazon reviews: its first object has {names}. Is it the metadata?")
    raise InputError(f"{path} holds no line of JSON. Take a reviews file, such as reviews_Beauty_5.json.gz")


def _event(row: Mapping[str, Any], release: Release) -> dict[str, Any] | None:
    user, item, time = row.get(release.user), row.get(release.item), row.get(release.time)
    if not (isinstance(user, str) and isinstance(item, str) and user and item):
        return None
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < 2**53:
        return None
    rating = row.get(release.rating)
    return {
        "user": user,
        "item": item,
        "timestamp": int(time * release.to_ms),
        "rating": float(rating) if isinstance(rating, int | float) else None,
        "review": _clean(row.get(release.review)),
        "summary": _clean(row.get(release.summary)),
    }


def _item_id(row: Mapping[str, Any]) -> str | None:
    item = row.get("parent_asin") or row.get("asin")
    return item if isinstance(item, str) and item else None


def _categories(row: Mapping[str, Any]) -> list[str]:
    """The path of categories: a list, or in 2014 a list of paths, of which the longest says most."""
    told = row.get("categories") or row.get("category") or []
    paths = [path for path in told if isinstance(path, list)] if isinstance(told, list) else []
    path = max(paths, key=len) if paths else told if isinstance(told, list) else []
    return [text for text in map(_clean, path) if text]


def _address(row: Mapping[str, Any]) -> str | None:
    """The address of the main picture, the largest version that there is."""
    images = row.get("images")
    if isinstance(images, list) and images:
        pictures = [image for image in images if isinstance(image, dict)]
        pictures.sort(key=lambda image: image.get("variant") != "MAIN")
        sizes = [image.get(size) for image in pictures[:1] for size in ("large", "hi_res", "thumb")]
    elif isinstance(images, dict):  # some copies turn the list of objects into lists by size
        sizes = [part for size in ("large", "hi_res", "thumb") for part in _listed(images.get(size))[:1]]
    else:
        many = [_listed(row.get(name))[:1] for name in ("imageURLHighRes", "imageURL", "imUrl")]
        sizes = [address for one in many for address in one]
    return next((address for address in sizes if isinstance(address, str) and address.startswith("http")), None)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _clean(value: Any) -> str | None:
    """Text as a reader of the page saw it: entities resolved, tags and embedded videos gone."""
    if not isinstance(value, str):
        return None
    text = html.unescape(value) if "&" in value else value
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub("\n", text))
    if "[[" in text:
        text = _EMBEDDED.sub("", text)
    text = "\n".join(line for line in (" ".join(part.split()) for part in text.splitlines()) if line)
    return text or None


def _check_share(path: Path, good: int, bad: int) -> None:
    if bad > MOST_BAD * (good + bad):
        raise InputError(
            f"{path}: {bad:,} of {good + bad:,} lines cannot be used. Is it the right file, and whole? Fetch it again"
        )


_ID = re.compile(r"""['"](?:parent_)?asin['"]: ?['"]([A-Za-z0-9]+)['"]""")
_BREAK = re.compile(r"<(?:br|/p|/li|/div|/h\d)\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_EMBEDDED = re.compile(r"\[\[(?:VIDEOID|ASIN|IMAGE)[^\]]*\]\]")


if __name__ == "__main__":
    main()
