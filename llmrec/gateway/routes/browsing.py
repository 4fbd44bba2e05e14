"""What somebody who looks around needs beside the rankings: the catalogue at a glance, people, what the model reads."""

import asyncio
from collections import Counter
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from pydantic import Field

from llmrec.gateway.access import Key
from llmrec.gateway.answering import shown
from llmrec.gateway.faults import declared
from llmrec.gateway.names import Names
from llmrec.gateway.routes.common import KEYED, allowed
from llmrec.gateway.state import Gateway
from llmrec.gateway.wire import LONGEST_ID, Answer, ForSomebody, Id, Named

LISTED = 200  # values of a field
FEW = 60  # an attribute with more values than that is no help in choosing
LAST = 4  # items by which a person is recognised


class Value(Answer):
    """A value of a field, and how many items have it."""

    value: str | bool
    count: int


class Facet(Answer):
    """A field that items can be filtered by."""

    field: str = Field(description="Its name in `where`.")
    kind: Literal["text", "texts", "flag"]
    values: list[Value] = Field(description="The most frequent first; none that all items have.")
    more: int = Field(description="How many values are not listed.")


class Prices(Answer):
    """The lowest and the highest price."""

    low: float
    high: float


class Catalogue(Answer):
    """The catalogue at a glance."""

    object: Literal["llmrec.catalogue"]
    name: str
    model: str
    items: int
    pictures: int = Field(description="How many items have one.")
    facets: list[Facet]
    prices: Prices | None = Field(description="None where no item has a price.")
    searches: list[Literal["words", "picture"]] = Field(description="What items can be searched by.")
    people: bool = Field(description="Whether GET /v1/people has somebody to name to this key.")


class Person(Answer):
    """Somebody who took something."""

    user: str
    taken: int
    last: list[Named] = Field(description="Of what they took, the newest first.")


class Persons(Answer):
    """People, by their ids."""

    object: Literal["list"]
    data: list[Person]


class SeenRequest(ForSomebody):
    """`POST /v1/seen`."""

    item: Id = Field(description="The item that is looked at.")


class Read(Answer):
    """A piece of a prompt: words, or an item as one word."""

    text: str | None = None
    item: Named | None = None


class Grid(Answer):
    """The parts that a picture is cut into, each a visual token."""

    rows: int
    columns: int
    tokens: int
    region: Literal["whole", "centre"] = Field(description="Whether all of it is seen, or the square in its middle.")


class Seen(Answer):
    """What the model has before it where it scores an item for somebody."""

    object: Literal["llmrec.seen"]
    model: str
    user: str | None
    item: Named
    word: bool = Field(description="Whether the model has a word of the item; without one the retriever alone scores.")
    prompt: list[Read] = Field(description="The prompt as it reads; the next word of it is what is scored.")
    tokens: int = Field(description="How long the prompt is.")
    taken: int = Field(description="How many items the person's history has.")
    trimmed: int = Field(description="Those that are too long ago to be read.")
    wordless: int = Field(description="Those that the model has no word of.")
    grid: Grid | None = Field(description="None where the item has no picture, or where each is cut in its own way.")
    agreed: list[str] = Field(description="What reviewers agree on of the item.")
    shared: list[str] = Field(description="What is said of it and of several items of the history.")


