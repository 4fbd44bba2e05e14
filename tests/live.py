"""An app behind a real uvicorn, in a thread of its own, and sockets to talk to it with."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def served(app: Any) -> Iterator[tuple[str, int]]:
    """Serve an app while the block lasts; where it is."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        yield listening.getsockname()
    finally:
        server.should_exit = True
        thread.join()


class Line:
    """A connection on which a test says exactly what it wants."""

    def __init__(self, where: tuple[str, int], head: str = "", **headers: str):
        self.socket = socket.create_connection(where, timeout=20)
        if head:
            named = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            lines = [f"{head} HTTP/1.1", "Host: here", *named]
            self.send("\r\n".join([*lines, "", ""]).encode())

    def send(self, what: bytes) -> None:
        self.socket.sendall(what)

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """The status, the headers and the JSON of what comes back."""
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, _, body = got.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        while len(body) < int(headers["content-length"]):
            body += self._more()
        return int(first.split()[1]), headers, json.loads(body)

    def closed(self) -> bool:
        """Whether the server ends the connection."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self.socket.close()

    def _more(self) -> bytes:
        got = self.socket.recv(65536)
        assert got, "the connection was closed before the answer was whole"
        return got
