"""What a catalogue says and denies of its items is found in texts, and what it does not know is held against nobody."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from claims import named, values_of
from drawn import world
from shops import interactions, shop

from llmrec.evaluation.catalogue import USES, Catalogue, catalogue, heeding, rows_of
from llmrec.evaluation.claims import judged
from llmrec.evaluation.figures import of_corpus
from llmrec.evaluation.truth import true_items, true_rows
from llmrec.retrieval.words import texts_of
from llmrec.shelf import cleaned_fields

ROWS = [
    {"kind": ["Home", "vase"], "brand": ["Little Fathom"], "colour": ["red"], "cut": ["classic"], "code": ["A-17x"]},
    {"kind": ["Home", "vase"], "brand": ["Little Fathom"], "colour": ["navy blue"], "cut": ["round"], "code": ["B-9x"]},
    {"kind": ["Clothing", "dress"], "brand": ["Vell"], "colour": ["red"], "cut": ["classic"], "code": ["C-4x"]},
    {"kind": ["Clothing", "dress"], "brand": ["Vell"], "colour": ["navy blue"], "cut": ["round"], "code": ["D-5x"]},
    {"kind": ["Clothing", "dress"], "brand": [], "colour": [], "cut": ["round"], "code": ["E-6x"]},
]
OWN = ["A vase from Little Fathom.", "A vase.", "A dress.", "A dress that goes with red.", "A dress."]
RED_VASE, BLUE_VASE, RED_DRESS, BLUE_DRESS, UNKNOWN = range(5)


@pytest.fixture(scope="module")
def told() -> Catalogue:
    return catalogue(ROWS, OWN)


def wrong(told: Catalogue, text: str, item: int) -> set[str]:
    return {name.partition("=")[2] for name in told.judge(text, item, []).contradictions}


def test_values_are_found_in_one_or_several_and_brands_as_they_are_written(told: Catalogue) -> None:
    def found(text: str) -> list[str]:
        return [one.value for one in told.find(text)]

    assert found("Navy-blue vases and two dresses") == ["navy blue", "dress", "vase"]
    assert found("a little fathom of Little Fathom") == ["Little Fathom"]
    assert found("A-17x, unclassical") == [], "a name is nobody's value, nor is a part of a word"


def test_what_the_field_says_otherwise_contradicts_and_what_nobody_knows_does_not(told: Catalogue) -> None:
    assert wrong(told, "A red vase.", RED_VASE) == set()
    assert wrong(told, "A red dress by Vell.", BLUE_VASE) == {"red", "dress", "Vell"}
    assert wrong(told, "It is not red.", RED_VASE) == {"red"}
    assert wrong(told, "It is not red.", BLUE_VASE) == set()
    assert wrong(told, "A red dress by Vell, and no vase.", UNKNOWN) == set(), "its brand and colour are not told"
    assert wrong(told, "A red dress.", BLUE_DRESS) == set(), "its own text speaks of red"
    assert wrong(told, "My last order was a vase.", RED_DRESS) == set(), "said of another"


def test_a_word_that_reviewers_use_of_all_items_is_no_claim(told: Catalogue) -> None:
    reviews = {RED_VASE: "A classic in red.", BLUE_VASE: "A classic order of a round thing."}
    items = [item for item in reviews for _ in range(USES)]
    heard = heeding(told, items, [reviews[item] for item in items])
    assert heard.everyday == ("classic",)
    assert wrong(told, "A classic in red.", BLUE_VASE) == {"classic", "red"}
    assert wrong(heard, "A classic in red.", BLUE_VASE) == {"red"}
    few = heeding(told, items[USES + 1 :], [reviews[item] for item in items[USES + 1 :]])
    assert few.everyday == (), "too few uses tell nothing"


def test_true_reasons_are_named_in_praise_by_whatever_the_field_is_called(told: Catalogue) -> None:
    why = ["shade=red", "kind=vase", "price=low"]
    assert told.judge("I love the red vase.", RED_VASE, [], why).reasons == {"colour=red"}
    assert told.judge("I do not love the red vase.", RED_VASE, [], why).reasons == set()
    assert told.judge("A vase.", RED_VASE, [], why).kind


def test_an_earlier_item_is_meant_where_one_alone_can_be(told: Catalogue) -> None:
    text = "It goes with my red dress."
    assert told.cited(text, BLUE_VASE, [RED_DRESS, RED_VASE]) == {RED_DRESS}, "red could be two of them"
    assert told.cited(text, BLUE_VASE, [RED_DRESS, UNKNOWN, RED_VASE]) == set()
    assert told.cited("I like the dress.", BLUE_VASE, [RED_DRESS]) == set(), "nothing says that it was before"


def test_a_catalogue_without_shared_words_has_no_claims() -> None:
    told = catalogue([{"kind": [], "size": [str(code)], "new": ["yes"]} for code in (1, 1, 2)], ["", "", ""])
    assert not told.names
    assert not told.judge("Yes, size 1.", 2, []).claims


def test_true_reasons_follow_the_log_and_most_shops_have_none(tmp_path: Path) -> None:
    plain = shop(tmp_path / "plain")
    assert true_items(plain) is None
    assert true_rows(plain) is None
    rows = interactions()
    names = pl.Series("reasons", [[f"name={user}-{item}"] for user, item in rows.select("user", "item").rows()])
    truth = rows.select("user", "item", "timestamp").with_columns(names).sample(fraction=1, shuffle=True, seed=1)
    items = plain.items.select("item", glaze=pl.lit("matt") + pl.col("item")).collect().reverse()
    drawn = shop(tmp_path / "drawn", truth={"interactions": truth, "items": items})
    pairs = drawn.interactions.select("user", "item").collect().rows()
    assert true_rows(drawn)["reasons"].to_list() == [[f"name={user}-{item}"] for user, item in pairs]
    found = true_items(drawn)
    assert found["item"].to_list() == drawn.items.collect()["item"].to_list()
    assert found["glaze"].to_list() == [f"matt{item}" for item in found["item"]]


def test_plain_words_of_fields_say_of_drawn_reviews_what_a_list_made_by_hand_does() -> None:
    shop = world.draw_world(items=600, users=600, interactions=8_000, seed=1)
    items = world.items_table(shop)
    rows = items.join(world.items_truth(shop), on="item", maintain_order="left")
    fields = [cleaned_fields(row, ["collection", "occasion"]) for row in items.iter_rows(named=True)]
    hidden = rows.select(name for name in rows.columns if name not in items.columns)
    values = [values_of(row) for row in rows.iter_rows(named=True)]
    codes = {name: code for code, name in enumerate(items["item"])}
    written, truth = world.interactions_tables(shop)
    written = written.sort("user", "timestamp").select("item", "review")
    table = written.hstack(truth.select("reasons")).filter(pl.col("review").is_not_null())
    said = [(codes[item], review, why) for item, review, why in table.rows()]
    learnt, asked = said[::2], said[1::2]
    plain = heeding(
        catalogue(rows_of(fields, hidden), texts_of(items)), [one[0] for one in learnt], [one[1] for one in learnt]
    )
    counted: Counter[str] = Counter()
    for item, review, why in asked:
        other = (item + 7) % 600
        verdicts = {
            "plain": [plain.judge(review, item, [], why), plain.judge(review, other, [])],
            "by hand": [judged(review, named, values[item], [], why), judged(review, named, values[other], [], [])],
        }
        for who, (own, elsewhere) in verdicts.items():
            counted[f"{who}, reasons"] += bool(own.reasons)
            counted[f"{who}, false alarms"] += bool(own.contradictions)
            counted[f"{who}, elsewhere"] += bool(elsewhere.contradictions)
    assert counted["plain, false alarms"] <= 0.002 * len(asked)
    assert counted["by hand, reasons"] > 0.5 * len(asked)
    assert counted["plain, reasons"] > 0.97 * counted["by hand, reasons"]
    assert counted["plain, elsewhere"] > 0.97 * counted["by hand, elsewhere"] > 0.5 * len(asked)


def test_bleu_has_the_interval_of_corpora_that_are_drawn_anew() -> None:
    said = ["the cat sat on the mat", "nothing of the kind was ever said"] * 20
    wanted = ["the cat sat on the mat", "a dog lay in some other place"] * 20
    found = of_corpus(said, wanted)
    assert found["low"] < found["mean"] < found["high"]
    assert of_corpus(wanted, wanted) == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert of_corpus(said[:1], wanted[:1])["low"] is None
