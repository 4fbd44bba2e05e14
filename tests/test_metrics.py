"""Measures of a ranking agree with a reference implementation, and certainty is what it claims to be."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import RR, R, Success, nDCG

from llmrec.metrics import gains, gini, mae, pessimistic_ranks, rmse, spread, surprise
from llmrec.significance import compare, holm, intervals


@pytest.mark.parametrize("seed", range(5))
def test_measures_agree_with_a_reference_on_random_runs(seed):
    """Binary relevance, one to six right items a person, forty items in a list."""
    rng = np.random.default_rng(seed)
    qrels, run, ranks, starts = [], [], [], []
    for person in range(30):
        right = rng.choice(40, size=rng.integers(1, 7), replace=False)
        scores = rng.permutation(40) / 40
        starts.append(len(ranks))
        ranks += pessimistic_ranks(np.tile(scores, (len(right), 1)), right).tolist()
        qrels += [ir_measures.Qrel(str(person), str(item), 1) for item in right]
        run += [ir_measures.ScoredDoc(str(person), str(item), float(score)) for item, score in enumerate(scores)]
    named = {"hr": Success, "recall": R, "ndcg": nDCG}
    wanted = {f"{name}@{cut}": measure @ cut for cut in (1, 5, 10, 20) for name, measure in named.items()}
    reference = ir_measures.calc_aggregate([*wanted.values(), RR], qrels, run)
    ours = gains(np.array(ranks), np.array(starts)).means()
    for name, measure in wanted.items():
        assert ours[name] == pytest.approx(reference[measure]), name
    assert ours["mrr"] == pytest.approx(reference[RR])


def test_ties_and_numbers_that_are_none_count_against_the_ranker():
    scores = np.array([[1.0, 1.0, 1.0, 0.0], [np.nan, 0.0, 1.0, 2.0], [np.nan] * 4, [-np.inf, 3.0, 2.0, 1.0]])
    assert pessimistic_ranks(scores, np.array([1, 0, 0, 0])).tolist() == [3, 4, 4, 4]


@given(st.integers(0, 2**32), st.integers(2, 30))
def test_a_constant_ranker_never_hits_before_the_end(seed, items):
    target = np.random.default_rng(seed).integers(items, size=3)
    assert pessimistic_ranks(np.zeros((3, items)), target).tolist() == [items] * 3


def test_nobody_asked_gives_no_measure_but_no_error():
    assert gains(np.zeros(0, dtype=np.int64)).values.shape == (0, 13)


def test_the_spread_of_lists_is_told():
    popularity = np.array([8.0, 4.0, 0.0, 0.0])
    same = spread(np.array([[0, 1], [0, 1]]), np.array([4.0, 4.0]), popularity, people=15)
    assert same.coverage == 0.5
    assert same.popularity_lift == pytest.approx(1.5)
    assert same.novelty == pytest.approx((-np.log2(9 / 16) - np.log2(5 / 16)) / 2)
    wide = spread(np.array([[0, 1], [2, 3]]), np.array([4.0, 4.0]), popularity, people=15)
    assert (wide.coverage, wide.gini) == (1.0, 0.0)
    assert wide.novelty > same.novelty


def test_empty_places_on_a_list_are_no_items():
    found = spread(np.array([[0, -1], [-1, -1]]), np.array([1.0, 1.0]), np.array([1.0, 1.0]), people=1)
    assert found.coverage == 0.5
    assert (found.popularity_lift, found.lift_people) == (1.0, 1)


def test_a_spread_that_nothing_tells_is_none_and_says_why():
    popularity, nobody = np.array([8.0, 4.0, 0.0, 0.0]), np.full((2, 3), -1)
    empty = spread(nobody, np.array([4.0, 4.0]), popularity, people=15)
    assert empty.coverage == 0.0
    assert (empty.gini, empty.novelty, empty.popularity_lift, empty.lift_people) == (None, None, None, 0)
    assert set(empty.missing.values()) == {"nothing stands on any list"}
    assert empty.missing.keys() == {"gini", "novelty", "popularity_lift"}
    newcomers = spread(np.array([[0, 1], [0, 2]]), np.zeros(2), popularity, people=15)
    assert newcomers.novelty is not None
    assert (newcomers.popularity_lift, newcomers.missing.keys()) == (None, {"popularity_lift"})
    one = spread(np.array([[0, 1], [0, 2]]), np.array([0.0, 2.0]), popularity, people=15)
    assert (one.popularity_lift, one.lift_people, one.missing) == (2.0, 1, {})


def test_the_spread_is_that_of_the_items_that_are_ranked():
    popularity = np.array([8.0, 4.0, 0.0, 0.0])
    found = spread(np.array([[2, -1], [2, 3]]), np.array([4.0, 4.0]), popularity, people=15, offered=np.array([2, 3]))
    assert found.coverage == 1.0
    assert found.gini == pytest.approx(1 / 6), "shown twice and once"
    assert (found.novelty, found.popularity_lift) == (None, None), "new items are all equally unknown"


def test_gini_is_0_for_equals_and_near_1_for_one_that_has_all():
    assert gini(np.full(50, 3.0)) == pytest.approx(0)
    assert gini(np.eye(100)[0]) == pytest.approx(0.99)
    assert gini(np.zeros(5)) == 0.0


def test_errors_of_numbers():
    told, true = np.array([1.0, 3.0]), np.array([2.0, 1.0])
    assert mae(told, true) == 1.5
    assert rmse(told, true) == pytest.approx(np.sqrt(2.5))
    assert surprise(np.array([0.5, 0.75]), np.array([True, False])) == pytest.approx([np.log(2), np.log(4)])
    assert np.isfinite(surprise(np.array([0.0, 1.0]), np.array([True, False]))).all()


def test_an_interval_holds_the_truth_about_19_times_of_20():
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(300):
        (found,) = intervals((rng.random(150) < 0.3).astype(float)[:, None], seed=trial)
        held += found.low <= 0.3 <= found.high
    assert 0.91 < held / 300 < 0.98


def test_a_paired_test_raises_false_alarms_about_once_in_twenty():
    rng = np.random.default_rng(1)
    alarms = [compare(rng.random(60), rng.random(60), seed=trial).p < 0.05 for trial in range(200)]
    assert 0.01 < np.mean(alarms) < 0.10


def test_a_small_but_steady_difference_is_seen_although_people_differ_much():
    rng = np.random.default_rng(2)
    people = rng.normal(size=400)
    found = compare(people + 0.1 + 0.05 * rng.normal(size=400), people)
    assert found.p < 0.001
    assert found.low < 0.1 < found.high


def test_equal_systems_do_not_differ():
    values = np.random.default_rng(3).random(50)
    assert compare(values, values).p == 1.0


def test_different_people_are_not_compared():
    with pytest.raises(ValueError, match="same ones"):
        compare(np.zeros(3), np.zeros(4))


def test_holm_corrects_step_by_step():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_one_person_has_no_interval():
    (found,) = intervals(np.ones((1, 1)))
    assert found.mean == 1.0
    assert np.isnan(found.low)
