"""Makes a dataset of MicroLens-50k or -100k: short videos with covers and titles, and who commented on which, when.

Taken are pairs.csv (or pairs.tsv, which has the order but no times), titles and covers. The files with likes and views
are counts from after the interactions and would tell the future: they are not taken.

examples:
  python data_builders/microlens.py MicroLens-50k --out work/videos
  python data_builders/microlens.py MicroLens-100k --covers MicroLens-100k_covers --core 5 --out work/videos
"""

import argparse
import csv
from pathlib import Path

import polars as pl
import sequences
import sources

from llmrec.dataset import Dataset, write_dataset
from llmrec.errors import InputError
from llmrec.progress import shown_progress


def main(arguments: list[str] | None = None) -> None:
    parser = sources.parser(__doc__, "microlens.py")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with *_pairs.csv or *_pairs.tsv, and *_title*.csv")
    parser.add_argument("--covers", type=Path, metavar="FOLDER", help="covers named {item}.jpg (default: *_covers)")
    sources.run(build, parser.parse_args(arguments))


def build(options: argparse.Namespace) -> Dataset:
    """Read pairs and titles, and write the dataset."""
    folder = sources.existing(options.folder, "folder")
    pairs = _only(folder, "*_pairs.csv") or _only(folder, "*_pairs.tsv")
    titles = _only(folder, "*_title_en.csv") or _only(folder, "*_title*.csv")
    if pairs is None or titles is None:
        kind, name = ("pairs", "*_pairs.csv or *_pairs.tsv") if pairs is None else ("titles", "*_title*.csv")
        raise InputError(f"{folder} has no {kind} ({name}). Fetch the files of MicroLens-50k or -100k into one folder")
    if pairs.suffix == ".csv":
        log = sources.delimited(pairs, columns=("user", "item", "timestamp"))
        events = log.with_columns(pl.col("timestamp").cast(pl.Int64, strict=False))
    else:
        events, _ = sequences.read_sequences(pairs, drop=options.drop_bad_rows)
    named = read_titles(titles)
    rest = events.select("item").drop_nulls().unique(maintain_order=True).join(named, on="item", how="anti")
    covers = options.covers or _only(folder, "*_covers")
    with shown_progress() as progress:
        return write_dataset(
            options.out,
            pl.concat([named, rest], how="diagonal"),
            events,
            name=pairs.name.partition("_")[0],
            licence="MicroLens: for academic research; see its page",
            source="MicroLens: Yongxin Ni et al., 2023, arXiv 2309.15379",
            images=dict(sources.pictures_by_id(covers, named["item"])) if covers else {},
            clock="ms" if pairs.suffix == ".csv" else "order",
            files=(str(titles), str(pairs)),
            progress=progress,
            **sources.written(options),
        )


def read_titles(path: Path) -> pl.DataFrame:
    """Titles by item id; a title may hold commas with no quotation marks around it."""
    titles: dict[str, str] = {}
    for place, row in enumerate(csv.reader(sources.text_of(path).splitlines())):
        if len(row) > 1 and not (place == 0 and not row[0].strip().isdigit()):
            titles.setdefault(row[0].strip(), ",".join(row[1:]).strip())
    if not titles:
        raise InputError(f"{path} has no titles. Each line is: item,title")
    return pl.DataFrame({"item": list(titles), "title": [title or None for title in titles.values()]})


def _only(folder: Path, pattern: str) -> Path | None:
    return next(iter(sorted(folder.glob(pattern))), None)


if __name__ == "__main__":
    main()
