"""vLLM over HTTP. Prompts go as token ids, since no text can name an item; pictures go beside them.

`/v1/completions` takes tokens alone, `/inference/v1/generate` (vLLM's --enable-scale-out) tokens and pictures.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import httpx

from llmrec.engines.engine import EngineDown, EngineRefused, Prompt
from llmrec.pictures import suffix

AT_MOST = 120  # token ids that one request may ask for; vLLM takes 128
CONNECTING = 2.0  # seconds
WAITING = 60.0


class OpenAIEngine:
    """A running vLLM that serves one model under the name `model`."""

    def __init__(self, address: str, *, name: str = "model", key: str | None = None, seconds: float = WAITING):
        self.address, self.name = address, name
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

    async def write(self, prompt: Prompt, *, longest: int, temperature: float = 0.0) -> AsyncIterator[str]:
        """The text that follows, as vLLM streams it."""
        path, body = self._body(prompt, max_tokens=longest, temperature=temperature)
        body["stream"] = True
        if prompt.pictures:
            body["output_mode"] = "text"
        try:
            async with self._client.stream("POST", path, json=body) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    _raise(answer)
                async for line in answer.aiter_lines():
                    if not line.startswith("data:") or line.endswith("[DONE]"):
                        continue
                    told = json.loads(line[5:])
                    if "error" in told:
                        raise EngineDown(f"vLLM broke off: {told['error']}")
                    for choice in told.get("choices", []):
                        if choice.get("text"):
                            yield choice["text"]
        except httpx.HTTPError as error:
            raise EngineDown(f"vLLM at {self.address} does not answer ({type(error).__name__})") from error

    async def ready(self) -> bool:
        """Whether it says that it is healthy."""
        try:
            return (await self._client.get("/health", timeout=CONNECTING)).status_code == 200
        except httpx.HTTPError:
            return False

    async def counters(self) -> dict[str, float]:
        """Its own counters, summed over their labels; nothing where it tells none."""
        try:
            answer = await self._client.get("/metrics", timeout=CONNECTING)
        except httpx.HTTPError:
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
            raise EngineDown(f"vLLM at {self.address} does not answer ({type(error).__name__})") from error
        if answer.status_code != 200:
            _raise(answer)
        told = answer.json()["choices"][0]["logprobs"]
        if prompt.pictures:
            by_token = {f"token_id:{one['token_id']}": one["logprob"] for one in told["content"][0]["top_logprobs"]}
        else:
            by_token = told["top_logprobs"][0]
        return [float(by_token[f"token_id:{token}"]) for token in tokens]

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
