"""Filters are data: what they find is what the same question finds in Polars, and no value ever becomes SQL."""

from datetime import UTC, date, datetime
from functools import reduce
from operator import and_, or_

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.retrieval import filters
from llmrec.retrieval.fields import Fields
from llmrec.retrieval.filters import Field
from llmrec.retrieval.store import ItemStore

AWKWARD = [
    *("Alder", "O'Brien", "a\\", "\\'", "'; DROP TABLE items; --", "`", '"', "a\nb", "%", "_", "東京", "Ünïcode", "🦊"),
    *("ǅ", "", " ", "null", "true", "\x01", "${x}", "' OR '1'='1"),
]
FIELDS = {
    "item": Field("item", "text"),
    "brand": Field("brand", "text"),
    "price": Field("price", "number"),
    "year": Field("year", "whole"),
    "in_stock": Field("in_stock", "flag"),
    "since": Field("since", "day"),
    "seen": Field("seen", "time"),
    "categories": Field("categories", "texts"),
}

texts = st.sampled_from(AWKWARD) | st.text(max_size=6)
numbers = st.integers(-20, 20) | st.floats(-20, 20, allow_nan=False) | st.sampled_from([0, 1.5, 10**15, -1e300, 5e-324])
days = st.dates(date(1900, 1, 1), date(2100, 1, 1))
moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))


