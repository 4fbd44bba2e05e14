"""Looks at the machine itself: Python, processor, memory, disk and GPUs."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmrec.doctor.findings import Finding
from llmrec.environment import instructions, machine

AREA = "Machine"
OLDEST_PYTHON = (3, 11)  # as pyproject.toml says
CGROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
DRIVER = Path("/proc/driver/nvidia")
OLDEST_DRIVER: Mapping[int, int] = {11: 450, 12: 525, 13: 580}
"""The oldest NVIDIA driver that runs a release of CUDA, as NVIDIA's notes on compatibility say."""
LEAST_MEMORY, LEAST_DISK, WANTED_DISK = 3.0, 1.0, 5.0  # GiB: tuning the starter; what a tuned starter needs in all
GIB = 2**30


def python() -> Iterator[Finding]:
    """The interpreter."""
    seen = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info < OLDEST_PYTHON:
        yield Finding(AREA, "Python", "fault", seen, "Install Python 3.11 or newer: PYTHON=/path/to/python make setup")
    elif sys.prefix == sys.base_prefix and not os.environ.get("CONDA_PREFIX") and not Path("/.dockerenv").exists():
        yield Finding(AREA, "Python", "note", f"{seen}, no environment of its own", "make setup makes one in .venv")
    else:
        yield Finding(AREA, "Python", "ok", seen)


