"""What the routes share: who may ask, how an answer stands in the OpenAPI document, and how one is streamed."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from llmrec.gateway import faults
from llmrec.gateway.access import Key, Role
from llmrec.gateway.state import Gateway
from llmrec.gateway.wire import LONGEST_ID

DONE = "data: [DONE]\n\n"
KEYED = (401, 403)
BEARER = HTTPBearer(auto_error=False, description="A key, where the gateway has some. Without keys none is asked for.")
ItemId = Annotated[str, Path(min_length=1, max_length=LONGEST_ID, description="The item's id.")]
PersonId = Annotated[str, Path(min_length=1, max_length=LONGEST_ID, description="The person's id.")]
EVENT = {
    "type": "object",
    "properties": {"data": {"type": "string", "description": "JSON, as in the example; the last one is [DONE]."}},
    "required": ["data"],
}


def allowed(gateway: Gateway, role: Role) -> Any:
    """A dependency: the key of a request, if it has a role."""

    async def check(request: Request, _: Annotated[Any, Depends(BEARER)]) -> Key:  # in no thread: it takes microseconds
        key = gateway.keys.check(request.headers.get("authorization"))
        request.scope.setdefault("state", {})["key"] = key.name
        gateway.limiter.take(key)
        key.require(role)
        return key

    return Depends(check)


def told(answer: type[BaseModel], streamed: str | None = None) -> dict[int | str, dict[str, Any]]:
    """How an answer that the route writes itself stands in the OpenAPI document, and an example of its events."""
    found: dict[str, Any] = {"model": answer, "description": "The answer."}
    if streamed:
        found["description"] = "The answer; with `stream`, as server-sent events."
        found["content"] = {"text/event-stream": {"itemSchema": EVENT, "example": streamed}}
    return {200: found}


def streamed(contents: AsyncGenerator[Mapping[str, Any]]) -> StreamingResponse:
    """Contents as server-sent events; what goes wrong on the way is an event of its own, and the last one."""

    async def events() -> AsyncGenerator[str]:
        async with aclosing(contents) as opened:
            try:
                async for content in opened:
                    yield _event(content)
                yield DONE
            except Exception as error:  # the status is out already: the client is told in the stream
                yield _event(faults.in_stream(error))

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _event(content: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
