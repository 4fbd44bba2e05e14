"""The audit finds each kind of leak where it was put, and is silent about a sound shop."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw
from shops import catalogue, interactions, picture, shop

from llmrec.audit import Audit, Finding, audit
from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.likeness import likeness


def finding(found: Audit, check: str) -> Finding:
    (one,) = (finding for finding in found.findings if finding.check == check)
    return one


def of(folder: Path, check: str, split: str = "leave-one-out", **changes) -> Finding:
    """What one check finds in a small shop that was changed."""
    return finding(audit(shop(folder / "changed", **changes), split=split), check)


@pytest.fixture(scope="module")
def sound(small_shop: Dataset) -> Audit:
    return audit(small_shop)


def test_a_sound_shop_passes_every_check_but_that_leave_one_out_knows_the_future(sound):
    assert {found.check: found.verdict for found in sound.findings} == {
        "taken again": "pass",
        "items written twice": "pass",
        "order in time": "pass",
        "training after the target": "warn",
        "people twice": "pass",
        "items between splits": "pass",
        "order in ids": "pass",
        "reviews of the target": "pass",
        "columns from the future": "pass",
        "near-duplicate pictures": "pass",
    }
    assert not sound.failed


def test_a_temporal_split_learns_nothing_from_the_future(small_shop):
    found = finding(audit(small_shop, split="temporal"), "training after the target")
    assert (found.verdict, found.figures["share"]) == ("pass", 0.0)


def test_no_cold_item_is_trained_on(small_shop):
    found = finding(audit(small_shop, split="cold-items"), "items between splits")
    assert found.verdict == "pass"
    assert found.figures["cold_items"] > 0


def test_targets_that_the_person_had_before_are_counted(tmp_path):
    rows = interactions()
    last = rows.group_by("user").agg(pl.col("item").first(), pl.col("timestamp").max() + 10)
    found = of(tmp_path, "taken again", interactions=pl.concat([rows, last], how="diagonal"))
    assert found.verdict == "warn"
    assert found.figures["targets"] >= 0.5 - 1e-9, "the test target of each person, of two targets each"


def test_items_under_two_ids_are_found_whatever_their_case_and_spacing(tmp_path):
    items = catalogue()
    again = items.with_columns(item="again-" + pl.col("item"), title=pl.col("title").str.to_uppercase() + "  ")
    rows = interactions()
    of_twins = rows.with_columns(item="again-" + pl.col("item"), timestamp=pl.col("timestamp") + 10**12)
    found = of(tmp_path, "items written twice", items=pl.concat([items, again]), interactions=rows.vstack(of_twins))
    assert found.verdict == "fail"
    assert found.figures["targets"] > 0.8, "all but the items without a title"
    assert found.figures["items"] == pytest.approx(items["title"].is_not_null().mean())


def test_rows_at_one_moment_have_no_order(tmp_path):
    at_once = interactions().with_columns(timestamp=pl.lit(1_600_000_000_000))
    assert of(tmp_path, "order in time", interactions=at_once).verdict == "fail"


def test_positions_are_not_taken_for_times(tmp_path):
    found = of(tmp_path, "order in time", clock="order")
    assert found.verdict == "pass"
    assert "not when" in found.seen


def test_a_person_under_two_names_is_found(tmp_path):
    rows = interactions()
    found = of(tmp_path, "people twice", interactions=rows.vstack(rows.with_columns(user="again-" + pl.col("user"))))
    assert (found.verdict, found.figures["people"]) == ("fail", 1.0)


def numbered(order: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """400 items and 300 people who choose at random; ids follow the histories as P5's do, the calendar, or chance."""
    rng = np.random.default_rng(0)
    opening = 1_500_000_000_000
    rows = [(f"first{item}", item, opening + at) for at, item in enumerate(rng.permutation(400).tolist())]
    later = [
        (f"u{user}", item, opening + 10**9 + 100 * user + place)
        for user in range(300)
        for place, item in enumerate(rng.choice(400, size=8, replace=False).tolist())
    ]
    by_chance = [("", item, 0) for item in rng.permutation(400).tolist()]
    listed = {"histories": later + rows, "calendar": rows, "chance": by_chance}[order]
    number = {item: place for place, item in enumerate(dict.fromkeys(item for _, item, _ in listed))}
    named = [(user, str(number[item]), time) for user, item, time in rows + later]
    return pl.DataFrame({"item": [str(place) for place in range(400)]}), table(named)


def table(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, ["user", "item", "timestamp"], orient="row")


@pytest.mark.parametrize(("order", "verdict"), [("histories", "fail"), ("calendar", "warn"), ("chance", "pass")])
def test_ids_that_tell_the_next_item_fail_and_ids_by_chance_pass(tmp_path, order, verdict):
    items, rows = numbered(order)
    found = of(tmp_path, "order in ids", items=items, interactions=rows, images=())
    assert found.verdict == verdict, found.seen


