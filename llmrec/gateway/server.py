"""Starts everything: the engine, watched and started again when it dies, and the gateway in front of it."""

import asyncio
import gc
import json
import logging
import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llmrec.engines import vllm
from llmrec.engines.engine import Engine
from llmrec.engines.served import OpenAIEngine
from llmrec.environment import device_for
from llmrec.errors import InputError
from llmrec.gateway.access import Keys
from llmrec.gateway.api import make_app
from llmrec.gateway.book import Book
from llmrec.gateway.desk import Desk
from llmrec.gateway.events import Events
from llmrec.gateway.model import Served
from llmrec.gateway.names import Names
from llmrec.gateway.people import People
from llmrec.gateway.settings import ServeRecipe
from llmrec.gateway.state import Gateway
from llmrec.retrieval.index import Index

log = logging.getLogger(__name__)

LOOK = 2.0  # seconds between two looks at the engine
UNWELL = 60.0  # seconds without health after which it is ended and started again
LONGEST_HEAD = 65_536  # bytes of a request before its body
HEAD_SECONDS = 30.0  # in which they have to arrive
LONGEST_REST = 60.0  # seconds before it is started once more, at the most


class Connection(HttpToolsProtocol):
    """A connection that ends where a request's head is endless or does not come: uvicorn keeps all that is sent."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there, and has to begin."""
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """They are gone."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some more has come."""
        super().data_received(data)
        self._head += len(data)
        if self._in_head and self._head > LONGEST_HEAD and not self.transport.is_closing():
            self.send_400_response(f"The head of a request may have {LONGEST_HEAD} bytes.")

    def on_message_begin(self) -> None:
        """Another request on the same connection."""
        super().on_message_begin()
        self._timer.cancel()
        self._begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._timer.cancel()
        super().on_headers_complete()

    def _begin(self) -> None:
        self._head, self._in_head = 0, True
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)


def serve(model: Path, index: Path, recipe: ServeRecipe, *, told: Callable[[str], None] = print) -> None:
    """Serve until told to stop."""
    keys = Keys.open(recipe.keys) if recipe.keys else Keys.none()
    keys.require_loopback(recipe.host)
    with taken(recipe.host, recipe.port) as port:
        _serve(model, index, recipe, keys, port, told)


def _serve(
    model: Path, index: Path, recipe: ServeRecipe, keys: Keys, port: socket.socket, told: Callable[[str], None]
) -> None:
    served, opened = Served.open(model), Index.open(index)
    state = recipe.state or index.parent / f"{index.name}.gateway"
    state.mkdir(parents=True, exist_ok=True)
    engine, process = make_engine(served, recipe, state)
    gateway = open_gateway(served, opened, engine, keys, recipe, state)
    supervisor = Supervisor(process) if process else None
    if process:
        import torch

        torch.set_num_threads(1)  # the cores are vLLM's

    def settled() -> None:
        gc.collect()
        gc.freeze()  # a collection over a whole catalogue would hold up whoever asks just then
        address = f"http://{recipe.host}:{port.getsockname()[1]}"
        page = f", and {address} a page to look at" if recipe.page else ""
        told(f"ready: {address}/v1 serves the model {recipe.name!r}{page}")

    app = make_app(gateway, supervisor.begin if supervisor else None, settled)
    config = uvicorn.Config(
        app,
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=recipe.draining,
        loop="asyncio",
    )
    server = uvicorn.Server(config)
    told(f"starting {'vLLM' if process else 'the model'}; ready in a minute or two")
    # Once it has drained, uvicorn sends itself again the signal that ended it: that is no failure, and the engine is
    # to be ended first.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run(sockets=[port])
    finally:
        if process:
            process.stop()


