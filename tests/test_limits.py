"""What the gateway takes from anybody: bodies, their JSON, the queue, and clients that are slow, endless or gone."""

import asyncio
import json
import logging
import resource
import socket
import subprocess
import time
import tracemalloc
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from hypothesis import given, settings
from hypothesis import strategies as st
from live import Line, served

from llmrec.config import field_help
from llmrec.errors import ConfigError
from llmrec.gateway import faults
from llmrec.gateway.faults import Refusal
from llmrec.gateway.limits import Guard, Limits, Load, check_json

LIMITS = Limits(
    body_bytes=200_000, all_bodies_bytes=1_000_000, body_seconds=0.8, at_work=2, waiting=2, waiting_seconds=0.8
)
JSON = {"content_type": "application/json"}


class Shop:
    """A gateway with the limits above, and what happens in it."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.load, self.stopped, self.begun = Load(), [], 0
        self.app = FastAPI()
        faults.install(self.app)
        self.app.add_middleware(Guard, limits=limits, load=self.load)
        self.app.post("/echo")(self.echo)
        self.app.get("/sleep/{seconds}")(self.sleep)
        self.app.get("/stream/{pieces}")(self.stream)
        self.app.get("/flood")(self.flood)
        self.app.get("/healthz")(self.health)
        self.app.get("/fail")(self.fail)

    async def echo(self, request: Request, content: dict[str, Any]) -> dict[str, Any]:
        request.state.key = SimpleNamespace(name="till")
        return {"seen": content, "bytes": len(await request.body())}

    async def sleep(self, seconds: float) -> str:
        self.begun += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.stopped.append("sleep")
            raise
        return "done"

    async def stream(self, pieces: int) -> StreamingResponse:
        async def written() -> AsyncGenerator[str]:
            try:
                for number in range(pieces):
                    yield f"data: {number}\n\n"
                    await asyncio.sleep(0.1)
            finally:
                self.stopped.append("stream")

        return StreamingResponse(written(), media_type="text/event-stream")

    async def flood(self) -> StreamingResponse:
        async def written() -> AsyncGenerator[bytes]:
            while True:
                yield b"x" * 100_000

        return StreamingResponse(written())

    async def health(self) -> str:
        return "well"

    async def fail(self) -> None:
        raise ValueError("PROMPT")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Shop, tuple[str, int]]]:
    shop = Shop()
    with served(shop.app) as where:
        yield shop, where


@pytest.fixture
def shop(running: tuple[Shop, tuple[str, int]]) -> Iterator[Shop]:
    running[0].stopped.clear()
    running[0].begun = 0
    yield running[0]
    until(lambda: (running[0].load.at_work, running[0].load.waiting, running[0].load.held_bytes) == (0, 0, 0))


@pytest.fixture
def where(running: tuple[Shop, tuple[str, int]], shop: Shop) -> tuple[str, int]:  # noqa: ARG001
    return running[1]


@pytest.fixture
def client(where: tuple[str, int]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{where[0]}:{where[1]}", trust_env=False, timeout=20) as opened:
        yield opened


def until(what: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def body_of(count: int) -> bytes:
    return b'{"text": "' + b"x" * (count - 12) + b'"}'


def test_a_good_request_goes_through_as_it_is(client):
    answer = client.post("/echo", json={"words": "Grüße 👩‍🔬", "n": [1, 2.5, None, True]})
    assert answer.json()["seen"] == {"words": "Grüße 👩‍🔬", "n": [1, 2.5, None, True]}
    for count in (100, 70_000, 200_000):
        answer = client.post("/echo", content=body_of(count), headers={"content-type": "application/json"})
        assert answer.json()["bytes"] == count


def test_a_harmless_request_id_is_kept_and_any_other_replaced(client):
    assert client.get("/healthz", headers={"x-request-id": "order-7.a_B"}).headers["x-request-id"] == "order-7.a_B"
    made = {client.get("/healthz").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    for harmful in ("a b", "x" * 65, '"}', "é".encode(), ""):
        assert len(client.get("/healthz", headers={"x-request-id": harmful}).headers["x-request-id"]) == 32
    assert client.get("/nowhere", headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"


def test_each_request_is_one_line_of_json_without_words_or_people(client, caplog):
    caplog.set_level(logging.INFO, "llmrec")
    client.post("/echo?secret=QUERY", json={"text": "PROMPT"}, headers={"x-request-id": "one", "authorization": "KEY"})
    client.get("/sleep/0", headers={"x-request-id": "two"})
    client.get("/nowhere\u2028/%0afoo")
    client.get("/fail", headers={"x-request-id": "bad"})
    until(lambda: len(caplog.records) >= 5)
    lines = [json.loads(one.getMessage()) for one in caplog.records if one.name == "llmrec.gateway.limits"]
    told = [(one["id"], one["method"], one["path"], one["status"], one["key"]) for one in lines]
    assert [one for one in told if len(one[0]) == 3] == [
        ("one", "POST", "/echo", 200, "till"), ("two", "GET", "/sleep/{seconds}", 200, None),
        ("bad", "GET", "/fail", 500, None),
    ]  # fmt: skip
    assert set(lines[0]) == {"time", "id", "method", "path", "status", "ms", "key"}
    assert all("\n" not in one.getMessage() for one in caplog.records)
    assert not any(word in caplog.text for word in ("PROMPT", "QUERY", "KEY"))


def test_a_body_that_is_too_long_is_refused_at_once_and_the_connection_ends(where):
    began = time.monotonic()
    told = Line(where, "POST /echo", content_length="100000000", **JSON)
    asked = Line(where, "POST /echo", content_length="100000000", expect="100-continue", **JSON)
    pieces = Line(where, "POST /echo", transfer_encoding="chunked", **JSON)
    for _ in range(5):
        pieces.send(b"%x\r\n%s\r\n" % (50_000, b"x" * 50_000))
    for line in (told, asked, pieces):
        status, headers, said = line.answer()
        assert (status, said["error"]["code"], headers["connection"]) == (413, "body_too_long", "close")
    assert time.monotonic() - began < 1
    for line in (told, asked, pieces):
        assert line.closed()
        line.close()


def test_a_body_is_counted_whatever_length_was_told():
    """A server may pass on more than was told, as over HTTP/2."""
    pieces = iter(range(100))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 50_000, "more_body": next(pieces) < 90}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", b"50"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/echo", "query_string": b"", "headers": headers}
    shop = Shop()
    asyncio.run(Guard(shop.app, LIMITS, shop.load)(scope, receive, send))
    assert (sent[0]["status"], shop.load.held_bytes) == (413, 0)


def test_an_endless_body_is_dropped_and_its_sender_sees_why(where):
    line = Line(where, "POST /echo", transfer_encoding="chunked", **JSON)
    piece = b"%x\r\n%s\r\n" % (50_000, b"x" * 50_000)
    began = time.monotonic()
    with pytest.raises(ConnectionError):  # the server hangs up in the end
        send_for_ever(line, piece)
    assert time.monotonic() - began < 5
    line.close()


def send_for_ever(line: Line, piece: bytes) -> None:
    while True:
        line.send(piece)


def test_common_clients_see_the_413_even_while_they_send(client, where, tmp_path):
    answer = client.post("/echo", content=body_of(30_000_000), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    (tmp_path / "long").write_bytes(body_of(30_000_000))
    for more in ([], ["-H", "Expect:"], ["-H", "Transfer-Encoding: chunked"]):
        done = subprocess.run(
            ["curl", "-s", "--noproxy", "*", "-H", "Content-Type: application/json", *more, "--data-binary",
             f"@{tmp_path}/long", f"http://{where[0]}:{where[1]}/echo"], capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "body_too_long" in done.stdout, done


def test_a_body_that_does_not_arrive_in_time_is_a_408(where):
    began = time.monotonic()
    lines = [Line(where, "POST /echo", content_length="100", **JSON) for _ in range(2)]
    lines[0].send(b'{"text": "')
    for line in lines:
        status, headers, told = line.answer()
        assert (status, told["error"]["code"], headers["connection"]) == (408, "body_timeout", "close")
        line.close()
    assert 0.7 < time.monotonic() - began < 2


def test_a_thousand_slow_clients_hold_little_and_keep_nobody_out(where, client, shop):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    client.get("/healthz")
    before = memory()
    lines = [Line(where, "POST /echo", content_length="100000", **JSON) for _ in range(1_000)]
    for line in lines:
        line.send(b"{")
    began = time.monotonic()
    assert client.post("/echo", json={}).status_code == 200
    assert time.monotonic() - began < 1
    assert memory() - before < 60_000_000
    until(lambda: shop.load.at_work == 0)
    answers = {line.answer()[0] for line in lines}
    assert answers == {408}
    for line in lines:
        line.close()


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_bodies_together_have_a_limit_too(where, client):
    lines = [Line(where, "POST /echo", content_length="200000", **JSON) for _ in range(7)]
    for line in lines:
        line.send(b"x" * 150_000)
    answers = [line.answer() for line in lines]
    assert sorted(status for status, _, _ in answers) == [408] * 6 + [429]
    assert next(headers for status, headers, _ in answers if status == 429)["retry-after"] == "1"
    for line in lines:
        line.close()
    assert client.post("/echo", json={}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[" * 33 + b"]" * 33, 422, "too_deep"),
        (b'{"a":' * 100_000, 413, "body_too_long"),
        (b'{"a":' * 30_000, 422, "too_deep"),
        (b'{"a": "\xff"}', 400, "invalid_utf8"),
        (b'{"a": "\xed\xa0\x80"}', 400, "invalid_utf8"),
        ('{"a": "x"}'.encode("utf-16"), 400, "nul"),
        (b'{"a": "\x00"}', 400, "nul"),
        (rb'{"a": "\u0000"}', 400, "nul"),
        (rb'{"\u0000": "a"}', 400, "nul"),
        (rb'{"a": "\ud800"}', 400, "lone_surrogate"),
        (rb'{"a": "\udc00\ud800"}', 400, "lone_surrogate"),
        (rb'{"a": "\\\uDBFF\u0041"}', 400, "lone_surrogate"),
        (b'{"a": NaN}', 400, "invalid_json"),
        (b'{"a": -Infinity}', 400, "invalid_json"),
        (b'{"a": "', 400, "invalid_json"),
        (rb'{"a": "\u12"}', 400, "invalid_json"),
        (b'{"a": "\\u', 400, "invalid_json"),
        (b"", 422, None),
        (b"null", 422, None),
    ],
)  # fmt: skip
def test_what_no_parser_should_meet_is_refused_before_it(client, body, status, code):
    answer = client.post("/echo", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_what_only_looks_harmful_goes_through(client):
    for text in ("[" * 100 + "{" * 100, "NaN", '\\"[[', "\\u0000", "\\ud800", "👩‍🔬", "\ufeff", 'a"b\\'):
        answer = client.post("/echo", json={"text": text})
        assert answer.json()["seen"] == {"text": text}
    deep = b'{"a":' + b"[" * 31 + b"]" * 31 + b"}"
    assert client.post("/echo", content=deep, headers={"content-type": "application/json"}).status_code == 200


def test_many_small_values_are_refused_before_they_become_large_objects():
    body = b"[" + b"[],," * 4_000_000 + b"1]"
    tracemalloc.start()
    with pytest.raises(Refusal, match="more than 20,000 values"):
        check_json(body, Limits(values=20_000))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "piece", [b"[", b'"', b"\\", b'\\"', b'"\\', b"\\u0041", b"\\ud83d\\ude00", b"{}", b'"",', b"\\u", "é".encode()]
)
def test_checking_takes_time_in_proportion_to_the_bytes_whatever_they_are(piece):
    def check(count: int) -> float:
        body = b'{"a": "' + piece * (count // len(piece))
        began = time.perf_counter()
        with suppress(Refusal):
            check_json(body, Limits(values=10**9, depth=10**9))
        return time.perf_counter() - began

    assert check(1_000_000) < 1.5
    assert check(2_000_000) < 8 * max(check(500_000), 0.01)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters() | st.sampled_from('\\"[]{},NIu0d\0')),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=3), inside, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(plain, st.booleans())
def test_a_body_passes_if_it_holds_no_nul_and_is_no_deeper_and_larger_than_allowed(value, ascii_only):
    def depth(one: Any) -> int:
        inside = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        return (1 if isinstance(one, dict | list) else 0) + max(map(depth, inside), default=0)

    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert json.loads(body) == value
    good = depth(value) <= 3 and rb"\u0000" not in body.replace(rb"\\", b"")
    try:
        check_json(body, Limits(depth=3))
    except Refusal:
        assert not good
    else:
        assert good


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.characters(exclude_characters="\0") | st.characters(categories=["Cs"]), max_size=10))
def test_half_a_surrogate_pair_is_found_wherever_python_would_read_one(text):
    body = json.dumps(text).encode()
    read = json.loads(body)
    assert code_of(body) == (None if read.encode("utf-8", "ignore").decode() == read else "lone_surrogate")


def code_of(body: bytes) -> str | None:
    try:
        check_json(body, Limits())
    except Refusal as refused:
        return refused.code
    return None


def test_a_long_body_is_checked_across_the_seams_of_its_pieces():
    codes = {rb"\ud83d\ude00": None, rb"\ud83d": "lone_surrogate", rb"\\ud800": None, "é".encode(): None}
    for shift in range(24):
        for tail, code in codes.items():
            body = b'"' + b"x" * (2**18 - 13 + shift) + tail * 3 + b'"'
            assert code_of(body) == code, (shift, tail)


def test_a_nul_in_the_address_is_refused(client):
    for address in ("/echo%00", "/healthz?a=%00"):
        answer = client.get(address)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "nul")


def test_requests_wait_for_their_turn_and_are_turned_away_when_the_line_is_full(client, shop):
    with ThreadPoolExecutor(8) as pool:
        first = [pool.submit(client.get, "/sleep/0.6") for _ in range(2)]
        until(lambda: shop.load.at_work == 2)
        second = [pool.submit(client.get, "/sleep/0") for _ in range(2)]
        until(lambda: shop.load.waiting == 2)
        began = time.monotonic()
        refused = client.get("/sleep/0")
        assert client.get("/healthz").status_code == 200
        assert time.monotonic() - began < 0.3
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert {one.result().status_code for one in first + second} == {200}


def test_nobody_waits_longer_than_is_said(client, shop):
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(client.get, "/sleep/1.3")
        until(lambda: shop.load.at_work == 2)
        began = time.monotonic()
        refused = client.get("/sleep/0")
        assert 0.7 < time.monotonic() - began < 1.2
        assert (refused.status_code, shop.load.waiting) == (429, 0)


def test_who_goes_away_while_waiting_leaves_the_line_and_is_never_worked_on(client, where, shop):
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(client.get, "/sleep/0.7")
        until(lambda: shop.load.at_work == 2)
        line = Line(where, "GET /sleep/0")
        until(lambda: shop.load.waiting == 1)
        line.close()
        until(lambda: shop.load.waiting == 0, 0.5)
    assert shop.begun == 2


def test_a_stream_passes_piece_by_piece(client):
    with client.stream("GET", "/stream/5") as answer:
        times = [(time.monotonic(), piece) for piece in answer.iter_text()]
    assert [piece for _, piece in times] == [f"data: {number}\n\n" for number in range(5)]
    assert times[-1][0] - times[0][0] > 0.3


def test_a_client_that_goes_away_stops_the_work_and_is_logged(where, shop, caplog):
    caplog.set_level(logging.INFO, "llmrec")
    for path, what in (("/stream/1000", "stream"), ("/sleep/1000", "sleep")):
        line = Line(where, f"GET {path}")
        until(lambda: shop.load.at_work == 1)
        time.sleep(0.15)
        began = time.monotonic()
        line.close()
        until(lambda what=what: what in shop.stopped)  # type: ignore[misc]
        assert time.monotonic() - began < 1
        until(lambda: shop.load.at_work == 0)
    until(lambda: len(caplog.records) >= 2)
    assert [json.loads(one.getMessage())["status"] for one in caplog.records] == [499, 499]


def test_a_client_that_does_not_read_its_answer_is_given_up():
    shop = Shop(Limits(send_seconds=0.5))
    with served(shop.app) as where:
        deaf = socket.create_connection(where)
        deaf.sendall(b"GET /flood HTTP/1.1\r\nHost: here\r\n\r\n")
        until(lambda: shop.load.at_work == 1)
        until(lambda: shop.load.at_work == 0, 5)
        deaf.close()


def test_limits_that_cannot_be_are_refused_and_each_has_its_help():
    with pytest.raises(ConfigError, match="depth is 0: it has to be above 0"):
        Limits(depth=0)
    with pytest.raises(ConfigError, match="all_bodies_bytes is below body_bytes"):
        Limits(body_bytes=10, all_bodies_bytes=9)
    assert set(field_help(Limits)) == set(Limits.__dataclass_fields__)
