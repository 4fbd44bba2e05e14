"""A gateway of one's own for as long as it is needed: `llmrec serve` as a child."""

import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from llmrec.environment import ended, ending_with_us, waited
from llmrec.errors import LlmrecError

STARTING = 600.0  # seconds: vLLM's first start compiles
ENDING = 30.0
READY = re.compile(rb"ready: (http://\S+?)/v1 ")


@dataclass(frozen=True)
class Running:
    """A gateway that answers."""

    address: str
    wait: Callable[[], int]
    """Wait until it has ended."""


@contextmanager
def own_gateway(
    model: Path, index: Path, settings: Sequence[str], *, aside: Callable[[str], None] = lambda _: None
) -> Iterator[Running]:
    """One that is ready; it ends with the block, and with this process however that ends."""
    words = ["-m", "llmrec", "serve", str(model), "--index", str(index)]
    usual = {"engine": "local", "port": "0"}
    given = {setting.partition("=")[0] for setting in settings}
    words += [*settings, *(f"{name}={value}" for name, value in usual.items() if name not in given)]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            ending_with_us(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints,
            start_new_session=True,  # Ctrl-C is for the answer
        )  # fmt: skip
        try:
            aside(f"Loading {model} …")
            yield Running(_address(process, complaints), lambda: waited(process))
        finally:
            ended(process, ENDING)
            if process.stdout:
                process.stdout.close()


def _address(process: "subprocess.Popen[bytes]", complaints: IO[bytes]) -> str:
    assert process.stdout is not None
    held, until = b"", time.monotonic() + STARTING
    while time.monotonic() < until:
        if select.select([process.stdout], [], [], 1.0)[0]:
            more = os.read(process.stdout.fileno(), 4_096)
            if not more:
                break
            held += more
        found = READY.search(held)
        if found:
            return found[1].decode()
    complaints.seek(0)
    said = complaints.read().decode(errors="replace").strip().splitlines()
    reason = [line.removeprefix("error: ") for line in said if line.startswith("error: ")] or said[-1:]
    raise LlmrecError(f"The gateway did not start. {reason[0] if reason else 'It said nothing'}")
