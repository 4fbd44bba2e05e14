"""A running gateway for tests: its own port, its own copy of the index, the engine in this process."""

import asyncio
import shutil
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import uvicorn

from llmrec.engines.engine import Engine
from llmrec.gateway.access import Keys
from llmrec.gateway.api import make_app
from llmrec.gateway.model import Served as Model
from llmrec.gateway.server import Connection, make_engine, open_gateway, taken
from llmrec.gateway.settings import ServeRecipe
from llmrec.gateway.state import Gateway
from llmrec.retrieval.index import Index


@dataclass
class Served:
    """A server that runs in a thread of this process."""

    address: str
    gateway: Gateway
    server: uvicorn.Server


@contextmanager
def speaking(server: Served, *pieces: str) -> Iterator[None]:
    """Have the model write these pieces, for a tiny one writes no sentence; all else of the engine is real."""

    async def write(*_: object, **__: object) -> AsyncGenerator[str]:
        for piece in pieces:
            yield piece

    with patch.object(server.gateway.desk.engine, "write", write):
        yield


@contextmanager
def serving(
    model: Path,
    index: Index,
    folder: Path,
    *,
    recipe: ServeRecipe | None = None,
    engine: Engine | None = None,
    keys: Keys | None = None,
) -> Iterator[Served]:
    """Serve while the block runs. The index is copied: a gateway writes to it."""
    recipe = recipe or ServeRecipe(port=0, engine="local", device="cpu", patience=30)
    shutil.copytree(index.folder, folder / "index")
    served, copied = Model.open(model), Index.open(folder / "index")
    engine = engine or make_engine(served, recipe, folder)[0]
    gateway = open_gateway(served, copied, engine, keys or Keys.none(), replace(recipe, state=folder), folder)
    config = uvicorn.Config(make_app(gateway), http=Connection, log_config=None, access_log=False)
    server, port = uvicorn.Server(config), taken("127.0.0.1", recipe.port)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[port])))
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not (server.started and gateway.ready):
            if time.monotonic() > deadline or not thread.is_alive():
                raise AssertionError("the gateway did not become ready")
            time.sleep(0.02)
        yield Served(f"http://127.0.0.1:{port.getsockname()[1]}", gateway, server)
    finally:
        server.should_exit = True
        thread.join(30)