def taken(host: str, port: int) -> socket.socket:
    """A socket with that port, which listens later; where it cannot be had is told before anything is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, or asyncio does not turn off that small packets wait: 40 ms for every answer.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        return found
    except OSError as error:
        found.close()
        raise InputError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}). Choose another; port=0 takes a free one"
        ) from error


def make_engine(served: Served, recipe: ServeRecipe, state: Path) -> tuple[Engine, vllm.Vllm | None]:
    """The engine of a recipe, and the process behind it if it was started here."""
    if recipe.engine_url:
        return OpenAIEngine(recipe.engine_url, name=vllm.NAME, seconds=recipe.writing), None
    if recipe.engine == "vllm" or (recipe.engine == "auto" and vllm.installed()):
        arguments = {**recipe.vllm}
        arguments["max-model-len"] = min(served.length, int(arguments.get("max-model-len") or served.length))
        environment = arguments.pop("environment", None)
        if arguments.get("dtype", "auto") == "auto" and device_for(recipe.device) == "cpu":
            from llmrec.modeling.base import dtype_name

            # vLLM would take the weights' own, and bfloat16 is five times slower where a CPU has no part for it.
            arguments["dtype"] = dtype_name("auto", "cpu")
        process = vllm.Vllm(
            served.folder.resolve(),
            log=state / "vllm.log",
            arguments=arguments,
            environment=environment,
            port=arguments.get("port"),
        )
        return OpenAIEngine(process.address, name=vllm.NAME, seconds=recipe.writing), process
    from llmrec.modeling.local import LocalEngine

    return LocalEngine(served.folder, device=device_for(recipe.device)), None


def open_gateway(served: Served, index: Index, engine: Engine, keys: Keys, recipe: ServeRecipe, state: Path) -> Gateway:
    """Everything that the routes need."""
    try:
        dataset = index.dataset(recipe.dataset)
    except InputError as error:
        if recipe.dataset:
            raise
        log.warning("No histories and no pictures but those of events and uploads: %s", error)
        dataset = None
    events = Events.open(recipe.events or f"sqlite:///{(state / 'events.sqlite').resolve()}")
    book = Book(index.store, dataset, served.prompts, index.info["attributes"], state / "uploads")
    desk = Desk(index, book, served, engine, patience=recipe.patience, first=recipe.candidates)
    position = index.store.changes()[1]  # first: what changes while the names are read is looked at again
    names = Names.of(index)
    return Gateway(
        desk,
        People(dataset, events),
        events,
        keys,
        names,
        model=recipe.name,
        limits=recipe.limits,
        page=recipe.page,
        position=position,
    )


class Supervisor:
    """Starts vLLM, and starts it again whenever it dies or does not answer for long."""

    def __init__(self, process: vllm.Vllm):
        self.process = process
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Watch from now on."""
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        rest = 1.0
        while True:
            self.process.start()  # here: it ends with the thread that started it
            well = await self._live()
            rest = 1.0 if well else min(LONGEST_REST, 2 * rest)
            log.error("vLLM has ended or does not answer; it is started again in %.0f s (%s)", rest, self.process.log)
            await asyncio.to_thread(self.process.stop)
            await asyncio.sleep(rest)

    async def _live(self) -> bool:
        """Wait while it starts and while it is well; says whether it ever was."""
        loop = asyncio.get_running_loop()
        began, well = loop.time(), False
        last = began + vllm.START_SECONDS - UNWELL
        while self.process.ended is None:
            if await asyncio.to_thread(self.process.ready):
                last, well = loop.time(), True
            elif loop.time() - last > UNWELL:
                break
            await asyncio.sleep(LOOK)
        return well


class JsonLines(logging.Formatter):
    """Each record as one line of JSON; what is one already stays as it is."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        said = record.getMessage()
        if said.startswith("{"):
            return said
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = {"time": time, "level": record.levelname.lower(), "from": record.name, "message": said}
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def log_as_json() -> None:
    """Log from now on as lines of JSON, on the error stream: what the gateway does, and what others warn of."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("llmrec").setLevel(logging.INFO)
