"""MovieLens, H&M, MicroLens and sequence files: small files in each published format become sound datasets."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import hm
import microlens
import movielens
import polars as pl
import pytest
import sequences
import xrec
from shops import picture

from llmrec.dataset import Dataset, validate

BUILDERS = Path(__file__).parent.parent / "data_builders"


def made(builder: ModuleType, folder: Path, *arguments: str | Path) -> Dataset:
    out = folder / "out"
    builder.main([*map(str, arguments), "--out", str(out), "--overwrite"])
    dataset = Dataset.open(out)
    assert not [problem for problem in validate(out)[1] if problem.severity == "error"]
    return dataset


def refused(builder: ModuleType, capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as stopped:
        builder.main([*map(str, arguments), "--out", str(folder / "out")])
    assert stopped.value.code == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err


def by_item(dataset: Dataset) -> dict[str, dict[str, Any]]:
    return {row["item"]: row for row in dataset.items.collect().to_dicts()}


def films(folder: Path, release: str) -> Path:
    """The same two films and three ratings as each release of MovieLens writes them."""
    folder = folder / release
    folder.mkdir()
    titles = {"1": ("Léon: The Professional (1994)", "Action|Crime"), "2": ("Piano, The (1993)", "Drama")}
    ratings = (("7", "1", "5", "881250949"), ("7", "2", "3", "881250949"), ("8", "2", "4", "881250950"))
    if release == "ml-100k":
        genres = {"1": (1, 6), "2": (8,)}
        lines = [
            "|".join(
                [film, title, "01-Jan-1994", "", "http://imdb", *("1" if g in genres[film] else "0" for g in range(19))]
            )
            for film, (title, _) in titles.items()
        ]
        (folder / "u.item").write_text("\n".join(lines) + "\n", encoding="latin-1")
        (folder / "u.data").write_text("".join("\t".join(rating) + "\n" for rating in ratings))
    elif release in ("ml-1m", "ml-10m"):
        encoding = "latin-1" if release == "ml-1m" else "utf-8"
        lines = ["::".join([film, *told]) for film, told in titles.items()]
        (folder / "movies.dat").write_text("\n".join(lines) + "\n", encoding=encoding)
        (folder / "ratings.dat").write_text("".join("::".join(rating) + "\n" for rating in ratings))
    else:
        lines = [f'{film},"{title}",{genres}' for film, (title, genres) in titles.items()]
        (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(lines) + "\n", encoding="utf-8")
        lines = [",".join(rating) for rating in ratings]
        (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
        (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n7,1,great,881250949\n")
    return folder


@pytest.mark.parametrize("release", ["ml-100k", "ml-1m", "ml-10m", "ml-latest-small"])
def test_every_release_of_movielens_gives_the_same_films(tmp_path: Path, release: str) -> None:
    dataset = made(movielens, tmp_path, films(tmp_path, release))
    items = by_item(dataset)
    assert items["1"]["title"] == "Léon: The Professional"
    assert items["1"]["categories"] == ["Action", "Crime"]
    assert (items["2"]["title"], items["2"]["year"]) == ("The Piano", 1993)
    assert dataset.attributes == ("year",)
    assert dataset.name == release
    events = dataset.interactions.collect()
    assert events["timestamp"].unique().sort().to_list() == [881_250_949_000, 881_250_950_000]
    assert sorted(events["rating"]) == [3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("told", "title", "year"),
    [
        ("City of Lost Children, The (Cité, La) (1995)", "The City of Lost Children (Cité, La)", 1995),
        ("Babylon 5", "Babylon 5", None),
        ("American Hero, An (2001) ", "An American Hero", 2001),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", 1975),
        (
            "Good, the Bad and the Ugly, The (Buono, il brutto) (1966)",
            "The Good, the Bad and the Ugly (Buono, il brutto)",
            1966,
        ),
    ],
)
def test_titles_lose_their_year_and_regain_their_article(told: str, title: str, year: int | None) -> None:
    row = pl.DataFrame({"title": [told]}).select(
        title=movielens.title(), year=pl.col("title").str.extract(movielens.YEAR).cast(pl.Int64)
    )
    assert row.rows() == [(title, year)]


def test_posters_are_found_by_film(tmp_path: Path) -> None:
    posters = tmp_path / "posters"
    posters.mkdir()
    (posters / "2.jpg").write_bytes(picture(2))
    dataset = made(movielens, tmp_path, films(tmp_path, "ml-1m"), "--posters", posters, "--min-rating", "4")
    assert by_item(dataset)["2"]["image"]
    assert dataset.info["counts"] | {} == {
        "items": 2,
        "users": 2,
        "interactions": 2,
        "pictures": 1,
        "ratings": 2,
        "reviews": 0,
    }


def test_what_is_no_movielens_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in refused(movielens, capsys, tmp_path, tmp_path / "ml-2m")
    assert "it holds nothing" in refused(movielens, capsys, tmp_path, tmp_path)
    folder = films(tmp_path, "ml-latest-small")
    text = (folder / "movies.csv").read_text(encoding="utf-8")
    (folder / "movies.csv").write_text(text, encoding="latin-1")
    assert "movies.csv, line 2: byte 0xe9 is not utf-8" in refused(movielens, capsys, tmp_path, folder)
    (folder / "movies.csv").write_text(text, encoding="utf-8")
    (folder / "ratings.csv").write_text("userId,film,rating,timestamp\n1,1,5,881250949\n")
    assert "no column 'movieId'. Its columns are: userId, film" in refused(movielens, capsys, tmp_path, folder)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,5,881250949\n1,2,11,881250949\n1,2,4,x\n")
    told = refused(movielens, capsys, tmp_path, folder)
    assert "row 2: the rating is outside 0.5 to 5" in told
    assert "row 3: the timestamp is missing" in told


def test_a_line_with_too_many_values_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = films(tmp_path, "ml-1m")
    (folder / "ratings.dat").write_text("7::1::5::881250949\n7::2::3::881250949::1\n")
    assert "line 2 has 5 values where the first line has 4" in refused(movielens, capsys, tmp_path, folder)


def wardrobe(folder: Path) -> Path:
    head = "article_id,prod_name,product_type_name,product_group_name,graphical_appearance_name,colour_group_name,"
    (folder / "articles.csv").write_text(
        head + "index_group_name,section_name,detail_desc\n"
        '0108775015,Strap top,Vest top,Garment Upper body,Solid,Black,Ladieswear,Basics,"Jersey top, narrow straps."\n'
        "0110065001,OP T-shirt,Bra,Underwear,Solid,Black,Ladieswear,Lingerie,\n"
    )
    (folder / "transactions_train.csv").write_text(
        "t_dat,customer_id,article_id,price,sales_channel_id\n"
        "2018-09-20,aa,0108775015,0.0508,2\n2018-09-20,aa,0108775015,0.0508,2\n2020-06-02,bb,0110065001,0.03,1\n"
    )
    (folder / "images" / "010").mkdir(parents=True)
    (folder / "images" / "010" / "0108775015.jpg").write_bytes(picture(9))
    return folder


def test_hm_articles_with_their_photographs(tmp_path: Path) -> None:
    dataset = made(hm, tmp_path, wardrobe(tmp_path))
    item = by_item(dataset)["0108775015"]
    assert item["title"] == "Strap top"
    assert item["description"] == "Jersey top, narrow straps."
    assert item["categories"] == ["Ladieswear", "Garment Upper body", "Vest top"]
    assert (item["colour"], item["pattern"], item["section"]) == ("Black", "Solid", "Basics")
    assert item["price"] is None, "the scaled price of a purchase is not the article's"
    assert item["image"]
    events = dataset.interactions.collect()
    assert events["timestamp"][0] == int(datetime(2018, 9, 20, tzinfo=UTC).timestamp() * 1000)
    assert dataset.info["dropped"] == {"exact_repeats": 1}


def test_hm_since_a_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = made(hm, tmp_path, wardrobe(tmp_path), "--since", "2020-06-01")
    assert dataset.info["counts"]["interactions"] == 1
    assert dataset.info["notes"]["left out"] == {"purchases before --since": 2}
    (tmp_path / "out").rename(tmp_path / "kept")
    assert "no purchase since" in refused(hm, capsys, tmp_path, tmp_path, "--since", "2021-01-01")


def test_ids_that_lost_their_zeros_get_them_back(tmp_path: Path) -> None:
    folder = wardrobe(tmp_path)
    path = folder / "articles.csv"
    path.write_text(path.read_text().replace("\n0", "\n"))
    assert set(by_item(made(hm, tmp_path, folder))) == {"0108775015", "0110065001"}


def test_microlens_with_times_or_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no pairs" in refused(microlens, capsys, tmp_path, tmp_path)
    pairs = tmp_path / "MicroLens-50k_pairs.csv"
    pairs.write_text("user,item,timestamp\n1,10,1583378629552\n1,11,1583378629553\n2,12,1583378629554\n")
    assert "no titles" in refused(microlens, capsys, tmp_path, tmp_path)
    (tmp_path / "MicroLens-50k_titles.csv").write_text('item,title\n10,"One, two"\n11,Three, four\n', encoding="utf-8")
    (tmp_path / "MicroLens-50k_likes_and_views.txt").write_text("10\t5\t900\n")
    covers = tmp_path / "MicroLens-50k_covers"
    covers.mkdir()
    (covers / "10.jpg").write_bytes(picture(1))
    dataset = made(microlens, tmp_path, tmp_path)
    items = by_item(dataset)
    assert [items[item]["title"] for item in ("10", "11", "12")] == ["One, two", "Three, four", None]
    assert items["10"]["image"]
    assert dataset.attributes == ()
    assert dataset.interactions.collect()["timestamp"][0] == 1_583_378_629_552
    pairs.unlink()
    (tmp_path / "MicroLens-50k_pairs.tsv").write_text("1\t11 10\n2\t12\n")
    dataset = made(microlens, tmp_path, tmp_path)
    assert dataset.clock == "order"
    assert dataset.interactions.collect()["item"].to_list() == ["11", "10", "12"]


def test_sequences_become_positions(tmp_path: Path) -> None:
    (tmp_path / "Toys.txt").write_text("ann B3 B1 B2\nben B2 B1\n\n")
    (tmp_path / "titles.txt").write_text("B1 a red ball\nB2 a kite\n")
    (tmp_path / "attributes.json").write_text(json.dumps({"B1": ["red", 7], "B9": []}))
    dataset = made(
        sequences,
        tmp_path,
        tmp_path / "Toys.txt",
        "--titles",
        tmp_path / "titles.txt",
        "--attributes",
        tmp_path / "attributes.json",
    )
    assert dataset.clock == "order"
    assert dataset.interactions.collect()["item"].to_list() == ["B3", "B1", "B2", "B2", "B1"]
    assert dataset.interactions.collect()["timestamp"].to_list() == [0, 1, 2, 0, 1]
    items = by_item(dataset)
    assert (items["B1"]["title"], items["B1"]["categories"]) == ("a red ball", ["red", "7"])
    assert items["B3"]["title"] is None


def test_numbers_that_give_the_next_item_away_are_scattered(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "5.png").write_bytes(picture(5))
    lines = [f"{user} {' '.join(str(user * 5 + place) for place in range(5))}" for user in range(1, 10)]
    (tmp_path / "seq.txt").write_text("\n".join(lines))
    (tmp_path / "titles.txt").write_text("\n".join(f"{number} thing {number}" for number in range(5, 50)))
    arguments = (tmp_path / "seq.txt", "--titles", tmp_path / "titles.txt", "--images", pictures)
    dataset = made(sequences, tmp_path, *arguments)
    titles = {row["item"]: row["title"] for row in by_item(dataset).values()}
    told = [titles[item] for item in dataset.interactions.collect()["item"]]
    assert told == [f"thing {number}" for number in range(5, 50)], "everything still belongs together"
    numbers = [int(item[1:]) for item in dataset.interactions.collect()["item"]]
    assert sum(after - before == 1 for before, after in pairwise(numbers)) < 10
    known_as = pl.read_parquet(dataset.folder / "truth" / "items.parquet")
    assert dict(known_as.iter_rows())[dataset.interactions.collect()["item"][0]] == "5"
    assert [row["title"] for row in by_item(dataset).values() if row["image"]] == ["thing 5"]
    assert made(sequences, tmp_path, *arguments).fingerprint == dataset.fingerprint


def test_items_of_one_moment_listed_by_id_are_seen_too(tmp_path: Path) -> None:
    baskets = [" ".join(f"B{basket * 7 % 90 + place:03d}" for place in range(3)) for basket in range(40)]
    (tmp_path / "s.txt").write_text("\n".join(f"u{number} {basket}" for number, basket in enumerate(baskets)))
    assert "truth" in made(sequences, tmp_path, tmp_path / "s.txt").info["notes"]["new ids"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\n \n", "has no sequence"),
        (b"ann B1\nben\n", "line 2 has no item: 'ben'"),
        (b"ann B1\nann B2\n", "two lines for 'ann'"),
        (b"ann B1\n\xff\xfe B2\n", "line 2: byte 0xff is not utf-8"),
    ],
)
def test_wrong_sequences_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, told: str
) -> None:
    (tmp_path / "s.txt").write_bytes(content)
    assert told in refused(sequences, capsys, tmp_path, tmp_path / "s.txt")


def test_lines_without_items_can_be_dropped(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("ann B1\nben\n")
    dataset = made(sequences, tmp_path, tmp_path / "s.txt", "--drop-bad-rows")
    assert dataset.info["notes"]["left out"] == {"lines without an item": 1}


@pytest.mark.parametrize("script", ["tabular", "amazon", "movielens", "hm", "microlens", "sequences"])
def test_every_script_explains_itself(script: str) -> None:
    command = [sys.executable, str(BUILDERS / f"{script}.py"), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "examples:" in shown
    assert "--drop-bad-rows" in shown


def told(folder: Path, *rows: dict[str, Any] | str) -> Path:
    path = folder / "books.tst.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def reason(uid: int, iid: int, why: str, of_it: str = "for quiet evenings") -> dict[str, Any]:
    return {
        "uid": uid, "iid": iid, "title": f"Book {iid}", "user_summary": "likes calm", "item_summary": of_it,
        "explanation": why,
    }  # fmt: skip


def test_xrecs_explanations_become_reviews_and_what_is_said_of_people_stays_outside(tmp_path: Path) -> None:
    again, blank = reason(1, 7, "again"), ""
    rows = [reason(1, 7, "It is calm."), reason(2, 7, "It is short.", "other words"), reason(1, 9, "It is new."), again]
    dataset = made(xrec, tmp_path, told(tmp_path, *rows, blank))
    assert dataset.name == "xrec books"
    assert by_item(dataset)["7"] | {"image": None} == {
        **by_item(dataset)["7"], "title": "Book 7", "summary": "for quiet evenings", "image": None,
    }  # fmt: skip
    events = dataset.interactions.collect()
    assert set(events["review"]) == {"It is calm.", "It is short.", "It is new."}
    assert events.filter(user="1").sort("timestamp")["item"].to_list() == ["7", "9"], "the lines' own order"
    assert dataset.info["notes"]["left out"] == {"unusable lines": 0, "a person's further lines of an item": 1}
    everything = json.dumps([dataset.items.collect().to_dicts(), events.to_dicts()], default=str)
    assert "likes calm" not in everything


def test_a_line_that_is_none_of_xrecs_is_named_and_can_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = told(tmp_path, reason(1, 7, "It is calm."), "{broken", {"uid": 3, "iid": 4})
    assert "line 2 is not a JSON object with uid, iid" in refused(xrec, capsys, tmp_path, path)
    dataset = made(xrec, tmp_path, path, "--drop-bad-rows")
    assert dataset.info["notes"]["left out"]["unusable lines"] == 2
    assert "has no row" in refused(xrec, capsys, tmp_path / "none", told(tmp_path, ""))
