"""The machine and the versions that a result was made with, to stand beside every figure."""

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmrec.errors import InputError

PROCESSOR = Path("/proc/cpuinfo")
PRODUCTS = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
PORT = 8080
"""Where the gateway listens unless it is told otherwise."""
LOOK = 0.2  # seconds between two looks at a process
WITH_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Has the system end a process when the one that started it is gone, however it went; it outlives the exec."""


def ending_with_us(*arguments: str) -> list[str]:
    """How to start Python so that it ends when the thread that started it does, where the system can see to that."""
    if sys.platform != "linux":
        return [sys.executable, *arguments]
    return [sys.executable, "-c", WITH_PARENT, *arguments]


def ended(process: subprocess.Popen[Any], seconds: float) -> None:
    """End a process of ours: it is asked to, and after so many seconds made to."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def waited(process: subprocess.Popen[Any]) -> int:
    """Wait until a process has ended, and take a Ctrl-C meanwhile; its exit code.

    Polars has the system restart a wait that a signal interrupts, so Python would not see the Ctrl-C before its end.
    """
    while process.poll() is None:
        time.sleep(LOOK)
    return process.returncode


def port_fault(number: int) -> OSError | None:
    """Why a port of this machine cannot be listened on; None where it can."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", number))
        except OSError as error:
            return error
    return None


def machine() -> dict[str, Any]:
    """The processor, what it multiplies with, cores and memory."""
    model = platform.processor()
    if PROCESSOR.exists():
        lines = PROCESSOR.read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "instructions": instructions(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": platform.system(),
    }


def instructions(information: Path = PROCESSOR) -> list[str]:
    """The instructions on which the speed of multiplying depends, as far as the system tells."""
    try:
        text = information.read_text(encoding="utf-8").lower()
    except OSError:
        return []
    lines = [line for line in text.splitlines() if line.startswith(("flags", "features"))]
    flags = set(lines[0].partition(":")[2].split()) if lines else set()
    known = {
        "AVX": "avx", "AVX2": "avx2", "AVX512": "avx512f", "AVX512-BF16": "avx512_bf16", "AMX-BF16": "amx_bf16",
        "NEON": "asimd", "SVE": "sve", "BF16": "bf16",
    }  # fmt: skip
    return [name for name, flag in known.items() if flag in flags]


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The versions of Python and of those packages."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}


def keep_few_products() -> None:
    """Have oneDNN keep few prepared products of matrices; to be said before torch is imported.

    In bfloat16 it keeps one for each shape of a batch, 1,024 of them in each of two caches, so that a run in which each
    batch has its own shape grows by gigabytes. With 32 it is flat and no slower (docs/lab-notes.md).
    """
    for name in PRODUCTS:
        os.environ.setdefault(name, "32")


def is_first_process() -> bool:
    """Whether this process is alone, or the first of those that accelerate started: it writes and speaks for all."""
    return int(os.environ.get("RANK", "0")) == 0


def device_for(asked: str, option: str = "--device ") -> str:
    """The device to run on, or an error where there is none such; `option` is how the user names it."""
    import torch

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            f"{option}{asked} was asked for, but torch {torch.__version__} sees no GPU here. Use {option}cpu"
        )
    return asked
