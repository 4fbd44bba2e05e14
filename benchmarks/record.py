"""What every benchmark writes: its figures and targets, and the machine, versions, seed and command behind them."""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OPERATORS = {">=": lambda seen, wanted: seen >= wanted, "<=": lambda seen, wanted: seen <= wanted}


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small run of under a minute, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures with machine and versions")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def record(
    name: str,
    figures: Mapping[str, float],
    reach: Mapping[str, tuple[str, float]],
    *,
    seed: int,
    packages: Sequence[str],
    file: Path | None,
) -> bool:
    """Print what was reached, write the JSON if asked, and say whether all targets were met."""
    met = True
    for figure, (operator, wanted) in reach.items():
        good = figure in figures and OPERATORS[operator](figures[figure], wanted)
        met &= good
        print(
            f"{'met   ' if good else 'MISSED'} {figure} {operator} {wanted:g} "
            f"(seen {figures.get(figure, float('nan')):.4g})"
        )
    if file:
        content = {
            "benchmark": name,
            "command": " ".join(["python", *sys.argv]),
            "commit": _commit(),
            "machine": machine(),
            "versions": {
                "python": platform.python_version(),
                **{one: importlib.metadata.version(one) for one in packages},
            },
            "seed": seed,
            "figures": dict(figures),
            "reach": {figure: list(target) for figure, target in reach.items()},
            "met": met,
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(f"written: {file}")
    return met


def machine() -> dict[str, Any]:
    """The processor, cores and memory that a figure was measured on."""
    model = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"processor": model, "cores": os.cpu_count(), "memory_gib": round(memory, 1), "system": platform.system()}


def _commit() -> str:
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
