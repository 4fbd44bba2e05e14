"""The store of items: what is written is found at once by every kind of query, in every process, also after a kill."""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from shops import catalogue

from llmrec.errors import DatasetError, DiskFull, InputError, LlmrecError
from llmrec.retrieval.store import SMALL_PIECES, ItemStore
from llmrec.retrieval.table import INDEX_PARTS

WIDTH = 8


def directions(count: int, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def clustered(count: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(60, width))
    return (centres[rng.integers(60, size=count)] + 0.6 * rng.normal(size=(count, width))).astype(np.float32)


def one(item: str, title: str, **fields) -> pl.DataFrame:
    return pl.DataFrame([{"item": item, "title": title, **fields}])


@pytest.fixture
def store(tmp_path):
    """Forty items; every fourth has no picture."""
    pictures = directions(40, 5, seed=1)
    pictures[::4] = np.nan
    return ItemStore.create(tmp_path / "store", catalogue(), {"text": directions(40), "picture": pictures})


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Enough vectors to be indexed; a tenth of the items has none."""
    count = 8192 + 1024
    vectors = clustered(count, 128)
    vectors[::9] = np.nan
    items = pl.DataFrame(
        {
            "item": [f"i{code}" for code in range(count)],
            "title": [f"thing {'rare' if code % 100 == 3 else 'common'} w{code}" for code in range(count)],
            "price": [float(code % 1000) for code in range(count)],
        }
    )
    store = ItemStore.create(tmp_path_factory.mktemp("large") / "store", items, {"taste": vectors})
    assert store.table.index_stats("taste_vector_idx").num_unindexed_rows == 0
    return store


def test_the_items_come_back_as_they_were_given_in_the_order_asked(store):
    frame = store.get(["i007", "gone", "i002", "i007"])
    given = catalogue()
    expected = pl.concat([given.filter(pl.col("item") == item) for item in ("i007", "i002", "i007")])
    assert frame.select(given.columns).equals(expected)
    assert frame["image"].is_null().all()
    assert store.count() == 40
    assert store.get([]).is_empty()


def test_it_says_which_ids_it_holds_and_which_meet_a_filter(store):
    assert store.which(["i001", "gone", "i002", "\ud800"]) == {"i001", "i002"}
    assert store.which(["i001", "i002"], {"price": {"below": 6.5}}) == {"i001"}
    assert store.which([]) == set()


def test_the_nearest_items_are_those_of_the_largest_cosine(store):
    vectors = directions(40).astype(np.float64)
    query = directions(1, seed=5)[0]
    cosine = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    order = np.argsort(-cosine)[:7]
    hits = store.near(query * 1e-30, "text", 7)
    assert hits.items == [f"i{code:03d}" for code in order]
    np.testing.assert_allclose(hits.scores, cosine[order], atol=1e-5)
    assert store.exact(query, "text", 7).items == hits.items


def test_items_without_a_vector_are_not_near_to_anything(store):
    hits = store.near(np.ones(5), "picture", 100)
    assert len(hits.items) == 30
    assert not {f"i{code:03d}" for code in range(0, 40, 4)} & set(hits.items)
    assert np.isfinite(hits.scores).all()


def test_vectors_come_back_at_unit_length(store):
    got = store.vectors(["i001", "nobody", "i004"], "picture")
    assert np.linalg.norm(got[0]) == pytest.approx(1, abs=1e-5)
    assert np.isnan(got[1:]).all()
    assert got.shape == (3, 5)


def test_words_are_found_in_every_field_whatever_their_case_and_accents(tmp_path):
    items = pl.DataFrame(
        {
            "item": ["a", "b", "c", "d"],
            "title": ["Crème BRÛLÉE dish", "The cat's bowl", "ステンレス包丁", "Straße"],
            "brand": [None, "Håkan & Sons", None, None],
            "categories": [["Home", "Kitchen"], ["Pets"], None, []],
            "description": [None, None, "For tomatoes", "Кухонный"],
            "Main colour": ["teal", None, None, None],
        }
    )
    store = ItemStore.create(tmp_path / "store", items, {})
    expected = {"brulee": "a", "CRÈME": "a", "teal": "a", "kitchen": "a", "cat": "b", "cat’s": "b", "hakan": "b",
                "包丁": "c", "tomato": "c", "strasse": "d", "кухонный": "d"}  # fmt: skip
    assert {query: store.words(query, 5).items for query in expected} == {q: [item] for q, item in expected.items()}


def test_the_better_match_comes_first_with_the_higher_score(store):
    hits = store.words("thing number 17 blue", 40)
    assert hits.items[0] == "i017"
    assert (np.diff(hits.scores) <= 0).all()


@pytest.mark.parametrize(
    "query",
    [
        *("", " \n\t", "the and of", '"', "'", '"thing', "thing AND (NOT", "title:thing", "+-*~^:/\\[]{}()!", "\x00"),
        *("\ud800", "🦊", "') OR 1=1 --", "x" * 100_000, "w " * 50_000, "\u0301" * 5000, "%s {} ${x}"),
    ],
    ids=lambda query: ascii(query[:12]),
)
def test_a_query_in_words_is_never_syntax(store, query):
    began = time.perf_counter()
    hits = store.words(query, 5)
    assert len(hits.items) == len(hits.scores) <= 5
    assert time.perf_counter() - began < 2
    assert store.words(f"{query[:50]} garden", 5).items


def test_filters_and_items_to_leave_out_hold_in_every_query(store):
    where = {"categories": {"has": "Garden"}, "price": {"below": 30}}
    expected = set(
        catalogue().filter(pl.col("categories").list.contains("Garden") & (pl.col("price") < 30))["item"].to_list()
    )
    left_out = ["i001", "i004", "not there"]
    query = np.ones(WIDTH)
    for found in (
        store.near(query, "text", 40, where=where, leave_out=left_out),
        store.exact(query, "text", 40, where=where, leave_out=left_out),
        store.words("garden thing", 40, where=where, leave_out=left_out),
    ):
        assert set(found.items) == expected - set(left_out)
    assert len(store.near(query, "text", 3, leave_out=left_out).items) == 3
    assert store.count(where) == len(expected)
    with pytest.raises(InputError, match=r"no field 'colr'.*'colour'"):
        store.near(query, "text", 3, where={"colr": "red"})


def test_new_changed_and_removed_items_show_in_all_queries_at_once(store):
    new = np.zeros((2, WIDTH), np.float32)
    new[0, 0] = new[1, 1] = 1
    store.upsert(
        pl.concat([one("i003", "zebra", price=1.0), one("new", "zebra crossing", price=2.0)]),
        {"text": new, "picture": directions(2, 5, seed=9)},
    )
    assert store.count() == 41
    assert store.words("zebra", 9).items == ["i003", "new"]
    assert store.words("zebra", 9, where={"price": 2}).items == ["new"]
    assert "i003" not in store.words("number 3", 40).items
    assert store.near(np.eye(WIDTH)[0], "text", 1).items == ["i003"]
    assert store.near(np.eye(WIDTH)[1], "text", 1, where={"price": {"at_least": 2}}).items == ["new"]
    assert store.get(["new", "i003"])["title"].to_list() == ["zebra crossing", "zebra"]
    store.remove(["i003", "never there", "\ud800"])
    store.remove([])
    assert store.count() == 40
    assert store.words("zebra", 9).items == ["new"]
    assert store.near(np.eye(WIDTH)[0], "text", 40).items.count("i003") == 0
    assert store.get(["i003"]).is_empty()
    store.optimize()
    assert store.words("zebra", 9).items == ["new"]
    assert store.count() == 40


def test_vectors_that_are_left_out_of_an_upsert_stay_and_are_missing_for_new_items(store):
    before = store.vectors(["i001"], "picture")
    store.upsert(
        pl.concat([one("i001", "dearer", price=99.0), one("fresh", "new", price=1.0)]), {"text": directions(2, seed=3)}
    )
    np.testing.assert_allclose(store.vectors(["i001"], "picture"), before, atol=1e-6)
    assert np.isnan(store.vectors(["fresh"], "picture")).all()
    assert store.get(["i001"])["price"].item() == 99
    assert "i001" in store.near(before[0], "picture", 1).items


def test_many_writes_are_folded_into_the_indexes_by_themselves(store):
    for number in range(SMALL_PIECES + 4):
        store.upsert(one(f"n{number}", f"walrus {number}"), {})
    assert store.count() == 40 + SMALL_PIECES + 4
    assert store.table.stats()["fragment_stats"]["num_fragments"] < 10
    assert len(store.words("walrus", 99).items) == SMALL_PIECES + 4
    assert sorted(store.near(np.ones(WIDTH), "text", 99).items) == [f"i{code:03d}" for code in range(40)]


def test_an_empty_store_fills(tmp_path):
    nothing = catalogue().clear()
    store = ItemStore.create(tmp_path / "store", nothing, {"text": np.zeros((0, WIDTH), np.float32)})
    assert store.count() == 0
    assert store.near(np.ones(WIDTH), "text", 3).items == store.words("thing", 3).items == []
    store.upsert(catalogue(), {"text": directions(40)})
    assert len(store.near(np.ones(WIDTH), "text", 3).items) == len(store.words("thing", 3).items) == 3
    store.upsert(nothing, {})
    assert store.count() == 40


def test_the_index_finds_what_an_exact_scan_finds(large):
    for where in (None, {"price": {"below": 10}}, {"price": {"below": 500}}):
        recall = []
        for query in clustered(20, 128, seed=7):
            truth = large.exact(query, "taste", 100, where=where)
            hits = large.near(query, "taste", 100, where=where)
            assert len(hits.items) == len(set(hits.items)) == len(truth.items)
            np.testing.assert_allclose(hits.scores, truth.scores, atol=0.02)
            recall.append(len(set(hits.items) & set(truth.items)) / len(truth.items))
        assert np.mean(recall) >= 0.95, where


def test_what_is_not_in_the_index_yet_is_found_and_stays_found_when_it_is(large):
    assert large.count() == 9216
    everything = [f"i{code}" for code in range(9216)]
    assert large.get(everything)["item"].to_list() == everything
    assert np.isnan(large.vectors(everything, "taste")).all(axis=1).sum() == 1024
    assert len(large.near(np.ones(128), "taste", 9000, leave_out=everything[:9000]).items) == 192
    query = directions(1, 128, seed=21)[0]
    titles = pl.DataFrame({"item": [f"i{code}" for code in range(5)] + ["n1"], "title": ["aardvark"] * 6})
    near_by = query + 0.01 * directions(6, 128, seed=22)
    large.upsert(titles, {"taste": near_by})
    large.remove(["i4", "i103"])
    expected = {"i0", "i1", "i2", "i3", "n1"}  # i0 had no vector before, i1 to i3 were indexed elsewhere
    assert large.table.index_stats("taste_vector_idx").num_unindexed_rows > 0
    for _ in range(2):
        hits = large.near(query, "taste", 50)
        assert set(hits.items[:5]) == expected
        assert len(set(hits.items)) == 50
        assert set(large.words("aardvark", 50).items) == expected
        rare = large.words("rare", 200).items
        assert len(rare) == len(set(rare)) == 91
        large.optimize()
    assert large.table.index_stats("taste_vector_idx").num_unindexed_rows == 0
    assert large.table.index_stats("words_idx").num_unindexed_rows == 0
    assert large.count() == 9215


def test_folding_in_again_and_again_keeps_the_index_in_few_parts(large):
    for number in range(12):
        large.upsert(one(f"again{number}", "again"), {"taste": clustered(1, 128, seed=number)})
        large.optimize()
    assert large.table.index_stats("taste_vector_idx").num_indices <= INDEX_PARTS + 1
    assert large.table.stats()["fragment_stats"]["num_fragments"] <= INDEX_PARTS + 2
    items = large.table.search().select(["item"]).limit(20_000).to_arrow()["item"].to_pylist()
    assert len(items) == len(set(items)) == large.count()
    assert len(large.words("again", 20).items) == 12
    for number in range(12):
        assert large.near(clustered(1, 128, seed=number)[0], "taste", 1).items == [f"again{number}"]


def test_a_store_that_outgrows_the_scan_gets_an_index(tmp_path):
    store = ItemStore.create(tmp_path / "store", one("a", "first"), {"taste": directions(1, 256)})
    more = pl.DataFrame({"item": [f"n{code}" for code in range(5000)], "title": ["more"] * 5000})
    store.upsert(more, {"taste": clustered(5000, 256)})
    store.optimize()
    assert store.table.index_stats("taste_vector_idx").num_indexed_rows == 5001


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"taste": directions(1)}, "no 'taste' vectors. It has text, picture"),
        ({"text": directions(1, 9)}, "'text' vectors are 9 wide, but the store keeps 8"),
        ({"text": directions(2)}, "2 'text' vectors for 1 items"),
        ({"text": np.ones(WIDTH, np.float32)}, "one row an item"),
        ({"text": np.array([[np.nan] + [1.0] * 7])}, "NaN or infinity in some components, the first in row 1"),
        ({"text": np.array([[np.inf] + [1.0] * 7])}, "NaN or infinity"),
    ],
)
def test_vectors_that_do_not_fit_are_refused_and_nothing_is_written(store, vectors, message):
    with pytest.raises(InputError, match=message):
        store.upsert(one("new", "new"), vectors)
    assert store.count() == 40


def test_items_that_do_not_fit_are_refused_and_nothing_is_written(store):
    twice = pl.concat([one("new", "once"), one("new", "twice")])
    with pytest.raises(DatasetError, match="row 2: the item id has been used before"):
        store.upsert(twice, {})
    with pytest.raises(InputError, match="'weight', which the store does not keep"):
        store.upsert(one("new", "new", weight=3), {})
    with pytest.raises(DatasetError, match="price"):
        store.upsert(one("new", "new", price=-3.0), {})
    assert store.count() == 40
    with pytest.raises(DatasetError, match="used before"):
        ItemStore.create(store.folder.parent / "other", twice, {})
    assert not (store.folder.parent / "other").exists()


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.ones(WIDTH + 1), "takes 8 numbers, but got 9"),
        (np.ones((1, WIDTH)), "takes 8 numbers, but got 1x8"),
        (np.zeros(WIDTH), "all zeros"),
        (np.full(WIDTH, np.nan), "not finite"),
        (np.array([np.inf] * WIDTH), "not finite"),
        (np.array(["a"] * WIDTH), "takes 8 numbers"),
    ],
)
def test_a_query_vector_that_cannot_be_asked_says_why(store, vector, message):
    with pytest.raises(InputError, match=message):
        store.near(vector, "text", 3)
    with pytest.raises(InputError, match="no 'smell' vectors"):
        store.near(vector, "smell", 3)
    with pytest.raises(InputError, match="at least one item, not 0"):
        store.near(np.ones(WIDTH), "text", 0)


def test_fields_of_any_name_and_type_are_kept_searched_and_filtered(tmp_path):
    items = pl.DataFrame(
        {
            "item": ["a", "b"],
            "words": ["teapot", "kettle"],
            "text_vector": [1, 2],
            "Price in €": [1.5, float("nan")],
            "price in £": [3, None],
            "a.b`c": pl.Series(["x", "y"], dtype=pl.Categorical),
            "item ": [True, None],
            "...": pl.Series([None, None], dtype=pl.Null),
        }
    )
    store = ItemStore.create(tmp_path / "store", items, {"text": directions(2)})
    again = ItemStore.open(store.folder)
    assert again.layout == store.layout
    frame = again.get(["a", "b"])
    assert frame["words"].to_list() == ["teapot", "kettle"]
    assert frame["Price in €"].to_list() == [1.5, None]
    assert frame["a.b`c"].to_list() == ["x", "y"]
    assert again.words("kettle", 3).items == ["b"]
    assert again.count({"a.b`c": "x", "item ": True, "price in £": {"above": 2}, "...": {"missing": True}}) == 1


def test_a_folder_that_is_no_store_says_so(store, tmp_path):
    with pytest.raises(InputError, match="does not exist, so it is not a store"):
        ItemStore.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"has no store\.json"):
        ItemStore.open(tmp_path)
    with pytest.raises(InputError, match="already exists"):
        ItemStore.create(store.folder, catalogue(), {})
    marker = store.folder / "store.json"
    page = json.loads(marker.read_text())
    for change, message in (
        ({"schema": 99}, "store version 99, this llmrec reads 1. Upgrade"),
        ({"schema": 0}, "store version 0.*Build the index again"),
        ({"fields": {}, "vectors": {"text": {"column": "nix", "width": 3}}}, "damaged .no column nix"),
        ({"fields": {"item": {}}}, "damaged"),
        ({"fields": 3}, "damaged"),
    ):
        marker.write_text(json.dumps(page | change))
        with pytest.raises(InputError, match=message):
            ItemStore.open(store.folder)
    marker.write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        ItemStore.open(store.folder)
    marker.write_text(json.dumps(page))
    shutil.rmtree(store.folder / "items.lance")
    with pytest.raises(InputError, match="damaged"):
        ItemStore.open(store.folder)


def test_a_store_whose_data_is_gone_fails_with_its_name(store):
    shutil.rmtree(store.folder / "items.lance" / "data")
    with pytest.raises(LlmrecError, match="store could not be read"):
        ItemStore.open(store.folder).get(["i001"])


def test_a_store_that_could_not_be_finished_is_not_there(tmp_path):
    def stop(what, *_):
        if what == "Vector indexes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ItemStore.create(tmp_path / "store", catalogue(), {"text": directions(40)}, progress=stop)
    assert list(tmp_path.iterdir()) == []


READER = """
import os, sys
import numpy as np, polars as pl
from llmrec.errors import InputError
from llmrec.retrieval.store import ItemStore
warm = ItemStore.open(sys.argv[1])  # imports on the way what only root may read here
warm.near(np.ones(8), "text", 3)
warm.words("garden", 3)
warm.optimize()
if os.geteuid() == 0:
    os.seteuid(65534)
store = ItemStore.open(sys.argv[1])
print(store.near(np.ones(8), "text", 3).items, store.words("garden", 3).items, store.get(["i001"])["title"].item())
for write in (lambda: store.upsert(pl.DataFrame({"item": ["x"]}), {}), lambda: store.remove(["i001"]), store.optimize):
    try:
        write()
    except InputError as error:
        print("refused:", error)
print(store.count())
"""


def test_a_read_only_store_is_searched_and_not_written():
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        store = ItemStore.create(Path(parent) / "store", catalogue(), {"text": directions(40)})
        for path in (store.folder, *store.folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        done = subprocess.run([sys.executable, "-c", READER, store.folder], capture_output=True, text=True, timeout=60)
        for path in (store.folder, *store.folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "Thing number 1" in lines[0]
    assert [line[:8] for line in lines[1:4]] == ["refused:"] * 3
    assert "cannot be written" in lines[1]
    assert "Searching it still works" in lines[1]
    assert lines[4] == "40"


WRITER = """
import sys
import numpy as np, polars as pl
from llmrec.retrieval.store import ItemStore
store = ItemStore.open(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    number = int(line)
    row = pl.DataFrame({"item": [f"k{number % 7}", f"n{number}"], "title": [f"walrus v{number}"] * 2})
    vectors = np.zeros((2, 8), np.float32)
    vectors[:, number % 8] = 1
    store.upsert(row, {"text": vectors})
    if number % 9 == 8:
        store.remove([f"n{number - 5}"])
    if number % 5 == 4:
        store.optimize()
    print(number, flush=True)
"""


class Writer:
    """A process of its own that writes to a store, and says so when a write is done."""

    def __init__(self, folder: Path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.heard() == "ready"

    def ask(self, *numbers: int) -> None:
        self.process.stdin.write("".join(f"{number}\n" for number in numbers))
        self.process.stdin.flush()

    def heard(self) -> str:
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def test_a_reader_sees_what_another_process_wrote_as_soon_as_it_is_written(store):
    writer = Writer(store.folder)
    for number in range(4):
        writer.ask(number)
        assert writer.heard() == str(number)
        assert f"n{number}" in store.words(f"v{number}", 5).items
        assert f"n{number}" in store.near(np.eye(WIDTH)[number % 8], "text", 3).items
        assert store.get([f"n{number}"])["title"].item() == f"walrus v{number}"
        assert store.count() == 40 + 2 * (number + 1)
    writer.end()


def test_readers_go_on_while_others_write_and_no_row_is_written_twice(store):
    writers = [Writer(store.folder) for _ in range(2)]
    for writer in writers:
        writer.ask(*range(16))
    stop, slowest, searched = threading.Event(), [0.0], [0]

    def read() -> None:
        while not stop.is_set():
            began = time.perf_counter()
            assert len(store.near(np.ones(WIDTH), "text", 40).items) == 40
            assert store.words("garden", 50).items
            slowest[0] = max(slowest[0], time.perf_counter() - began)
            searched[0] += 1

    reader = threading.Thread(target=read)
    reader.start()
    for writer in writers:
        assert [writer.heard() for _ in range(16)] == [str(number) for number in range(16)]
    stop.set()
    reader.join()
    for writer in writers:
        writer.end()
    items = store.table.search().select(["item"]).limit(10_000).to_arrow()["item"].to_pylist()
    assert len(items) == len(set(items)) == 40 + 7 + 16 - 1
    assert searched[0] > 10
    assert slowest[0] < 5


def test_after_kills_in_the_middle_of_writes_all_that_was_acknowledged_is_there(store):
    chance = random.Random(4)
    acknowledged: list[int] = []
    asked = 0
    for _ in range(4):
        writer = Writer(store.folder)
        writer.ask(*range(asked, asked + 200))
        heard = [int(writer.heard()) for _ in range(chance.randint(2, 6))]
        time.sleep(chance.uniform(0, 0.1))
        writer.process.kill()
        heard += [int(line) for line in writer.process.stdout.read().split()]
        writer.process.wait()
        writer.process.stdout.close()
        acknowledged += heard
        asked = max([asked - 1, *heard]) + 2  # the next one may or may not have been written
        reopened = ItemStore.open(store.folder)
        items = reopened.table.search().select(["item"]).limit(10_000).to_arrow()["item"].to_pylist()
        assert len(items) == len(set(items)), "a row is there twice"
        removed = {number - 5 for number in range(asked) if number % 9 == 8}
        lost = {number for number in acknowledged if number not in removed} - {int(i[1:]) for i in items if i[0] == "n"}
        assert not lost
        began = time.perf_counter()
        reopened.upsert(one("after", "the kill"), {})
        assert time.perf_counter() - began < 5, "the dead writer's lock is still held"
        assert reopened.words("kill", 3).items == store.words("kill", 3).items == ["after"]
    assert len(acknowledged) > 5


def test_every_write_is_noted_and_a_line_that_a_kill_cut_short_hides_nothing(store):
    assert store.changes() == ([], 0)
    store.upsert(one("n1", "new"), {})
    first, position = store.changes()
    assert set(first) == {"n1"}
    with (store.folder / "changes.jsonl").open("ab") as file:
        file.write(b'["n2", "n')
    store.remove(["n1"])
    later, _ = store.changes(position)
    assert set(later) == {"n1"}
    assert store.changes(store.changes()[1])[0] == []


def test_on_a_full_disk_a_write_fails_whole_and_what_was_there_stays(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        store = ItemStore.create(disk / "store", catalogue(), {"text": directions(40)})
        many = pl.DataFrame({"item": [f"n{code}" for code in range(60_000)], "title": ["new"] * 60_000})
        with pytest.raises(DiskFull, match=r"disk was full while .*store was written"):
            store.upsert(many, {"text": directions(60_000)})
        for still in (store, ItemStore.open(disk / "store")):
            assert still.count() == 40
            assert len(still.words("garden", 50).items) == 13
            assert len(still.near(np.ones(WIDTH), "text", 50).items) == 40
        with pytest.raises(DiskFull):
            ItemStore.create(disk / "other", many, {"text": directions(60_000)})
        assert not (disk / "other").exists()
        store.upsert(one("small", "aardvark"), {})
        assert store.words("aardvark", 3).items == ["small"]
        written: list[str] = []

        def write_on() -> None:
            while len(written) < 1000:
                store.upsert(one(f"w{len(written)}", "walrus", description="tusk " * 500), {})
                written.append(f"w{len(written)}")

        with pytest.raises(DiskFull):
            write_on()
        assert len(written) > 20
        assert set(written) <= set(ItemStore.open(disk / "store").words("walrus", 2000).items)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
