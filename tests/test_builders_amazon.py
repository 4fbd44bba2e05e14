"""Amazon reviews of 2014, 2018 and 2023, as published; pictures from a folder or from a server that misbehaves."""

import ast
import contextlib
import gzip
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import amazon
import fetching
import pytest
import tabular
from shops import picture

from llmrec.dataset import Dataset, validate
from llmrec.errors import LlmrecError

SCRIPT = Path(__file__).parent.parent / "data_builders" / "amazon.py"
QUICK = fetching.Manners(timeout=2.0, tries=2, first_wait=0.01, patience=5)


def packed(path: Path, rows: list[Any], literals: bool = False) -> Path:
    """Lines of JSON, or as in 2014 of Python literals; a text stands for itself."""
    write = repr if literals else json.dumps
    lines = [row if isinstance(row, str) else write(row) for row in rows]
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


def review(user: str, item: str, **more: Any) -> dict[str, Any]:
    return {
        "reviewerID": user,
        "asin": item,
        "reviewerName": "somebody",
        "helpful": [1, 2],
        "reviewText": "Works &amp; looks fine.<br />Twice.",
        "overall": 4.0,
        "summary": "It&#39;s good",
        "unixReviewTime": 1_400_000_000,
        "reviewTime": "05 13, 2014",
    } | more


META_2014 = [
    {
        "asin": "B001",
        "title": "Don't &amp; Do",
        "description": "<p>Soft.</p><b>Warm</b> &lt;3",
        "price": 12.5,
        "brand": "Alder",
        "categories": [["Beauty"], ["Beauty", "Hair Care", "Combs"]],
        "imUrl": "http://127.0.0.1/b001.jpg",
        "salesRank": {"Beauty": 17},
        "related": {"also_bought": ["B002"]},
    },
    {"asin": "B002", "categories": [["Beauty"]]},
    {"asin": "B999", "title": "Never reviewed", "categories": [["Beauty"]]},
]


@pytest.fixture
def beauty(tmp_path: Path) -> tuple[Path, Path]:
    reviews = [review("ann", "B001"), review("ann", "B002", unixReviewTime=1_400_086_400), review("ben", "B001")]
    return (
        packed(tmp_path / "reviews_Beauty_5.json.gz", reviews),
        packed(tmp_path / "meta_Beauty.json.gz", META_2014, literals=True),
    )


def made(reviews: Path, meta: Path | None, *more: str) -> Dataset:
    out = reviews.parent / "out"
    amazon.main([str(reviews), *(["--meta", str(meta)] if meta else []), "--out", str(out), "--overwrite", *more])
    return Dataset.open(out)


