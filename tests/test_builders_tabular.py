"""Own tables become a dataset by a mapping, and whatever is wrong with them is told with its remedy."""

import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tabular
import yaml
from mapped import columns
from shops import picture

from llmrec.dataset import Dataset, validate
from llmrec.errors import InputError

SCRIPT = Path(__file__).parent.parent / "data_builders" / "tabular.py"
ITEMS = """sku;name;text;more;group;maker;price;photo;size
0012;Teekanne „Lena“;Rund.;Spülbar.;Home > Kitchen;Brook;1.299,00 €;tea.png;3
0013;Vase;;;Home > Garden;Alder;EUR 24,50;vase.jpg;4
0014;Lampe;Hell.;;Study;;;;5
"""
ORDERS = """customer;sku;when;stars
anna;0012;31.01.2024 12:30;5
anna;0013;01.07.2024 09:00;4,5
ben;0014;02.02.2024 08:00;1
ben;0012;03.02.2024 08:00;
"""
MAPPING: dict[str, Any] = {
    "name": "laden",
    "licence": "own",
    "interactions": {
        "file": "orders.csv",
        "columns": {"user": "customer", "item": "sku", "timestamp": "when", "rating": "stars"},
        "time": "%d.%m.%Y %H:%M",
        "time_zone": "Europe/Berlin",
        "delimiter": ";",
        "rating_scale": [1, 5],
    },
    "items": {
        "file": "items.csv",
        "columns": {
            "item": "sku",
            "title": "name",
            "description": ["text", "more"],
            "categories": "group",
            "brand": "maker",
            "price": "price",
        },
        "category_separator": ">",
        "decimal": ",",
        "delimiter": ";",
        "attributes": ["size"],
    },
    "images": {"folder": "photos", "path": "{photo}"},
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    (folder / "photos").mkdir(parents=True)
    (folder / "items.csv").write_text(ITEMS, encoding="utf-8")
    (folder / "orders.csv").write_text(ORDERS, encoding="utf-8")
    (folder / "photos" / "tea.png").write_bytes(picture(1))
    (folder / "photos" / "vase.jpg").write_bytes(b"not a picture at all")
    return folder


def changed(**changes: Any) -> dict[str, Any]:
    """The mapping with some keys of its sections changed; None takes one out."""
    mapping = json.loads(json.dumps(MAPPING))
    for path, value in changes.items():
        section = mapping
        *way, last = path.split("__")
        for key in way:
            section = section[key]
        if value is None:
            section.pop(last, None)
        else:
            section[last] = value
    return mapping


def made(folder: Path, *more: str, mapping: dict[str, Any] = MAPPING) -> Dataset:
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(mapping, allow_unicode=True), encoding="utf-8")
    out = folder / "out"
    tabular.main([str(path), "--out", str(out), "--overwrite", *more])
    return Dataset.open(out)


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *more: str, mapping: dict[str, Any] = MAPPING) -> str:
    """The message of a builder that stops with exit code 2 and writes nothing."""
    with pytest.raises(SystemExit) as stopped:
        made(folder, *more, mapping=mapping)
    assert stopped.value.code == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err


