"""What a request may cost before anybody looks at it: size, time, depth, a place in the queue; and its line in the log.

Plain ASGI, outside of everything else. A body is read whole here, within its limits, so that slow senders hold no place
in the queue and no parser ever meets what would hurt it. Answers pass through piece by piece as they come.
"""

import asyncio
import codecs
import io
import json
import logging
import re
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmrec.errors import ConfigError
from llmrec.gateway import faults
from llmrec.gateway.faults import Refusal

log = logging.getLogger(__name__)

HARMLESS_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
STEP = 1 << 18  # bytes that are looked at in one go: some milliseconds in which no other thread runs
AT_ONCE = 1 << 16  # a body up to here is checked where it is, a longer one in a thread
LINGER = 1.0  # seconds
GRACE = 0.2
GONE = 499  # what web servers write into their log for a client that went away

SAFE = {b"x-content-type-options": b"nosniff", b"content-security-policy": b"default-src 'none'"}
"""With every answer: a title may hold a script, and no browser is to take an answer for a page."""

# Strings are passed over whole. Outside of them JSON has no capital letter but E: N and I begin NaN and Infinity, which
# Python's parser takes and no other does. The quantifiers are possessive and
# every string that begins ends somewhere, at the last byte if need be: so the time is linear in the bytes.
STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[][{},NI]', re.DOTALL)
ESCAPES = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?:(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4}"
    rb"|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))*+",
    re.DOTALL,
)
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Limits:
    """What the gateway takes from anybody."""

    body_bytes: int = 16 * 2**20
    """The longest body of a request, in bytes; a picture takes four thirds of its file."""
    all_bodies_bytes: int = 256 * 2**20
    """The bytes of all bodies that are held at one time, those still arriving included."""
    body_seconds: float = 30.0
    """The time in which a body has to arrive."""
    depth: int = 32
    """How deep JSON may be nested."""
    values: int = 200_000
    """How many values JSON may hold: parsed, a small one takes some fifty times its bytes."""
    at_work: int = 64
    """How many requests are worked on at one time; an answer that is being streamed counts."""
    waiting: int = 256
    """How many more may wait for their turn."""
    waiting_seconds: float = 10.0
    """How long one waits before it is turned away."""
    send_seconds: float = 30.0
    """How long a client may leave a piece of its answer unread before it is given up."""
    unqueued: tuple[str, ...] = ("/healthz", "/readyz", "/metrics")
    """Paths that are answered however long the queue is."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in ("waiting", "unqueued") and not value > 0:
                raise ConfigError(f"{one.name} is {value}: it has to be above 0")
        if self.waiting < 0:
            raise ConfigError(f"waiting is {self.waiting}: it cannot be negative")
        if self.all_bodies_bytes < self.body_bytes:
            raise ConfigError(f"all_bodies_bytes is below body_bytes ({self.all_bodies_bytes} < {self.body_bytes})")


@dataclass
class Load:
    """How much there is to do at this moment, for gauges."""

    at_work: int = 0
    held_bytes: int = 0
    line: deque[asyncio.Future[None]] = field(default_factory=deque)

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self.line)


class _Answer:
    """The way to the client: what has been sent on it; on its head the request's id and what browsers must not do."""

    def __init__(self, send: Send, own: str, seconds: float):
        self._send, self._header, self._seconds = send, (b"x-request-id", own.encode()), seconds
        self.status, self.whole = 0, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = [*message.get("headers", ())]
            names = {name.lower() for name, _ in given}
            safe = [(name, value) for name, value in SAFE.items() if name not in names]
            message = {**message, "headers": [*given, *safe, self._header]}
        async with asyncio.timeout(self._seconds):  # its TimeoutError is an OSError, as of a client that went away
            await self._send(message)
        self.whole = message["type"] == "http.response.body" and not message.get("more_body", False)


