"""How the gateway itself is."""

import asyncio
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from llmrec import __version__
from llmrec.gateway.routes.common import told
from llmrec.gateway.state import Gateway
from llmrec.gateway.wire import Alive, Readiness

FIGURES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


def install(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes."""

    @app.get("/healthz", tags=["health"], summary="Whether the process lives", response_model=Alive)
    async def healthz() -> dict[str, str]:
        return {"status": "alive", "version": __version__}

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Whether requests are served",
        response_model=None,
        responses={**told(Readiness), 503: {"model": Readiness, "description": "Not yet."}},
    )
    async def readyz() -> JSONResponse:
        loop = asyncio.get_running_loop()
        looked = loop.run_in_executor(gateway.callers, gateway.events.ready)
        engine, events = await asyncio.gather(gateway.desk.engine.ready(), looked)
        # Once warm it stays ready: without the engine it still ranks, by the retriever.
        found = {"ready": gateway.ready, "engine": engine, "events": events}
        return JSONResponse(found, status_code=200 if gateway.ready else 503)

    @app.get("/metrics", tags=["health"], summary="Figures for Prometheus", response_class=Response, responses=FIGURES)
    async def metrics() -> Response:
        await gateway.metrics.look(gateway.desk.engine, gateway.load)
        return Response(gateway.metrics.text(), media_type="text/plain; version=0.0.4")
