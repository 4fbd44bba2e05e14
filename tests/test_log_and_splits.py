"""The log in the order of time, and splits that never let a model learn from what comes after a target."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shops import interactions, shop

from llmrec.errors import InputError
from llmrec.log import Log, chronological, encode, in_core, mixed, numbered
from llmrec.splits import (
    TEST,
    TRAIN,
    UNUSED,
    VALID,
    cold_items,
    core_rows,
    draw_unseen,
    leave_one_out,
    sampled_candidates,
    split_by_name,
    temporal,
)


@st.composite
def logs(draw: st.DrawFn, *, least: int = 0) -> Log:
    """Logs of some people with few or many items, also with equal times and repeats."""
    lengths = draw(st.lists(st.integers(1, 9), min_size=least, max_size=12))
    rows, items = sum(lengths), draw(st.integers(max(1, 3 * least), 15))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    times = [np.sort(rng.integers(0, draw(st.sampled_from([3, 50, 10**6])), size=length)) for length in lengths]
    return Log(
        users=pl.Series([f"u{user:02d}" for user in range(len(lengths))], dtype=pl.String),
        items=pl.Series([f"i{item:02d}" for item in range(items)]),
        start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        item=rng.integers(0, items, size=rows).astype(np.int32),
        time=np.concatenate([*times, np.zeros(0)]).astype(np.int64),
    )


columns = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2**50)), max_size=80)


@given(columns, st.integers(0, 2**60))
def test_rows_are_ordered_by_person_then_time_and_ties_do_not_depend_on_where_they_stood(rows, far):
    table = np.array([(user, item, time % 7 + (far if time % 2 else 0)) for user, item, time in rows], dtype=np.int64)
    user, item, time = table.reshape(-1, 3).T
    order = chronological(user, item, time, seed=3)
    assert sorted(order.tolist()) == list(range(len(rows)))
    keys = list(zip(user[order].tolist(), time[order].tolist(), strict=True))
    assert keys == sorted(keys)
    shuffled = np.random.default_rng(0).permutation(len(rows))
    again = shuffled[chronological(user[shuffled], item[shuffled], time[shuffled], seed=3)]
    assert np.array_equal(np.stack([user, item, time])[:, order], np.stack([user, item, time])[:, again])


def test_ties_are_broken_by_lot_and_not_by_id():
    user, item, time = np.repeat(np.arange(4000), 2), np.tile([1, 2], 4000), np.zeros(8000, dtype=np.int64)
    first = item[chronological(user, item, time)][::2]
    assert 0.45 < (first == 1).mean() < 0.55
    other = item[chronological(user, item, time, seed=1)][::2]
    assert 0.4 < (first == other).mean() < 0.6, "another seed draws other lots"


def test_the_lots_are_the_same_on_every_machine():
    assert mixed(np.array([0, 1, 2**63], dtype=np.uint64)).tolist() == [
        16294208416658607535,
        10451216379200822465,
        5196802822362493915,
    ]


@given(st.lists(st.text(max_size=3), max_size=20), st.lists(st.text(max_size=3), unique=True, max_size=20))
def test_names_are_encoded_as_their_place_and_unknown_ones_as_none(names, known):
    codes = encode(pl.Series(names, dtype=pl.String), pl.Series(known, dtype=pl.String))
    assert codes.tolist() == [known.index(name) if name in known else -1 for name in names]


@given(st.lists(st.text(max_size=3), max_size=40))
def test_names_are_numbered_in_their_order(names):
    codes, known = numbered(pl.Series(names, dtype=pl.String))
    assert known.to_list() == pl.Series(names, dtype=pl.String).unique().sort().to_list()
    assert [known[int(code)] for code in codes] == names


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_the_core_is_the_largest_part_in_which_everyone_has_enough(rows, user_core, item_core):
    user, item = (np.array(column, dtype=np.int64) for column in (zip(*rows, strict=True) if rows else ((), ())))
    kept = in_core(user, item, user_core=user_core, item_core=item_core)
    left = [row for row, keep in zip(rows, kept, strict=True) if keep]
    remaining = rows  # the same by the book, one round after another
    while True:
        people, things = Counter(user for user, _ in remaining), Counter(item for _, item in remaining)
        fewer = [row for row in remaining if people[row[0]] >= user_core and things[row[1]] >= item_core]
        if len(fewer) == len(remaining):
            break
        remaining = fewer
    assert left == remaining


@given(logs())
def test_leave_one_out_takes_the_last_two_of_everyone_who_has_three(log):
    split = leave_one_out(log)
    for user in range(len(log.users)):
        part = split.part[log.start[user] : log.start[user + 1]].tolist()
        asked = [VALID, TEST] if len(part) >= 3 else []
        assert part == [TRAIN] * (len(part) - len(asked)) + asked
    assert sum(split.sizes().values()) == len(log)


@given(logs(least=1), st.sampled_from(["first", "all"]))
def test_a_temporal_split_never_trains_on_what_comes_after_a_target(log, targets):
    split = temporal(log, valid=0.2, test=0.2, targets=targets)
    trained = log.time[split.part == TRAIN]
    for part in (VALID, TEST):
        if (split.part == part).any() and len(trained):
            assert trained.max() < log.time[split.part == part].min()
    if (split.part == VALID).any() and (split.part == TEST).any():
        assert log.time[split.part == VALID].max() < log.time[split.part == TEST].min()
    if targets == "first":
        for part in (VALID, TEST):
            assert np.bincount(log.user_of_rows()[split.part == part], minlength=1).max() <= 1
    else:
        assert not (split.part == UNUSED).any()


@given(logs(least=2), st.booleans(), st.integers(0, 3))
def test_cold_items_are_in_no_training_row_and_every_target_has_a_person_to_know(log, newest, seed):
    split = cold_items(log, share=0.3, seed=seed, newest=newest)
    cold = set(split.cold.tolist())
    assert not cold & set(log.item[split.part == TRAIN].tolist())
    for part in ("valid", "test"):
        for row, history, target in split.cases(part):
            assert target in cold
            assert any(split.part[row - 1 - back] == TRAIN for back in range(len(history)))
    if newest and (split.part == TRAIN).any() and cold:
        first_cold = min(log.time[np.isin(log.item, split.cold)])
        assert log.time[split.part == TRAIN].max() < first_cold


@given(logs(least=1))
def test_a_case_is_a_target_with_all_that_its_person_did_before(log):
    split = leave_one_out(log)
    for row, history, target in split.cases("test"):
        user = int(log.user_of_rows()[row])
        assert log.history(user).tolist() == [*history.tolist(), target]


def test_splits_go_by_their_names_and_a_log_without_times_has_no_temporal_one(small_shop):
    for name in ("leave-one-out", "temporal", "cold-items"):
        assert split_by_name(small_shop.log, name).name == name
    with pytest.raises(InputError, match="only say what came first"):
        split_by_name(small_shop.log, "temporal", clock="order")
    with pytest.raises(InputError, match="leave-one-out, temporal and cold-items"):
        split_by_name(small_shop.log, "random")


@given(logs(least=3), st.sampled_from(["leave-one-out", "temporal", "cold-items"]), st.floats(0.05, 0.95))
@settings(deadline=None)
def test_a_share_of_the_people_teaches_and_all_are_asked(log, name, share):
    whole, some = split_by_name(log, name), split_by_name(log, name, people=share)
    assert (some.people, whole.people) == (share, 1.0)
    owner = log.user_of_rows()
    assert np.array_equal(some.rows("test"), whole.rows("test"))
    teaching = set(owner[some.part == TRAIN]) | set(owner[some.part == VALID])
    assert len(teaching) <= max(1, round(share * len(log.users)))
    for person in range(len(log.users)):
        own = slice(log.start[person], log.start[person + 1])
        assert person not in teaching or np.array_equal(some.part[own], whole.part[own]), "whole people teach"
    more = split_by_name(log, name, people=min(1.0, 1.5 * share))
    assert set(np.flatnonzero(some.part == TRAIN)) <= set(np.flatnonzero(more.part == TRAIN)), (
        "more are these and others"
    )
    for (_, history, _), (_, known, _) in zip(some.cases("test"), whole.cases("test"), strict=True):
        assert np.array_equal(history, known), "what somebody took is read when they are asked"


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_no_people_or_more_than_all_cannot_teach(small_shop, share):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        split_by_name(small_shop.log, "leave-one-out", people=share)


@pytest.mark.parametrize("shares", [(0.0, 0.1), (0.5, 0.5), (-0.1, 0.2), (0.1, 1.0)])
def test_shares_that_leave_nothing_are_refused(small_shop, shares):
    with pytest.raises(InputError, match="shares above 0"):
        temporal(small_shop.log, valid=shares[0], test=shares[1])


def test_an_empty_log_has_empty_splits(tmp_path):
    log = shop(tmp_path / "empty", interactions=interactions().clear()).log
    for name in ("leave-one-out", "temporal", "cold-items"):
        assert sum(split_by_name(log, name).sizes().values()) == 0


def test_sampled_candidates_hold_the_target_first_and_nothing_that_the_person_took(small_shop):
    split = leave_one_out(small_shop.log)
    table = sampled_candidates(split, "test", negatives=20, seed=5)
    assert np.array_equal(table, sampled_candidates(split, "test", negatives=20, seed=5))
    assert not np.array_equal(table, sampled_candidates(split, "test", negatives=20, seed=6))
    owner = split.log.user_of_rows()
    for row, line in zip(split.rows("test"), table, strict=True):
        assert line[0] == split.log.item[row]
        assert len(set(line.tolist())) == 21
        assert not set(line[1:].tolist()) & set(split.log.history(int(owner[row])).tolist())


def test_more_candidates_than_there_are_items_are_refused(small_shop):
    with pytest.raises(InputError, match="Ask for fewer"):
        sampled_candidates(leave_one_out(small_shop.log), "test", negatives=39)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_negatives_are_drawn_evenly(seed):
    rng = np.random.default_rng(seed)
    counts = np.zeros(12)
    for _ in range(600):
        counts[draw_unseen(rng, 12, np.array([3, 7], dtype=np.int32), 4)] += 1
    assert counts[3] == counts[7] == 0
    others = np.delete(counts, [3, 7])
    assert others.sum() == 2400
    assert (np.abs(others - 240) < 6 * np.sqrt(240)).all()


def test_the_core_of_a_log_is_that_of_its_rows(small_shop):
    log = small_shop.log
    kept = core_rows(log, user_core=6, item_core=4)
    assert np.bincount(log.user_of_rows()[kept])[np.unique(log.user_of_rows()[kept])].min() >= 6
    assert np.bincount(log.item[kept])[np.unique(log.item[kept])].min() >= 4
