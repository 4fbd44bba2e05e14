"""Explanations of books on XRec's data: what the starter says after reading others' explanations, beside plain answers.

Of XRec's lines those of its test part are at hand, 3,000 of each domain, so what is learnt and what is asked are both
taken from these: each person's last line is asked, all before are learnt. XRec itself learnt from its own training part
and was told a summary of each person; its figures are no row here. Metrics that need a large judge (BERTScore,
GPTScore) are left out.

examples:
  python benchmarks/explaining_xrec.py --data DIR --quick
  python benchmarks/explaining_xrec.py --data DIR --work work/xrec --json benchmarks/results/xrec.json
"""

import sys
from pathlib import Path

from chain import LLMREC, SFT, data_of, stage
from heard import evidence_of, figures_of, heard, unmeasured
from record import arguments, record

PACKAGES = ("torch", "transformers", "trl", "numpy")
BUILDER = "data_builders/xrec.py"
TUNED = [
    "words.content=[text, popularity]", "words.still=false", "words.warm=4", "walks.passes=1", "watch=0",
    "talks.count=5000", "talks.examples.tasks={explanation: 1}", "talks.examples.candidates=2",
    "talks.examples.whole_reviews=true",
]  # fmt: skip
"""Beside train/starter.yaml: nothing is seen here and hardly anything is ranked, so that speech is what is learnt."""


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of amazon.tst.jsonl")
    parser.add_argument("--domain", default="amazon", help="amazon, google or yelp")
    parser.add_argument("--cases", type=int, default=300, metavar="N", help="how many explanations are asked for")
    parser.add_argument("--work", type=Path, default=Path("work/xrec"), metavar="DIR", help="where stages are kept")
    asked = parser.parse_args()
    work = (asked.work / "quick" if asked.quick else asked.work).absolute() / asked.domain
    work.mkdir(parents=True, exist_ok=True)
    figures: dict[str, float] = {}
    dataset, index, model, run, report = (work / name for name in ("dataset", "index", "starter", "run", "report"))
    build = [sys.executable, BUILDER, str(asked.data.absolute() / f"{asked.domain}.tst.jsonl"), "--out", str(dataset)]
    stage("dataset", dataset / "dataset.json", build, figures)
    fit = [*LLMREC, "index", str(dataset), "--out", str(index), "parts=[neighbours, text]", f"seed={asked.seed}"]
    stage("index", index / "index.json", fit, figures)
    layers = ["--layers", "2"] if asked.quick else []
    stage("assemble", model / "config.json", [*LLMREC, "assemble", *layers, "--out", str(model)], figures)
    tune = [*SFT, "train/starter.yaml", f"model={model}", f"index={index}", f"out={run}", f"seed={asked.seed}", *TUNED]
    tune += ["talks.count=40", "walks.passes=0.1", "words.warm=1", "adapter.layers=1"] if asked.quick else []
    stage("tune", run / "manifest.json", tune, figures)
    count = 12 if asked.quick else asked.cases
    measure = [*LLMREC, "evaluate", str(index), "--model", str(run), "--speech", str(count), "--limit", "50"]
    stage("evaluate", report / "report.json", [*measure, "--out", str(report)], figures)
    told = heard(report)
    explained = next(task for task in told["tasks"] if task["task"] == "explanation")
    figures |= figures_of(explained) | evidence_of(told, "why_")
    for name, value in figures.items():
        print(f"  {name:60}{value:>12,.4f}")
    more = {"unmeasured": unmeasured(told)}
    record(
        "explaining_xrec", figures, {}, seed=asked.seed, packages=PACKAGES, file=asked.json, data=data_of(report),
        more=more,
    )  # fmt: skip


if __name__ == "__main__":
    main()
