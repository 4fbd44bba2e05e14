"""Each retriever finds what it is made to find, learns from training rows alone, and fusion takes the best of all."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import sparse

from llmrec.log import Log
from llmrec.retrieval import fusion, neighbours, popularity, sasrec, sights, words
from llmrec.retrieval.batch import top_candidates
from llmrec.retrieval.content import Content, unit
from llmrec.retrieval.fusion import Candidates, Fusion
from llmrec.retrieval.neighbours import NeighbourRecipe, read_weights
from llmrec.retrieval.retriever import best, leave_out, ndcg, some_cases, target_ranks
from llmrec.retrieval.sasrec import SasRecRecipe
from llmrec.splits import TEST, VALID, Split, everything, leave_one_out


def log_of(histories: list[list[int]], items: int) -> Log:
    return Log(
        users=pl.Series([f"u{user}" for user in range(len(histories))]),
        items=pl.Series([f"i{item:03d}" for item in range(items)]),
        start=np.cumsum([0, *map(len, histories)]).astype(np.int64),
        item=np.concatenate([np.array(line, dtype=np.int32) for line in histories]),
        time=np.concatenate([np.arange(len(line)) + 1000 * user for user, line in enumerate(histories)]),
    )


@pytest.fixture(scope="module")
def rounds() -> Split:
    """People who walk around one of five circles of eight items, each from a place of their own."""
    rng = np.random.default_rng(0)
    histories = []
    for _ in range(300):
        circle, first = rng.integers(5), rng.integers(8)
        histories.append([int(circle * 8 + (first + step) % 8) for step in range(7)])
    return leave_one_out(log_of(histories, 40))


FAST = SasRecRecipe(width=32, layers=1, epochs=12, batch=32, dropout=0.1, rate=5e-3)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """For networks as small as these, a second thread costs more than it brings."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(rounds: Split) -> sasrec.SasRec:
    return sasrec.fit(rounds, FAST)


def test_neighbours_count_pairs_as_their_recipe_says():
    split = everything(log_of([[0, 1, 2]], 4))
    made = neighbours.fit(split, NeighbourRecipe(window=2, backward=0.5, damping=1.0))
    near = np.zeros((4, 4))
    near[0, 1] = near[1, 2] = 1
    near[0, 2] = 1 / 2
    expected = (near + 0.5 * near.T) / np.sqrt(1 * 1 + 1)
    assert made.weights.toarray() == pytest.approx(expected)


