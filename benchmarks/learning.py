"""Whether a model really learns: the drawn shop, from its pictures to a model that ranks, by our own commands.

Pretrains a tower, makes the index, assembles the starter, tunes it and measures it beside the retrievers, alone, fused
with them, and shown other pictures than it should see. Every stage is kept in --work and is not made again.

examples:
  python benchmarks/learning.py --quick
  python benchmarks/learning.py --work work/learning --json benchmarks/results/learning.json
"""

import json
import sys
from pathlib import Path

from chain import (
    FUSED,
    FUSED_LIGHT,
    LIGHT,
    LLMREC,
    MODEL,
    SFT,
    as_figures,
    best_retriever,
    data_of,
    gains,
    looks,
    measures,
    stage,
    starter,
)
from record import arguments, record

PACKAGES = ("torch", "transformers", "peft", "trl", "lancedb", "numpy")


def main() -> None:
    from llmrec.significance import compare

    parser = arguments(__doc__ or "")
    parser.add_argument("--work", type=Path, default=Path("work/learning"), metavar="DIR", help="where stages are kept")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a tuning setting")
    parser.add_argument("--limit", type=int, metavar="N", help="measure on so many people of the test part")
    parser.add_argument("--until", metavar="STAGE", help="stop after this stage: pretrain, tune, …")
    asked = parser.parse_args()
    work = asked.work / ("tiny" if asked.quick else "small")
    work = work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    minutes: dict[str, float] = {}
    size = "tiny" if asked.quick else "small"
    quick = ["epochs=2"] if asked.quick else []
    starter(work, minutes, size=size, seed=asked.seed, tower=quick, until=asked.until)
    tuned = [*SFT, "train/starter.yaml", f"model={work / 'starter'}"]
    tuned += [f"index={work / 'index'}", f"out={work / 'run'}", f"seed={asked.seed}", *asked.set]
    tuned += ["walks.passes=0.5", "talks.count=4"] if asked.quick else []
    stage("tune", work / "run" / "manifest.json", tuned, minutes, asked.until)
    report = [*LLMREC, "evaluate", str(work / "index"), "--model", str(work / "run"), "--controls"]
    report += ["--limit", str(asked.limit)] if asked.limit else []
    stage("evaluate", work / "report" / "report.json", [*report, "--out", str(work / "report")], minutes, asked.until)

    each = gains(work / "report")
    figures: dict[str, float] = {**minutes, **as_figures(measures(work / "report"))}
    oracle = json.loads((work / "atelier" / "dataset.json").read_text())["notes"]["oracle"]["variants"]
    whole, blind = oracle["all"]["ndcg@10"], oracle["blind"]["ndcg@10"]
    mean = {name: float(values.mean()) for name, values in each.items()}
    retriever = best_retriever(each)
    for name, one, other in (("model", MODEL, LIGHT), ("fused", FUSED, FUSED_LIGHT)):
        gap = compare(each[one], each[other], seed=asked.seed)
        figures[f"{name}_minus_light"], figures[f"{name}_light_p"] = gap.mean, gap.p
    figures["share_of_oracle"] = mean[MODEL] / whole
    figures["fused_minus_retriever"] = mean[FUSED] - mean[retriever]
    figures["fused_p"] = compare(each[FUSED], each[retriever], seed=asked.seed).p
    for kind, row in looks(work / "report").items():
        figures[f"right_minus_{kind}"], figures[f"right_{kind}_p"] = row["mean"], row["corrected"]
        figures[f"right_{kind}_share_of_sight"] = row["mean"] / (whole - blind)
    print(f"\nretriever: {retriever}")
    for name, value in figures.items():
        print(f"  {name:40}{value:>10.4f}")
    reach = {
        "share_of_oracle": (">=", 0.8),
        "fused_minus_retriever": (">=", 0.0),
        "fused_p": ("<=", 0.01),
        "right_shuffled_p": ("<=", 0.01),
        "right_shuffled_within_category_p": ("<=", 0.01),
        "right_blank_p": ("<=", 0.01),
        "right_none_p": ("<=", 0.01),
        "right_none_share_of_sight": (">=", 0.5),
        "pretrain_minutes": ("<=", 10.0),
        "tune_minutes": ("<=", 15.0),
    }
    data = data_of(work / "report")
    if not record("learning", figures, reach, seed=asked.seed, packages=PACKAGES, file=asked.json, data=data):
        sys.exit(1)


if __name__ == "__main__":
    main()
