"""Whether a model really learns: the drawn shop, from its pictures to a model that ranks, by our own commands.

Pretrains a tower, makes the index, assembles the starter, tunes it and measures it beside the retrievers, alone, fused
with them, and shown other pictures than it should see. Every stage is kept in --work and is not made again.

examples:
  python benchmarks/learning.py --quick
  python benchmarks/learning.py --work work/learning --json benchmarks/results/learning.json
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
from record import arguments, record

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
PACKAGES = ("torch", "transformers", "peft", "trl", "lancedb", "numpy")
MODEL, FUSED, LIGHT = "model", "fusion with model", "light reader"


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


def main() -> None:
    from llmrec.significance import compare

    parser = arguments(__doc__ or "")
    parser.add_argument("--work", type=Path, default=Path("work/learning"), metavar="DIR", help="where stages are kept")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a tuning setting")
    parser.add_argument("--until", metavar="STAGE", help="stop after this stage: pretrain, tune, …")
    asked = parser.parse_args()
    work = asked.work / ("tiny" if asked.quick else "small")
    work = work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    run = [sys.executable, "-m", "llmrec"]
    minutes: dict[str, float] = {}
    size = "tiny" if asked.quick else "small"
    shop = [sys.executable, "data_builders/atelier.py", "--size", size, "--out", str(work / "atelier")]
    stage("shop", work / "atelier" / "dataset.json", shop, minutes, asked.until)
    quick = ["epochs=2"] if asked.quick else []
    tower = [*run, "pretrain", str(work / "atelier"), "--out", str(work / "tower"), "--recipe", "train/tower.yaml"]
    stage("pretrain", work / "tower" / "manifest.json", [*tower, *quick, f"seed={asked.seed}"], minutes, asked.until)
    index = [*run, "index", str(work / "atelier"), "--out", str(work / "index"), f"picture_encoder={work / 'tower'}"]
    stage("index", work / "index" / "index.json", [*index, f"seed={asked.seed}"], minutes, asked.until)
    model = [*run, "assemble", "--tower", str(work / "tower"), "--language", "starter", "--out", str(work / "starter")]
    stage("assemble", work / "starter" / "config.json", model, minutes, asked.until)
    tuned = [sys.executable, "-m", "llmrec.sft", "train/starter.yaml", f"model={work / 'starter'}"]
    tuned += [f"index={work / 'index'}", f"out={work / 'run'}", f"seed={asked.seed}", *asked.set]
    tuned += ["walks.passes=0.5", "talks.count=4"] if asked.quick else []
    stage("tune", work / "run" / "manifest.json", tuned, minutes, asked.until)
    report = [*run, "evaluate", str(work / "index"), "--model", str(work / "run"), "--controls"]
    stage("evaluate", work / "report" / "report.json", [*report, "--out", str(work / "report")], minutes, asked.until)

    each = gains(work / "report")
    told = json.loads((work / "report" / "report.json").read_text())["systems"]
    figures: dict[str, float] = dict(minutes)
    for system in told:
        name = system["name"].replace(" ", "_").replace(",", "")
        figures |= {
            f"{name}_{measure}": round(system["measures"][measure]["mean"], 4) for measure in ("hr@10", "ndcg@10")
        }
    oracle = json.loads((work / "atelier" / "dataset.json").read_text())["notes"]["oracle"]["variants"]
    whole, blind = oracle["all"]["ndcg@10"], oracle["blind"]["ndcg@10"]
    mean = {name: float(values.mean()) for name, values in each.items()}
    retrievers = [name for name in each if MODEL not in name and LIGHT not in name]
    retriever = max(retrievers, key=lambda name: mean[name])
    for name, one, other in (("model", MODEL, LIGHT), ("fused", FUSED, f"fusion with {LIGHT}")):
        gap = compare(each[one], each[other], seed=asked.seed)
        figures[f"{name}_minus_light"], figures[f"{name}_light_p"] = gap.mean, gap.p
    figures["share_of_oracle"] = mean[MODEL] / whole
    figures["fused_minus_retriever"] = mean[FUSED] - mean[retriever]
    figures["fused_p"] = compare(each[FUSED], each[retriever], seed=asked.seed).p
    for pictures in ("shuffled", "blank", "none"):
        other = f"model, pictures {pictures}"
        gap = compare(each[MODEL], each[other], seed=asked.seed)
        figures[f"right_minus_{pictures}"], figures[f"right_{pictures}_p"] = gap.mean, gap.p
        figures[f"right_{pictures}_share_of_sight"] = gap.mean / (whole - blind)
    print(f"\nretriever: {retriever}")
    for name, value in figures.items():
        print(f"  {name:40}{value:>10.4f}")
    reach = {
        "share_of_oracle": (">=", 0.8),
        "fused_minus_retriever": (">=", 0.0),
        "fused_p": ("<=", 0.01),
        "right_shuffled_p": ("<=", 0.01),
        "right_blank_p": ("<=", 0.01),
        "right_none_p": ("<=", 0.01),
        "right_none_share_of_sight": (">=", 0.5),
        "pretrain_minutes": ("<=", 10.0),
        "tune_minutes": ("<=", 15.0),
    }
    if not record("learning", figures, reach, seed=asked.seed, packages=PACKAGES, file=asked.json):
        sys.exit(1)


if __name__ == "__main__":
    main()