def test_the_last_items_of_a_history_weigh_most():
    table = read_weights([np.array([3, 1, 2]), np.array([], dtype=int), np.array([0])], 4, recent=2, decay=0.5)
    assert table.toarray().tolist() == [[0, 0.5, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_neighbours_and_sasrec_find_the_next_step(rounds, trained):
    for made in (neighbours.tune(rounds), trained):
        cases = some_cases(rounds, "test", 300)
        assert ndcg(made, cases) > 0.8, made.name
        assert ndcg(popularity.fit(rounds), cases) < 0.3


def elsewhere(split: Split, parts: tuple[int, ...]) -> Split:
    """The same split, but for other items in the rows of some parts."""
    changed = split.log.item.copy()
    asked = np.isin(split.part, parts)
    changed[asked] = (changed[asked] + 13) % 40
    log = Log(split.log.users, split.log.items, split.log.start, changed, split.log.time)
    return Split(split.name, log, split.part, split.cold)


@pytest.mark.parametrize("fit", [neighbours.fit, popularity.fit, popularity.fit_recent])
def test_only_training_rows_are_learnt_from(rounds, fit):
    histories = [rounds.log.history(user)[:4] for user in range(20)]
    other = elsewhere(rounds, (VALID, TEST))
    assert np.array_equal(fit(rounds).score(histories), fit(other).score(histories))


@pytest.mark.parametrize("layers", [1, 2])
def test_sasrec_reads_one_history_without_pytorch_as_with_it(rounds, layers):
    found = sasrec.fit(rounds, replace(FAST, layers=layers, heads=2, epochs=2, length=20))
    rng = np.random.default_rng(0)
    for length in (1, 2, 7, 20, 33):
        history = rng.integers(0, found.items, length).astype(np.int32)
        np.testing.assert_allclose(found.person(history), found.people([history])[0], atol=2e-5)


def test_sasrec_learns_from_training_rows_and_chooses_its_epoch_on_validation(rounds, trained):
    histories = [rounds.log.history(user)[:4] for user in range(20)]
    other = sasrec.fit(elsewhere(rounds, (TEST,)), FAST)
    assert np.array_equal(trained.score(histories), other.score(histories))


def test_sasrec_is_the_same_for_the_same_seed_and_reads_no_padding(rounds, trained):
    one, two = trained, sasrec.fit(rounds, FAST)
    histories = [np.array([1, 2, 3]), np.array([9]), np.array([], dtype=int)]
    assert np.array_equal(one.score(histories), two.score(histories))
    alone = np.concatenate([one.score([history]) for history in histories])
    assert np.allclose(one.score(histories), alone, atol=1e-4), "the company of longer histories changes nothing"
    assert not np.isfinite(one.score([np.array([], dtype=int)])).any(), "it has learnt nothing about nobody"


def test_sasrec_reads_only_what_came_before(trained):
    import torch

    made = trained
    codes = torch.tensor([[1, 2, 3, 4, 5]])
    changed = torch.tensor([[1, 2, 3, 7, 6]])
    with torch.inference_mode():
        # Places are counted from the end, so the same positions are compared.
        assert torch.allclose(made.network(codes)[:, :3], made.network(changed)[:, :3], atol=1e-5)


def test_the_sampled_softmax_learns_too(rounds):
    from dataclasses import replace

    made = sasrec.fit(rounds, replace(FAST, softmax_over=20, epochs=40))
    assert ndcg(made, some_cases(rounds, "test", 300)) > 0.7


def test_one_more_component_makes_the_nearest_by_angle_those_of_highest_score(trained):
    made = trained
    flat = made.flat_vectors()
    people = made.people([np.array([1, 2, 3])])
    angle = unit(np.column_stack([people, [0]])) @ unit(flat).T
    assert np.array_equal(np.argsort(-angle[0])[:10], np.argsort(-made.score([np.array([1, 2, 3])])[0])[:10])


def test_a_trained_sasrec_is_restored_from_its_weights(trained):
    made = trained
    state = {name: value.numpy() for name, value in made.network.state_dict().items()}
    again = sasrec.restore(40, FAST, state)
    histories = [np.array([1, 2, 3])]
    assert np.array_equal(made.score(histories), again.score(histories))


def test_recent_popularity_follows_the_fashion():
    early, late = [[0, 0, 0]] * 10, [[1, 1]] * 10
    split = everything(log_of([*early, *late], 2))
    assert popularity.fit(split).worth.tolist() == [30, 20]
    worth = popularity.fit_recent(split).worth
    assert worth[1] > worth[0]


TEXTS = ["red cotton dress", "blue cotton dress", "red clay mug", "blue clay mug", "garden chair of wood", ""]


def test_words_find_what_is_about_the_same():
    made = words.fit(TEXTS, width=5)
    found = made.vectors([*TEXTS, "a dress", "nothing known"])
    assert not found[5].any()
    assert not found[7].any()
    likeness = found[:5] @ found[6]
    assert set(np.argsort(-likeness)[:2]) == {0, 1}
    assert np.linalg.norm(found[:5], axis=1) == pytest.approx(1)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=12), st.text(max_size=20))
def test_any_text_gets_a_finite_vector(texts, query):
    found = words.fit(texts, width=4).vectors([*texts, query])
    assert np.isfinite(found).all()


def striped(colour: str, across: bool, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (96, 96), "white")
    draw = ImageDraw.Draw(image)
    for at in range(int(rng.integers(0, 8)), 96, 16):
        draw.rectangle((0, at, 96, at + 7) if across else (at, 0, at + 7, 96), fill=colour)
    return image


def test_sights_tell_colours_and_directions_apart(tmp_path):
    kinds = [(colour, across) for colour in ("red", "blue", "green") for across in (True, False)]
    paths = []
    for number, (colour, across) in enumerate(kinds * 6):
        paths.append(tmp_path / f"{number}.png")
        striped(colour, across, number).save(paths[-1])
    made = sights.fit(paths)
    found = made.vectors([*paths, None, tmp_path / "gone.png"])
    assert not found[-2:].any()
    likeness = found[:-2] @ found[:-2].T - 2 * np.eye(len(paths))
    nearest = likeness.argmax(axis=1)
    assert np.mean([kinds[one % 6] == kinds[other % 6] for one, other in enumerate(nearest)]) > 0.9