def stamp(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


def test_a_shops_own_export_becomes_a_sound_dataset(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = made(files)
    items = {row["item"]: row for row in dataset.items.collect().to_dicts()}
    assert items["0012"] | {"image": None} == {
        "item": "0012",
        "title": "Teekanne „Lena“",
        "description": "Rund.\nSpülbar.",
        "categories": ["Home", "Kitchen"],
        "brand": "Brook",
        "price": 1299.0,
        "image": None,
        "size": 3,
    }
    assert dataset.picture(items["0012"]["image"]).read_bytes() == picture(1)
    assert items["0013"]["price"] == 24.5
    assert items["0013"]["image"] is None
    assert items["0014"]["description"] == "Hell."
    assert (items["0014"]["brand"], items["0014"]["price"]) == (None, None)
    events = dataset.interactions.collect()
    assert events["timestamp"].to_list() == [
        stamp(2024, 1, 31, 11, 30),
        stamp(2024, 7, 1, 7, 0),
        stamp(2024, 2, 2, 7, 0),
        stamp(2024, 2, 3, 7, 0),
    ]
    assert events["rating"].to_list() == [5.0, 4.5, 1.0, None]
    _, problems = validate(dataset.folder)
    assert not [problem for problem in problems if problem.severity == "error"]
    shown = capsys.readouterr().out
    assert "3 items with 1 pictures, 2 people, 4 interactions, 3 ratings" in shown
    assert "1 pictures: is not a JPEG, PNG or WebP picture" in shown
    assert f"Next: llmrec audit {dataset.folder}" in shown


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "json", "parquet", "csv.gz"])
def test_other_kinds_of_files_give_the_same(files: Path, kind: str) -> None:
    frame = pl.read_csv(files / "items.csv", separator=";", infer_schema=False)
    path = files / f"items.{kind}"
    rows = frame.to_dicts()
    if kind == "parquet":
        frame.write_parquet(path)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress((files / "items.csv").read_bytes()))
    elif kind == "json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        lines = "\n".join(json.dumps(row) for row in rows).encode()
        path.write_bytes(gzip.compress(lines) if kind.endswith("gz") else lines)
    first = made(files).fingerprint
    assert made(files, mapping=changed(items__file=path.name)).fingerprint == first


