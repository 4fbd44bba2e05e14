"""The product's own commands one after the other, each kept and timed, and what their reports hold."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from record import anew, begun, kept_by, of_now

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from llmrec.chain import stages  # noqa: E402

LLMREC = [sys.executable, *stages.LLMREC]
SFT = [sys.executable, *stages.SFT]
MODEL, LIGHT, SERVED = "model", "light reader", "served"
FUSED, FUSED_LIGHT = f"fusion with {MODEL}", f"fusion with {LIGHT}"


MADE: dict[Path, Path] = {}
"""The folders of the stages so far, and the file of each that says by what code it was made."""


def stage(
    name: str,
    marker: Path,
    command: list[str],
    minutes: dict[str, float],
    until: str | None = None,
    folder: Path | None = None,
) -> None:
    """Run one command of the product, unless what it makes is there; end the program after the last one asked for.

    What it makes is the folder of `marker`, or `folder`.
    """
    kept = marker.parent.parent / f"{name}.minutes"
    made_by = kept.with_suffix(".code")
    if not keeps(name, marker, made_by, command, folder):
        print(f"{name}: {' '.join(command[1:])}", file=sys.stderr)
        began = time.perf_counter()
        run(command, cwd=ROOT)
        kept.write_text(str((time.perf_counter() - began) / 60))
    minutes[f"{name}_minutes"] = round(float(kept.read_text()), 2) if kept.exists() else 0.0
    if name == until:
        print(f"{name}: {minutes[f'{name}_minutes']} minutes")
        sys.exit(0)


def run(command: Sequence[str], *, cwd: Path | None = None) -> None:
    """Run a command of the product; where it fails, which it says itself, end the program as it ended."""
    done = subprocess.run(command, check=False, cwd=cwd)
    if done.returncode:
        sys.exit(done.returncode)


def keeps(name: str, marker: Path, made_by: Path, command: Sequence[str], folder: Path | None = None) -> bool:
    """Whether a stage is there and stays; beside one that is to be made it is noted by what code.

    With --anew one of other code, or older than what it reads, is removed.
    """
    folder = folder or marker.parent
    reads = [MADE[made] for made in MADE if any(made in (path, *path.parents) for path in _paths(command))]
    MADE[folder] = made_by
    if anew() and folder.exists() and not (of_now(made_by) and not any(_newer(one, made_by) for one in reads)):
        shutil.rmtree(folder)
    if marker.exists():
        kept_by(made_by, name)
        return True
    made_by.parent.mkdir(parents=True, exist_ok=True)
    made_by.write_text(json.dumps(begun()))
    return False


def _paths(command: Sequence[str]) -> list[Path]:
    """What the words of a command may name, settings such as index=DIR too."""
    return [Path(word.rpartition("=")[2]) for word in command]


def _newer(one: Path, other: Path) -> bool:
    return one.exists() and one.stat().st_mtime_ns > other.stat().st_mtime_ns


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
    made = stages.starter(work, shop=shop, drawn=drawn, tower=tower, index=index, seed=seed)
    for one in made[1:] if shop else made:  # a dataset that is given is nobody's stage
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


def looks(report: Path) -> dict[str, dict[str, Any]]:
    """NDCG@10 of the model minus that with other pictures, by what these are."""
    rows = json.loads((report / "report.json").read_text())["looks"]["rows"]
    own = [row for row in rows if row["kind"] == "pictures" and row["measure"] == "ndcg@10"]
    return {row["change"].replace(" ", "_"): row for row in own}


def data_of(report: Path, name: str | None = None) -> dict[str, str]:
    """The fingerprint of the dataset that a report is about, by its own name or another."""
    told = json.loads((report / "report.json").read_text())["dataset"]
    return {name or told["name"]: told["fingerprint"]}


def as_figures(found: dict[str, dict[str, float]], prefix: str = "") -> dict[str, float]:
    """The same by one name each."""
    return {
        f"{prefix}{system.replace(' ', '_').replace(',', '')}_{name}": value
        for system, each in found.items()
        for name, value in each.items()
    }
