"""vLLM over HTTP. Prompts go as token ids, since no text can name an item; pictures go beside them.

`/v1/completions` takes tokens alone, `/inference/v1/generate` (vLLM's --enable-scale-out) tokens and pictures.
"""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx

from llmrec.engines.engine import EngineDown, EngineRefused, Prompt
from llmrec.pictures import suffix

AT_MOST = 120  # token ids that one request may ask for; vLLM takes 128
CONNECTING = 2.0  # seconds
END = "[DONE]"
"""What vLLM says behind the last word of a stream."""
WAITING = 60.0
ODD = (ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What reading an answer raises that is not of the form that was agreed on."""


class OpenAIEngine:
    """A running vLLM that serves one model under the name `model`."""

    def __init__(self, address: str, *, name: str = "model", key: str | None = None, seconds: float = WAITING):
        self.address, self.name, self._seconds = address, name, seconds
        # No proxy of the environment stands between two processes of one machine.
        self._client = httpx.AsyncClient(
            base_url=address,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(seconds, connect=CONNECTING),
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )

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
                    answer = await opened.enter_async_context(self._client.stream("POST", path, json=body))
                    if answer.status_code != 200:
                        await answer.aread()
                        _raise(answer)
                if "event-stream" not in answer.headers.get("content-type", ""):
                    raise EngineDown("vLLM answered something else than a stream")
                lines = answer.aiter_lines()
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
        except (httpx.HTTPError, TimeoutError) as error:
            raise self._silent(error) from error

    async def ready(self) -> bool:
        """Whether it says that it is healthy."""
        try:
            async with asyncio.timeout(CONNECTING):
                return (await self._client.get("/health")).status_code == 200
        except (httpx.HTTPError, TimeoutError):
            return False

    async def counters(self) -> dict[str, float]:
        """Its own counters, summed over their labels; nothing where it tells none."""
        try:
            async with asyncio.timeout(CONNECTING):
                answer = await self._client.get("/metrics")
        except (httpx.HTTPError, TimeoutError):
            return {}
        found: dict[str, float] = {}
        for line in answer.text.splitlines() if answer.status_code == 200 else ():
            name, value = line.split("{")[0].split(" ")[0], line.rpartition(" ")[2]
            if not line.startswith("#"):
                with suppress(ValueError):
                    found[name] = found.get(name, 0.0) + float(value)
        return found

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

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
            answer = await self._client.post(path, json=body)
        except httpx.HTTPError as error:
            raise self._silent(error) from error
        if answer.status_code != 200:
            _raise(answer)
        try:
            told = answer.json()["choices"][0]["logprobs"]
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


def _raise(answer: httpx.Response) -> None:
    """Tell a server that cannot from one that will not."""
    said = answer.text[:500]
    if answer.status_code >= 500 or answer.status_code == 429:
        raise EngineDown(f"vLLM answered {answer.status_code}: {said}")
    raise EngineRefused(f"vLLM answered {answer.status_code}: {said}")
