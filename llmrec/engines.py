"""vLLM as a process behind HTTP: started on loopback, asked for log-probabilities of chosen tokens, ended by its id."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmrec.errors import InputError, LlmrecError
from llmrec.progress import Progress

AT_MOST = 120  # token ids that one request may ask for; vLLM takes 128
START_SECONDS = 300.0
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True)
class Engine:
    """A server that answers."""

    address: str

    def logprobs(self, prompt: Sequence[int], tokens: Sequence[int]) -> list[float]:
        """Log-probabilities of chosen tokens as the next one, over the whole vocabulary."""
        found: list[float] = []
        for begin in range(0, len(tokens), AT_MOST):
            some = list(tokens[begin : begin + AT_MOST])
            body = {
                "model": "model",
                "prompt": list(prompt),
                "max_tokens": 1,
                "temperature": 0,
                "logprobs": 1,
                "logprob_token_ids": some,
                "return_tokens_as_token_ids": True,
            }
            top = self._post("/v1/completions", body)["choices"][0]["logprobs"]["top_logprobs"][0]
            found += [float(top[f"token_id:{token}"]) for token in some]
        return found

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        content = json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, content, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise LlmrecError(f"vLLM answered {error.code}: {error.read(500).decode(errors='replace')}") from error
        except OSError as error:
            raise LlmrecError(f"vLLM does not answer ({error})") from error


@contextmanager
def vllm(folder: Path, *, dtype: str, length: int, log: Path, progress: Progress | None = None) -> Iterator[Engine]:
    """Serve a model folder while the block runs; what the server says goes to `log`."""
    if importlib.util.find_spec("vllm") is None:
        raise InputError("vLLM is not installed. On a GPU machine: pip install 'llmrec[vllm]'; on a CPU: make setup")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "model", "--host", "127.0.0.1", "--port", str(port), "--dtype", dtype]
    command += ["--max-model-len", str(length), "--max-num-seqs", "8", "--max-logprobs", "200", "--enforce-eager"]
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ, **QUIET}
    engine = Engine(f"http://127.0.0.1:{port}")
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        try:
            began = time.monotonic()
            while not _ready(engine.address):
                if process.poll() is not None:
                    raise LlmrecError(f"vLLM ended with {process.returncode} while it started. Read {log}")
                if time.monotonic() - began > START_SECONDS:
                    raise LlmrecError(f"vLLM was not ready after {START_SECONDS:.0f} seconds. Read {log}")
                if progress:
                    progress("starting vLLM", round(time.monotonic() - began), None)
                time.sleep(1)
            yield engine
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