def test_content_finds_what_nobody_has_taken():
    vectors = unit(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [0, 0]], dtype=np.float32))
    scores = Content(lambda: vectors, "text").score([np.array([0]), np.array([], dtype=int)])
    assert np.argsort(-scores[0])[:2].tolist() == [0, 1]
    assert np.isinf(scores[0]).tolist() == [False] * 4 + [True], "the last item has no content"
    assert np.isinf(scores[1]).all()


def test_the_best_are_in_order_and_gaps_are_told():
    items, scores = best(np.array([[1.0, 3.0, 2.0], [-np.inf, 0.0, -np.inf]]), 2)
    assert items.tolist() == [[1, 2], [1, -1]]
    assert scores[0].tolist() == [3.0, 2.0]
    assert best(np.ones((1, 2)), 5)[0].shape == (1, 2)


def test_what_a_person_has_is_left_out():
    scores = leave_out(np.zeros((2, 3), dtype=np.float32), [np.array([0, 2]), np.array([], dtype=int)])
    assert np.isinf(scores).tolist() == [[True, False, True], [False, False, False]]


class Fixed:
    """A retriever whose scores are given."""

    def __init__(self, name: str, table: np.ndarray):
        self.name = name
        self.table = np.asarray(table, dtype=np.float32)

    def score(self, histories):
        return np.stack([self.table[int(history[0])] for history in histories])


def test_ranks_are_added_up_without_weights():
    first = Candidates(np.array([[4, 2, -1]]), np.array([[9.0, 1.0, -np.inf]]))
    second = Candidates(np.array([[2, 7, 4]]), np.array([[3.0, 2.0, 1.0]]))
    lists = [first, second]
    ((items, scores),) = fusion.fuse(lists, None)
    assert items.tolist() == [2, 4, 7]
    assert scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61 + 1 / 63, 1 / 62])


def test_a_learned_fusion_trusts_the_one_that_knows_and_beats_both(rounds):
    rng = np.random.default_rng(0)
    knows = neighbours.tune(rounds)
    noise = Fixed("noise", rng.random((40, 40)))
    fused = fusion.learn([noise, knows], rounds)
    cases = some_cases(rounds, "test", 300)
    assert ndcg(fused, cases) > 0.95 * ndcg(knows, cases)
    assert ndcg(fused, cases) > ndcg(Fusion([noise, knows]), cases)


def test_items_on_nobodys_list_stand_last_and_tie_pessimistically():
    fused = Fusion([Fixed("one", np.eye(40))])
    scores = fused.score([np.array([3])])
    assert scores.shape == (1, 40)
    assert target_ranks(fused, [(np.array([3]), 3)]).tolist() == [40], "what a person has stands last"


def test_too_few_cases_fuse_by_ranks():
    split = leave_one_out(log_of([[0, 1, 2, 3]] * 5, 4))
    assert fusion.learn([neighbours.fit(split)], split).weights is None


def test_a_sparse_row_holds_the_scores_of_the_full_one(rounds):
    made = neighbours.fit(rounds)
    histories = [np.array([1, 2]), np.array([], dtype=int)]
    assert sparse.issparse(made.sparse_scores(histories))
    full = made.score(histories)
    assert made.sparse_scores(histories).toarray() == pytest.approx(np.where(np.isfinite(full), full, 0))


def test_a_person_of_whom_nothing_is_known_gets_the_fallback(rounds):
    popular = popularity.fit(rounds)
    nobody = [np.array([], dtype=int)]
    fused = Fusion([neighbours.fit(rounds)], fallback=popular)
    assert np.array_equal(fused.score(nobody), popular.score(nobody))


def test_candidates_of_many_at_once_are_those_of_whole_rows(rounds, trained):
    parts = [neighbours.fit(rounds), trained]
    histories = [rounds.log.history(user)[:5] for user in range(30)] + [np.array([], dtype=np.int32)]
    many = top_candidates(parts, histories, 10)
    rows = leave_out(Fusion(parts).score(histories), histories)
    for user in range(30):
        assert rows[user][many[user]] == pytest.approx(np.sort(rows[user])[::-1][:10])
        assert not set(many[user].tolist()) & set(histories[user].tolist())
    assert (many[30] == -1).all(), "nothing is known of nobody"
