"""The product's own commands one after the other, each kept and timed, and what their reports hold."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).parent.parent
LLMREC = [sys.executable, "-m", "llmrec"]
SFT = [sys.executable, "-m", "llmrec.sft"]


def stage(name: str, marker: Path, command: list[str], minutes: dict[str, float], until: str | None = None) -> None:
    """Run one command of the product, unless what it makes is there; end the program after the last one asked for."""
    kept = marker.parent.parent / f"{name}.minutes"
    if not marker.exists():
        print(f"{name}: {' '.join(command[1:])}", file=sys.stderr)
        began = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT)
        kept.write_text(str((time.perf_counter() - began) / 60))
    minutes[f"{name}_minutes"] = round(float(kept.read_text()), 2) if kept.exists() else 0.0
    if name == until:
        print(f"{name}: {minutes[f'{name}_minutes']} minutes")
        sys.exit(0)


def gains(report: Path) -> dict[str, np.ndarray]:
    """NDCG@10 of every person asked, by system."""
    people = pl.read_parquet(report / "people.parquet")
    found = {}
    for (system,), rows in people.group_by("system", maintain_order=True):
        ranks = rows["rank"].to_numpy()
        found[str(system)] = np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0)
    return found


def measures(report: Path) -> dict[str, dict[str, float]]:
    """HR@10 and NDCG@10 of every system, to four digits, as published ones are."""
    told: list[dict[str, Any]] = json.loads((report / "report.json").read_text())["systems"]
    shown = ("hr@10", "ndcg@10")
    return {one["name"]: {name: round(one["measures"][name]["mean"], 4) for name in shown} for one in told}


def as_figures(found: dict[str, dict[str, float]], prefix: str = "") -> dict[str, float]:
    """The same by one name each."""
    return {
        f"{prefix}{system.replace(' ', '_').replace(',', '')}_{name}": value
        for system, each in found.items()
        for name, value in each.items()
    }
