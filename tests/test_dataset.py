"""A dataset folder: whole, checked, the same for the same content, and clear about everything that is wrong."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shops import catalogue, interactions, picture, shop

from llmrec.dataset import Dataset, validate, write_dataset
from llmrec.errors import DatasetError, InputError

REQUIRED = {"name": "tried", "licence": "none", "source": "a test"}
NOON = 1_600_000_000_000


def write(out: Path, items: pl.DataFrame, rows: pl.DataFrame, **more) -> Dataset:
    return write_dataset(out, items, rows, **{**REQUIRED, **more})


def rows(*values: tuple) -> pl.DataFrame:
    return pl.DataFrame(values, ["user", "item", "timestamp"], orient="row")


ONE = pl.DataFrame({"item": ["a", "b"], "title": ["A", "B"]})


def test_what_is_written_is_read_back(small_shop):
    assert Dataset.open(small_shop.folder).info == small_shop.info
    items = small_shop.items.collect()
    assert items["item"].to_list() == catalogue()["item"].to_list()
    assert small_shop.attributes == ("colour",)
    assert items.select("title", "brand", "price", "categories").equals(
        catalogue().select("title", "brand", "price", "categories")
    )
    log = small_shop.log
    assert len(log) == len(interactions())
    assert small_shop.info["counts"]["users"] == len(log.users) == 30
    first = interactions().filter(pl.col("user") == "u00").sort("timestamp")
    assert [log.items[int(code)] for code in log.history(0)] == first["item"].to_list()


def test_pictures_are_copied_byte_by_byte_under_safe_names(small_shop):
    for code, (item, image) in enumerate(small_shop.items.select("item", "image").collect().iter_rows()):
        if code % 3 == 0:
            assert image is None
        else:
            assert image == f"images/{item}.png"
            assert small_shop.picture(image).read_bytes() == picture(code)
    assert small_shop.picture(None) is None


def test_a_sound_dataset_has_no_problem(small_shop):
    assert not [problem for problem in validate(small_shop.folder)[1] if problem.severity == "error"]


def test_only_the_description_is_read_when_it_is_opened(small_shop, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(small_shop.folder, copy)
    table = (copy / "interactions.parquet").read_bytes()
    middle = len(table) // 2
    (copy / "interactions.parquet").write_bytes(table[: middle - 400] + bytes(200) + table[middle - 200 :])
    assert Dataset.open(copy).name == "a small shop"


def test_the_order_of_rows_does_not_matter(small_shop, tmp_path):
    shuffled = shop(
        tmp_path / "shuffled",
        items=catalogue().sample(fraction=1, shuffle=True, seed=1),
        interactions=interactions().sample(fraction=1, shuffle=True, seed=2),
    )
    assert shuffled.fingerprint == small_shop.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"interactions": interactions(seed=1)},
        {"items": catalogue().with_columns(title=pl.lit("Other"))},
        {"images": {"i001": picture(9)}},
        {"images": ()},
    ],
    ids=["other rows", "other titles", "another picture", "no pictures"],
)
def test_any_change_of_content_changes_the_fingerprint(small_shop, tmp_path, changes):
    assert shop(tmp_path / "changed", **changes).fingerprint != small_shop.fingerprint


def test_every_fault_of_both_tables_is_told_at_once_with_rows_and_remedies(tmp_path):
    items = pl.DataFrame({"item": ["a", "b", "a", None, " "], "price": [1.0, -2.0, float("nan"), 3.0, 4.0]})
    bad = pl.DataFrame(
        {
            "user": ["u", None, "v", "w", "x"],
            "item": ["a", "b", "", "a", "a"],
            "timestamp": [NOON, NOON, NOON, -5, None],
            "rating": [9.0, 3.0, float("inf"), 1.0, 2.0],
        }
    )
    with pytest.raises(DatasetError) as caught:
        write(tmp_path / "bad", items, bad, rating_scale=(1, 5), files=("goods.csv", "log.csv"))
    told = str(caught.value)
    for part in (
        "goods.csv, row 3: the item id has been used before. Keep one row an item",
        "goods.csv, rows 4, 5: the item id is missing",
        "goods.csv, rows 2, 3: the price is negative or not a number",
        "log.csv, row 2: the user id is missing",
        "log.csv, row 3: the item id is missing",
        "log.csv, row 4: the timestamp is outside 1970 to 2100",
        "log.csv, row 5: the timestamp is missing",
        "log.csv, row 3: the rating is not a finite number",
        "log.csv, row 1: the rating is outside 1 to 5",
    ):
        assert part in told
    assert not list(tmp_path.iterdir())


def test_bad_rows_can_be_dropped_and_are_counted(tmp_path):
    items = pl.DataFrame({"item": ["a", "b", "a", None], "price": [1.0, -2.0, 5.0, 3.0]})
    bad = pl.DataFrame(
        {"user": ["u", None, "v"], "item": ["a", "b", "b"], "timestamp": [NOON, NOON, NOON], "rating": [9.0, 1.0, 2.0]}
    )
    made = write(tmp_path / "kept", items, bad, rating_scale=(1, 5), bad_rows="drop")
    assert made.info["dropped"] == {"unusable_items": 2, "unusable_interactions": 1}
    assert made.items.collect()["price"].to_list() == [1.0, None]
    assert made.interactions.collect()["rating"].to_list() == [None, 2.0]
    assert any("price is negative" in warning for warning in made.info["warnings"])


def test_repeats_and_unknown_items_are_dropped_and_counted(tmp_path, caplog):
    made = write(
        tmp_path / "d", ONE, rows(("u", "a", NOON), ("u", "a", NOON), ("u", "a", NOON + 1), ("u", "gone", NOON))
    )
    assert made.info["dropped"] == {"unknown_items": 1, "exact_repeats": 1}
    assert made.info["counts"]["interactions"] == 2
    assert "rows dropped (unknown items)" in caplog.text


def test_ids_that_never_meet_are_an_error_that_shows_both(tmp_path):
    with pytest.raises(DatasetError, match="it says '007' where the catalogue has 'a'"):
        write(tmp_path / "d", ONE, rows(("u", "007", NOON)))


def test_unknown_columns_of_the_log_name_what_was_meant(tmp_path):
    wrong = rows(("u", "a", NOON)).rename({"timestamp": "time"}).with_columns(ratings=pl.lit(3.0))
    with pytest.raises(DatasetError) as caught:
        write(tmp_path / "d", ONE, wrong)
    told = str(caught.value)
    assert "there is no column 'timestamp'" in told
    assert "unknown column 'ratings'. Did you mean 'rating'?" in told


def test_a_column_that_looks_like_a_field_is_kept_with_a_warning(tmp_path):
    made = write(tmp_path / "d", ONE.with_columns(Description=pl.lit("x")), rows(("u", "a", NOON)))
    assert made.attributes == ("Description",)
    assert any("'description'" in warning for warning in made.info["warnings"])


def test_an_attribute_that_is_a_list_is_refused_with_advice(tmp_path):
    with pytest.raises(DatasetError, match="split it into columns of its own"):
        write(tmp_path / "d", ONE.with_columns(colours=pl.lit(["red"])), rows(("u", "a", NOON)))


def test_values_that_are_no_numbers_are_quoted(tmp_path):
    with pytest.raises(DatasetError, match="timestamp 'yesterday' cannot be read as a whole number"):
        write(tmp_path / "d", ONE, rows(("u", "a", "yesterday")))


def test_seconds_in_the_place_of_milliseconds_are_recognised(tmp_path):
    with pytest.raises(DatasetError, match="Are they seconds"):
        write(tmp_path / "d", ONE, rows(("u", "a", NOON // 1000), ("v", "b", NOON // 1000)))


def test_seconds_are_recognised_also_when_only_rows_that_go_have_plausible_times(tmp_path):
    mixed = rows(("u", "a", NOON // 1000), ("v", "gone", NOON))
    with pytest.raises(DatasetError, match="Are they seconds"):
        write(tmp_path / "d", ONE, mixed)
    assert not list(tmp_path.iterdir())


def test_dates_are_taken_as_they_are(tmp_path):
    from datetime import UTC, datetime

    made = write(tmp_path / "d", ONE, rows(("u", "a", datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC))))
    assert made.log.time.tolist() == [NOON]


def test_a_catalogue_without_items_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="there is no item"):
        write(tmp_path / "d", ONE.clear(), rows(("u", "a", NOON)))


def test_a_core_keeps_people_and_items_with_enough_and_the_items_that_are_left(tmp_path):
    made = shop(tmp_path / "core", core=5)
    log = made.log
    assert np.diff(log.start).min() >= 5
    assert np.bincount(log.item).min() >= 5
    assert made.info["dropped"]["outside_core"] + len(log) == len(interactions())
    with pytest.raises(DatasetError, match="nothing is left of the 50-core"):
        shop(tmp_path / "nothing", core=50)


def test_broken_and_missing_pictures_are_counted_and_their_items_kept(tmp_path, caplog):
    images = {"i001": b"", "i002": b"GIF89a", "i004": tmp_path / "gone.jpg", "i005": picture(5), "unheard": picture(1)}
    made = shop(tmp_path / "shop", images=images)
    assert made.info["counts"]["items"] == 40
    assert made.info["counts"]["pictures"] == 1
    assert sum(made.info["picture_faults"].values()) == 3
    assert "pictures left out" in caplog.text


def test_ids_that_are_no_file_names_get_safe_ones(tmp_path):
    ids = ["../../etc/passwd", "a/b", "CON", "con", "x" * 300, "日本", ".", "a b"]
    made = write(
        tmp_path / "d", pl.DataFrame({"item": ids}), rows(("u", ids[0], NOON)), images=dict.fromkeys(ids, picture(1))
    )
    names = made.items.collect()["image"].to_list()
    assert len({name.lower() for name in names}) == len(ids), "also where a file system ignores case"
    for name in names:
        assert made.picture(name).resolve().parent == (made.folder / "images").resolve()


def test_truth_lies_apart(tmp_path):
    made = shop(tmp_path / "shop", truth={"reasons": pl.DataFrame({"why": ["colour"]})})
    assert pl.read_parquet(made.folder / "truth" / "reasons.parquet")["why"].to_list() == ["colour"]


def changed(dataset: Dataset, out: Path, **tables: pl.DataFrame) -> list[str]:
    """What validation says after somebody wrote other tables into a dataset folder by hand."""
    shutil.copytree(dataset.folder, out)
    for name, table in tables.items():
        table.write_parquet(out / f"{name}.parquet")
    return [str(problem) for problem in validate(out)[1]]


def test_validation_finds_what_was_changed_by_hand_all_at_once(small_shop, tmp_path):
    items = small_shop.items.collect().with_columns(image=pl.lit("../../secret.png"))
    log = small_shop.interactions.collect().reverse()
    log = log.with_columns(item=pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("gone")).otherwise("item"))
    told = "\n".join(changed(small_shop, tmp_path / "copy", items=items, interactions=log[:-1]))
    for part in (
        "the image path leaves the dataset's folder",
        "the item 'gone' is not in the catalogue",
        "rows are not ordered by user, then timestamp",
        "interactions, but there are",
        "the fingerprint does not fit",
    ):
        assert part in told


def test_a_picture_that_vanished_is_a_warning(small_shop, tmp_path):
    shutil.copytree(small_shop.folder, tmp_path / "copy")
    (tmp_path / "copy" / "images" / "i001.png").unlink()
    problems = validate(tmp_path / "copy")[1]
    missing = [problem for problem in problems if "is missing" in problem.what]
    assert [(problem.severity, problem.rows) for problem in missing] == [("warning", (2,))]


@pytest.mark.parametrize("file", ["items.parquet", "interactions.parquet"])
@pytest.mark.parametrize("damage", ["gone", "empty", "text", "cut"])
def test_damaged_tables_are_named(small_shop, tmp_path, file, damage):
    copy = tmp_path / "copy"
    shutil.copytree(small_shop.folder, copy)
    if damage == "gone":
        (copy / file).unlink()
    else:
        content = {"empty": b"", "text": b"user,item\n1,2\n", "cut": (copy / file).read_bytes()[:300]}[damage]
        (copy / file).write_bytes(content)
    with pytest.raises(InputError, match=f"{file}.*Build the dataset again"):
        validate(copy)


@pytest.mark.parametrize(
    ("version", "advice"), [(99, "Upgrade llmrec"), (0, "Build the dataset again"), ("x", "Build")]
)
def test_a_dataset_of_another_version_is_refused_with_advice(small_shop, tmp_path, version, advice):
    shutil.copytree(small_shop.folder, tmp_path / "copy")
    path = tmp_path / "copy" / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": version}))
    with pytest.raises(InputError, match=advice):
        Dataset.open(tmp_path / "copy")


@pytest.mark.parametrize("folder", ["gone", "empty"])
def test_a_folder_that_is_no_dataset_says_how_to_make_one(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"data_builders/atelier\.py"):
        Dataset.open(tmp_path / folder)


def test_a_log_that_does_not_fit_its_catalogue_any_more_is_refused(small_shop, tmp_path):
    log = small_shop.interactions.collect()
    told = changed(small_shop, tmp_path / "dangling", interactions=log.with_columns(item=pl.lit("gone")))
    assert told
    with pytest.raises(InputError, match=r"'gone'.*llmrec validate"):
        _ = Dataset.open(tmp_path / "dangling").log
    changed(small_shop, tmp_path / "short", interactions=log[:-1])
    with pytest.raises(InputError, match="changed since it was built"):
        _ = Dataset.open(tmp_path / "short").log


texts = st.one_of(st.sampled_from(["a", "b", "c", " ", None]), st.text(st.characters(codec="utf-8"), max_size=12))
numbers = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(10**12, 2 * 10**12))
floats = st.one_of(st.none(), st.floats(width=32))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(st.tuples(texts, texts, floats), max_size=6),
    events=st.lists(st.tuples(texts, texts, numbers, floats, texts), max_size=8),
    bad_rows=st.sampled_from(["error", "drop"]),
    core=st.integers(0, 3),
)
def test_whatever_the_tables_hold_they_become_a_valid_dataset_or_an_error_and_nothing_between(
    tmp_path, items, events, bad_rows, core
):
    goods = pl.DataFrame(items, {"item": pl.String, "title": pl.String, "price": pl.Float64}, orient="row")
    columns = {"user": pl.String, "item": pl.String, "timestamp": pl.Int64, "rating": pl.Float32, "review": pl.String}
    log = pl.DataFrame(events, columns, orient="row")
    out = tmp_path / "made"
    try:
        write(out, goods, log, bad_rows=bad_rows, core=core, overwrite=True)
    except DatasetError:
        assert not out.exists()
    else:
        assert not [problem for problem in validate(out)[1] if problem.severity == "error"]
        shutil.rmtree(out)
    assert not list(tmp_path.iterdir())