def test_neighbours_in_the_catalogue_that_are_bought_together_are_no_leak(tmp_path):
    """As many steps to the next id as to the one before: a taste, not an order."""
    rng = np.random.default_rng(1)
    rows = []
    for user in range(300):
        for pair in range(4):
            first, step = int(rng.integers(1, 399)), int(rng.choice([-1, 1]))
            moment = 1_500_000_000_000 + user * 100 + pair * 10
            rows += [(f"u{user}", f"B{first:04d}", moment), (f"u{user}", f"B{first + step:04d}", moment + 1)]
    together = table(rows)
    items = pl.DataFrame({"item": together["item"].unique()})
    found = of(tmp_path, "order in ids", items=items, interactions=together, images=())
    assert found.verdict == "pass", found.seen
    assert found.figures["backward"] > 0.2


def test_reviews_that_can_be_copied_from_the_history_or_the_catalogue_fail(tmp_path):
    words = "The handle came loose within a week, but the colour is lovely."
    same = interactions().with_columns(review=pl.lit(words))
    assert of(tmp_path, "reviews of the target", interactions=same).figures["in_history"] == 1.0
    printed = catalogue().with_columns(description=pl.lit(f"Customers say: {words.upper()} Buy it."))
    rows = same.unique("user", keep="last").with_columns(timestamp=pl.col("timestamp") + 10**12)
    few = pl.concat([interactions().with_columns(review=pl.lit(None, pl.String)), rows])
    found = of(tmp_path / "printed", "reviews of the target", items=printed, interactions=few)
    assert (found.verdict, found.figures["in_catalogue"]) == ("fail", 1.0)


def test_short_reviews_are_alike_by_chance_and_no_leak(tmp_path):
    found = of(tmp_path, "reviews of the target", interactions=interactions().with_columns(review=pl.lit("Great!")))
    assert found.verdict == "pass"


@pytest.mark.parametrize("name", ["average_rating", "rating_number", "num_reviews", "Sales_Rank", "popularity"])
def test_columns_that_name_the_future_are_warned_of(tmp_path, name):
    found = of(tmp_path, "columns from the future", items=catalogue().with_columns(pl.lit(1.0).alias(name)))
    assert found.verdict == "warn"
    assert name in found.seen


def test_a_column_that_counts_the_log_fails_under_any_name(tmp_path):
    counts = interactions().group_by("item").len("warmth")
    items = catalogue().join(counts, on="item", how="left").with_columns(pl.col("warmth").fill_null(0))
    found = of(tmp_path, "columns from the future", items=items)
    assert found.verdict == "fail"
    assert "warmth" in found.seen


def motif(seed: int, size: int = 96) -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (size, size), tuple(rng.integers(180, 255, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, side = rng.integers(0, 70, 3).tolist()
        draw.ellipse((x, y, x + side + 8, y + side + 8), fill=tuple(rng.integers(0, 255, 3).tolist()))
    return image


def test_a_picture_is_recognised_when_scaled_or_compressed_and_others_are_not(tmp_path):
    for seed in range(12):
        motif(seed).save(tmp_path / f"{seed}.png")
    motif(3).resize((200, 200), Image.Resampling.BICUBIC).save(tmp_path / "larger.jpg", quality=80)
    motif(5).save(tmp_path / "compressed.jpg", quality=60)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    names = [*(f"{seed}.png" for seed in range(12)), "larger.jpg", "compressed.jpg", "broken.jpg"]
    group = likeness([*(tmp_path / name for name in names), None]).group
    assert group[12] == group[3] >= 0
    assert group[13] == group[5] >= 0
    assert (group >= 0).sum() == 4


def test_a_placeholder_on_many_items_is_warned_of(tmp_path):
    images = {name: picture(0 if code < 10 else code) for code, name in enumerate(catalogue()["item"])}
    found = of(tmp_path, "near-duplicate pictures", images=images)
    assert found.verdict == "warn"
    assert found.figures["largest"] == 10


def test_a_log_without_any_row_is_audited_without_an_error(tmp_path):
    empty = audit(shop(tmp_path / "empty", interactions=interactions().clear()))
    assert not empty.failed


def test_an_unknown_split_is_named_with_the_known_ones(small_shop):
    with pytest.raises(InputError, match="leave-one-out, temporal and cold-items"):
        audit(small_shop, split="random")


def test_the_command_prints_a_table_or_json_and_tells_by_its_exit_code(small_shop, tmp_path):
    bad = shop(tmp_path / "bad", interactions=interactions().with_columns(timestamp=pl.lit(1_600_000_000_000)))

    def run(*words):
        command = [sys.executable, "-m", "llmrec", "audit", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = run(small_shop.folder)
    assert good.returncode == 0
    assert "order in ids" in good.stdout
    told = run(bad.folder, "--json")
    assert told.returncode == 1
    content = json.loads(told.stdout)
    assert content["failed"] is True
    assert {one["check"]: one["verdict"] for one in content["findings"]}["order in time"] == "fail"
