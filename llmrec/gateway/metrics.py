"""Figures for Prometheus: how long each stage takes, how often the retriever stood in, what the engine had cached."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmrec.engines.engine import Engine
from llmrec.gateway.limits import Load

STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters of one gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._stages = Histogram(
            "llmrec_stage_seconds", "Time of a stage", ["stage"], buckets=STEPS, registry=self.registry
        )
        self._requests = Counter("llmrec_requests", "Requests", ["route", "status"], registry=self.registry)
        self._seconds = Histogram(
            "llmrec_request_seconds", "Time of a request", ["route"], buckets=STEPS, registry=self.registry
        )
        self._fallbacks = Counter(
            "llmrec_fallbacks", "Answers in which the model had no part", ["route"], registry=self.registry
        )
        self._engine = Gauge("llmrec_engine_up", "Whether the engine answers", registry=self.registry)
        self._work = Gauge("llmrec_requests_at_work", "Requests that are worked on", registry=self.registry)
        self._line = Gauge("llmrec_requests_waiting", "Requests that wait for their turn", registry=self.registry)
        self._asked = Gauge("llmrec_engine_prompt_tokens", "Prompt tokens the engine was asked", registry=self.registry)
        self._cached = Gauge("llmrec_engine_cached_tokens", "Those that it had cached", registry=self.registry)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.took(name, time.perf_counter() - began)

    def took(self, stage: str, seconds: float) -> None:
        """Note how long a stage took."""
        self._stages.labels(stage).observe(seconds)

    def fell_back(self, route: str) -> None:
        """Note an answer without the model."""
        self._fallbacks.labels(route).inc()

    def served(self, route: str, status: int, seconds: float) -> None:
        """Note a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    async def look(self, engine: Engine, load: Load) -> None:
        """See how engine and queue are."""
        self._engine.set(float(await engine.ready()))
        self._work.set(load.at_work)
        self._line.set(load.waiting)
        found = await engine.counters()
        self._asked.set(found.get("vllm:prefix_cache_queries_total", 0.0))
        self._cached.set(found.get("vllm:prefix_cache_hits_total", 0.0))

    def text(self) -> bytes:
        """Everything in Prometheus' own form."""
        return generate_latest(self.registry)


class Counted:
    """Middleware that notes each request under its route, never under the address as it was sent."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route: Any = scope.get("route")
            self.metrics.served(getattr(route, "path_format", "other"), status, time.perf_counter() - began)
