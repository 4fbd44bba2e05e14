"""The gateway's routes."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import polars as pl
from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from llmrec import __version__
from llmrec.engines.engine import EngineDown, Prompt
from llmrec.errors import StoreDown
from llmrec.gateway import chat, faults
from llmrec.gateway.access import Key, Keys, Limiter, Role
from llmrec.gateway.answering import shown, spaced
from llmrec.gateway.chat import DONE
from llmrec.gateway.desk import Desk, Ranked, Wanted
from llmrec.gateway.events import POOL, Event, Events
from llmrec.gateway.faults import EventsDown, Refusal, declared
from llmrec.gateway.limits import Guard, Limits, Load
from llmrec.gateway.metrics import Counted, Metrics
from llmrec.gateway.names import Names
from llmrec.gateway.people import Known, People
from llmrec.gateway.wire import (
    LONGEST_ID,
    Alive,
    Card,
    Cards,
    ChatAnswer,
    ChatRequest,
    CompletionAnswer,
    CompletionRequest,
    Deleted,
    EventsRequest,
    Explanation,
    ExplanationRequest,
    Forgotten,
    ForSomebody,
    History,
    Item,
    ItemRequest,
    Items,
    Kept,
    Put,
    Readiness,
    RecommendationRequest,
    Recommendations,
    Searched,
    SearchRequest,
    picture_of,
)
from llmrec.pictures import suffix
from llmrec.retrieval.rows import TYPES

log = logging.getLogger(__name__)
Given = TypeVar("Given")
Found = TypeVar("Found")

AGAIN = 1.0  # seconds between two attempts to be ready
REST = 1.0  # seconds in which a database that did not answer is not asked again
HELD_UP = 5.0  # seconds to wait for whoever else writes to the catalogue
KEYED = (401, 403)
BEARER = HTTPBearer(auto_error=False, description="A key, where the gateway has some. Without keys none is asked for.")
UPLOADED_FIELDS = ("title", "description", "categories", "brand", "price")
ItemId = Annotated[str, Path(min_length=1, max_length=LONGEST_ID, description="The item's id.")]
PersonId = Annotated[str, Path(min_length=1, max_length=LONGEST_ID, description="The person's id.")]
STREAMED_CHAT = (
    'data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "llmrec", "choices": '
    '[{"index": 0, "delta": {"role": "assistant", "content": "", "llmrec": {"kind": "talk", "items": [], '
    f'"cold": false, "fallback": null, "empty": null}}}}, "logprobs": null, "finish_reason": null}}]}}\n\n{DONE}'
)
STREAMED_TEXT = (
    'data: {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "llmrec", "choices": '
    f'[{{"index": 0, "text": "a", "logprobs": null, "finish_reason": null}}]}}\n\n{DONE}'
)
STREAMED_SENTENCES = f'data: {{"item": "i001", "because": "a reason"}}\n\ndata: {{"text": "A sentence."}}\n\n{DONE}'
FIGURES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
EVENT = {
    "type": "object",
    "properties": {"data": {"type": "string", "description": "JSON, as in the example; the last one is [DONE]."}},
    "required": ["data"],
}
PICTURES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            f"image/{kind}": {"schema": {"type": "string", "format": "binary"}} for kind in ("jpeg", "png", "webp")
        },
    }
}


@dataclass
class Gateway:
    """Everything that the routes need."""

    desk: Desk
    people: People
    events: Events
    keys: Keys
    names: Names
    model: str = "llmrec"
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    load: Load = field(default_factory=Load)
    limiter: Limiter = field(default_factory=Limiter)
    position: int = 0
    """Up to where the store's changes stand in `names`."""
    ready: bool = False
    """Whether everything has been asked once."""
    started: int = field(default_factory=lambda: int(time.time()))
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    background: set[asyncio.Task[None]] = field(default_factory=set)
    callers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(POOL, "events"))
    """Threads that wait for the database of events alone: one that is frozen holds up nobody else."""
    events_rest: float = 0.0

    async def known(self, asked: ForSomebody, key: Key) -> Known:
        """What is known of whom a request is for."""
        if asked.user is not None:
            key.require_person(asked.user)
        if asked.history is not None:
            past = await self.past(asked.user) if asked.user else Known()
            return Known(asked.history, past.dismissed)
        return await self.past(asked.user)

    async def names_now(self) -> Names:
        """What items are called at this moment, whoever changed them."""
        changed, position = self.desk.index.store.changes(self.position)
        if changed:
            self.names, self.position = await asyncio.to_thread(self.names.refreshed, changed), position
        return self.names

    @asynccontextmanager
    async def pen(self) -> AsyncIterator[None]:
        """Leave to write to the catalogue, for one at a time; who would wait long is told to come back."""
        try:
            async with asyncio.timeout(HELD_UP):
                await self.writing.acquire()
        except TimeoutError:
            raise StoreDown("others are writing to the catalogue") from None
        try:
            yield
        finally:
            self.writing.release()

    async def past(self, person: str | None) -> Known:
        """What is known of a person."""
        if person is None:
            return Known()
        with self.metrics.stage("person"):
            return await self.of_events(self.people.known, person)

    async def of_events(self, work: Callable[[Given], Found], given: Given) -> Found:
        """Ask the database of events; one that did not answer is not asked again for a while."""

        def asked() -> Found:
            if time.monotonic() < self.events_rest:
                raise EventsDown("The events' database did not answer a moment ago")
            try:
                return work(given)
            except EventsDown:
                self.events_rest = time.monotonic() + REST
                raise

        return await asyncio.get_running_loop().run_in_executor(self.callers, asked)


