"""What people do."""

from typing import Annotated, Any

from fastapi import FastAPI

from llmrec.gateway.access import Key
from llmrec.gateway.events import Event
from llmrec.gateway.faults import declared
from llmrec.gateway.routes.common import KEYED, PersonId, allowed
from llmrec.gateway.state import Gateway
from llmrec.gateway.wire import EventsRequest, Forgotten, History, Kept


def install(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes."""
    reads, tells = allowed(gateway, "read"), allowed(gateway, "events")

    @app.post(
        "/v1/events",
        tags=["people"],
        summary="Tell what people did; each key counts once",
        response_model=Kept,
        responses=declared(*KEYED, 409, 503),
    )
    async def add(request: EventsRequest, key: Annotated[Key, tells]) -> dict[str, Any]:
        for person in {event.user for event in request.events}:
            key.require_person(person)
        events = [Event(one.key, one.user, one.item, one.kind, one.time, one.rating) for one in request.events]
        with gateway.metrics.stage("events"):
            new = await gateway.of_events(gateway.events.add, events)
        return {"object": "llmrec.events", "stored": sum(new), "known_before": len(new) - sum(new)}

    @app.get(
        "/v1/people/{user:path}/history",
        tags=["people"],
        summary="What is known of a person",
        response_model=History,
        responses=declared(*KEYED, 404, 503),
    )
    async def history(user: PersonId, key: Annotated[Key, reads]) -> dict[str, Any]:
        key.require_person(user)
        known = await gateway.past(user)
        return {
            "object": "llmrec.history",
            "user": user,
            "taken": list(known.taken),
            "dismissed": sorted(known.dismissed),
        }

    @app.delete(
        "/v1/people/{user:path}/history",
        tags=["people"],
        summary="Forget a person",
        response_model=Forgotten,
        responses=declared(*KEYED, 404, 503),
    )
    async def forget(user: PersonId, key: Annotated[Key, tells]) -> dict[str, Any]:
        key.require_person(user)
        await gateway.of_events(gateway.events.forget, user)
        return {"object": "llmrec.history", "user": user, "deleted": True}
