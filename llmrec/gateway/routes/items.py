"""The catalogue, while it is served."""

import asyncio
import logging
from typing import Annotated, Any

import polars as pl
from fastapi import FastAPI, Query
from fastapi.responses import FileResponse

from llmrec.gateway.access import Key
from llmrec.gateway.answering import shown
from llmrec.gateway.book import Entry
from llmrec.gateway.faults import Refusal, declared
from llmrec.gateway.routes.common import KEYED, ItemId, allowed
from llmrec.gateway.state import Gateway
from llmrec.gateway.wire import Deleted, Item, ItemRequest, Items, Put, picture_of
from llmrec.pictures import suffix
from llmrec.retrieval.rows import TYPES

log = logging.getLogger(__name__)

UPLOADED_FIELDS = ("title", "description", "categories", "brand", "price")
PICTURES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            f"image/{kind}": {"schema": {"type": "string", "format": "binary"}} for kind in ("jpeg", "png", "webp")
        },
    }
}


def install(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes."""
    reads, owns = allowed(gateway, "read"), allowed(gateway, "admin")

    @app.get(
        "/v1/items",
        tags=["items"],
        summary="Items by their ids",
        response_model=Items,
        response_model_exclude_unset=True,
        responses=declared(*KEYED),
    )
    async def several(
        _: Annotated[Key, reads],
        item: Annotated[list[str], Query(min_length=1, max_length=100, description="An id; several as item=…&item=….")],
    ) -> dict[str, Any]:
        entries = await asyncio.to_thread(gateway.desk.book.get, item)
        return {"object": "list", "data": [_whole(entries[one]) for one in dict.fromkeys(item) if one in entries]}

    @app.get(
        "/v1/items/{item:path}/picture",
        tags=["items"],
        summary="Its picture",
        response_class=FileResponse,
        responses={**declared(*KEYED, 404), **PICTURES},
    )
    async def picture(item: ItemId, _: Annotated[Key, reads]) -> FileResponse:
        path = (await gateway.entry(item)).image
        if path is None or not path.is_file():
            raise Refusal(404, f"The item {item[:100]!r} has no picture", code="no_picture")
        kind = suffix(path).replace("jpg", "jpeg")
        return FileResponse(path, media_type=f"image/{kind}", headers={"Cache-Control": "private, max-age=3600"})

    @app.get(
        "/v1/items/{item:path}",
        tags=["items"],
        summary="One item",
        response_model=Item,
        response_model_exclude_unset=True,
        responses=declared(*KEYED, 404),
    )
    async def one(item: ItemId, _: Annotated[Key, reads]) -> dict[str, Any]:
        return _whole(await gateway.entry(item))

    @app.put(
        "/v1/items/{item:path}",
        tags=["items"],
        summary="Add an item, or replace it",
        response_model=Put,
        response_model_exclude_unset=True,
        responses=declared(*KEYED, 404),
    )
    async def put(item: ItemId, request: ItemRequest, _: Annotated[Key, owns]) -> dict[str, Any]:
        layout = gateway.desk.index.store.layout
        odd = [name for name in request.model_extra or {} if name not in layout.types]
        if odd:
            raise Refusal(
                422, f"The catalogue has no field {odd[0][:60]!r}. It has {', '.join(layout.types)}", param=odd[0][:60]
            )
        for name, value in (request.model_extra or {}).items():
            if value is not None and isinstance(value, list) != (layout.types[name] == "texts"):
                raise Refusal(422, f"{name} is not what the catalogue keeps there ({layout.types[name]})", param=name)
        given = await asyncio.to_thread(picture_of, request.picture) if request.picture else None
        async with gateway.pen():
            entries = await asyncio.to_thread(gateway.desk.book.get, [item])
            image = entries[item].fields.get("image") if item in entries else None
            if given is not None:
                image = await asyncio.to_thread(gateway.desk.book.keep, given)
            row = {name: getattr(request, name) for name in UPLOADED_FIELDS if name in layout.types}
            row |= {**(request.model_extra or {}), "item": item}
            if "image" in layout.types:
                row["image"] = image
            # What is empty says nothing of its type.
            empty = {name: TYPES[layout.types[name]] for name, value in row.items() if value in (None, [])}
            frame = pl.DataFrame([row], schema_overrides=empty)
            await asyncio.to_thread(gateway.desk.index.upsert, frame, patience=gateway.held_up)
        if given is not None:
            gateway.later(_look(gateway, frame, item))
        return {
            **_whole(await gateway.entry(item)),
            "added": item not in entries,
            "word": gateway.desk.served.token(item) is not None,
        }

    @app.delete(
        "/v1/items/{item:path}",
        tags=["items"],
        summary="Take an item out",
        response_model=Deleted,
        responses=declared(*KEYED, 404),
    )
    async def delete(item: ItemId, _: Annotated[Key, owns]) -> dict[str, Any]:
        async with gateway.pen():
            await gateway.entry(item)
            await asyncio.to_thread(gateway.desk.index.remove, [item], patience=gateway.held_up)
        return {"object": "llmrec.item", "item": item, "deleted": True}


def _whole(entry: Entry) -> dict[str, Any]:
    """An item with all its fields."""
    own = {key: value for key, value in entry.fields.items() if key != "image"}
    return {**own, **shown(entry), "object": "llmrec.item"}


async def _look(gateway: Gateway, frame: pl.DataFrame, item: str) -> None:
    """Encode the picture of an item that was sent, so that pictures find it."""
    try:
        path = gateway.desk.book.picture(frame["image"][0]) if "image" in frame.columns else None
        if path is not None:
            async with gateway.writing:
                await asyncio.to_thread(gateway.desk.index.upsert, frame, {item: path}, patience=gateway.held_up)
    except Exception as error:  # the item is found by its words all the same
        log.error("the picture of an item could not be encoded: %s", error)