def make_app(
    gateway: Gateway, starting: Callable[[], Awaitable[None]] | None = None, settled: Callable[[], None] | None = None
) -> FastAPI:
    """The app of a gateway; `starting` is run at its start, and `settled` once everything has been asked once."""

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_begin(gateway, starting, settled))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, *gateway.background, return_exceptions=True)
            await gateway.desk.engine.close()
            await asyncio.to_thread(gateway.events.close)
            gateway.callers.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(
        title="llmrec",
        version=__version__,
        summary="Recommendations with reasons, as data and in conversation.",
        lifespan=living,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        responses=declared(*faults.EVERYWHERE),
    )
    gateway.desk.note = gateway.metrics.took
    faults.install(app)
    _own(app, gateway)
    _openai(app, gateway)
    _asking(app, gateway)
    _items(app, gateway)
    _people(app, gateway)
    app.add_middleware(Counted, metrics=gateway.metrics)
    app.add_middleware(Guard, limits=gateway.limits, load=gateway.load)
    return app


async def _begin(
    gateway: Gateway, starting: Callable[[], Awaitable[None]] | None, settled: Callable[[], None] | None
) -> None:
    """Ask everything once, again and again until it works."""
    if starting:
        await starting()
    while not gateway.ready:
        try:
            await gateway.desk.warm()
            gateway.ready = True
        except EngineDown:  # it is starting
            await asyncio.sleep(AGAIN)
        except Exception as error:  # whatever else is not there yet; it is said, and tried again
            log.warning("not ready yet: %s", error)
            await asyncio.sleep(AGAIN)
    if settled:
        settled()


def _allowed(gateway: Gateway, role: Role) -> Callable[..., Key]:
    """A dependency: the key of a request, if it has a role."""

    def check(request: Request, _: Annotated[Any, Depends(BEARER)]) -> Key:
        key = gateway.keys.check(request.headers.get("authorization"))
        request.scope.setdefault("state", {})["key"] = key.name
        gateway.limiter.take(key)
        key.require(role)
        return key

    return check


def _own(app: FastAPI, gateway: Gateway) -> None:
    """How the gateway itself is."""

    @app.get("/healthz", tags=["health"], summary="Whether the process lives", response_model=Alive)
    async def healthz() -> dict[str, str]:
        return {"status": "alive", "version": __version__}

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Whether requests are served",
        response_model=None,
        responses={**_told(Readiness), 503: {"model": Readiness, "description": "Not yet."}},
    )
    async def readyz() -> JSONResponse:
        loop = asyncio.get_running_loop()
        looked = loop.run_in_executor(gateway.callers, gateway.events.ready)
        engine, events = await asyncio.gather(gateway.desk.engine.ready(), looked)
        # Once warm it stays ready: without the engine it still ranks, by the retriever.
        told = {"ready": gateway.ready, "engine": engine, "events": events}
        return JSONResponse(told, status_code=200 if gateway.ready else 503)

    @app.get("/metrics", tags=["health"], summary="Figures for Prometheus", response_class=Response, responses=FIGURES)
    async def metrics() -> Response:
        await gateway.metrics.look(gateway.desk.engine, gateway.load)
        return Response(gateway.metrics.text(), media_type="text/plain; version=0.0.4")


