"""What the gateway holds while it runs, and what every route asks of it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from llmrec.errors import StoreDown
from llmrec.gateway.access import Key, Keys, Limiter
from llmrec.gateway.book import Entry
from llmrec.gateway.databases import POOL
from llmrec.gateway.desk import Desk
from llmrec.gateway.events import Events
from llmrec.gateway.faults import EventsDown, Refusal
from llmrec.gateway.limits import Limits, Load
from llmrec.gateway.metrics import Metrics
from llmrec.gateway.names import Names
from llmrec.gateway.people import Known, People
from llmrec.gateway.wire import ChatRequest, ForSomebody

Given = TypeVar("Given")
Found = TypeVar("Found")

REST = 1.0  # seconds in which a database that did not answer is not asked again


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
    page: bool = True
    """Whether a page for people is served at `/`."""
    position: int = 0
    """Up to where the store's changes stand in `names`."""
    ready: bool = False
    """Whether everything has been asked once."""
    started: int = field(default_factory=lambda: int(time.time()))
    held_up: float = 5.0
    """Seconds to wait for whoever else writes to the catalogue."""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    background: set[asyncio.Task[None]] = field(default_factory=set)
    callers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(POOL, "events"))
    """Threads that wait for the database of events alone: one that is frozen holds up nobody else."""
    events_rest: float = 0.0

    async def known(self, asked: ForSomebody | ChatRequest, key: Key) -> Known:
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
    async def pen(self) -> AsyncGenerator[None]:
        """Leave to write to the catalogue, for one at a time; who would wait long is told to come back."""
        try:
            async with asyncio.timeout(self.held_up):
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

    async def entry(self, item: str) -> Entry:
        """What the catalogue says of an item that has to be there."""
        entries = await asyncio.to_thread(self.desk.book.get, [item])
        if item not in entries:
            raise Refusal(404, f"There is no item {item[:100]!r} in the catalogue", code="item_not_found", param="item")
        return entries[item]

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something behind the answer; the gateway does not end before it."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
