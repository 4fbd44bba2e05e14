"""What OpenAI's clients ask for."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from llmrec.engines.engine import Prompt
from llmrec.gateway import chat
from llmrec.gateway.access import Key
from llmrec.gateway.faults import Refusal, declared
from llmrec.gateway.routes.common import DONE, KEYED, allowed, streamed, told
from llmrec.gateway.state import Gateway
from llmrec.gateway.wire import Card, Cards, ChatAnswer, ChatRequest, CompletionAnswer, CompletionRequest

STREAMED_CHAT = (
    'data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "llmrec", "choices": '
    '[{"index": 0, "delta": {"role": "assistant", "content": "", "llmrec": {"kind": "talk", "items": [], '
    f'"cold": false, "fallback": null, "empty": null}}}}, "logprobs": null, "finish_reason": null}}]}}\n\n{DONE}'
)
STREAMED_TEXT = (
    'data: {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "llmrec", "choices": '
    f'[{{"index": 0, "text": "a", "logprobs": null, "finish_reason": null}}]}}\n\n{DONE}'
)


def install(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes."""
    reads = allowed(gateway, "read")
    card = {"id": gateway.model, "object": "model", "created": gateway.started, "owned_by": "llmrec"}

    def check_model(name: str) -> None:
        if name != gateway.model:
            raise Refusal(
                404,
                f"There is no model {name[:100]!r} here. The model is {gateway.model!r}",
                code="model_not_found",
                param="model",
            )

    @app.get(
        "/v1/models",
        tags=["openai"],
        summary="The models that are served",
        response_model=Cards,
        responses=declared(*KEYED),
    )
    async def models(_: Annotated[Key, reads]) -> dict[str, Any]:
        return {"object": "list", "data": [card]}

    @app.get(
        "/v1/models/{model:path}",
        tags=["openai"],
        summary="The model that is served",
        response_model=Card,
        responses=declared(*KEYED, 404),
    )
    async def model(model: str, _: Annotated[Key, reads]) -> dict[str, Any]:
        check_model(model)
        return card

    @app.post(
        "/v1/chat/completions",
        tags=["openai"],
        summary="A conversation",
        response_model=None,
        responses={**declared(*KEYED, 404, 502, 503), **told(ChatAnswer, STREAMED_CHAT)},
    )
    async def completions(request: ChatRequest, key: Annotated[Key, reads]) -> Response:
        check_model(request.model)
        known = await gateway.known(request, key)
        known = replace(known, dismissed=known.dismissed | frozenset(request.exclude))
        made = await chat.reply(request, known, gateway.desk, await gateway.names_now())
        if made.told.fallback:
            gateway.metrics.fell_back("chat")
        if request.stream and not chat.in_one_piece(request, made):
            return streamed(chat.streamed(request, made, gateway.model, gateway.desk))
        with gateway.metrics.stage("write"):
            found = await chat.whole(request, made, gateway.model, gateway.desk)
        return streamed(chat.told_at_once(request, found)) if request.stream else JSONResponse(found)

    @app.post(
        "/v1/completions",
        tags=["openai"],
        summary="The bare model",
        response_model=None,
        responses={**declared(*KEYED, 404, 502, 503), **told(CompletionAnswer, STREAMED_TEXT)},
    )
    async def complete(request: CompletionRequest, _: Annotated[Key, reads]) -> Response:
        check_model(request.model)
        script = gateway.desk.served.script
        prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[0]
        tokens = [*script.start, *await asyncio.to_thread(script.words, prompt)]
        if not tokens:
            raise Refusal(422, "The prompt is empty. Send a text to go on with", param="prompt")
        if gateway.desk.served.shown in tokens:
            raise Refusal(
                400, "The prompt holds a mark of a picture, and none comes with it. Take it out", param="prompt"
            )
        if len(tokens) + request.max_tokens > gateway.desk.served.length:
            raise Refusal(
                400,
                f"The prompt of {len(tokens):,} tokens and max_tokens={request.max_tokens:,} are more than the model's "
                f"{gateway.desk.served.length:,}",
                code="context_length_exceeded",
            )
        await gateway.desk.awake()
        pieces = gateway.desk.engine.write(
            Prompt(tuple(tokens)), longest=request.max_tokens, temperature=request.temperature
        )
        head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": gateway.model,
        }

        def choices(text: str, finish: str | None) -> list[dict[str, Any]]:
            return [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}]

        def end(text: str) -> tuple[str, dict[str, int]]:
            said = gateway.desk.served.count(text)
            usage = {"prompt_tokens": len(tokens), "completion_tokens": said, "total_tokens": len(tokens) + said}
            return "length" if said >= request.max_tokens else "stop", usage

        async def chunks() -> AsyncGenerator[dict[str, Any]]:
            text = ""
            async for piece in pieces:
                text += piece
                yield {**head, "choices": choices(piece, None)}
            finish, usage = end(text)
            yield {**head, "choices": choices("", finish)}
            if (request.stream_options or {}).get("include_usage"):
                yield {**head, "choices": [], "usage": usage}

        if request.stream:
            return streamed(chunks())
        text = "".join([piece async for piece in pieces])
        finish, usage = end(text)
        return JSONResponse({**head, "choices": choices(text, finish), "usage": usage})
