"""Rankings, explanations and searches as data."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from llmrec.gateway.access import Key
from llmrec.gateway.answering import shown, spaced
from llmrec.gateway.desk import Ranked, Wanted
from llmrec.gateway.faults import declared
from llmrec.gateway.people import Known
from llmrec.gateway.routes.common import DONE, KEYED, allowed, streamed, told
from llmrec.gateway.state import Gateway
from llmrec.gateway.wire import (
    Explanation,
    ExplanationRequest,
    RecommendationRequest,
    Recommendations,
    Searched,
    SearchRequest,
    picture_of,
)

STREAMED_SENTENCES = f'data: {{"item": "i001", "because": "a reason"}}\n\ndata: {{"text": "A sentence."}}\n\n{DONE}'


def install(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes."""
    reads = allowed(gateway, "read")

    async def listed(ranked: Ranked, known: Known, reasons: bool) -> list[dict[str, Any]]:
        entries = await asyncio.to_thread(gateway.desk.book.get, [place.item for place in ranked.places])
        why = await gateway.desk.reasons(known.taken, entries.values()) if reasons else {}
        return [
            shown(entries[place.item], place, why.get(place.item)) for place in ranked.places if place.item in entries
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
            "items": await listed(ranked, known, request.reasons),
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
        responses={**declared(*KEYED, 404, 502, 503), **told(Explanation, STREAMED_SENTENCES)},
    )
    async def explanations(request: ExplanationRequest, key: Annotated[Key, reads]) -> Response:
        known = await gateway.known(request, key)
        entry = await gateway.entry(request.item)
        sentences = gateway.desk.explain(known.taken, entry)
        await gateway.desk.awake()  # an engine that is down is an error and no broken stream
        because = (await gateway.desk.reasons(known.taken, [entry]))[entry.item]

        async def pieces() -> AsyncGenerator[dict[str, Any]]:
            yield {"item": request.item, "because": because}
            async for sentence in spaced(sentences):
                yield {"text": sentence}

        if request.stream:
            return streamed(pieces())
        text = " ".join([sentence async for sentence in sentences])
        return JSONResponse(
            {
                "object": "llmrec.explanation",
                "model": gateway.model,
                "user": request.user,
                "item": shown(entry),
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
