"""The atelier: a drawn shop is the same for the same seed, tells the truth, and is worth looking at."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import atelier
import numpy as np
import polars as pl
import pytest
from drawn import oracle, vocabulary, world
from drawn.catalogue import OPENING
from drawn.choices import taste_weights
from drawn.labels import BRANDS, COLLECTIONS

from llmrec.dataset import Dataset, validate
from llmrec.errors import InputError

SCRIPT = Path(__file__).parent.parent / "data_builders" / "atelier.py"
LOOKS = ("silhouette", "colour", "accent", "pattern", "material", "trim")
DRAWN_WORDS = (
    set(vocabulary.COLOURS)
    | set(vocabulary.PATTERNS)
    | set(vocabulary.TRIMS) - {"none"}
    | set(vocabulary.CLOTH + vocabulary.HARD)
    | {silhouette for kind in vocabulary.KINDS for silhouette in kind.silhouettes}
)
DRAWN_WORD = re.compile(
    r"\b(" + "|".join(sorted(map(re.escape, DRAWN_WORDS), key=len, reverse=True)) + r")\b", re.IGNORECASE
)


def drawn_words(text: str) -> set[str]:
    return {word.lower() for word in DRAWN_WORD.findall(text)}


@pytest.fixture(scope="module")
def shop() -> world.World:
    """Large enough to measure, without pictures."""
    return world.draw_world(items=800, users=800, interactions=11_000, seed=3)


@pytest.fixture(scope="module")
def tables(shop: world.World) -> tuple[pl.DataFrame, pl.DataFrame]:
    written, truth = world.interactions_tables(shop)
    return written.sort("user", "timestamp"), truth


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    dataset, _ = atelier.build(tmp_path_factory.mktemp("atelier") / "tiny", atelier.SIZES["tiny"])
    return dataset


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_shop(tiny: Dataset, tmp_path: Path) -> None:
    atelier.build(tmp_path / "again", atelier.SIZES["tiny"])
    atelier.build(tmp_path / "other", atelier.SIZES["tiny"], seed=1)
    first, again, other = (contents(folder) for folder in (tiny.folder, tmp_path / "again", tmp_path / "other"))
    assert first == again
    assert first["items.parquet"] != other["items.parquet"]
    assert first.keys() != other.keys(), "ids are drawn anew, and pictures are named after them"


def test_several_processes_draw_the_same_pictures_as_one() -> None:
    shop = world.draw_world(items=atelier.PICTURES_WORTH_A_PROCESS, users=10, interactions=100)
    with atelier.pictures(shop, 32, workers=1) as alone, atelier.pictures(shop, 32, workers=2) as together:
        assert list(alone) == list(together)


def test_a_built_shop_is_a_valid_dataset_with_every_picture(tiny: Dataset) -> None:
    dataset, problems = validate(tiny.folder)
    assert not problems
    counts = dataset.info["counts"]
    assert (counts["items"], counts["users"], counts["interactions"], counts["pictures"]) == (120, 60, 900, 120)
    assert dataset.attributes == ("collection", "occasion"), "no drawn attribute stands in the catalogue"
    assert dataset.info["notes"]["oracle"]["variants"]["all"]["hr@10"] > 0


def test_the_truth_lies_apart_and_fits_the_tables_row_by_row(tiny: Dataset) -> None:
    truth = {path.stem: pl.read_parquet(path) for path in (tiny.folder / "truth").iterdir()}
    assert truth.keys() == {"interactions", "items", "people", "oracle"}
    keys = ["user", "item", "timestamp"]
    assert tiny.interactions.select(keys).collect().equals(truth["interactions"].select(keys))
    assert tiny.items.select("item").collect().equals(truth["items"].select("item"))
    assert truth["people"]["user"].to_list() == truth["oracle"]["user"].to_list()


def test_nobody_takes_what_is_not_yet_in_the_shop(shop: world.World) -> None:
    assert (shop.choices.timestamp >= shop.catalogue.released[shop.choices.item]).all()


def test_everybody_chooses_in_order_of_time_and_at_least_seven_times(shop: world.World) -> None:
    same_person = np.diff(shop.choices.person) == 0
    assert (np.diff(shop.choices.timestamp)[same_person] > 0).all()
    assert shop.people.lengths.min() >= 7
    assert shop.people.lengths.sum() == len(shop.choices) == 11_000


def test_some_pieces_come_late_and_are_cold_at_the_end(shop: world.World) -> None:
    last_month = shop.catalogue.released > OPENING + 700 * 86_400_000
    assert 0.01 < last_month.mean() < 0.15
    known = np.ones(len(shop.choices), dtype=bool)
    known[np.cumsum(shop.people.lengths) - 1] = False
    seen_before = np.isin(np.arange(len(shop.catalogue)), shop.choices.item[known])
    assert (~seen_before[shop.choices.item[~known]]).any(), "some last choices are of pieces that nobody took before"


def test_ids_do_not_tell_the_order_of_release(shop: world.World) -> None:
    place = np.argsort(np.argsort([piece.id for piece in shop.catalogue.goods]))
    assert abs(np.corrcoef(place, shop.catalogue.released)[0, 1]) < 0.1


def test_labels_say_of_the_looks_only_what_they_are_told_to(shop: world.World) -> None:
    mentions = dict.fromkeys(LOOKS, 0)
    for piece in shop.catalogue.goods:
        said = drawn_words(f"{piece.title} {piece.description}")
        assert said == {getattr(piece.look, name) for name in piece.told} - {"none"}
        for name in LOOKS:
            mentions[name] += getattr(piece.look, name) in said
    assert max(mentions.values()) < 0.1 * len(shop.catalogue)


def test_no_house_and_no_collection_is_named_after_a_look() -> None:
    assert not drawn_words(" ".join(BRANDS + COLLECTIONS))


def test_reviews_say_nothing_untrue_about_the_looks(
    shop: world.World, tables: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    looks = {piece.id: {getattr(piece.look, name) for name in LOOKS} for piece in shop.catalogue.goods}
    for item, review, summary in tables[0].drop_nulls("review").select("item", "review", "summary").iter_rows():
        assert drawn_words(f"{review} {summary}") <= looks[item], review


def test_reviews_praise_what_the_person_likes_and_fault_what_they_do_not(
    tables: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    written, truth = tables
    for rating, mentioned, matched, mismatched in zip(
        written["rating"], truth["mentioned"], truth["matched"], truth["mismatched"], strict=True
    ):
        assert set(mentioned) <= set(matched if rating >= 4 else [*matched, *mismatched])
    noise = truth.filter(pl.col("cause").is_in(["gift", "impulse"]))
    assert noise["reasons"].list.len().sum() == 0, "taste is no reason for a gift"
    taste = truth.filter(pl.col("cause") == "taste")
    assert (taste["reasons"].list.len() > 0).mean() > 0.99


def test_the_words_of_a_review_name_what_the_truth_says_is_mentioned(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    written, truth = tables
    for review, summary, mentioned in zip(written["review"], written["summary"], truth["mentioned"], strict=True):
        for reason in mentioned:
            name, value = reason.split("=")
            if name in ("colour", "pattern", "material", "silhouette", "brand"):
                assert value.lower() in f"{review} {summary}".lower()


def test_reviews_are_many_and_varied(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    reviews = tables[0]["review"].drop_nulls()
    assert 0.65 < len(reviews) / len(tables[0]) < 0.75
    assert reviews.n_unique() / len(reviews) > 0.9
    openings = reviews.str.split(" ").list.head(3).list.join(" ").value_counts()
    assert openings["count"].max() / len(reviews) < 0.05, "no template stands out"


def test_reviews_and_labels_are_written_without_slips(
    shop: world.World, tables: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    texts = tables[0]["review"].drop_nulls().to_list() + [piece.description for piece in shop.catalogue.goods]
    slips = re.compile(
        r"\ba [aeiou]|\ban [^aeiou]|  |[{}]|[.,:;?!][.,:;]|(^|[.!?] )[a-z]|[^.!?]$"
        r"|\b(\w+) \2\b|\bthey (is|has|was|makes|suits|goes|lives)\b"
    )
    assert [text for text in texts if slips.search(text)] == []


def test_ratings_follow_taste(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    joined = tables[0].with_columns(tables[1]["matched"].list.len().alias("matched"))
    means = (
        joined.group_by(pl.col("matched").clip(0, 5)).agg(pl.col("rating").mean()).sort("matched")["rating"].to_list()
    )
    assert means == sorted(means)
    assert joined["rating"].is_between(1, 5).all()
    assert joined["rating"].n_unique() == 5


def test_popularity_is_skewed_and_repeats_are_rare(shop: world.World) -> None:
    counts = np.sort(np.bincount(shop.choices.item, minlength=len(shop.catalogue)))[::-1]
    assert counts[: len(counts) // 10].sum() > 0.2 * counts.sum()
    bought = set(zip(shop.choices.person.tolist(), shop.choices.item.tolist(), strict=True))
    assert 0.97 < len(bought) / len(shop.choices) < 1


def test_changed_tastes_change_choices(shop: world.World) -> None:
    people = shop.people
    person = int(np.flatnonzero(people.drift_at >= 0)[0])
    before, after = (taste_weights(shop.catalogue, people.likes(person, drifted)) for drifted in (False, True))
    assert not np.array_equal(before, after)
    assert shop.choices.drifted.any()


def test_knowing_more_ranks_better_and_sight_is_worth_a_third_of_it(shop: world.World) -> None:
    verdict = oracle.judge(shop.catalogue, shop.people, shop.choices)
    ndcg = {variant: verdict.score(variant).ndcg for variant in oracle.VARIANTS}
    assert ndcg["all"] > ndcg["reader"] > ndcg["blind"] > ndcg["popularity"]
    assert ndcg["reader"] > ndcg["neighbours"]
    assert ndcg["reader"] > ndcg["blind reader"]
    assert ndcg["reader"] > 0.7 * ndcg["all"]
    assert ndcg["popularity"] < 0.25 * ndcg["all"]
    assert verdict.worth_of_sight() > 0.45


def test_ties_count_against_the_target() -> None:
    question = oracle.Question(person=0, drifted=False, history=np.array([1]), available=5, target=3)
    assert oracle.rank(question, np.ones(6)) == 4, "four of five released pieces are not owned, and all tie"
    assert oracle.rank(question, np.array([0, 9, 0, 1, 0, 9.0])) == 1, (
        "what is owned or not yet released does not compete"
    )
    owned = oracle.Question(person=0, drifted=False, history=np.array([3]), available=5, target=3)
    assert oracle.rank(owned, np.ones(6)) == 0


@pytest.mark.parametrize(
    ("size", "remedy"),
    [
        (atelier.Size(10, 60, 900, 64), "--items 40"),
        (atelier.Size(120, 60, 100, 64), "--interactions 420"),
        (atelier.Size(120, 0, 100, 64), "--users 1"),
        (atelier.Size(120, 60, 900, 5), "16 to 2048"),
    ],
)
def test_impossible_sizes_are_refused_with_a_remedy(tmp_path: Path, size: atelier.Size, remedy: str) -> None:
    with pytest.raises(InputError, match=remedy):
        atelier.build(tmp_path / "shop", size)
    assert list(tmp_path.iterdir()) == []


def test_a_standing_dataset_is_not_replaced_unasked(tiny: Dataset) -> None:
    with pytest.raises(InputError, match="--overwrite"):
        atelier.build(tiny.folder, atelier.SIZES["tiny"])


def test_the_script_explains_itself_and_its_errors() -> None:
    script = [sys.executable, str(SCRIPT)]
    shown = subprocess.run([*script, "--help"], capture_output=True, text=True, check=True).stdout
    assert "examples:" in shown
    assert "--picture-size" in shown
    failed = subprocess.run([*script, "--out", "x", "--items", "3"], capture_output=True, text=True)
    assert failed.returncode == 2
    assert "--items 40" in failed.stderr


def test_ctrl_c_while_pictures_are_drawn_ends_every_process_and_leaves_nothing(tmp_path: Path) -> None:
    """A terminal sends it to the whole group: the workers must not leave the first process waiting for them."""
    sizes = ["--items", "2000", "--users", "20", "--interactions", "200", "--workers", "2"]
    run = subprocess.Popen(
        [sys.executable, SCRIPT, "--out", tmp_path / "shop", *sizes], stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".shop.partial-*/images/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    _, told = run.communicate(timeout=30)
    assert run.returncode == 130
    assert told.decode().strip().endswith("stopped; nothing was written")
    assert "Traceback" not in told.decode()
    assert not list(tmp_path.iterdir())
