"""vLLM as a process of its own: started on loopback, waited for, ended by its id and with its parent."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from llmrec.environment import ending_with_us
from llmrec.errors import InputError, LlmrecError
from llmrec.progress import Progress

START_SECONDS = 300.0
END_SECONDS = 60.0
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
NAME = "model"
NEEDED: Mapping[str, Any] = {
    "served-model-name": NAME,
    "host": "127.0.0.1",  # it checks no keys on half of its paths, so nobody else may reach it
    "max-logprobs": 200,  # an item's score is a log-probability, and they are asked for by the hundred
    "enable-scale-out": True,  # tokens and pictures in one request: /inference/v1/generate
}
"""What llmrec's own requests rely on, whatever else is set."""
PLAIN: Mapping[str, Any] = {"enforce-eager": True, "max-num-seqs": 8}
"""For a short while, as to verify a merged model: up in half the time."""


def installed() -> bool:
    """Whether vLLM can be started here."""
    return importlib.util.find_spec("vllm") is not None


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Vllm:
    """One vLLM process for one model folder. `arguments` are vLLM's own options; `environment` is added to ours."""

    def __init__(
        self,
        folder: Path,
        *,
        log: Path,
        arguments: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
    ):
        if not installed():
            raise InputError(
                "vLLM is not installed. On a GPU machine: pip install 'llmrec[vllm]'; on a CPU: make setup"
            )
        self.folder, self.log, self.port = folder, log, port or free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        # The `vllm` command of the CPU package does not start; the module does.
        self._command = [*ending_with_us("-m", "vllm.entrypoints.openai.api_server"), "--model", str(folder)]
        self._command += options({**(arguments or {}), **NEEDED, "port": self.port})
        self._environment = {"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ, **QUIET, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is not ready before it says so."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as said:
            self._process = subprocess.Popen(
                self._command,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # a Ctrl-C is for us: streams are finished first
            )

    @property
    def pid(self) -> int | None:
        """Its process id, once it was started."""
        return self._process.pid if self._process else None

    @property
    def ended(self) -> int | None:
        """Its exit code, if it has ended; 0 if it was never started."""
        return self._process.poll() if self._process else 0

    def ready(self) -> bool:
        """Whether it says that it is healthy."""
        try:
            with urllib.request.urlopen(self.address + "/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def wait(self, progress: Progress | None = None, seconds: float = START_SECONDS) -> None:
        """Wait until it is ready; one that ends or takes too long is an error."""
        began = time.monotonic()
        while not self.ready():
            if self.ended is not None:
                raise LlmrecError(f"vLLM ended with {self.ended} while it started. Read {self.log}")
            if time.monotonic() - began > seconds:
                raise LlmrecError(f"vLLM was not ready after {seconds:.0f} seconds. Read {self.log}")
            if progress:
                progress("starting vLLM", round(time.monotonic() - began), None)
            time.sleep(1)

    def stop(self) -> None:
        """End it and what it started."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
        with suppress(ProcessLookupError, PermissionError):  # its session is its own: what it left behind goes too
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def options(arguments: Mapping[str, Any]) -> list[str]:
    """vLLM's options as its command line takes them: true is a flag, a mapping is JSON, false is left out."""
    found = []
    for name, value in arguments.items():
        if value is None or value is False:
            continue
        found.append(f"--{name.replace('_', '-')}")
        if value is not True:
            found.append(json.dumps(value) if isinstance(value, dict | list) else str(value))
    return found


@contextmanager
def vllm(folder: Path, *, dtype: str, length: int, log: Path, progress: Progress | None = None) -> Iterator[str]:
    """Serve a model folder while the block runs, at the address that is given; what the server says goes to `log`."""
    log.unlink(missing_ok=True)
    process = Vllm(folder, log=log, arguments={**PLAIN, "dtype": dtype, "max-model-len": length})
    process.start()
    try:
        process.wait(progress)
        yield process.address
    finally:
        process.stop()
