"""An index finds candidates for people, words and pictures, knows new items at once, and refuses what does not fit."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from shops import catalogue, interactions, picture, shop

from llmrec.config import build
from llmrec.dataset import Dataset
from llmrec.errors import ConfigError, InputError
from llmrec.retrieval.content import Content
from llmrec.retrieval.fusion import Candidates, fuse
from llmrec.retrieval.graphs import FOLDER, Graphs, write_graphs
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.retrieval.retriever import best, leave_out
from llmrec.retrieval.sasrec import SasRecRecipe
from llmrec.retrieval.store import ItemStore

QUICK = IndexRecipe(sasrec=SasRecRecipe(width=16, layers=1, epochs=3))


@pytest.fixture(scope="module")
def index(small_shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return make_index(small_shop, tmp_path_factory.mktemp("index") / "index", QUICK)


@pytest.fixture
def own(index: Index, tmp_path: Path) -> Index:
    """A copy that a test may change."""
    shutil.copytree(index.folder, tmp_path / "own")
    return Index.open(tmp_path / "own")


def test_candidates_are_those_that_the_evaluation_ranks(small_shop, index):
    """One person at a time through the store, or all at once through whole rows of scores: the same list."""
    log = small_shop.log
    histories = [log.history(user) for user in range(len(log.users))]
    rows = leave_out(index.fused.score(histories), histories)
    places, scores = best(rows, 10)
    for user, history in enumerate(histories):
        found = index.candidates([log.items[int(code)] for code in history], 10)
        assert found.scores == pytest.approx(scores[user], abs=2e-3)
        agree = set(found.items) & {log.items[int(code)] for code in places[user]}
        assert len(agree) >= 8, "but for items of equal scores, whose order is chance"


def test_what_a_person_has_is_left_out_unless_asked_for(index):
    history = ["i001", "i002", "i004"]
    assert not set(history) & set(index.candidates(history, 37).items)
    assert set(history) <= set(index.candidates(history, 40, keep_owned=True).items)


def test_a_newcomer_gets_what_most_people_take_of_late(index):
    found = index.candidates([], 5)
    assert found.items == index.items.gather(np.argsort(-index.recent.worth, kind="stable")[:5]).to_list()
    assert index.candidates(["never heard of"], 5).items == found.items


def test_filters_hold_for_candidates_popular_items_and_search(index):
    where = {"price": {"below": 20}, "colour": "red"}
    allowed = set(index.store.which(index.items.to_list(), where))
    assert 3 < len(allowed) < 30
    asked = [index.candidates(["i001", "i002"], 40, where=where), index.popular(40, where=where)]
    for found in [*asked, index.search("thing", where=where)]:
        assert found.items
        assert set(found.items) <= allowed
    with pytest.raises(InputError, match="colour"):
        index.candidates(["i001"], where={"color": "red"})


def test_words_and_pictures_find_items(index, tmp_path):
    assert index.search("thing number 17").items[0] == "i017"
    (tmp_path / "like.png").write_bytes(picture(5))
    assert index.search(tmp_path / "like.png").items[0] == "i005"
    assert index.search("").items == []
    (tmp_path / "no.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="not a picture"):
        index.search(tmp_path / "no.png")


def test_a_new_item_is_found_at_once_by_words_by_picture_and_as_a_candidate(own, tmp_path):
    Image.new("RGB", (24, 24), (250, 120, 10)).save(tmp_path / "new.png")
    told = {"item": "new", "title": "Copper watering can", "brand": "Alder", "colour": "orange", "price": 7.0}
    fresh = pl.DataFrame([told])
    own.upsert(fresh, {"new": tmp_path / "new.png"})
    again = Index.open(own.folder)
    for one in (own, again):
        assert one.search("watering can").items[0] == "new"
        assert one.search(tmp_path / "new.png").items[0] == "new"
        assert "new" in one.candidates(["i001", "i002"], 40).items
        assert one.candidates(["new"], 5).items, "whoever took it is answered by its content"
    own.remove(["new"])
    assert "new" not in again.search("watering can").items


def test_an_item_that_was_removed_is_no_candidate(own):
    first = own.candidates(["i001", "i002"], 5).items[0]
    own.remove([first])
    assert first not in own.candidates(["i001", "i002"], 40).items
    assert first not in own.popular(40).items


def test_an_index_for_service_is_fitted_on_all_rows_and_cannot_be_measured(small_shop, tmp_path):
    from dataclasses import replace

    made = make_index(small_shop, tmp_path / "live", replace(QUICK, refit=True))
    counted = np.bincount(small_shop.log.item, minlength=len(small_shop.log.items))
    assert made.popularity.worth.tolist() == counted.tolist()
    with pytest.raises(InputError, match="refit=false"):
        made.split(small_shop)


def test_parts_can_be_left_out(small_shop, tmp_path):
    made = make_index(small_shop, tmp_path / "few", IndexRecipe(parts=("neighbours", "text")))
    assert [part.name for part in made.parts] == ["neighbours", "text"]
    assert made.candidates(["i001"], 5).items
    with pytest.raises(InputError, match="knows no pictures"):
        made.search(tmp_path / "any.png")


def test_a_shop_without_pictures_or_times_gets_an_index_too(tmp_path):
    bare = shop(tmp_path / "bare", images=(), items=catalogue().select("item"), clock="order")
    made = make_index(bare, tmp_path / "index", QUICK)
    assert made.candidates(["i001"], 5).items


def test_an_index_of_other_data_is_refused(index, tmp_path):
    other = shop(tmp_path / "other", interactions=interactions(seed=9))
    with pytest.raises(InputError, match="fingerprints differ"):
        index.dataset(other.folder)


@pytest.mark.parametrize("damage", ["version", "weights", "items", "store", "words", "cut", "graph"])
def test_a_damaged_index_is_named_with_the_remedy(own, damage):
    folder = own.folder
    if damage == "version":
        content = json.loads((folder / "index.json").read_text())
        (folder / "index.json").write_text(json.dumps({**content, "schema": 99}))
    elif damage == "store":
        shutil.rmtree(folder / "store")
    elif damage == "graph":
        (folder / "graphs" / "text.usearch").write_bytes(b"no graph")
    elif damage == "cut":
        whole = (folder / "retrievers.safetensors").read_bytes()
        (folder / "retrievers.safetensors").write_bytes(whole[: len(whole) // 2])
    else:
        files = {"weights": "retrievers.safetensors", "items": "items.parquet", "words": "words.json"}
        (folder / files[damage]).unlink()
    with pytest.raises(InputError, match="llmrec index"):
        Index.open(folder)


def test_a_folder_that_is_no_index_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match="llmrec index DATASET"):
        Index.open(tmp_path)


def test_unknown_parts_and_devices_are_refused(small_shop, tmp_path):
    with pytest.raises(ConfigError, match="neighbours, sasrec, text, pictures"):
        build(IndexRecipe, {"parts": ["magic"]})
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="--device cpu"):
            make_index(small_shop, tmp_path / "x", QUICK, device="cuda")
        assert not (tmp_path / "x").exists()


def test_graphs_answer_as_the_store_does_before_and_after_changes(own, tmp_path):
    rng = np.random.default_rng(0)

    def agree() -> None:
        for kind, width in own.store.layout.widths.items():
            vector = rng.normal(size=width).astype(np.float32)
            quick = own.graphs.near(vector, kind, 10, leave_out={"i001"})
            exact = own.store.exact(vector, kind, 10, leave_out={"i001"})
            assert quick.scores == pytest.approx(exact.scores, abs=2e-3)
            assert len(set(quick.items) & set(exact.items)) >= 9, "but for scores that are equal to three digits"
        ids = [*own.items.to_list(), "new", "never"]
        now = own.graphs.now()
        assert set(now.names(np.array(now.codes(ids)))) == own.store.which(ids)
        for kind in own.store.kinds:
            ours, theirs = now.vectors(ids, kind), own.store.vectors(ids, kind)
            assert np.allclose(ours, theirs, atol=2e-3, equal_nan=True)

    agree()
    Image.new("RGB", (24, 24), (250, 120, 10)).save(tmp_path / "new.png")
    changed = pl.DataFrame({"item": ["new", "i004"], "title": ["Copper can", "Something else entirely"]})
    Index.open(own.folder).upsert(changed, {"new": tmp_path / "new.png"})
    agree()
    Index.open(own.folder).remove(["i005", "new"])
    agree()


@pytest.mark.parametrize("where", [{}, {"price": {"below": 35}}, {"colour": "red", "price": {"below": 20}}])
def test_filtered_candidates_are_the_best_of_those_that_pass(own, tmp_path, where):
    """Filter first, score everything, fuse: the slow way gives the same list, also after changes."""
    history = ["i001", "i004", "i006"]

    def the_slow_way() -> tuple[list[str], list[float]]:
        fitted = own.items.to_list()
        ids = sorted(own.store.which([*fitted, "new"], where) - set(history))
        places = np.array([fitted.index(item) if item in fitted else -1 for item in ids])
        known = [np.array([fitted.index(item) for item in history], dtype=np.int32)]
        lists = []
        for part in own.parts:
            if isinstance(part, Content):
                kind = {"text": "text", "pictures": "picture"}[part.name]
                profile = part.decay ** np.arange(2, -1, -1) @ np.nan_to_num(own.store.vectors(history, kind))
                scores = own.store.vectors(ids, kind) @ (profile / np.linalg.norm(profile))
                scores = np.nan_to_num(scores, nan=-np.inf)
            else:
                scores = np.where(places >= 0, part.score(known)[0][places], -np.inf)
            order = np.argsort(-scores, kind="stable")
            order = order[np.isfinite(scores[order])]
            lists.append(Candidates(order[None], scores[order][None].astype(np.float32)))
        ((found, scores),) = fuse(lists, own.fused.weights)
        order = np.argsort(-scores, kind="stable")
        return [ids[place] for place in found[order]], scores[order].tolist()

    def agree() -> None:
        found = own.candidates(history, 50, where=where)
        items, scores = the_slow_way()
        assert set(found.items) == set(items)
        assert found.scores == pytest.approx(scores, abs=2e-2), "items of equal scores share ranks by chance"

    agree()
    Image.new("RGB", (24, 24), (250, 20, 10)).save(tmp_path / "new.png")
    told = {"title": ["Copper can", "Something else entirely"], "colour": ["red", "red"], "price": [7.0, 9.0]}
    own.upsert(pl.DataFrame({"item": ["new", "i005"], **told}), {"new": tmp_path / "new.png"})
    agree()
    own.remove(["i007", "i005"])
    agree()
    own.upsert(pl.DataFrame({"item": ["new"], "title": ["Copper can"], "colour": ["blue"], "price": [90.0]}))
    agree()


def test_a_filter_that_nothing_passes_gives_no_candidates(own):
    assert own.candidates(["i001"], where={"price": {"below": -1}}).items == []
    assert own.popular(where={"colour": []}).items == []


@pytest.fixture(scope="module")
def crowd(tmp_path_factory) -> Graphs:
    """The graph of 12,000 items in eight dimensions; `right` tells how far an item lies to the right."""
    vectors = np.random.default_rng(5).normal(size=(12_000, 8)).astype(np.float32)
    vectors[::50] = np.nan
    ids = [f"i{number}" for number in range(len(vectors))]
    right = np.nan_to_num(vectors[:, 0] / np.linalg.norm(vectors, axis=1)).astype(float)
    folder = tmp_path_factory.mktemp("crowd")
    items = pl.DataFrame(
        {"item": ids, "title": ids, "right": right, "weight": [number % 1000 for number in range(12_000)]}
    )
    store = ItemStore.create(folder / "store", items, {"text": vectors})
    write_graphs(folder / FOLDER, {"text": vectors})
    return Graphs(folder, store, items["item"])


@pytest.mark.parametrize(
    "where",
    [
        *({}, {"weight": {"below": 900}}, {"weight": {"below": 200}}, {"weight": 7}, {"weight": -1}),
        *({"right": {"below": 0}}, {"right": {"below": -0.8}}, {"right": 0.0, "weight": {"above": 10}}),
    ],
)
def test_whatever_passes_a_filter_is_found_among_many_items(crowd, where):
    """Also when the filter bars all that is near, or is so narrow that a graph would find nothing."""
    for asked in np.vstack([np.eye(8)[:1], np.random.default_rng(1).normal(size=(8, 8))]).astype(np.float32):
        now = crowd.now()
        codes, scores = now.near(asked, "text", 20, now.allowed(where, ["i3"]))
        exact = crowd.store.exact(asked, "text", 20, where=where, leave_out=["i3"])
        assert len(codes) == len(exact.items)
        # A graph is built by several threads, each time a little differently: it may miss one or two.
        worth, found = dict(zip(exact.items, exact.scores, strict=True)), now.names(codes)
        assert len(worth.keys() & set(found)) >= len(codes) - 2
        assert all(
            score == pytest.approx(worth[item], abs=1e-4)
            for item, score in zip(found, scores, strict=True)
            if item in worth
        )
