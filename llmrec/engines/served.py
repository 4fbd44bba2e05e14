"""vLLM over HTTP. Prompts go as token ids, since no text can name an item; pictures go beside them.

`/v1/completions` takes tokens alone, `/inference/v1/generate` (vLLM's --enable-scale-out) tokens and pictures.
"""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from typing import Any

import aiohttp

from llmrec.engines.engine import EngineDown, EngineRefused, Prompt
from llmrec.pictures import suffix

AT_MOST = 120  # token ids that one request may ask for; vLLM takes 128
CONNECTING = 2.0  # seconds
KEPT = 4.0  # seconds that a connection is kept unused; vLLM closes it after 5
LINE = 1 << 20  # bytes of one line of a stream; vLLM's have some hundred
END = "[DONE]"
"""What vLLM says behind the last word of a stream."""
WAITING = 60.0
ODD = (ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What reading an answer raises that is not of the form that was agreed on."""


class OpenAIEngine:
    """A running vLLM that serves one model under the name `model`."""

    def __init__(self, address: str, *, name: str = "model", key: str | None = None, seconds: float = WAITING):
        self.address, self.name, self._seconds = address, name, seconds
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._opened: aiohttp.ClientSession | None = None

    async def logprobs(self, prompt: Prompt, tokens: Sequence[int]) -> list[float]:
        """Log-probabilities of these tokens as the next one; many are asked for in several requests."""
        some = [tokens[begin : begin + AT_MOST] for begin in range(0, len(tokens), AT_MOST)]
        if not some:
            return []
        first = await self._logprobs(prompt, some[0])
        rest = await asyncio.gather(*(self._logprobs(prompt, one) for one in some[1:]))  # the prompt is cached by now
        return [value for found in (first, *rest) for value in found]

    async def write(self, prompt: Prompt, *, longest: int, temperature: float = 0.0) -> AsyncGenerator[str]:
        """The text that follows, as vLLM streams it; each next word has to come within the engine's seconds.

        HTTP's own limit is for each read: a server that sends a byte a second would never meet it.
        """
        path, body = self._body(prompt, max_tokens=longest, temperature=temperature)
        body["stream"] = True
        if prompt.pictures:
            body["output_mode"] = "text"
        loop = asyncio.get_running_loop()
        try:
            async with AsyncExitStack() as opened:
                until = loop.time() + self._seconds
                async with asyncio.timeout_at(until):
                    answer = await opened.enter_async_context(self._asked(path, body))
                    if answer.status != 200:
                        _raise(answer.status, await answer.read())
                if "event-stream" not in answer.headers.get("content-type", ""):
                    raise EngineDown("vLLM answered something else than a stream")
                lines = await opened.enter_async_context(aclosing(_lines(answer)))
                while True:
                    async with asyncio.timeout_at(until):
                        line = await anext(lines, None)
                    if line is None:
                        raise EngineDown("vLLM's stream ended before its end")
                    if line.startswith("data:") and line.endswith(END):
                        break
                    if text := _said(line):
                        yield text
                        until = loop.time() + self._seconds
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._silent(error) from error

    async def ready(self) -> bool:
        """Whether it says that it is healthy."""
        try:
            async with asyncio.timeout(CONNECTING), self._asked("/health") as answer:
                await answer.read()
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def counters(self) -> dict[str, float]:
        """Its own counters, summed over their labels; nothing where it tells none."""
        try:
            async with asyncio.timeout(CONNECTING), self._asked("/metrics") as answer:
                told = (await answer.read()).decode(errors="replace") if answer.status == 200 else ""
        except (aiohttp.ClientError, TimeoutError):
            return {}
        found: dict[str, float] = {}
        for line in told.splitlines():
            name, value = line.split("{")[0].split(" ")[0], line.rpartition(" ")[2]
            if not line.startswith("#"):
                with suppress(ValueError):
                    found[name] = found.get(name, 0.0) + float(value)
        return found

    async def close(self) -> None:
        """Close its connections."""
        if self._opened:
            await self._opened.close()

    @property
    def _client(self) -> aiohttp.ClientSession:
        """Its connections; they belong to the loop that runs when they are first asked for."""
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING, sock_read=self._seconds),
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT),
                trust_env=False,  # no proxy of the environment stands between two processes of one machine
            )
        return self._opened

    def _asked(self, path: str, body: Any = None) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A request, behind whatever path the address itself has; it is sent to nobody else."""
        address = f"{self.address.rstrip('/')}{path}"
        if body is None:
            return self._client.get(address, allow_redirects=False)
        return self._client.post(address, json=body, allow_redirects=False)

    async def _logprobs(self, prompt: Prompt, tokens: Sequence[int]) -> list[float]:
        asked: dict[str, Any] = {"logprobs": 1, "logprob_token_ids": list(tokens)}
        if prompt.pictures:
            # As many log-probabilities come as tokens are asked for, the one that is drawn among them: so it has to be
            # one of these. What is told of them is from before that restriction.
            asked |= {"logprobs": len(tokens), "allowed_token_ids": list(tokens)}
        path, body = self._body(prompt, max_tokens=1, temperature=0.0, **asked)
        if not prompt.pictures:
            body["return_tokens_as_token_ids"] = True
        try:
            async with self._asked(path, body) as answer:
                said = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._silent(error) from error
        if answer.status != 200:
            _raise(answer.status, said)
        try:
            told = json.loads(said)["choices"][0]["logprobs"]
            if prompt.pictures:
                some = told["content"][0]["top_logprobs"]
                by_token = {f"token_id:{one['token_id']}": one["logprob"] for one in some}
            else:
                by_token = told["top_logprobs"][0]
            return [float(by_token[f"token_id:{token}"]) for token in tokens]
        except ODD as error:
            raise EngineDown("vLLM answered something else than log-probabilities") from error

    def _silent(self, error: Exception) -> EngineDown:
        return EngineDown(f"vLLM at {self.address} does not answer ({type(error).__name__})")

    def _body(self, prompt: Prompt, **sampling: Any) -> tuple[str, dict[str, Any]]:
        """Where a prompt is sent, and what stands in the request."""
        if not prompt.pictures:
            return "/v1/completions", {"model": self.name, "prompt": list(prompt.tokens), **sampling}
        parts = [{"type": "image_url", "url": data_uri(picture)} for picture in prompt.pictures]
        return "/inference/v1/generate", {
            "model": self.name,
            "token_ids": list(prompt.tokens),
            "content_parts": parts,
            "sampling_params": sampling,
        }


def _said(line: str) -> str:
    """The text in one line of a stream; most have one, some none."""
    if not line.startswith("data:"):
        return ""
    try:
        told = json.loads(line[5:])
        if "error" in told:
            raise EngineDown(f"vLLM broke off: {told['error']}")
        return "".join(choice.get("text") or "" for choice in told.get("choices", []))
    except ODD as error:
        raise EngineDown("vLLM's stream is broken") from error


def data_uri(picture: bytes) -> str:
    """A picture file as an address that holds it."""
    kind = suffix(picture).replace("jpg", "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


async def _lines(answer: aiohttp.ClientResponse) -> AsyncGenerator[str]:
    """The lines of a stream as they come."""
    held = b""
    async for some in answer.content.iter_any():
        *whole, held = (held + some).split(b"\n")
        if len(held) > LINE:
            raise EngineDown("vLLM's stream is broken")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")


def _raise(status: int, said: bytes) -> None:
    """Tell a server that cannot from one that will not."""
    text = said.decode(errors="replace")[:500]
    if status >= 500 or status == 429:
        raise EngineDown(f"vLLM answered {status}: {text}")
    raise EngineRefused(f"vLLM answered {status}: {text}")