def install(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes."""
    reads, owns = allowed(gateway, "read"), allowed(gateway, "admin")
    kept: tuple[Names | None, dict[str, Any]] = (None, {})

    @app.get(
        "/v1/catalogue",
        tags=["items"],
        summary="The catalogue at a glance: what it holds and what it can be filtered by",
        response_model=Catalogue,
        responses=declared(*KEYED, 503),
    )
    async def catalogue(key: Annotated[Key, reads]) -> dict[str, Any]:
        nonlocal kept
        names = await gateway.names_now()
        if kept[0] is not names:
            kept = names, await asyncio.to_thread(glance, names)
        named = "admin" in key.roles and gateway.people.any
        searches = ["words", "picture"] if gateway.desk.index.sights is not None else ["words"]
        told = {"name": gateway.desk.served.domain, "model": gateway.model, "searches": searches, "people": named}
        return {"object": "llmrec.catalogue", **told, **kept[1]}

    @app.get(
        "/v1/people",
        tags=["people"],
        summary="People of the log, by their ids",
        response_model=Persons,
        responses=declared(*KEYED, 503),
    )
    async def people(
        key: Annotated[Key, owns],
        starts: Annotated[str, Query(max_length=LONGEST_ID, description="How their ids begin.")] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> dict[str, Any]:
        begins = [starts, key.people or ""]
        found = await gateway.of_events(lambda many: gateway.people.beginning(begins, many), limit)
        last = {user: list(dict.fromkeys(reversed(known.taken)))[:LAST] for user, known in found}
        some = [item for items in last.values() for item in items]
        entries = await asyncio.to_thread(gateway.desk.book.get, some) if some else {}
        data = [
            {
                "user": user,
                "taken": len(known.taken),
                "last": [shown(entries[item]) for item in last[user] if item in entries],
            }
            for user, known in found
        ]
        return {"object": "list", "data": data}

    @app.post(
        "/v1/seen",
        tags=["llmrec"],
        summary="What the model reads where it scores an item for a person",
        response_model=Seen,
        responses=declared(*KEYED, 404, 503),
    )
    async def seen(request: SeenRequest, key: Annotated[Key, reads]) -> dict[str, Any]:
        known = await gateway.known(request, key)
        entry = await gateway.entry(request.item)
        served = gateway.desk.served
        parts = await asyncio.to_thread(served.line, known.taken)
        entries = await asyncio.to_thread(gateway.desk.book.get, [item for _, item in parts if item])
        prompt = [
            {"text": text} if item is None else {"item": shown(entries[item]) if item in entries else gone(item)}
            for text, item in parts
        ]
        worded = sum(item in served.codes for item in known.taken)
        return {
            "object": "llmrec.seen",
            "model": gateway.model,
            "user": request.user,
            "item": shown(entry),
            "word": served.token(entry.item) is not None,
            "prompt": prompt,
            "tokens": len(served.ranking(known.taken).tokens),
            "taken": len(known.taken),
            "trimmed": worded - sum(item is not None for _, item in parts),
            "wordless": len(known.taken) - worded,
            "grid": served.grid if entry.image else None,
            "agreed": served.agreed(entry.item),
            "shared": served.shared(known.taken, entry.item),
        }


def glance(names: Names) -> dict[str, Any]:
    """What a catalogue holds; only what tells items apart is named."""
    by_field: dict[str, Counter[str | bool]] = {}
    for (field, value), count in names.counts.items():
        if 0 < count < len(names.known):
            by_field.setdefault(field, Counter())[value] = count
    facets = []
    for field in ("categories", "brand", *names.attributes.values()):
        values = by_field.get(field, Counter())
        if not values or (field not in ("categories", "brand") and len(values) > FEW):
            continue
        kind = {"texts": "texts", "flag": "flag"}.get(names.store.layout.fields[field].kind, "text")
        best = sorted(values.items(), key=lambda pair: (-pair[1], str(pair[0])))
        listed = [{"value": value, "count": count} for value, count in best[:LISTED]]
        facets.append({"field": field, "kind": kind, "values": listed, "more": max(0, len(best) - LISTED)})
    prices = [one.price for one in names.known.values() if one.price is not None]
    pictures = names.store.count({"image": {"known": True}}) if "image" in names.store.layout.fields else 0
    return {
        "items": len(names.known),
        "pictures": pictures,
        "facets": facets,
        "prices": {"low": min(prices), "high": max(prices)} if prices else None,
    }


def gone(item: str) -> dict[str, Any]:
    """An item that the model has a word of and the catalogue does not know any more."""
    return {"item": item, "title": item, "brand": None, "price": None, "categories": [], "picture": None}