def _openai(app: FastAPI, gateway: Gateway) -> None:
    """What OpenAI's clients ask for."""
    reads = Depends(_allowed(gateway, "read"))
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
        responses={**declared(*KEYED, 404, 502, 503), **_told(ChatAnswer, STREAMED_CHAT)},
    )
    async def completions(request: ChatRequest, key: Annotated[Key, reads]) -> Response:
        check_model(request.model)
        if request.user is not None:
            key.require_person(request.user)
        known = await gateway.past(request.user)
        made = await chat.reply(request, known, gateway.desk, await gateway.names_now())
        if made.told.fallback:
            gateway.metrics.fell_back("chat")
        if request.stream and not chat.in_one_piece(request, made):
            return _events(chat.streamed(request, made, gateway.model, gateway.desk))
        with gateway.metrics.stage("write"):
            told = await chat.whole(request, made, gateway.model, gateway.desk)
        return _events(chat.told_at_once(request, told)) if request.stream else JSONResponse(told)

    @app.post(
        "/v1/completions",
        tags=["openai"],
        summary="The bare model",
        response_model=None,
        responses={**declared(*KEYED, 404, 502, 503), **_told(CompletionAnswer, STREAMED_TEXT)},
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

        async def streamed() -> AsyncIterator[str]:
            text = ""
            try:
                async for piece in pieces:
                    text += piece
                    yield chat.event({**head, "choices": choices(piece, None)})
                finish, usage = end(text)
                yield chat.event({**head, "choices": choices("", finish)})
                if (request.stream_options or {}).get("include_usage"):
                    yield chat.event({**head, "choices": [], "usage": usage})
                yield DONE
            except Exception as error:
                yield chat.event(faults.in_stream(error))

        if request.stream:
            return _events(streamed())
        text = "".join([piece async for piece in pieces])
        finish, usage = end(text)
        return JSONResponse({**head, "choices": choices(text, finish), "usage": usage})


def _asking(app: FastAPI, gateway: Gateway) -> None:
    """Rankings, explanations and searches as data."""
    reads = Depends(_allowed(gateway, "read"))

    async def told(ranked: Ranked, known: Known, reasons: bool) -> list[dict[str, Any]]:
        entries = await asyncio.to_thread(gateway.desk.book.get, [place.item for place in ranked.places])
        return [
            shown(
                entries[place.item], place, gateway.desk.because(known.taken, entries[place.item]) if reasons else None
            )
            for place in ranked.places
            if place.item in entries
        ]

    @app.post(
        "/v1/recommendations",
        tags=["llmrec"],
        summary="Items for a person, best first",
        response_model=Recommendations,
        response_model_exclude_unset=True,
        responses=declared(*KEYED, 502, 503),
    )
    async def recommendations(
        request: RecommendationRequest, key: Annotated[Key, reads], response: Response
    ) -> dict[str, Any]:
        began = time.perf_counter()
        known = await gateway.known(request, key)
        person = time.perf_counter() - began
        wanted = Wanted(
            history=known.taken,
            words=request.query.strip(),
            picture=await asyncio.to_thread(picture_of, request.picture) if request.picture else None,
            like=request.like,
            where=request.where,
            leave_out=known.dismissed | frozenset(request.exclude),
            count=request.k,
            diversity=request.diversity,
        )
        ranked = await gateway.desk.rank(wanted)
        if ranked.fallback:
            gateway.metrics.fell_back("recommendations")
        stages = {"person": person, **ranked.seconds}
        response.headers["Server-Timing"] = ", ".join(f"{name};dur={1000 * took:.1f}" for name, took in stages.items())
        return {
            "object": "llmrec.recommendations",
            "model": gateway.model,
            "user": request.user,
            "items": await told(ranked, known, request.reasons),
            "candidates": ranked.candidates,
            "cold": ranked.cold,
            "fallback": ranked.fallback,
            "empty": ranked.empty,
        }

    @app.post(
        "/v1/explanations",
        tags=["llmrec"],
        summary="Why an item fits a person",
        response_model=None,
        responses={**declared(*KEYED, 404, 502, 503), **_told(Explanation, STREAMED_SENTENCES)},
    )
    async def explanations(request: ExplanationRequest, key: Annotated[Key, reads]) -> Response:
        known = await gateway.known(request, key)
        entries = await asyncio.to_thread(gateway.desk.book.get, [request.item])
        if request.item not in entries:
            raise _no_item(request.item)
        sentences = gateway.desk.explain(known.taken, entries[request.item])
        await gateway.desk.awake()  # an engine that is down is an error and no broken stream
        because = gateway.desk.because(known.taken, entries[request.item])

        async def streamed() -> AsyncIterator[str]:
            try:
                yield chat.event({"item": request.item, "because": because})
                async for sentence in spaced(sentences):
                    yield chat.event({"text": sentence})
                yield DONE
            except Exception as error:
                yield chat.event(faults.in_stream(error))

        if request.stream:
            return _events(streamed())
        text = " ".join([sentence async for sentence in sentences])
        return JSONResponse(
            {
                "object": "llmrec.explanation",
                "model": gateway.model,
                "user": request.user,
                "item": shown(entries[request.item]),
                "because": because,
                "text": text,
            }
        )

    @app.post(
        "/v1/search",
        tags=["llmrec"],
        summary="Items for words or a picture, the same for everybody",
        response_model=Searched,
        response_model_exclude_unset=True,
        responses=declared(*KEYED),
    )
    async def search(request: SearchRequest, _: Annotated[Key, reads]) -> dict[str, Any]:
        picture = await asyncio.to_thread(picture_of, request.picture) if request.picture else None
        hits = await asyncio.to_thread(
            gateway.desk.search, request.query.strip(), picture, request.k, where=request.where
        )
        entries = await asyncio.to_thread(gateway.desk.book.get, hits.items)
        found = [
            {**shown(entries[item]), "score": float(score)}
            for item, score in zip(hits.items, hits.scores, strict=True)
            if item in entries
        ]
        return {"object": "llmrec.search", "items": found}


def _items(app: FastAPI, gateway: Gateway) -> None:
    """The catalogue, while it is served."""
    reads, owns = Depends(_allowed(gateway, "read")), Depends(_allowed(gateway, "admin"))

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
        entries = await asyncio.to_thread(gateway.desk.book.get, [item])
        if item not in entries:
            raise _no_item(item)
        path = entries[item].image
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
        entries = await asyncio.to_thread(gateway.desk.book.get, [item])
        if item not in entries:
            raise _no_item(item)
        return _whole(entries[item])

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
            await asyncio.to_thread(gateway.desk.index.upsert, frame, patience=HELD_UP)
        if given is not None:
            _later(gateway, _look(gateway, frame, item))
        found = await asyncio.to_thread(gateway.desk.book.get, [item])
        return {
            **_whole(found[item]),
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
            entries = await asyncio.to_thread(gateway.desk.book.get, [item])
            if item not in entries:
                raise _no_item(item)
            await asyncio.to_thread(gateway.desk.index.remove, [item], patience=HELD_UP)
        return {"object": "llmrec.item", "item": item, "deleted": True}


def _people(app: FastAPI, gateway: Gateway) -> None:
    """What people do."""
    reads, tells = Depends(_allowed(gateway, "read")), Depends(_allowed(gateway, "events"))

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


def _told(answer: type[BaseModel], streamed: str | None = None) -> dict[int | str, dict[str, Any]]:
    """How an answer that the route writes itself stands in the OpenAPI document, and an example of its events."""
    found: dict[str, Any] = {"model": answer, "description": "The answer."}
    if streamed:
        found["description"] = "The answer; with `stream`, as server-sent events."
        found["content"] = {"text/event-stream": {"itemSchema": EVENT, "example": streamed}}
    return {200: found}


def _events(pieces: AsyncIterator[str]) -> StreamingResponse:
    async def closing() -> AsyncIterator[str]:
        async with aclosing(pieces) as opened:  # type: ignore[type-var]
            async for piece in opened:
                yield piece

    return StreamingResponse(closing(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _whole(entry: Any) -> dict[str, Any]:
    """An item with all its fields."""
    own = {key: value for key, value in entry.fields.items() if key != "image"}
    return {**own, **shown(entry), "object": "llmrec.item"}


def _no_item(item: str) -> Refusal:
    return Refusal(404, f"There is no item {item[:100]!r} in the catalogue", code="item_not_found", param="item")


def _later(gateway: Gateway, work: Any) -> None:
    task = asyncio.create_task(work)
    gateway.background.add(task)
    task.add_done_callback(gateway.background.discard)


async def _look(gateway: Gateway, frame: pl.DataFrame, item: str) -> None:
    """Encode the picture of an item that was sent, so that pictures find it."""
    try:
        path = gateway.desk.book.picture(frame["image"][0]) if "image" in frame.columns else None
        if path is not None:
            async with gateway.writing:
                await asyncio.to_thread(gateway.desk.index.upsert, frame, {item: path}, patience=HELD_UP)
    except Exception as error:  # the item is found by its words all the same
        log.error("the picture of an item could not be encoded: %s", error)