def refused(capsys: pytest.CaptureFixture[str], reviews: Path, meta: Path | None, *more: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        made(reviews, meta, *more)
    assert stopped.value.code == 2
    assert not (reviews.parent / "out").exists()
    return capsys.readouterr().err


def by_item(dataset: Dataset) -> dict[str, dict[str, Any]]:
    return {row["item"]: row for row in dataset.items.collect().to_dicts()}


def test_2014_with_its_loose_literals(beauty: tuple[Path, Path]) -> None:
    dataset = made(*beauty)
    items = by_item(dataset)
    assert set(items) == {"B001", "B002"}, "only what was reviewed"
    assert items["B001"] == {
        "item": "B001",
        "title": "Don't & Do",
        "description": "Soft.\nWarm <3",
        "categories": ["Beauty", "Hair Care", "Combs"],
        "brand": "Alder",
        "price": 12.5,
        "image": None,
    }
    first = dataset.interactions.collect().to_dicts()[0]
    assert first == {
        "user": "ann",
        "item": "B001",
        "timestamp": 1_400_000_000_000,
        "rating": 4.0,
        "review": "Works & looks fine.\nTwice.",
        "summary": "It's good",
    }
    assert not [problem for problem in validate(dataset.folder)[1] if problem.severity == "error"]


def test_2018_with_lists_and_page_remains(tmp_path: Path) -> None:
    meta = [
        {
            "asin": "B001",
            "title": "Comb",
            "category": ["All Beauty", "Combs &amp; Brushes"],
            "description": ["One.", "", "Two."],
            "feature": ["Wooden"],
            "price": "$1,024.00",
            "brand": "Brook",
            "rank": "1,234 in Beauty",
            "also_buy": ["B002"],
            "imageURL": ["https://127.0.0.1/small.jpg"],
            "imageURLHighRes": ["https://127.0.0.1/large.jpg"],
        },
        {"asin": "B002", "title": "var aPageStart = (new Date()).getTime();", "price": "$5.00 - $9.00", "category": []},
    ]
    reviews = [
        review("ann", "B001", verified=True, vote="3", style={"Size:": " S"}, image=["x"]),
        review("ben", "B002"),
    ]
    reviews.append(reviews[0])
    dataset = made(
        packed(tmp_path / "All_Beauty_5.json.gz", reviews), packed(tmp_path / "meta_All_Beauty.json.gz", meta)
    )
    items = by_item(dataset)
    assert items["B001"]["description"] == "Wooden\nOne.\nTwo."
    assert items["B001"]["categories"] == ["All Beauty", "Combs & Brushes"]
    assert items["B001"]["price"] == 1024.0
    assert (items["B002"]["title"], items["B002"]["price"]) == (None, None)
    assert dataset.info["dropped"] == {"exact_repeats": 1}
    assert dataset.attributes == ()


def test_2023_with_milliseconds_and_details(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reviews = [
        {
            "user_id": "ann",
            "parent_asin": "B001",
            "asin": "B001X",
            "rating": 5.0,
            "title": "Yes",
            "text": "[[VIDEOID:abc]] Nice<br>one",
            "timestamp": 1_588_687_728_923,
            "images": [],
            "helpful_vote": 3,
            "verified_purchase": True,
        }
    ]
    meta = [
        {
            "parent_asin": "B001",
            "title": "Mug",
            "features": ["Big"],
            "description": ["Blue."],
            "price": 9.99,
            "store": "Marlow",
            "categories": ["Home", "Mugs"],
            "details": {"Color": "Blue", "Best Sellers Rank": {"Mugs": 3}},
            "average_rating": 4.8,
            "rating_number": 812,
            "bought_together": None,
            "images": [
                {"thumb": "https://127.0.0.1/t2", "large": "https://127.0.0.1/2", "variant": "PT01", "hi_res": None},
                {"thumb": "https://127.0.0.1/t", "large": "https://127.0.0.1/1", "variant": "MAIN", "hi_res": None},
            ],
        }
    ]
    paths = packed(tmp_path / "Mugs.jsonl.gz", reviews), packed(tmp_path / "meta_Mugs.jsonl.gz", meta)
    dataset = made(*paths, "--detail", "Color")
    item = by_item(dataset)["B001"]
    assert (item["brand"], item["price"], item["Color"]) == ("Marlow", 9.99, "Blue")
    assert item["description"] == "Big\nBlue."
    assert dataset.attributes == ("Color",), "ratings, ranks and what was bought together tell the future"
    event = dataset.interactions.collect().to_dicts()[0]
    assert (event["timestamp"], event["review"], event["summary"]) == (1_588_687_728_923, "Nice\none", "Yes")
    assert amazon.item_of("B001", meta[0], [])["address"] == "https://127.0.0.1/1"
    (tmp_path / "out").rename(tmp_path / "kept")
    assert "tells how an item fared" in refused(capsys, *paths, "--detail", "Best Sellers Rank")


def test_bad_lines_are_counted_and_never_evaluated(beauty: tuple[Path, Path]) -> None:
    reviews, meta = beauty
    secret = meta.parent / "evaluated"
    good = [repr(row) for row in META_2014]
    packed(meta, [*good, f"__import__('pathlib').Path({str(secret)!r}).touch()", "{'asin': ", "[" * 5000])
    packed(
        reviews,
        [
            *(review(user, "B001") for user in "abcdef"),
            '{"reviewerID": "x"}',
            "{broken",
            "\udcff".encode("utf-8", "surrogatepass").decode("latin-1"),
        ],
    )
    dataset = made(reviews, meta)
    assert not secret.exists()
    left_out = dataset.info["notes"]["left out"]
    assert left_out["unusable lines of metadata"] == 3
    assert left_out["unusable lines of reviews"] == 3
    assert dataset.info["counts"]["interactions"] == 6


def test_prices_that_are_none_are_left_out() -> None:
    told = {
        "$1,299.99": 1299.99,
        "12": 12.0,
        "$5 - $9": None,
        "from 14.99": None,
        "—": None,
        "": None,
        ".a{color": None,
    }
    assert {value: amazon.price_of(value) for value in told} == told
    assert amazon.price_of(float("nan")) is None


# Told apart by what is said: packed bytes hold the second they were packed in, and no test may be named by that.
WRONG: list[tuple[str, bytes | None, str]] = [
    ("reviews", None, "does not exist"),
    ("reviews", b"", "is empty"),
    ("reviews", b"not gzip", "cannot be read"),
    ("reviews", gzip.compress(b"[1, 2]\n"), "holds no line of JSON"),
    ("reviews", gzip.compress(b'{"asin": "B1", "title": "x"}\n'), "Is it the metadata?"),
    (
        "reviews",
        gzip.compress(json.dumps(review("a", "B1")).encode() + b"\n{\n{\n{\n"),
        "3 of 4 lines cannot be used",
    ),
    (
        "meta",
        gzip.compress(b"".join(json.dumps({"asin": "Z"}).encode() + b"\n" for _ in "ab")),
        "none of the reviewed",
    ),
    ("meta", gzip.compress(b"x" * 10_000)[:-20], "Is it whole?"),
]


@pytest.mark.parametrize(("name", "content", "told"), WRONG, ids=[told for _, _, told in WRONG])
def test_wrong_files_are_refused(
    beauty: tuple[Path, Path], capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, told: str
) -> None:
    path = beauty[name == "meta"]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert told in refused(capsys, *beauty)


def test_core_and_ratings_are_kept_to(tmp_path: Path) -> None:
    rows = [review(user, item) for user in ("ann", "ben") for item in ("B001", "B002")]
    rows += [review("carl", "B003"), review("ann", "B004", overall=1.0)]
    dataset = made(packed(tmp_path / "r.json.gz", rows), None, "--core", "2", "--min-rating", "3")
    assert dataset.info["counts"]["interactions"] == 4
    assert dataset.info["core"] == 2
    assert dataset.info["notes"]["left out"] == {
        "interactions rated too low": 1,
        "interactions with items outside the 2-core": 1,
    }


def test_pictures_from_a_folder(beauty: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = beauty[0].parent / "pictures"
    folder.mkdir()
    assert "no picture named by an item's id" in refused(capsys, *beauty, "--images", str(folder))
    (folder / "B001.jpg").write_bytes(picture(1))
    (folder / "B002.webp").write_bytes(b"broken")
    dataset = made(*beauty, "--images", str(folder))
    assert dataset.info["counts"]["pictures"] == 1
    assert by_item(dataset)["B001"]["image"] == "images/B001.png", "named by what it is"


def test_the_script_runs_by_itself(beauty: tuple[Path, Path]) -> None:
    reviews, meta = beauty
    out = reviews.parent / "by-itself"
    command = [sys.executable, str(SCRIPT), str(reviews), "--meta", str(meta), "--out", str(out)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "2 items with 0 pictures, 2 people, 3 interactions" in shown
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


class Shelf(http.server.BaseHTTPRequestHandler):
    """A server that serves, fails once, refuses, lies, and counts what it was asked for."""

    asked: ClassVar[list[str]] = []
    at_once: ClassVar[int] = 0
    most_at_once: ClassVar[int] = 0
    lock: ClassVar[threading.Lock] = threading.Lock()

    def do_GET(self) -> None:
        kind = type(self)
        with kind.lock:
            kind.asked.append(self.path)
            kind.at_once += 1
            kind.most_at_once = max(kind.most_at_once, kind.at_once)
            times = kind.asked.count(self.path)
        time.sleep(0.01)
        with kind.lock:  # before the answer: whoever has it may ask again while this thread is still at its end
            kind.at_once -= 1
        if self.path.startswith("/good"):
            self._answer(200, picture(len(self.path)))
        elif self.path == "/later":
            self._answer(503 if times == 1 else 200, picture(3), {"Retry-After": "0"})
        elif self.path.startswith("/never"):
            self._answer(500, b"")
        elif self.path == "/page":
            self._answer(200, b"<html>no picture</html>")
        elif self.path == "/large":
            self._answer(200, bytes(fetching.LARGEST + 2**17))
        elif self.path == "/moved":
            self._answer(302, b"", {"Location": "/good-moved"})
        elif self.path == "/file":
            self._answer(302, b"", {"Location": "file:///etc/hostname"})
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(picture(1))
        else:
            self._answer(404, b"")

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the builder may have seen enough
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Shelf.asked.clear()
    Shelf.at_once = Shelf.most_at_once = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as shelf:
        thread = threading.Thread(target=shelf.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{shelf.server_port}"
        shelf.shutdown()
        thread.join()


def test_fetching_is_patient_polite_and_within_limits(server: str, tmp_path: Path) -> None:
    names = [
        *(f"good{number}" for number in range(12)),
        "later",
        "never",
        "page",
        "large",
        "moved",
        "file",
        "short",
        "no",
    ]
    addresses = {name: f"{server}/{name}" for name in names} | {"local": "file:///etc/hostname", "odd": "http://[bad"}
    addresses["twin"] = addresses["good0"]
    result = fetching.fetch(addresses, tmp_path / "cache", QUICK)
    assert set(result.pictures) == {*(f"good{number}" for number in range(12)), "later", "moved", "twin"}
    assert result.pictures["good5"].read_bytes() == picture(len("/good5"))
    assert result.faults["answered 404"] == 1
    assert result.faults["answered 500"] == 1
    assert result.faults["is not a JPEG, PNG or WebP picture"] == 1
    assert result.faults["is larger than 10 MiB"] == 1
    assert sum(result.faults.values()) == len(addresses) - len(result.pictures)
    assert Shelf.asked.count("/good0") == 1, "one address, one question"
    assert Shelf.asked.count("/later") == 2
    assert Shelf.asked.count("/no") == 1, "a picture that is gone is not asked for again"
    assert Shelf.most_at_once <= QUICK.at_once


def test_a_second_run_goes_on_where_the_first_stopped(server: str, tmp_path: Path) -> None:
    fetching.fetch({"a": f"{server}/good1", "b": f"{server}/no"}, tmp_path, QUICK)
    Shelf.asked.clear()
    result = fetching.fetch({"a": f"{server}/good1", "b": f"{server}/no", "c": f"{server}/good2"}, tmp_path, QUICK)
    assert Shelf.asked == ["/good2"]
    assert set(result.pictures) == {"a", "c"}
    assert result.faults == {"answered 404": 1}


def test_a_dead_server_is_left_alone(server: str, tmp_path: Path) -> None:
    addresses = {str(number): f"{server}/never/{number}" for number in range(40)}
    with pytest.raises(LlmrecError, match=r"answered 500.*goes on from here"):
        fetching.fetch(addresses, tmp_path, QUICK)
    assert len(set(Shelf.asked)) < 15


def test_fetched_pictures_reach_the_dataset(server: str, beauty: tuple[Path, Path]) -> None:
    reviews, meta = beauty
    rows = [ast.literal_eval(repr(row)) for row in META_2014]
    rows[0]["imUrl"], rows[1]["imUrl"], rows[2]["imUrl"] = f"{server}/good", f"{server}/gone", f"{server}/good-unseen"
    packed(meta, rows, literals=True)
    dataset = made(reviews, meta, "--fetch", str(reviews.parent / "cache"))
    assert dataset.picture(by_item(dataset)["B001"]["image"]).read_bytes() == picture(len("/good"))
    assert dataset.info["notes"]["left out"] == {"pictures whose address answered 404": 1}
    assert "/good-unseen" not in Shelf.asked, "nobody reviewed it"


def test_own_tables_may_give_addresses_too(server: str, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(f"id,name,image\n1,A,{server}/good\n2,B,{server}/gone\n3,C,\n")
    (tmp_path / "log.csv").write_text("user,item,time\nann,1,1700000000\nann,2,1700000001\n")
    (tmp_path / "mapping.yaml").write_text(
        "name: own\n"
        "interactions: {file: log.csv, columns: {user: user, item: item, timestamp: time}}\n"
        "items: {file: items.csv, columns: {item: id, title: name}}\n"
        "images: {folder: fetched, address: image}\n"
    )
    tabular.main([str(tmp_path / "mapping.yaml"), "--out", str(tmp_path / "out")])
    dataset = Dataset.open(tmp_path / "out")
    assert [bool(row["image"]) for row in by_item(dataset).values()] == [True, False, False]
    assert dataset.info["notes"]["left out"] == {
        "interactions rated too low": 0,
        "pictures whose address answered 404": 1,
    }
