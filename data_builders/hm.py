"""Makes a dataset of the H&M fashion recommendations: articles, their photographs, and two years of purchases.

The price in transactions_train.csv is scaled by an unknown factor and differs by day and discount, so it says nothing
that could stand beside an article: it is not taken. customers.csv (age, postcode, newsletter) is not taken either, for
a dataset knows people only by what they chose. One purchase of several pieces is one interaction.

examples:
  python data_builders/hm.py h-and-m-personalized-fashion-recommendations --out work/hm --core 5
  python data_builders/hm.py . --since 2020-06-01 --core 5 --out work/hm-summer
"""

import argparse
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import sources

from llmrec.dataset import Dataset, write_dataset
from llmrec.errors import InputError
from llmrec.progress import shown_progress

ARTICLES = {
    "article_id": "item",
    "prod_name": "title",
    "detail_desc": "description",
    "colour_group_name": "colour",
    "graphical_appearance_name": "pattern",
    "section_name": "section",
}
CATEGORIES = ("index_group_name", "product_group_name", "product_type_name")
TRANSACTIONS = ("t_dat", "customer_id", "article_id")


def main(arguments: list[str] | None = None) -> None:
    parser = sources.parser(__doc__, "hm.py")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="articles.csv, transactions_train.csv and images/")
    parser.add_argument("--since", type=_day, metavar="DAY", help="only purchases from this day on, such as 2020-06-01")
    sources.run(build, parser.parse_args(arguments))


def build(options: argparse.Namespace) -> Dataset:
    """Read articles and purchases, and write the dataset."""
    folder = sources.existing(options.folder, "folder")
    files = folder / "articles.csv", folder / "transactions_train.csv"
    articles = sources.delimited(files[0], columns=(*ARTICLES, *CATEGORIES))
    parts = pl.concat_list(CATEGORIES).list.drop_nulls().alias("categories")
    items = articles.select(*(pl.col(name).alias(new) for name, new in ARTICLES.items()), parts)
    items = items.with_columns(pl.col("item").str.zfill(10))  # a tool that read ids as numbers has cut their zeros
    log = sources.delimited(files[1], columns=TRANSACTIONS)
    day = pl.col("t_dat").str.to_date("%Y-%m-%d", strict=False)
    events = log.select(
        pl.col("customer_id").alias("user"),
        pl.col("article_id").str.zfill(10).alias("item"),
        day.cast(pl.Datetime("ms")).dt.epoch("ms").alias("timestamp"),
    )
    earlier = 0
    if options.since:
        start = int((options.since - date(1970, 1, 1)).days) * 86_400_000
        recent = events.filter((pl.col("timestamp") >= start) | pl.col("timestamp").is_null())
        earlier, events = len(events) - len(recent), recent
        if events.is_empty():
            raise InputError(f"{files[1]} has no purchase since {options.since}. Take an earlier --since")
    pictures = folder / "images"
    with shown_progress() as progress:
        return write_dataset(
            options.out,
            items,
            events,
            name="hm",
            licence="H&M Group: for the competition and non-commercial research; see its rules",
            source="H&M Personalized Fashion Recommendations",
            images=photographs(pictures, items["item"]) if pictures.exists() else {},
            files=(str(files[0]), str(files[1])),
            notes={"left out": {"purchases before --since": earlier}},
            progress=progress,
            **sources.written(options),
        )


def photographs(folder: Path, items: pl.Series) -> Iterator[tuple[str, Path]]:
    """Pairs of article and photograph, which lies in a folder named by the first three digits."""
    for item in items.drop_nulls():
        path = folder / item[:3] / f"{item}.jpg"
        if item.isdigit() and path.exists():
            yield item, path


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day. Write it like 2020-06-01") from None


if __name__ == "__main__":
    main()
