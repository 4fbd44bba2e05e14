"""Chat completions as OpenAI's clients expect them: whole or streamed, in words, as JSON, or as calls of tools."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from llmrec.gateway import faults, structured, tools
from llmrec.gateway.answering import Told, answer, of_tools
from llmrec.gateway.desk import Desk
from llmrec.gateway.names import Names
from llmrec.gateway.people import Known
from llmrec.gateway.shown import shown_in, text_of
from llmrec.gateway.turns import understand
from llmrec.gateway.wire import MOST_PICTURES, ChatRequest, checked_address, picture_of

EXTRA = "llmrec"
"""The documented extra field of a message: its items, and how they were found."""
FORM = "tools.function.parameters"


@dataclass
class Reply:
    """An answer before it has a form: its words come piece by piece, cut where the client wants them to end."""

    told: Told
    words: AsyncGenerator[str]
    calls: Sequence[dict[str, Any]] | None = None
    finish: str = "stop"
    said: str = ""
    form: Mapping[str, Any] | None = None
    """A function of the client's own that has to be called: the answer fills its arguments."""

    async def pieces(self, count: Any, longest: int | None, stops: Sequence[str]) -> AsyncGenerator[str]:
        """The words up to the first stop, or to so many tokens."""
        hold = max((len(stop) for stop in stops), default=0)
        waiting = ""
        async for piece in self.words:
            waiting += piece
            ends = [place for stop in stops if stop and (place := waiting.find(stop)) >= 0]
            if ends:
                waiting = waiting[: min(ends)]
                break
            ready, waiting = (waiting[:-hold], waiting[-hold:]) if hold else (waiting, "")
            if longest is not None and count(self.said + ready) > longest:
                yield self._cut(ready, count, longest)
                return
            self.said += ready
            if ready:
                yield ready
        if longest is not None and count(self.said + waiting) > longest:
            yield self._cut(waiting, count, longest)
            return
        self.said += waiting
        if waiting:
            yield waiting

    def _cut(self, piece: str, count: Any, longest: int) -> str:
        self.finish = "length"
        kept = piece
        while kept and count(self.said + kept) > longest:
            kept = kept[: -max(1, len(kept) // 8)]
        self.said += kept
        return kept


async def reply(request: ChatRequest, known: Known, desk: Desk, names: Names) -> Reply:
    """Understand the last turn and begin to answer it; what is wrong with the request is told here."""
    messages = [message.model_dump(exclude_none=True) for message in request.messages]
    _check_parts(messages)
    if messages[-1]["role"] in ("tool", "function"):
        return Reply(*await of_tools(*_results(messages, names), known, desk))
    asked = understand(messages, names)
    form = tools.form(request.tools, request.tool_choice)
    if form is not None:
        await asyncio.to_thread(structured.checked, form.get("parameters"), FORM)
    several = request.parallel_tool_calls is not False
    wanted = None if form else tools.calls(request.tools, request.tool_choice, asked, several=several)
    if wanted:
        return Reply(Told(asked.kind), _nothing(), wanted, "tool_calls")
    if request.response_format is not None:  # a schema that is none is told before anything is done
        await asyncio.to_thread(structured.check, request.response_format)
    pictures = [await asyncio.to_thread(picture_of, _address(part)) for part in asked.pictures[:1]]
    told, words = await answer(asked, known, desk, pictures)
    return Reply(told, words, form=form)


async def whole(request: ChatRequest, made: Reply, model: str, desk: Desk) -> dict[str, Any]:
    """An answer in one piece."""
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    if made.calls:
        message["tool_calls"] = list(made.calls)
    else:
        async for _ in made.pieces(desk.served.count, _longest(request), _stops(request)):
            pass
        told = made.told.content()
        if made.form is not None:
            found = await asyncio.to_thread(structured.filled, made.form["parameters"], told, made.said, FORM)
            message["tool_calls"] = [tools.call(made.form["name"], found)]
            made.finish = "tool_calls"
        else:
            formed = await asyncio.to_thread(structured.formed, request.response_format, told, made.said)
            message["content"] = formed or made.said
        message[EXTRA] = told
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": made.finish}
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": await asyncio.to_thread(_usage, request, made, desk),
    }


def in_one_piece(request: ChatRequest, made: Reply) -> bool:
    """Whether an answer has a form, which is known to be met only when all is said, or consists of calls."""
    asked = request.response_format or {}
    return bool(made.calls or made.form) or asked.get("type", "text") != "text"


async def streamed(request: ChatRequest, made: Reply, model: str, desk: Desk) -> AsyncGenerator[dict[str, Any]]:
    """An answer as chunks, the first of which holds its items."""
    head = {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }
    yield _chunk(head, {"role": "assistant", "content": "", EXTRA: made.told.content()})
    async for piece in made.pieces(desk.served.count, _longest(request), _stops(request)):
        yield _chunk(head, {"content": piece})
    yield _chunk(head, {}, made.finish)
    if _counts(request):
        usage = await asyncio.to_thread(_usage, request, made, desk)
        yield {**head, "choices": [], "usage": usage}


async def told_at_once(request: ChatRequest, told: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
    """An answer that is there in one piece, as chunks."""
    head = {key: told[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    (choice,) = told["choices"]
    delta = dict(choice["message"])
    if "tool_calls" in delta:
        delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(delta["tool_calls"])]
    yield _chunk(head, delta)
    yield _chunk(head, {}, choice["finish_reason"])
    if _counts(request):
        yield {**head, "choices": [], "usage": told["usage"]}


def _chunk(head: Mapping[str, Any], delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return {**head, "choices": choices}


def _counts(request: ChatRequest) -> bool:
    return bool((request.stream_options or {}).get("include_usage"))


def _results(messages: Sequence[Mapping[str, Any]], names: Names) -> tuple[list[str], str]:
    """The items in the results of tools behind the last user message, and the text of an explanation."""
    found: list[str] = []
    text = ""
    for message in reversed(messages):
        if message["role"] not in ("tool", "function"):
            break
        found = [*(item for item in shown_in(message, names) if item), *found]
        with suppress(ValueError, RecursionError):
            content = json.loads(text_of(message))
            if isinstance(content, Mapping) and isinstance(content.get("text"), str):
                text = content["text"]
    return found, text


def _check_parts(messages: Sequence[Mapping[str, Any]]) -> None:
    """Content is text and pictures; what only the engine knows is refused."""
    for number, message in enumerate(messages):
        content = message.get("content")
        if not isinstance(content, list):
            continue
        if sum(part.get("type") == "image_url" for part in content) > MOST_PICTURES:
            raise faults.Refusal(
                422, f"messages.{number} holds more than {MOST_PICTURES} pictures. Send fewer",
                param=f"messages.{number}.content",
            )  # fmt: skip
        for place, part in enumerate(content):
            where = f"messages.{number}.content.{place}"
            kind = part.get("type")
            if kind not in ("text", "image_url"):
                raise faults.Refusal(422, f"{where} is a {str(kind)[:40]!r}. Send text or image_url", param=where)
            if kind == "text" and not isinstance(part.get("text"), str):
                raise faults.Refusal(422, f"{where}.text is missing", param=where)
            if set(part) - {"type", "text", "image_url"}:
                odd = min(set(part) - {"type", "text", "image_url"})
                raise faults.Refusal(422, f"{where}.{odd[:40]} is the engine's own and cannot be set", param=where)
            if kind == "image_url":
                checked_address(_address(part, where))


def _address(part: Mapping[str, Any], where: str = "image_url") -> str:
    held = part.get("image_url")
    address = held.get("url") if isinstance(held, Mapping) else held
    if not isinstance(address, str):
        raise faults.Refusal(422, f"{where}.image_url.url is missing", param=where)
    if isinstance(held, Mapping) and set(held) - {"url", "detail"}:
        odd = min(set(held) - {"url", "detail"})
        raise faults.Refusal(422, f"{where}.image_url.{odd[:40]} is the engine's own and cannot be set", param=where)
    return address


def _longest(request: ChatRequest) -> int | None:
    return request.max_completion_tokens or request.max_tokens


def _stops(request: ChatRequest) -> list[str]:
    return [request.stop] if isinstance(request.stop, str) else list(request.stop or ())


def _usage(request: ChatRequest, made: Reply, desk: Desk) -> dict[str, int]:
    texts: list[str] = []
    for message in request.messages:
        content = message.content
        texts += [content] if isinstance(content, str) else [str(part.get("text", "")) for part in content or ()]
    asked = desk.served.count("\n".join(texts))  # as one text, of whose end the count is guessed where it is long
    said = desk.served.count(made.said)
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


async def _nothing() -> AsyncGenerator[str]:
    return
    yield ""
