"""The gateway as an app: its routes, and what stands around them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from llmrec import __version__
from llmrec.engines.engine import EngineDown
from llmrec.gateway import faults
from llmrec.gateway.faults import declared
from llmrec.gateway.limits import Guard
from llmrec.gateway.metrics import Counted
from llmrec.gateway.routes import asking, browsing, health, items, openai, page, people
from llmrec.gateway.state import Gateway

log = logging.getLogger(__name__)

AGAIN = 1.0  # seconds between two attempts to be ready


def make_app(
    gateway: Gateway, starting: Callable[[], Awaitable[None]] | None = None, settled: Callable[[], None] | None = None
) -> FastAPI:
    """The app of a gateway; `starting` is run at its start, and `settled` once everything has been asked once."""

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncGenerator[None]:
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
    for area in (health, openai, asking, items, people, browsing):
        area.install(app, gateway)
    if gateway.page:
        page.install(app, gateway)
    app.add_middleware(Counted, metrics=gateway.metrics)
    app.add_middleware(Guard, limits=gateway.limits, load=gateway.load)
    return app


async def _begin(
    gateway: Gateway, starting: Callable[[], Awaitable[None]] | None, settled: Callable[[], None] | None
) -> None:
    """Ask everything once, again and again until it works."""
    if starting:
        await starting()
    read = False
    while not gateway.ready:
        try:
            if not read:
                await gateway.desk.read_ahead()
                read = True
            await gateway.desk.warm()
            gateway.ready = True
        except EngineDown:  # it is starting
            await asyncio.sleep(AGAIN)
        except Exception as error:  # whatever else is not there yet; it is said, and tried again
            log.warning("not ready yet: %s", error)
            await asyncio.sleep(AGAIN)
    if settled:
        settled()
