"""Makes a dataset of MovieLens: 100k, 1M, 10M, or one with CSV files (latest, latest-small, 20M, 25M, 32M).

Which one it is, is seen from the files. The year leaves the title and becomes an attribute, genres become categories.
Tags and what is known of people are not taken. MovieLens has no pictures: give a folder of posters named by movie id.

examples:
  python data_builders/movielens.py ml-latest-small --out work/films
  python data_builders/movielens.py ml-1m --posters posters --core 5 --min-rating 4 --out work/films
"""

import argparse
from pathlib import Path

import polars as pl
import sources

from llmrec.dataset import Dataset, write_dataset
from llmrec.errors import InputError
from llmrec.progress import shown_progress

EVENTS = ("userId", "movieId", "rating", "timestamp")
# The order of the flags in u.item, as the 100k release's u.genre lists them; the first one says "unknown".
GENRES = (
    *("", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
FILMS_100K = ("movieId", "title", "released", "video", "imdb", *(f"genre{place}" for place in range(len(GENRES))))


def main(arguments: list[str] | None = None) -> None:
    parser = sources.parser(__doc__, "movielens.py", ratings=True)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the unpacked release, such as ml-latest-small")
    parser.add_argument("--posters", type=Path, metavar="FOLDER", help="posters named {movieId}.jpg, .png or .webp")
    sources.run(build, parser.parse_args(arguments))


def build(options: argparse.Namespace) -> Dataset:
    """Read a release's films and ratings, and write the dataset."""
    films, events, files = read(sources.existing(options.folder, "folder"))
    items = films.select(
        pl.col("movieId").alias("item"),
        title().alias("title"),
        "categories",
        pl.col("title").str.extract(YEAR).cast(pl.Int64, strict=False).alias("year"),
    )
    stamps = pl.col("timestamp").cast(pl.Int64, strict=False) * 1000
    events = events.select(
        pl.col("userId").alias("user"),
        pl.col("movieId").alias("item"),
        stamps.alias("timestamp"),
        pl.col("rating").cast(pl.Float32, strict=False),
    )
    events, badly_rated = sources.well_rated(events, options.min_rating)
    images = dict(sources.pictures_by_id(options.posters, items["item"])) if options.posters else {}
    with shown_progress() as progress:
        return write_dataset(
            options.out,
            items,
            events,
            name=options.folder.resolve().name,
            licence="MovieLens: for research, no commercial use without permission; see the README of the release",
            source="GroupLens MovieLens: F. Maxwell Harper and Joseph A. Konstan, 2015, doi 10.1145/2827872",
            images=images,
            rating_scale=(0.5, 5.0) if events["rating"].min() == 0.5 or files[1].suffix == ".csv" else (1.0, 5.0),
            files=(str(files[0]), str(files[1])),
            notes={"left out": {"interactions rated too low": badly_rated}},
            progress=progress,
            **sources.written(options),
        )


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, tuple[Path, Path]]:
    """Films with movieId, title and categories, and ratings, as texts, from any release."""
    if (folder / "u.data").exists():
        files = folder / "u.item", folder / "u.data"
        films = sources.delimited(files[0], separator="|", encoding="latin-1", header=FILMS_100K, quoted=False)
        flags = [
            pl.when(pl.col(f"genre{place}") == "1").then(pl.lit(name)) for place, name in enumerate(GENRES) if name
        ]
        films = films.with_columns(pl.concat_list(flags).list.drop_nulls().alias("categories"))
        return films, sources.delimited(files[1], separator="\t", header=EVENTS, quoted=False), files
    if (folder / "ratings.dat").exists():
        files = folder / "movies.dat", folder / "ratings.dat"
        encoding = "utf-8" if _is_utf8(files[0]) else "latin-1"
        header = ("movieId", "title", "genres")
        films = sources.delimited(files[0], separator="::", encoding=encoding, header=header, quoted=False)
        return _split(films), sources.delimited(files[1], separator="::", header=EVENTS, quoted=False), files
    if (folder / "ratings.csv").exists():
        files = folder / "movies.csv", folder / "ratings.csv"
        films = sources.delimited(files[0], columns=("movieId", "title", "genres"))
        return _split(films), sources.delimited(files[1], columns=EVENTS), files
    inside = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise InputError(
        f"{folder} has none of u.data (100k), ratings.dat (1M, 10M) and ratings.csv (all others); it holds {inside}. "
        "Give the folder of an unpacked release"
    )


YEAR = r"\((\d{4})(?:[-–]\d{0,4})?\)\s*$"


def title() -> pl.Expr:
    """The title without its year, and with its article where people write it: "Piano, The (1993)" is "The Piano"."""
    bare = pl.col("title").str.replace(YEAR, "").str.strip_chars()
    return bare.str.replace(r"^([^(]+), (The|A|An)( \(.*)?$", "$2 $1$3")


def _split(films: pl.DataFrame) -> pl.DataFrame:
    genres = pl.col("genres").fill_null("").str.split("|")
    real = genres.list.eval(pl.element().filter(~pl.element().is_in(["", "(no genres listed)"])))
    return films.with_columns(real.alias("categories"))


def _is_utf8(path: Path) -> bool:
    """10M is UTF-8, 1M is Latin-1."""
    try:
        sources.existing(path).read_bytes().decode()
    except UnicodeDecodeError:
        return False
    return True


if __name__ == "__main__":
    main()
