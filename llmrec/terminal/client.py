"""What the terminal asks of a gateway, and what goes wrong with it in plain words."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import httpx

from llmrec.errors import InputError, LlmrecError
from llmrec.terminal.harmless import harmless

CONNECTING, WRITING = 5.0, 120.0  # seconds
LONGEST_WAIT = 60.0
LARGEST_PICTURE = 16 * 2**20
BUSY = (429, 503)
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Gateway:
    """A gateway at an address. What it refuses is an LlmrecError with its own reason."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        aside: Callable[[str], None] = lambda _: None,
    ):
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url} is no address of a gateway. Example: http://127.0.0.1:8080")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise InputError("The key holds characters that no key has. Put the key alone into LLMREC_KEY or the file")
        self.address = f"{parts.scheme}://{parts.netloc}"
        self._aside = aside
        self._client = httpx.Client(
            base_url=self.address,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(WRITING, connect=CONNECTING),
            trust_env=parts.hostname not in LOOPBACK,  # no proxy stands between two processes of one machine
        )

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    def model(self) -> str:
        """The name of the model that it serves."""
        data = self._json("GET", "/v1/models").get("data")
        if not isinstance(data, list) or not data:
            raise LlmrecError(f"{self.address} serves no model, so it is no gateway of llmrec. Check --url")
        return str(data[0]["id"])

    def history(self, user: str) -> list[str]:
        """What a person has taken."""
        return list(self._json("GET", f"/v1/people/{quote(user, safe='')}/history").get("taken") or ())

    def tell(self, event: Mapping[str, Any]) -> None:
        """Record what somebody did."""
        self._json("POST", "/v1/events", {"events": [event]})

    def picture(self, path: str) -> bytes | None:
        """The picture of an item, if it has one that is not too large; from this gateway and nowhere else."""
        if not path.startswith("/v1/items/"):
            return None
        try:
            with self._client.stream("GET", path, timeout=CONNECTING) as response:
                if response.status_code != 200:
                    return None
                data = b""
                for piece in response.iter_bytes():
                    data += piece
                    if len(data) > LARGEST_PICTURE:
                        return None
                return data
        except (httpx.HTTPError, httpx.InvalidURL):
            return None

    def chat(self, model: str, messages: Sequence[Mapping[str, Any]], user: str | None) -> Iterator[dict[str, Any]]:
        """The pieces of an answer as they come; a stream that breaks off is an LlmrecError."""
        body: dict[str, Any] = {"model": model, "messages": list(messages), "stream": True}
        if user:
            body["user"] = user
        with closing(self._asked("POST", "/v1/chat/completions", body)) as response:
            try:
                for event in _events(response):
                    if "error" in event:
                        raise LlmrecError(f"The answer broke off: {_message(event)}")
                    for choice in event.get("choices") or ():
                        yield choice.get("delta") or {}
            except httpx.HTTPError as error:
                raise LlmrecError(f"The connection to {self.address} broke off ({type(error).__name__})") from error

    def _json(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        with closing(self._asked(method, path, body)) as response:
            try:
                response.read()
                content = response.json()
            except (httpx.HTTPError, ValueError):
                content = None
        if not isinstance(content, dict):
            raise LlmrecError(f"{self.address} does not answer as a gateway of llmrec does. Check --url")
        return content

    def _asked(self, method: str, path: str, body: Any, *, again: bool = True) -> httpx.Response:
        """A response that is well, its body not yet read; who is busy is asked once more when it says so."""
        try:
            response = self._client.send(self._client.build_request(method, path, json=body), stream=True)
        except httpx.HTTPError as error:
            self._unreachable(error)
        if response.is_success:
            return response
        with closing(response):
            try:
                response.read()
                content = response.json()
            except (httpx.HTTPError, ValueError):
                content = {}
        if response.status_code in BUSY and again:
            seconds = _seconds(response.headers.get("retry-after"))
            if seconds <= LONGEST_WAIT:
                self._aside(f"{_message(content) or 'The gateway is busy.'} It is asked again in {seconds:.0f} s …")
                time.sleep(seconds)
                return self._asked(method, path, body, again=False)
        return self._refused(response.status_code, content)

    def _unreachable(self, error: Exception) -> NoReturn:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            raise LlmrecError(f"{self.address} did not answer in time. Is it busy? See its log") from error
        raise LlmrecError(
            f"No gateway answers at {self.address}. Start one in another terminal:\n"
            "  llmrec serve work/model --index work/index\n"
            "or let this one start it:\n"
            "  llmrec chat work/model --index work/index"
        ) from error

    def _refused(self, status: int, content: Any) -> NoReturn:
        said = _message(content)
        if status == 401:
            raise LlmrecError(
                "The gateway wants a key that it knows. Put it into the variable LLMREC_KEY, "
                "or name a file that holds it: --key-file FILE"
            )
        if status == 403:
            raise LlmrecError(f"The key does not allow this: {said or 'ask whoever keeps the gateway'}")
        raise LlmrecError(f"The gateway answers {status}: {said or 'it says no more'}")


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """Server-sent events. Lines end in a line feed alone: a text may hold what else Python takes for an end."""
    held = b""
    for piece in response.iter_bytes():
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            try:
                event = json.loads(data)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event
    raise LlmrecError("The answer ended before it was whole. Ask again")


def _message(content: Any) -> str:
    error = content.get("error") if isinstance(content, dict) else None
    said = error.get("message") if isinstance(error, dict) else None
    return harmless(said)[:600] if isinstance(said, str) else ""


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or 2))
    except ValueError:
        return 2.0