class Guard:
    """The middleware: `app.add_middleware(Guard, limits=Limits())`, added last so that it is the outermost.

    It sets `scope["state"]["request_id"]`; a route that knows the key puts it into `scope["state"]["key"]`, and its
    name stands in the log.
    """

    def __init__(self, app: ASGIApp, limits: Limits, load: Load | None = None):
        self.app, self.limits, self.load = app, limits, load or Load()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        asked = Headers(scope=scope).get("x-request-id", "")
        own = asked if HARMLESS_ID.fullmatch(asked) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = own
        answer = _Answer(send, own, self.limits.send_seconds)
        gone = False
        try:
            gone = await self._serve(scope, receive, answer)
        finally:
            _log(scope, answer.status if answer.whole else GONE if gone else 500, time.perf_counter() - began)

    async def _serve(self, scope: Scope, receive: Receive, send: _Answer) -> bool:
        """Serve one request, or turn it away; whether the client went away before it had its answer."""
        try:
            body = await self._read(scope, receive)
        except Refusal as refusal:
            await _turn_away(refusal, receive, send)
            return False
        if body is None:
            return True
        left = asyncio.ensure_future(_disconnected(receive))
        try:
            if await self._enter(scope, body, left, send):
                try:
                    await self._work(scope, _replay(body, left), send, left)
                finally:
                    self._leave(scope)
            return left.done()
        finally:
            left.cancel()
            self.load.held_bytes -= len(body)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body, counted as held from now on; None where the client went away."""
        arrived, whole = io.BytesIO(), False
        try:
            _check_address(scope)
            self._check_length(scope)
            async with asyncio.timeout(self.limits.body_seconds):
                while not whole:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    self.load.held_bytes += arrived.write(message.get("body", b""))
                    self._check_held(arrived.tell())
                    whole = not message.get("more_body", False)
            return arrived.getvalue()  # shares the bytes that are there
        except TimeoutError:
            raise Refusal(
                408, f"The body did not arrive within {self.limits.body_seconds:g} seconds. Send it faster",
                code="body_timeout",
            ) from None  # fmt: skip
        finally:
            if not whole:
                self.load.held_bytes -= arrived.tell()

    async def _enter(self, scope: Scope, body: bytes, left: asyncio.Future[None], send: Send) -> bool:
        """Check the body and wait for a turn; False where the request was turned away or the client went."""
        try:
            kind = Headers(scope=scope).get("content-type", "json").lower()
            if body and "json" in kind:
                if len(body) <= AT_ONCE:
                    check_json(body, self.limits)
                else:
                    await asyncio.to_thread(check_json, body, self.limits)
            return await self._turn(scope, left)
        except Refusal as refusal:
            await faults.response(refusal)(scope, _never, send)
            return False

    async def _work(self, scope: Scope, receive: Receive, send: _Answer, left: asyncio.Future[None]) -> None:
        """Let the app answer; where the client goes away before the answer is whole, stop the work for it."""
        work = asyncio.ensure_future(self.app(scope, receive, send))
        try:
            await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not send.whole:
                await asyncio.wait({work}, timeout=GRACE)  # a stream sees by itself that nobody listens any more
            if not work.done() and not send.whole:
                work.cancel()
            await asyncio.wait({work})
        finally:
            work.cancel()  # where the server stops this very task
        if not work.cancelled():
            work.result()

    async def _turn(self, scope: Scope, left: asyncio.Future[None]) -> bool:
        """Wait for a place among those at work, first come first served; False where the client went away meanwhile."""
        load = self.load
        if scope["path"] in self.limits.unqueued:
            return True
        if load.at_work < self.limits.at_work:
            load.at_work += 1
            return True
        if load.waiting >= self.limits.waiting:
            raise _busy(f"{load.at_work} requests are at work and {load.waiting} wait")
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        load.line.append(mine)
        try:
            await asyncio.wait({mine, left}, timeout=self.limits.waiting_seconds, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            if mine.done():
                self._leave(scope)
            raise
        finally:
            if not mine.done():
                load.line.remove(mine)
        if mine.done():
            return True
        if left.done():
            return False
        raise _busy(f"no turn came within {self.limits.waiting_seconds:g} seconds")

    def _leave(self, scope: Scope) -> None:
        """Hand the place on to who waits longest."""
        if scope["path"] in self.limits.unqueued:
            return
        if self.load.line:
            self.load.line.popleft().set_result(None)
        else:
            self.load.at_work -= 1

    def _check_length(self, scope: Scope) -> None:
        told = Headers(scope=scope).get("content-length", "")
        if told.isdecimal() and int(told[:20]) > self.limits.body_bytes:
            raise self._too_long()

    def _check_held(self, held: int) -> None:
        if held > self.limits.body_bytes:
            raise self._too_long()
        if self.load.held_bytes > self.limits.all_bodies_bytes:
            raise _busy("too many long requests arrive at one time")

    def _too_long(self) -> Refusal:
        return Refusal(
            413, f"The body is longer than {self.limits.body_bytes:,} bytes. Send less, or smaller pictures",
            code="body_too_long",
        )  # fmt: skip


def check_json(body: bytes, limits: Limits) -> None:
    """Refuse a body that no parser should meet; whether it is JSON at all is left to the parser."""
    _check_text(body)
    depth, values = 0, 1
    for token in _structure(body):
        if token in b"[{":
            depth += 1
            if depth > limits.depth:
                raise Refusal(
                    422, f"The body is nested deeper than {limits.depth} levels. Send it flatter", code="too_deep"
                )
        elif token in b"]}":
            depth -= 1
        elif token == b",":
            values += 1
            if values > limits.values:
                raise Refusal(
                    422, f"The body holds more than {limits.values:,} values. Send it in parts", code="too_many_values"
                )
        else:
            raise Refusal(400, "NaN and Infinity are not JSON. Send a number, or leave it out", code="invalid_json")


def _structure(body: bytes) -> Iterator[bytes]:
    for found in STRUCTURE.finditer(body):
        begin = found.start()
        if body[begin] != 0x22:  # a quotation mark
            yield body[begin : begin + 1]


def _check_text(body: bytes) -> None:
    if b"\0" in body:
        raise Refusal(400, "The body holds a NUL character, which no text may. Take it out", code="nul")
    decoder = codecs.getincrementaldecoder("utf-8")()
    for begin in range(0, len(body), STEP):
        try:
            decoder.decode(body[begin : begin + STEP], final=begin + STEP >= len(body))
        except UnicodeDecodeError:
            raise Refusal(400, "The body is not valid UTF-8. Encode it as UTF-8", code="invalid_utf8") from None
    place = 0
    while place < len(body):
        found = ESCAPES.match(body, place, place + STEP)
        assert found is not None  # it matches nothing at all, too
        if found.end() > place:
            place = found.end()
            continue
        if body[place : place + 6] == b"\\u0000":
            raise Refusal(400, "The body holds a NUL character (\\u0000). Take it out", code="nul")
        if SURROGATE.match(body, place):
            raise Refusal(
                400, "The body holds half of a surrogate pair (\\ud800 to \\udfff), which is no character. Take it out",
                code="lone_surrogate",
            )  # fmt: skip
        return  # an escape that is none, or a broken one at the end: the parser says what and where


def _check_address(scope: Scope) -> None:
    if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
        raise Refusal(400, "The address holds a NUL character (%00). Take it out", code="nul")


def _busy(why: str) -> Refusal:
    return Refusal(
        429, f"The server is busy: {why}. Ask again in a second", code="server_busy", headers={"Retry-After": "1"}
    )


async def _turn_away(refusal: Refusal, receive: Receive, send: Send) -> None:
    """Answer somebody who may still be sending, then close the connection.

    A connection that is closed on unread bytes is reset, and the answer is lost with it: so the rest is read and
    dropped for a moment, in which a client sees the answer and stops.
    """
    answer = faults.response(refusal)
    headers = [*answer.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(answer.body), "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            more = True
            while more:
                message = await receive()
                more = message["type"] == "http.request" and message.get("more_body", False)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _never() -> Message:
    return {"type": "http.disconnect"}


def _replay(body: bytes, left: asyncio.Future[None]) -> Receive:
    """Give the app the body that has been read, then the client's leaving when it comes."""
    rest: list[bytes] = [body]

    async def receive() -> Message:
        if rest:
            return {"type": "http.request", "body": rest.pop(), "more_body": False}
        if not left.done():
            await asyncio.wait({left})  # who gives up waiting does not stop the listening
        return {"type": "http.disconnect"}

    return receive


def _log(scope: Scope, status: int, seconds: float) -> None:
    """One line of JSON a request. The path is the route's, in which no person stands, where a route was found."""
    route, key = scope.get("route"), scope["state"].get("key")
    told: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "id": scope["state"]["request_id"],
        "method": scope["method"],
        "path": getattr(route, "path_format", None) or scope["path"][:200],
        "status": status,
        "ms": round(seconds * 1000, 1),
        "key": getattr(key, "name", None),
    }
    log.info("%s", json.dumps(told))