def test_lists_and_numbers_of_json_keep_their_kind(files: Path) -> None:
    rows = [
        {"sku": 12, "name": "A", "group": ["Home", "Kitchen"], "price": 3, "tags": ["x", "y"], "new": True},
        {"sku": 13, "name": "B", "price": 2.5},
    ]
    (files / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (files / "orders.csv").write_text("customer;sku;when;stars\nanna;12;31.01.2024 12:30;5\n")
    mapping = changed(items__file="items.jsonl", items__attributes=["tags", "new"], images=None)
    mapping["items"]["columns"] = {"item": "sku", "title": "name", "categories": "group", "price": "price"}
    items = made(files, mapping=mapping).items.collect()
    assert items["item"].to_list() == ["12", "13"]
    assert items["categories"].to_list() == [["Home", "Kitchen"], []]
    assert items["price"].to_list() == [3.0, 2.5]
    assert items["tags"].to_list() == ["x, y", None]
    assert items["new"].to_list() == [True, None]


def test_without_an_items_file_the_log_tells_about_items(files: Path) -> None:
    (files / "log.csv").write_text("who,what,called,ts\na,1,,1700000000\nb,1,Thing,1700000100\na,2,Other,1700000200\n")
    mapping = {
        "name": "log",
        "interactions": {"file": "log.csv", "columns": {"user": "who", "item": "what", "timestamp": "ts"}},
        "items": {"columns": {"item": "what", "title": "called"}},
    }
    dataset = made(files, mapping=mapping)
    assert dataset.items.collect()["title"].to_list() == ["Thing", "Other"]
    assert dataset.info["notes"]["times read as"] == "s"
    del mapping["items"]
    assert made(files, mapping=mapping).items.collect()["item"].to_list() == ["1", "2"]


def test_rows_in_order_need_no_times(files: Path) -> None:
    mapping = changed(interactions__columns__timestamp=None, interactions__time="row")
    dataset = made(files, mapping=mapping)
    assert dataset.clock == "order"
    assert dataset.interactions.collect()["item"].to_list() == ["0012", "0013", "0014", "0012"]


def test_min_rating_and_core_are_counted(files: Path) -> None:
    dataset = made(files, "--min-rating", "4")
    assert dataset.info["counts"]["interactions"] == 2
    assert dataset.info["notes"]["left out"]["interactions rated too low"] == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"interactions__columns__user": "custmer"},
            "Its columns are: customer, sku, when, stars. Did you mean",
        ),
        ({"interactions__tme": "s"}, "unknown key interactions.tme: did you mean interactions.time?"),
        ({"interactions__time": "seconds"}, "time is 'seconds': it can be auto, iso"),
        ({"interactions__time_zone": "Berlin"}, "Examples: UTC, Europe/Berlin"),
        ({"interactions__time": "iso"}, "cannot be read as iso"),
        ({"interactions__file": "order.csv"}, "Did you mean"),
        ({"interactions__delimiter": ","}, 'Set delimiter: ";"'),
        ({"interactions__rating_scale": [1, 4]}, "the rating is outside 1 to 4"),
        ({"items__encoding": "utf-9"}, "Examples: utf-8, utf-16"),
        ({"items__decimal": "."}, 'set decimal: ","'),
        ({"items__attributes": ["prise"]}, "has no column 'prise'"),
        ({"items__attributes": {"title": "name"}}, "Map it under columns"),
        ({"items__columns__title": 5}, "it should be a column or a list of columns"),
        ({"images__path": "photo.jpg"}, "name a column in it"),
        ({"images__path": "{photo.__class__}"}, "has no column 'photo.__class__'"),
        ({"images__folder": "pictures"}, "pictures does not exist"),
        ({"images__path": "{item}.gif"}, "Correct images.path"),
        ({"images__path": None}, "say either path"),
        ({"name": None}, "name is missing"),
    ],
)
def test_a_wrong_mapping_is_refused_with_a_remedy(
    files: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], told: str
) -> None:
    assert told in refused(files, capsys, mapping=changed(**changes))


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("items.csv", b"", "items.csv is empty"),
        ("items.csv", b"sku;name;text;more;group;maker;price;photo;size\n", "no rows"),
        ("items.csv", ITEMS.encode("cp1252"), "line 2: byte 0x84 is not utf-8. Set encoding:"),
        ("orders.csv", (ORDERS + "carl;0012;04.02.2024 08:00;5;9;9\n").encode(), "line 6 has 6 values where"),
        ("orders.csv", (ORDERS + 'carl;"0012;04.02.2024 08:00;5\n').encode(), "quotation mark"),
        ("orders.csv", (ORDERS + "carl;0012;gestern;5\n").encode(), "row 5: the time 'gestern'"),
        ("orders.csv", (ORDERS + "carl;0012;04.02.2024 08:00;gut\n").encode(), "row 5: the rating 'gut'"),
        ("orders.csv", (ORDERS + ";0012;04.02.2024 08:00;2\n").encode(), "row 5: the user id is missing"),
        ("orders.csv", ORDERS.replace(";00", ";").encode(), "where the catalogue has '0012'"),
        ("items.csv", (ITEMS + "0012;Again;;;;;;;\n").encode(), "row 4: the item id has been used before"),
        ("items.csv", ITEMS.replace("tea.png", "../../tea.png").encode(), "'../../tea.png' leaves the folder"),
        ("items.csv", ITEMS.replace("tea.png", "/etc/tea.png").encode(), "leaves the folder"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(
    files: Path, capsys: pytest.CaptureFixture[str], file: str, content: bytes, told: str
) -> None:
    (files / file).write_bytes(content)
    assert told in refused(files, capsys)


def test_bad_rows_can_be_left_out_and_are_counted(files: Path) -> None:
    (files / "orders.csv").write_text(ORDERS + "carl;0012;gestern;5\n;0013;04.02.2024 08:00;5\n", encoding="utf-8")
    (files / "items.csv").write_text(ITEMS.replace("EUR 24,50", "from 5"), encoding="utf-8")
    dataset = made(files, "--drop-bad-rows")
    assert dataset.info["dropped"] == {"unusable_interactions": 2}
    assert dataset.info["counts"]["interactions"] == 4


def test_all_problems_of_both_files_are_told_at_once(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "orders.csv").write_text(ORDERS.replace("31.01.2024 12:30", "soon"), encoding="utf-8")
    told = refused(files, capsys, mapping=changed(items__decimal="."))
    assert "the time 'soon'" in told
    assert "the price '1.299,00 €'" in told


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pl.Series("when", [90], dtype=pl.Duration("ms")), "is a Duration"),
        (pl.Series("when", [{"day": 1}]), "'when' is an object"),
    ],
)
def test_columns_of_no_use_are_refused(
    files: Path, capsys: pytest.CaptureFixture[str], column: pl.Series, told: str
) -> None:
    pl.DataFrame([pl.Series("customer", ["a"]), pl.Series("sku", ["0012"]), column]).write_parquet(files / "l.parquet")
    mapping = changed(interactions__file="l.parquet", interactions__columns__rating=None)
    assert told in refused(files, capsys, mapping=mapping)