def items() -> pl.DataFrame:
    size = 120
    rng = np.random.default_rng(3)

    def pick(values):
        return [None if rng.random() < 0.2 else values[rng.integers(len(values))] for _ in range(size)]

    return pl.DataFrame(
        {
            "item": [f"{AWKWARD[code % len(AWKWARD)]}{code}" for code in range(size)],
            "title": pick(AWKWARD),
            "description": pick(["A thing", "Another"]),
            "categories": [None if code % 6 == 0 else pick(AWKWARD)[: code % 4] for code in range(size)],
            "brand": pick(AWKWARD),
            "price": pick([0.0, 1.5, 7.0, 19.99, 1e15]),
            "In Stock?": pick([True, False]),
            "since": pick([date(2000, 2, 29), date(1969, 1, 1), date(2024, 5, 31)]),
            "seen": pick([datetime(2000, 2, 29, 1, 2, 3, 456), datetime(1969, 1, 1), datetime(2024, 5, 31)]),
            "order": pick([-3, 0, 12]),
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return ItemStore.create(tmp_path_factory.mktemp("filters") / "store", items(), {})


def conditions():
    """One condition as a filter, with the same in Polars."""

    def one_of(name, values):
        column = pl.col(name)
        if name == "categories":
            return reduce(or_, (column.list.contains(value).fill_null(False) for value in values), pl.lit(False))
        return reduce(or_, ((column == value).fill_null(False) for value in values), pl.lit(False))

    def general(name, values):
        has = "has" if name == "categories" else "any_of"
        many = st.lists(values, max_size=4)
        yield many.map(lambda wanted: (name, wanted, one_of(name, wanted)))
        yield many.map(lambda wanted: (name, {has: wanted}, one_of(name, wanted)))
        yield many.map(lambda wanted: (name, {"not": wanted}, ~one_of(name, wanted)))
        yield values.map(lambda wanted: (name, {"not": wanted}, ~one_of(name, [wanted])))
        yield values.map(lambda wanted: (name, wanted, one_of(name, [wanted])))
        yield st.booleans().map(lambda yes: (name, {"missing": yes}, pl.col(name).is_null() == yes))
        yield st.booleans().map(lambda yes: (name, {"known": yes}, pl.col(name).is_not_null() == yes))

    def ordered(name, values):
        compare = {"below": "lt", "at_most": "le", "above": "gt", "at_least": "ge"}
        for word, method in compare.items():
            yield values.map(lambda v, w=word, m=method: (name, {w: v}, getattr(pl.col(name), m)(v).fill_null(False)))

    def holds(name):
        def expression(part):
            lower = pl.col(name).str.to_lowercase()
            return lower.str.contains(pl.lit(part).str.to_lowercase(), literal=True).fill_null(False)

        return texts.map(lambda part: (name, {"contains": part}, expression(part)))

    kinds = {"brand": texts, "title": texts, "categories": texts, "price": numbers, "order": numbers,
             "In Stock?": st.booleans(), "since": days, "seen": moments}  # fmt: skip
    every = [strategy for name, values in kinds.items() for strategy in general(name, values)]
    every += [s for name in ("price", "order", "since", "seen") for s in ordered(name, kinds[name])]
    return st.one_of(*every, holds("brand"), holds("title"))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(conditions(), min_size=1, max_size=3, unique_by=lambda condition: condition[0]))
def test_a_filter_finds_what_the_same_question_finds_in_polars(store, asked):
    where = {name: wanted for name, wanted, _ in asked}
    expected = items().filter(reduce(and_, (expression for *_, expression in asked)))["item"]
    assert store.count(where) == len(expected)
    found = store.table.search().where(filters.sql(where, store.layout.fields)).select(["item"]).to_arrow()
    assert sorted(found["item"].to_pylist()) == sorted(expected)
    in_memory = Fields(store, items()["item"].to_list()).passing(where)
    assert items()["item"].filter(in_memory).to_list() == expected.to_list()


def test_a_value_stays_between_its_quotes():
    assert filters.sql({"brand": "x' OR '1'='1"}, FIELDS) == "(`brand` IN ('x'' OR ''1''=''1'))"
    held = "(replace(lower(`brand`), lower(''''), '') <> lower(`brand`))"
    assert filters.sql({"brand": {"contains": "'"}}, FIELDS) == held


def test_an_empty_filter_keeps_everything_and_an_empty_choice_nothing(store):
    assert filters.sql({}, FIELDS) == ""
    assert store.count({}) == store.count() == 120
    assert store.count({"brand": []}) == 0


def test_days_and_times_are_also_taken_as_text(store):
    frame = items()
    assert store.count({"since": {"at_least": "2000-02-29"}}) == (frame["since"] >= date(2000, 2, 29)).sum()
    assert (
        store.count({"seen": {"below": "2000-02-29T01:02:03.000457"}})
        == (frame["seen"] < datetime(2000, 2, 29, 1, 2, 3, 457)).sum()
    )
    aware = datetime(2000, 2, 29, 1, 2, 3, 456, tzinfo=UTC)
    assert store.count({"seen": aware}) == (frame["seen"] == aware.replace(tzinfo=None)).sum() > 0


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"prize": {"below": 3}}, "no field 'prize'.*Did you mean 'price'"),
        ({"zzz": 1}, "no field 'zzz'.*The fields are item, brand"),
        ({7: 1}, "no field 7"),
        ({"price": {"bellow": 3}}, "no filter operation 'bellow'.*Did you mean 'below'"),
        ({"price": {"$gt": 3}}, "no filter operation '\\$gt'"),
        ({"price": {"contains": "3"}}, "'contains' cannot be asked of 'price', which is a number"),
        ({"brand": {"below": "B"}}, "'below' cannot be asked of 'brand'"),
        ({"categories": {"is": "Kitchen"}}, "'is' cannot be asked of 'categories', which is a list of texts"),
        ({"price": {"below": "30"}}, "'price' cannot be compared with '30'. Give a number"),
        ({"price": True}, "'price' cannot be compared with True"),
        ({"price": float("nan")}, "'price' cannot be compared with nan"),
        ({"price": {"below": float("inf")}}, "cannot be compared with inf"),
        ({"price": 10**400}, "'price' cannot be compared with"),
        ({"year": 2**80}, "'year' cannot be compared with"),
        ({"year": {"below": "2000"}}, "'year' cannot be compared with '2000'. Give a number"),
        ({"price": None}, "missing"),
        ({"brand": 3}, "'brand' cannot be compared with 3. Give a text"),
        ({"brand": ["A", None]}, "missing"),
        ({"brand": "\ud800"}, "'brand' cannot be compared with"),
        ({"brand": b"A"}, "cannot be compared with b'A'"),
        ({"brand": {"any_of": "A"}}, "'any_of' on 'brand' takes a list"),
        ({"brand": {"missing": "yes"}}, "'missing' on 'brand' takes true or false"),
        ({"brand": {}}, "filter on 'brand' is empty"),
        ({"in_stock": "yes"}, "'in_stock' cannot be compared with 'yes'. Give true or false"),
        ({"in_stock": 1}, "'in_stock' cannot be compared with 1"),
        ({"since": "yesterday"}, "'since' cannot be compared with 'yesterday'. Give a day"),
        ({"seen": "31/5/2024"}, "'seen' cannot be compared with"),
        ({"categories": {"has": [["Kitchen"]]}}, "'categories' cannot be compared with"),
        ("price < 30", "A filter maps fields to conditions, but 'price < 30' was given"),
        (["price"], "A filter maps fields"),
    ],
)
def test_a_filter_that_cannot_be_asked_says_why(where, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        filters.sql(where, FIELDS)
