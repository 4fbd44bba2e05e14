"""`llmrec chat` in a terminal and in a pipe, against running gateways."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from gateways import Served, serving
from PIL import Image
from shops import picture
from terminals import PROMPT, ROOT, Terminal, environment, plain
from test_terminal_pictures import of_blocks, of_iterm, of_kitty, of_sixel, pixels

from llmrec.gateway.access import Keys, add_key
from llmrec.retrieval.index import Index

CHAT = ("-m", "llmrec", "chat")
SUGGEST = "What would you suggest?"
HOSTILE = "Evil \x1b]0;owned\x07\x1b[2J\x1b[6n\x9b31m\u202eteapot\r\b"


@pytest.fixture(scope="module")
def gateway(tuned_model: Path, tuned_index: Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tuned_model, tuned_index, tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "state"


def piped(*words: str | Path, lines: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *CHAT, *map(str, words)],
        input=lines, capture_output=True, text=True, env=environment(**changes), cwd=ROOT, check=False,
    )  # fmt: skip


@contextmanager
def talking(served: Served, home: Path, *words: str, user: str = "u01", **changes: Any) -> Iterator[Terminal]:
    """A person at a terminal, before whom the prompt stands."""
    with Terminal(
        [*CHAT, "--url", served.address, "--user", user, *words], XDG_STATE_HOME=str(home), **changes
    ) as terminal:
        terminal.until(PROMPT)
        yield terminal


def asked(served: Served, text: str, user: str = "u01") -> dict[str, Any]:
    """What the gateway itself answers."""
    body = {"model": "llmrec", "user": user, "messages": [{"role": "user", "content": text}]}
    answer = httpx.post(f"{served.address}/v1/chat/completions", json=body, timeout=60).json()
    message: dict[str, Any] = answer["choices"][0]["message"]
    return message


# --- in a pipe ---------------------------------------------------------------------------------------------------


def test_one_question_is_answered_in_plain_lines(gateway: Served) -> None:
    done = piped("--url", gateway.address, "--user", "u01", "--say", SUGGEST, "--pictures", "kitty")
    items = asked(gateway, SUGGEST)["llmrec"]["items"]
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    told = re.findall(r"^(\d+)\. (.*)$", done.stdout, re.MULTILINE)
    assert [number for number, _ in told] == ["1", "2", "3", "4", "5"]
    for item, (_, line) in zip(items, told, strict=True):
        assert line.startswith(item["title"])
        assert item["reason"] in line
        assert f"score {item['score']:.2f}" in line
        assert item["price"] is None or f"{item['price']:.2f}" in line
        assert (item["brand"] or "") in line


def test_a_pipe_asks_one_question_a_line_and_the_talk_is_one(gateway: Served) -> None:
    done = piped(
        "--url", gateway.address, "--user", "u01",
        lines=f"{SUGGEST}\n\nwhy the second?\n/why 3\n/items\n/like 9\n/dance\n/like 1\n",
    )  # fmt: skip
    titles = [item["title"] for item in asked(gateway, SUGGEST)["llmrec"]["items"]]
    assert done.returncode == 1  # two of the lines could not be answered
    assert f"\n{titles[1]}: " in done.stdout
    assert f"\n{titles[2]}: " in done.stdout
    assert done.stdout.count(f"1. {titles[0]} — ") == 2
    assert f"\nLike {titles[0]}:" in done.stdout
    assert "/like takes a number from 1 to 5" in done.stderr
    assert "/dance is no command. There are /why, /like" in done.stderr


def test_a_reader_that_goes_away_is_no_error_of_ours(gateway: Served) -> None:
    command = f"{sys.executable} -m llmrec chat --url {gateway.address} --say '{SUGGEST}' | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment(), cwd=ROOT, check=False)
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr


def test_nobody_there_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = piped("--url", f"http://127.0.0.1:{port}", "--say", "hello")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: No gateway answers at http://127.0.0.1:{port}. Start one")
    assert "llmrec chat work/model --index work/index" in done.stderr
    for words, reason in (
        (["--url", "ftp://x"], "is no address of a gateway"),
        (["--index", "i"], "A model is served with its index"),
        (["--key-file", "/nowhere"], "/nowhere cannot be read"),
    ):
        done = piped(*words, "--say", "hello")
        assert done.returncode == 2
        assert reason in done.stderr


def test_keys_open_it_by_variable_or_file_and_who_asks_too_often_waits_once(
    tuned_model: Path, tuned_index: Index, tmp_path: Path
) -> None:
    file = tmp_path / "keys.yaml"
    reader, busy = add_key(file, "reader", ["read"]), add_key(file, "busy", ["read"], rate=60)
    (tmp_path / "key").write_text(f"{reader}\n")
    with serving(tuned_model, tuned_index, tmp_path / "served", keys=Keys.open(file)) as served:
        words = ("--url", served.address, "--user", "u01", "--say", "hello")
        refused = piped(*words)
        assert refused.returncode == 1
        assert "LLMREC_KEY" in refused.stderr
        assert "Hello!" in piped(*words, LLMREC_KEY=reader).stdout
        assert "Hello!" in piped(*words, "--key-file", tmp_path / "key").stdout
        done = piped("--url", served.address, "--user", "u01", lines=f"{SUGGEST}\n/buy 1\n", LLMREC_KEY=reader)
        assert done.returncode == 1
        assert "The key does not allow this: The key 'reader' has not the role 'events'" in done.stderr
        assert reader not in done.stdout + done.stderr

        with httpx.Client(base_url=served.address, headers={"Authorization": f"Bearer {busy}"}) as client:
            while client.get("/v1/models").is_success:
                pass
            done = piped(*words, LLMREC_KEY=busy)
        assert "Hello!" in done.stdout, done.stderr
        assert re.search(r"Rate limit reached .* It is asked again in \d+ s", done.stderr)


# --- at a terminal -----------------------------------------------------------------------------------------------


def test_a_talk_at_a_terminal(gateway: Served, home: Path) -> None:
    titles = [item["title"] for item in asked(gateway, SUGGEST)["llmrec"]["items"]]
    with talking(gateway, home, "--pictures", "none") as terminal:
        listed = plain(terminal.say(SUGGEST))
        assert [title for title in titles if title in listed] == titles
        assert max(map(len, listed.splitlines())) <= 80
        assert "**" not in listed
        assert f"{titles[1]}: " in plain(terminal.say("why the second?"))
        assert f"{titles[2]}: " in plain(terminal.say("/why 3"))
        assert f"Like {titles[3]}:" in plain(terminal.say("/like 4"))
        assert "You are u01, who took" in plain(terminal.say("/who"))
        assert "You are nobody-yet, of whom nothing is known yet" in plain(terminal.say("/who nobody-yet"))
        assert "Nothing was shown yet" in plain(terminal.say("/items"))
        first = plain(terminal.say(SUGGEST))
        assert "Taken: " in plain(terminal.say("/buy 1"))
        assert "You are nobody-yet, who took 1 thing" in plain(terminal.say("/who"))
        again = plain(terminal.say("What else would you suggest?"))
        bought = re.search(r"1  (.*)", first)
        assert bought
        assert bought[1] not in again.replace(f"Like {bought[1]}", "")
        assert "/picture FILE" in plain(terminal.say("/help"))
        terminal.type("\x04")
        assert terminal.ends() == 0
    assert httpx.get(f"{gateway.address}/v1/people/nobody-yet/history").json()["taken"]


def test_lines_are_edited_completed_and_remembered(gateway: Served, home: Path) -> None:
    with talking(gateway, home, "--pictures", "none") as terminal:
        assert "Hello!" in plain(terminal.say("xhello\x01\x04"))  # to the beginning, and the x is gone
        assert "/picture FILE" in plain(terminal.say("/hel\t"))
        terminal.type("half a line")
        terminal.until("half a line")
        terminal.interrupt()
        terminal.until(PROMPT)
        assert "You are u01" in plain(terminal.say("/nonsense\x15/who"))  # the line is dropped
        terminal.type("/quit\n")
        assert terminal.ends() == 0
    kept = home / "llmrec" / "chat-history"
    assert kept.read_text().splitlines() == ["hello", "/help ", "/who", "/quit"]
    assert kept.stat().st_mode & 0o077 == 0
    with talking(gateway, home, "--pictures", "none") as terminal:
        assert "Hello!" in plain(terminal.say("\x1b[A\x1b[A\x1b[A\x1b[A"))


def drawn(gateway: Served, home: Path, way: str, **changes: Any) -> tuple[bytes, list[Image.Image]]:
    """What is shown of suggestions, and the pictures that the gateway has of them, in their order."""
    with talking(gateway, home, "--pictures", way, user="nobody", size=(60, 80, 640, 960), **changes) as terminal:
        shown = terminal.say(SUGGEST)
    found = []
    for item in asked(gateway, SUGGEST, "nobody")["llmrec"]["items"]:
        if item["picture"]:
            answer = httpx.get(f"{gateway.address}{item['picture']}")
            found.append(Image.open(io.BytesIO(answer.content)).convert("RGB"))
    assert found
    return shown, found


def means(image: Any) -> Any:
    return (image if not isinstance(image, Image.Image) else pixels(image)).mean(axis=(0, 1))


@pytest.mark.parametrize("way", ["kitty", "iterm", "sixel"])
def test_pictures_are_the_items_own(gateway: Served, home: Path, way: str) -> None:
    shown, pictures = drawn(gateway, home, way)
    text = shown.decode()
    ends = {"kitty": r"(?:\x1b_G[^\x1b]*\x1b\\)+", "iterm": r"\x1b\]1337;[^\x07]*\x07", "sixel": r"\x1bP[^\x1b]*\x1b\\"}
    told = re.findall(ends[way], text)
    assert len(told) == len(pictures)
    for one, real in zip(told, pictures, strict=True):
        found = of_sixel(one) if way == "sixel" else pixels((of_kitty if way == "kitty" else of_iterm)(one)[1])
        assert found.shape == (96, 96, 3)  # six rows of sixteen pixels
        assert abs(means(found) - means(real)).max() <= 3
    # Each is drawn from where the card began, and the cursor comes back to below it.
    assert len(re.findall(r"\x1b7\x1b\[6A\r\x1b\[2C(?=\x1b)", text)) == len(pictures)
    assert text.count("\x1b8") == len(pictures)


def test_blocks_are_the_items_own(gateway: Served, home: Path) -> None:
    shown, pictures = drawn(gateway, home, "auto", COLORTERM="truecolor")
    lines = [re.match(r"\r?  ((?:(?:\x1b\[[0-9;]*m)?▀)+\x1b\[0m)", line) for line in shown.decode().split("\n")]
    of_pictures = [line[1] for line in lines if line]
    assert len(of_pictures) == 8 * len(pictures)
    for place, real in enumerate(pictures):
        found = of_blocks(of_pictures[8 * place : 8 * place + 8])
        assert found.shape == (16, 16, 3)
        assert abs(means(found) - means(real)).max() <= 2


def test_something_like_a_picture(gateway: Served, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "a tea pot.png"
    file.write_bytes(picture(4, 2_000))
    with talking(gateway, home, "--pictures", "none") as terminal:
        assert "Most like your picture" in plain(terminal.say(f"/picture '{file}'"))
        assert "1  " in plain(terminal.say(f"/picture {file}"))
        assert "is missing" in plain(terminal.say("/picture nowhere.png"))
        file.write_text("no picture")
        assert "is not a JPEG, PNG or WebP picture" in plain(terminal.say(f"/picture {file}"))


def test_no_title_gives_orders_to_the_terminal(gateway: Served, home: Path) -> None:
    item = {"title": HOSTILE, "brand": HOSTILE, "price": 9.0, "description": "teapot", "categories": ["teapot"]}
    item["picture"] = (
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
    )
    assert httpx.put(f"{gateway.address}/v1/items/evil", json=item).status_code == 200
    try:
        assert any(HOSTILE[:4] in one["title"] for one in asked(gateway, "evil teapot")["llmrec"]["items"])
        done = piped("--url", gateway.address, "--say", "evil teapot")
        assert "Evil" in done.stdout
        assert not set(map(ord, done.stdout)) & ({*range(32), *range(127, 160), 0x202E} - {10})
        with talking(gateway, home, "--pictures", "blocks") as terminal:
            shown = terminal.say("evil teapot") + terminal.say("/like 1") + terminal.say("/why 1")
            shown += terminal.say("/items") + terminal.say("/buy 1")
    finally:
        httpx.delete(f"{gateway.address}/v1/items/evil")
    assert "Evil" in plain(shown)
    ours = re.sub(rb"\x1b\[[0-9;]*m|\r\x1b\[K|\r\n|\x1b\[\?2004[hl]\r?", b"", shown)
    assert not set(ours.decode()) & {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e"} - {"\n"}


# --- a gateway that does as it is told ---------------------------------------------------------------------------


class Scripted(BaseHTTPRequestHandler):
    """Speaks as a gateway does, whatever a test wants it to say."""

    protocol_version = "HTTP/1.1"
    pieces: Any = staticmethod(lambda: iter(()))
    first: tuple[int, dict[str, str]] | None = None
    went: list[str]

    def do_GET(self) -> None:
        self._answer(200, {"data": [{"id": "llmrec"}], "taken": []})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        kind = type(self)
        kind.went.append(self.path)
        if kind.first:
            (status, headers), kind.first = kind.first, None
            self._answer(status, {"error": {"message": "The model\x1b[2J does not answer now."}}, headers)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for piece in kind.pieces():
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:
            kind.went.append("gone")
        self.close_connection = True

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def scripted(pieces: Any, first: tuple[int, dict[str, str]] | None = None) -> Iterator[tuple[str, type[Scripted]]]:
    kind = type("Told", (Scripted,), {"pieces": staticmethod(pieces), "first": first, "went": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", kind
        server.shutdown()


def event(content: Any) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"


def words(*texts: str, **told: Any) -> Iterator[bytes]:
    for text in texts:
        yield event({"choices": [{"delta": {"content": text, **told}}]})
        told = {}


def test_ctrl_c_stops_the_answer_and_not_the_talk(home: Path) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield from words("on and on ")
            time.sleep(0.05)

    with (
        scripted(endless) as (address, kind),
        Terminal([*CHAT, "--url", address], XDG_STATE_HOME=str(home)) as terminal,
    ):
        terminal.until(PROMPT)
        terminal.type("tell me\n")
        terminal.until("on and on on")
        terminal.type("\x03")
        terminal.until("Stopped.")
        terminal.until(PROMPT)
        until = time.monotonic() + 5
        while "gone" not in kind.went and time.monotonic() < until:
            time.sleep(0.05)
        assert kind.went == ["/v1/chat/completions", "gone"]
        assert "/why N" in plain(terminal.say("/help"))
        terminal.type("\x04")
        assert terminal.ends() == 0


def test_orders_to_the_terminal_in_pieces_of_a_stream_are_none() -> None:
    def hostile() -> Iterator[bytes]:
        yield from words("A ", "\x1b", "[2J\x1b]0;", "title\x07", "\x9b6n", "tea\u2028pot", llmrec={"items": "none"})
        yield b"data: [DONE]\n\n"

    with scripted(hostile) as (address, _), Terminal([*CHAT, "--url", address, "--say", "x"]) as terminal:
        assert terminal.ends() == 0
        shown = re.sub(rb"\x1b\[2m\xe2\x80\xa6\x1b\[0m|\r\x1b\[K|\x1b\[c", b"", terminal.got)
    assert b"tea pot" in shown
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028]", shown.decode())


def test_a_gateway_that_is_down_for_a_moment_is_asked_once_more_when_it_says() -> None:
    def well() -> Iterator[bytes]:
        yield from words("Here I am.")
        yield b"data: [DONE]\n\n"

    with scripted(well, (503, {"Retry-After": "1"})) as (address, kind):
        began = time.monotonic()
        done = piped("--url", address, "--say", "x")
        assert time.monotonic() - began >= 1
        assert done.stdout == "Here I am.\n"
        assert done.stderr == "The model does not answer now. It is asked again in 1 s …\n"
        assert len(kind.went) == 2
    with scripted(well, (503, {"Retry-After": "3600"})) as (address, kind):
        done = piped("--url", address, "--say", "x")
        assert done.returncode == 1
        assert done.stderr == "The gateway answers 503: The model does not answer now.\n"


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (
            [event({"error": {"message": "The model does not answer now\x1b[2J"}})],
            "broke off: The model does not answer",
        ),
        ([b"data: {half", b""], "ended before it was whole"),
        ([b"\n"], "ended before it was whole"),
    ],
)
def test_a_stream_that_breaks_off_is_told(pieces: list[bytes], said: str) -> None:
    with scripted(lambda: iter([*words("A beginning"), *pieces])) as (address, _):
        done = piped("--url", address, "--say", "x")
    assert done.stdout == "A beginning\n"
    assert said in done.stderr
    assert "\x1b" not in done.stderr
    assert done.returncode == 1


def test_what_is_no_gateway_is_told(home: Path) -> None:
    class Web(Scripted):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

    del home
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = piped("--url", f"http://127.0.0.1:{server.server_port}", "--say", "x")
        server.shutdown()
    assert "does not answer as a gateway of llmrec does" in done.stderr


# --- with a gateway of its own -----------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_talk_starts_its_own_gateway_which_ends_with_it(
    tuned_model: Path, tuned_index: Index, home: Path, tmp_path: Path
) -> None:
    settings = ["device=cpu", "patience=30", f"state={tmp_path / 'events'}"]
    command = [*CHAT, tuned_model, *settings, "--index", tuned_index.folder, "--user", "u01", "--pictures", "none"]
    with Terminal(command, XDG_STATE_HOME=str(home)) as terminal:
        assert b"Loading " in terminal.until(PROMPT, 90)
        (served,) = children(terminal.process.pid)
        assert "1  " in plain(terminal.say(SUGGEST))
        terminal.type("\x04")
        assert terminal.ends(30) == 0
        assert gone(served)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_talk_that_is_killed_leaves_no_gateway_behind(
    tuned_model: Path, tuned_index: Index, home: Path, tmp_path: Path
) -> None:
    command = [*CHAT, tuned_model, "device=cpu", f"state={tmp_path / 'events'}", "--index", tuned_index.folder]
    with Terminal(command, XDG_STATE_HOME=str(home)) as terminal:
        terminal.until(PROMPT, 90)
        (served,) = children(terminal.process.pid)
        os.kill(terminal.process.pid, signal.SIGKILL)
        until = time.monotonic() + 30
        while not gone(served):
            assert time.monotonic() < until
            time.sleep(0.1)


@pytest.mark.slow
def test_a_model_that_is_none_is_told_with_its_reason(tmp_path: Path) -> None:
    done = piped(tmp_path, "--index", tmp_path / "index", "--say", "hello")
    assert done.returncode == 1
    assert "The gateway did not start." in done.stderr
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
