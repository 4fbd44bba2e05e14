"""vLLM as a process of its own: started on loopback, waited for, ended by its id."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmrec.errors import InputError, LlmrecError
from llmrec.progress import Progress

START_SECONDS = 300.0
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


@contextmanager
def vllm(folder: Path, *, dtype: str, length: int, log: Path, progress: Progress | None = None) -> Iterator[str]:
    """Serve a model folder while the block runs, at the address that is given; what the server says goes to `log`."""
    if importlib.util.find_spec("vllm") is None:
        raise InputError("vLLM is not installed. On a GPU machine: pip install 'llmrec[vllm]'; on a CPU: make setup")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "model", "--host", "127.0.0.1", "--port", str(port), "--dtype", dtype]
    command += ["--max-model-len", str(length), "--max-num-seqs", "8", "--max-logprobs", "200", "--enforce-eager"]
    command += ["--enable-scale-out"]  # tokens and pictures in one request
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ, **QUIET}
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        try:
            began = time.monotonic()
            while not _ready(address):
                if process.poll() is not None:
                    raise LlmrecError(f"vLLM ended with {process.returncode} while it started. Read {log}")
                if time.monotonic() - began > START_SECONDS:
                    raise LlmrecError(f"vLLM was not ready after {START_SECONDS:.0f} seconds. Read {log}")
                if progress:
                    progress("starting vLLM", round(time.monotonic() - began), None)
                time.sleep(1)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(address + "/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