def processor(speed: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Cores that this process may use, and how fast they compute, where the probe of torch measured it."""
    cores, of = usable_cores()
    allowed = f"{cores:g} of {of} cores" if cores < of else f"{of} core{'s' if of > 1 else ''}"
    seen = f"{machine()['processor'] or platform.machine()}, {allowed}"
    special = instructions()
    if special:
        seen += f", {' '.join(special)}"
    if speed:
        seen += f"; {speed['float32']:,.1f} GFLOP/s in float32, {speed['bfloat16']:,.1f} in bfloat16"
    if platform.machine().lower() in ("x86_64", "amd64") and special and "AVX2" not in special:
        yield Finding(
            AREA, "processor", "warning", f"{seen}, no AVX2",
            "The wheels of polars and vLLM need AVX2. Polars has one that does not: pip install 'polars[rtcompat]'",
        )  # fmt: skip
    elif cores < 2:
        yield Finding(AREA, "processor", "warning", seen, "It works, at half the speed of two cores")
    else:
        yield Finding(AREA, "processor", "ok", seen)
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if speed and busy > 0.75 * cores:
        yield Finding(
            AREA, "load", "note", f"{busy:.1f} programs compute now: the speed is too low, the times below too long",
            "Look again when the machine is quiet",
        )  # fmt: skip
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and int(threads) < int(cores):
        yield Finding(
            AREA, "threads", "note", f"OMP_NUM_THREADS={threads} holds torch to {threads} of {cores:g} cores",
            "Unset it where nothing else needs the cores",
        )  # fmt: skip


def memory() -> Iterator[Finding]:
    """What is there, what is free, and what a container may take."""
    free, total, limit = usable_memory()
    seen = f"{free:.1f} of {total:.1f} GiB free"
    if limit is not None and limit < total:
        seen += f", within a limit of {limit:.1f} GiB on this process"
    if free < LEAST_MEMORY:
        yield Finding(
            AREA, "memory", "warning", seen,
            f"Tuning the starter takes some {LEAST_MEMORY:.0f} GiB. End other programs, or raise the container's limit",
        )  # fmt: skip
    else:
        yield Finding(AREA, "memory", "ok", seen)


def disk(work: Path) -> Iterator[Finding]:
    """Room where results go, found out by writing there."""
    folder = work.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GIB
    seen = f"{free:,.1f} GiB free for {work}"
    if not folder.is_dir():
        yield Finding(AREA, "disk", "fault", f"{folder} is a file", "Give another folder: llmrec doctor --work FOLDER")
        return
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**20))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        yield Finding(
            AREA, "disk", "fault", f"{seen}, but nothing can be written in {folder} ({reason})",
            "Make room there or make it writable, or give another folder: llmrec doctor --work FOLDER",
        )  # fmt: skip
        return
    if free < LEAST_DISK:
        yield Finding(AREA, "disk", "fault", seen, f"A tuned starter takes {LEAST_DISK:.0f} GiB. Make room")
    elif free < WANTED_DISK:
        yield Finding(AREA, "disk", "warning", seen, "Enough for the drawn shop, not for models of the Hub")
    else:
        yield Finding(AREA, "disk", "ok", seen)


def gpus(torch: Mapping[str, Any] | None, driver: Path = DRIVER) -> Iterator[Finding]:
    """The GPUs that torch sees; where the system has one that torch does not see, why."""
    there, version = driver_of(driver)
    if torch is None:
        if there:
            yield Finding(AREA, "GPU", "note", f"an NVIDIA GPU, driver {version}", "Run without --quick to see more")
        return
    for device in torch["devices"]:
        seen = (
            f"{device['name']}, {device['free']:.1f} of {device['total']:.1f} GiB free, compute capability "
            f"{device['capability']}, {'bfloat16' if device['bfloat16'] else 'no bfloat16'}"
        )
        if device["bfloat16"]:
            yield Finding(AREA, "GPU", "ok", seen)
        else:
            yield Finding(AREA, "GPU", "warning", seen, "The recipes compute in bfloat16. Add dtype=float16 to them")
    if torch["devices"]:
        return
    if not there:
        yield Finding(AREA, "GPU", "ok", "none; everything runs on the processor")
        return
    built, seen = torch["cuda"], f"an NVIDIA GPU, driver {version}, which torch {torch['version']} does not see"
    if built is None:
        yield Finding(
            AREA, "GPU", "warning", f"{seen}: this build of torch is for processors alone",
            "Without TORCH_INDEX_URL: rm -rf .venv && make setup",
        )  # fmt: skip
        return
    oldest = OLDEST_DRIVER.get(int(built.split(".")[0]), 0)
    if version and int(version.split(".")[0]) < oldest:
        yield Finding(
            AREA, "GPU", "warning", f"{seen}: it is built for CUDA {built}, which needs driver {oldest} or newer",
            f"Install an NVIDIA driver from {oldest} on, or a torch that is built for an older CUDA",
        )  # fmt: skip
    else:
        why = torch.get("cuda_error") or "is the device passed into this container? Is CUDA_VISIBLE_DEVICES empty?"
        yield Finding(AREA, "GPU", "warning", f"{seen} ({why})", "See what nvidia-smi says")


def driver_of(folder: Path) -> tuple[bool, str]:
    """Whether there is an NVIDIA GPU by its driver's own account, and which driver."""
    try:
        words = (folder / "version").read_text(encoding="utf-8").split()
    except OSError:
        return False, ""
    return True, next((word for word in words if word[:1].isdigit() and "." in word), "")


def usable_cores(groups: Path = CGROUPS, own: Path = OWN_GROUPS) -> tuple[float, int]:
    """The cores that this process may use, by its affinity and the limits of its container, and those there are."""
    there = os.cpu_count() or 1
    allowed: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    for folder in _folders(groups, own, "cpu"):
        quota, period = _words(folder / "cpu.max") or ("max", "1")  # version 2
        if quota == "max":
            found = (_words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us"))  # version 1
            quota, period = (found[0][0], found[1][0]) if found[0] and found[1] else ("-1", "1")
        if int(quota) > 0:
            allowed = min(allowed, int(quota) / int(period))
    return round(allowed, 2), there


def usable_memory(
    groups: Path = CGROUPS, own: Path = OWN_GROUPS, information: Path = Path("/proc/meminfo")
) -> tuple[float, float, float | None]:
    """GiB that this process can still take, that the machine has, and that its container may take in all."""
    total = machine()["memory_gib"]
    free, limit = total, None
    try:
        lines = information.read_text(encoding="utf-8").splitlines()
        told = {line.split(":")[0]: int(line.split()[1]) / 2**20 for line in lines if line.endswith("kB")}
        total, free = told["MemTotal"], told["MemAvailable"]
    except (OSError, KeyError):
        pass  # another system: what is free is not known
    for folder in _folders(groups, own, "memory"):
        for most, used, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            found, taken = _words(folder / most), _words(folder / used)
            if not found or not taken or found[0] == "max" or int(found[0]) / GIB >= total:
                continue
            pairs = [line.split() for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines()]
            reclaimed = next((int(pair[1]) for pair in pairs if pair[0] == cache), 0)
            here = int(found[0]) / GIB
            limit = here if limit is None else min(limit, here)
            free = min(free, here - max(0, int(taken[0]) - reclaimed) / GIB)
    return free, total, limit


def _folders(groups: Path, own: Path, controller: str) -> Iterator[Path]:
    """The control groups that a process is in, from its own up to the root, whichever version it is."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        root = groups if not names else groups / controller
        inner = root / path.lstrip("/")
        # In a container the path may be that of the host: then its own group is the root that it sees.
        for folder in (inner, *inner.parents):
            if folder.is_dir():
                yield folder
            if folder == root:
                break


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except OSError:
        return []