def test_a_least_rating_needs_ratings(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapping = changed(interactions__columns__rating=None)
    assert "--min-rating needs ratings" in refused(files, capsys, "--min-rating", "4", mapping=mapping)


def test_all_attributes_are_those_that_are_no_field(files: Path) -> None:
    assert made(files, mapping=changed(items__attributes="all")).attributes == ("size",)
    renamed = made(files, mapping=changed(items__attributes={"grösse": "size"}))
    assert renamed.attributes == ("grösse",)


@pytest.mark.parametrize(
    ("values", "time", "expected"),
    [
        (["1700000000"], "auto", [1_700_000_000_000]),
        (["1700000000123"], "auto", [1_700_000_000_123]),
        (["1700000000123456"], "auto", [1_700_000_000_123]),
        (["1700000000.5"], "s", [1_700_000_000_500]),
        (["20240131"], "auto", [stamp(2024, 1, 31)]),
        (["2024-01-31"], "auto", [stamp(2024, 1, 31)]),
        (["2024-01-31T12:00:00Z", "2024-01-31 12:00"], "iso", [stamp(2024, 1, 31, 12)] * 2),
        (["2024-01-31T12:00:00.250+02:00"], "iso", [stamp(2024, 1, 31, 10) + 250]),
        (["2024-01-31T12:00:00-0530", None], "iso", [stamp(2024, 1, 31, 17, 30), None]),
        (["31/01/2024 +0100"], "%d/%m/%Y %z", None),
    ],
)
def test_times_are_read_as_they_are_written(values: list[str], time: str, expected: list[int] | None) -> None:
    made, _, problems = columns.moments(pl.Series("t", values), time, "UTC", "f")
    if expected is None:
        assert made.to_list() == [None]
        assert problems, "a day with an offset but no hour has no moment"
    else:
        assert made.to_list() == expected
        assert not problems


def test_clock_changes_lose_no_row() -> None:
    skipped, twice = "2024-03-31 02:30", "2024-10-27 02:30"
    made, _, problems = columns.moments(pl.Series("t", [skipped, twice]), "iso", "Europe/Berlin", "f")
    assert made.to_list() == [stamp(2024, 3, 31, 1, 30), stamp(2024, 10, 27, 0, 30)]
    assert not problems


@pytest.mark.parametrize(("values", "time", "likely"), [(["1700000000"], "ms", "s"), (["1700000000000"], "s", "ms")])
def test_a_wrong_unit_of_time_names_the_likely_one(values: list[str], time: str, likely: str) -> None:
    with pytest.raises(InputError, match=f"set time: {likely}$"):
        columns.moments(pl.Series("t", values), time, "UTC", "f")


def test_small_numbers_are_not_taken_for_times() -> None:
    with pytest.raises(InputError, match="set time: order"):
        columns.moments(pl.Series("t", [1, 2, 3]), "auto", "UTC", "f")


@pytest.mark.parametrize(
    ("text", "decimal", "price"),
    [
        ("1.299,00 €", ",", 1299.0),
        ("$1,299.50", ".", 1299.5),
        ("CHF 1'299.50", ".", 1299.5),
        ("1 299,50", ",", 1299.5),
        ("12", ",", 12.0),
        ("1.299,00 €", ".", None),
        ("$5 - $10", ".", None),
        ("-3", ".", -3.0),
    ],
)
def test_prices_are_read_with_their_decimal_mark(text: str, decimal: str, price: float | None) -> None:
    made, problems = columns.prices(pl.Series([text]), decimal, "f")
    assert made.to_list() == [price]
    assert bool(problems) == (price is None)


def test_attributes_are_numbers_only_where_all_are() -> None:
    assert columns.attribute(pl.Series(["1", "", "20"])).to_list() == [1, None, 20]
    assert columns.attribute(pl.Series(["1", "2.5"])).to_list() == [1.0, 2.5]
    assert columns.attribute(pl.Series(["007", "1"])).to_list() == ["007", "1"]


def test_ids_that_became_fractions_are_whole_again() -> None:
    assert columns.ids(pl.Series([12.0, None])).to_list() == ["12", None]


def test_init_writes_a_mapping_that_works(files: Path) -> None:
    orders = ORDERS.replace("when", "ordered_at").replace("31.01.2024 12:30", "2024-01-31 12:30")
    for german, iso in (("01.07.2024 09", "2024-07-01 09"), ("02.02.2024", "2024-02-02"), ("03.02.2024", "2024-02-03")):
        orders = orders.replace(german, iso)
    (files / "orders.csv").write_text(orders)
    shown = subprocess.run(
        [sys.executable, str(SCRIPT), "--init", "items.csv", "orders.csv"],
        cwd=files,
        capture_output=True,
        check=True,
    ).stdout
    guessed = yaml.safe_load(shown)
    assert guessed["interactions"]["columns"] == {
        "user": "customer",
        "item": "sku",
        "timestamp": "ordered_at",
        "rating": "stars",
    }
    assert guessed["items"]["decimal"] == ","
    assert guessed["items"]["category_separator"].strip() == ">"
    assert guessed["images"] == {"folder": "photos", "path": "{photo}"}
    dataset = made(files, mapping=guessed)
    assert dataset.info["counts"] | {} == {
        "items": 3,
        "users": 2,
        "interactions": 4,
        "pictures": 1,
        "ratings": 3,
        "reviews": 0,
    }


def test_init_leaves_out_what_tells_the_future(files: Path) -> None:
    (files / "i.csv").write_text("id,name,average_rating,sales_rank,colour\n1,A,4.5,7,red\n2,B,3.5,9,blue\n")
    (files / "l.csv").write_text("visitor_id,thing,time\nanna,1,1700000000\nben,2,1700000001\n")
    text = tabular.guess_mapping([files / "i.csv", files / "l.csv"], files)
    guessed = yaml.safe_load(text)
    assert guessed["items"]["attributes"] == ["colour"]
    assert "average_rating, sales_rank" in text
    assert guessed["interactions"]["columns"]["item"] == "thing", "found by the values that both files hold"
    assert guessed["items"]["columns"]["item"] == "id"


def test_init_finds_pictures_named_by_item(files: Path) -> None:
    (files / "items.csv").write_text("sku,name\n0012,A\n0013,B\n")
    (files / "photos" / "0013.png").write_bytes(picture(2))
    text = tabular.guess_mapping([files / "items.csv", files / "orders.csv"], files)
    assert yaml.safe_load(text)["images"] == {"folder": "photos", "path": "{item}"}


def test_init_writes_one_mapping_for_a_log_alone(files: Path) -> None:
    (files / "log.jsonl").write_text('{"user_id": 1, "asin": "B1", "title": "Mug", "timestamp": 1700000000000}\n')
    guessed = yaml.safe_load(tabular.guess_mapping([files / "log.jsonl"], files))
    assert made(files, mapping=guessed).items.collect()["title"].to_list() == ["Mug"]


def test_what_is_not_found_is_left_to_fill_in(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "x.csv").write_text("a,b\n1,2\n")
    guessed = yaml.safe_load(tabular.guess_mapping([files / "x.csv"], files))
    assert guessed["interactions"]["columns"]["user"] == "???"
    assert "x.csv has no column '???'" in refused(files, capsys, mapping=guessed | {"images": None})


def test_the_example_mapping_loads() -> None:
    from mapped.mapping import TableMapping

    from llmrec.config import load_config

    assert load_config(TableMapping, SCRIPT.parent / "tabular.example.yaml").name == "shop"
