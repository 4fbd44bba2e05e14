"""The product's own commands one after the other, each kept and timed, and what their reports hold."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from record import begun, kept_by

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from llmrec.chain import stages  # noqa: E402

LLMREC = [sys.executable, *stages.LLMREC]
SFT = [sys.executable, *stages.SFT]
MODEL, LIGHT, SERVED = "model", "light reader", "served"
FUSED, FUSED_LIGHT = f"fusion with {MODEL}", f"fusion with {LIGHT}"


def stage(name: str, marker: Path, command: list[str], minutes: dict[str, float], until: str | None = None) -> None:
    """Run one command of the product, unless what it makes is there; end the program after the last one asked for."""
    kept = marker.parent.parent / f"{name}.minutes"
    made_by = kept.with_suffix(".code")
    if marker.exists():
        kept_by(made_by, name)
    else:
        print(f"{name}: {' '.join(command[1:])}", file=sys.stderr)
        began = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT)
        kept.write_text(str((time.perf_counter() - began) / 60))
        made_by.write_text(json.dumps(begun()))
    minutes[f"{name}_minutes"] = round(float(kept.read_text()), 2) if kept.exists() else 0.0
    if name == until:
        print(f"{name}: {minutes[f'{name}_minutes']} minutes")
        sys.exit(0)


def starter(
    work: Path,
    minutes: dict[str, float],
    *,
    size: str,
    seed: int,
    shop: Path | None = None,
    tower: Sequence[str] = (),
    index: Sequence[str] = (),
    until: str | None = None,
) -> None:
    """What a starter is tuned on: the drawn shop or another, its tower, its index, and the assembled model."""
    drawn = ("--size", size)
    for one in stages.starter(work, shop=shop, drawn=drawn, tower=tower, index=index, seed=seed):
        stage(one.name, one.made, [sys.executable, *one.command], minutes, until)


def gains(report: Path) -> dict[str, np.ndarray]:
    """NDCG@10 of every person asked, by system."""
    from llmrec import metrics

    people = pl.read_parquet(report / "people.parquet")
    return {
        str(system): metrics.gains(rows["rank"].to_numpy(), cuts=[10]).column("ndcg@10")
        for (system,), rows in people.group_by("system", maintain_order=True)
    }


def best_retriever(each: Mapping[str, np.ndarray]) -> str:
    """The best of the systems in which neither a tuned run nor the reader that taught it has a part."""
    alone = [name for name in each if not any(ours in name for ours in (MODEL, LIGHT, SERVED))]
    return max(alone, key=lambda name: float(each[name].mean()))


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
