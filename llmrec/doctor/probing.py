"""Runs the probes in processes of their own, so that a package that crashes or hangs is a line and not the end."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

LONGEST = 60.0  # seconds for one package: some take twenty on a cold disk
TOGETHER = ("torch", "torchvision", "transformers", "peft", "trl", "bitsandbytes", "lancedb", "polars")
ALONE = ("vllm",)


def probed(
    names: Sequence[str], *, longest: float = LONGEST, began: Callable[[str], None] = lambda _: None
) -> Iterator[dict[str, Any]]:
    """What each package's probe says, one after the other; those behind one that crashed go on in a new process."""
    rest = list(names)
    while rest:
        for answer in _process(rest, longest, began):
            rest.remove(answer["name"])
            yield answer


def _process(names: Sequence[str], longest: float, began: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """The answers of one process, until it is done, crashes or hangs; the package that it did so in is told too."""
    here = str(Path(__file__).parent.parent.parent)
    path = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH", ""), here) if part)
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "llmrec.doctor.probe", *names],
            stdout=subprocess.PIPE,
            stderr=complaints,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "TOKENIZERS_PARALLELISM": "false"},
        )
        assert process.stdout is not None
        current, done = names[0], 0
        try:
            for line in _lines(process.stdout, longest):
                try:
                    told = json.loads(line)
                except ValueError:
                    continue
                if "begin" in told:
                    current = told["begin"]
                    began(current)
                else:
                    done += 1
                    yield told
            process.wait(5)
            if done < len(names):
                complaints.seek(0)
                yield {"name": current, "error": _end(process.returncode, complaints.read())}
        except (TimeoutError, subprocess.TimeoutExpired):
            if done < len(names):
                yield {"name": current, "error": f"it did not answer within {longest:.0f} s"}
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _lines(pipe: IO[bytes], longest: float) -> Iterator[bytes]:
    """Lines as they come; too long a silence is a TimeoutError."""
    held = b""
    until = time.monotonic() + longest
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TimeoutError
        more = os.read(pipe.fileno(), 65_536)
        if not more:
            return
        held += more
        *whole, held = held.split(b"\n")
        if whole:
            until = time.monotonic() + longest
        yield from whole


def _end(status: int, complaints: bytes) -> str:
    """How a process ended that should have gone on."""
    if status == -signal.SIGILL:
        return "it uses instructions that this processor does not have (SIGILL)"
    if status < 0:
        return f"it crashes ({signal.Signals(-status).name})"
    lines = complaints.decode(errors="replace").strip().splitlines()
    return f"the process ended with {status}" + (f": {lines[-1][:200]}" if lines else "")
