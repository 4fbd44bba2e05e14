"""What a tuned run says and what it ranks by: `llmrec evaluate` with speech, pictures, parts of words and letters.

By default the run that benchmarks/learning.py leaves. Speech is held against what people wrote and did and against the
catalogue; the ranking is asked with other pictures, with each part of item words left out and alone, and by letters.
Letters are slow (a prompt or two a second on a core), so --limit people are ranked. The report with its page lies in
--out.

examples:
  python benchmarks/speaking.py --quick
  python benchmarks/speaking.py --json benchmarks/results/speaking.json
"""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from chain import LLMREC, MODEL, ROOT, as_figures, data_of, gains
from heard import evidence_of, figures_of, heard, unmeasured
from record import arguments, record

PACKAGES = ("torch", "transformers", "peft", "trl", "numpy")
MEASURE = "ndcg@10"
FEW, ASKED = 12, 20
"""Rows that are asked and people that are ranked, to see that it works."""


def ranked(report: Path, seed: int) -> dict[str, float]:
    """NDCG@10 of every system, and for each way of asking the model what it loses against the plain one, paired."""
    from llmrec.significance import compare

    told: list[dict[str, Any]] = json.loads((report / "report.json").read_text(encoding="utf-8"))["systems"]
    means = {}
    for one in told:
        measure = one["measures"][MEASURE]
        means[one["name"]] = {MEASURE: measure["mean"], f"{MEASURE}_low": measure["low"]}
        means[one["name"]][f"{MEASURE}_high"] = measure["high"]
    found = as_figures(means)
    each = gains(report)
    gaps = {}
    for name in (name for name in each if name.startswith(f"{MODEL},")):
        gap = compare(each[MODEL], each[name], seed=seed)
        gaps[name] = {"loss": gap.mean, "loss_low": gap.low, "loss_high": gap.high, "loss_p": gap.p}
    return found | as_figures(gaps)


def lettered(report: Path) -> dict[str, float]:
    """What letters change against the retriever that they put in order, and how much the order of candidates does."""
    found: dict[str, float] = {}
    for one in json.loads((report / "report.json").read_text(encoding="utf-8"))["labels"]:
        found |= {
            f"letters_gap{'' if end == 'mean' else '_' + end}": value for end, value in one["gaps"][MEASURE].items()
        }
        found |= {f"letters_{name}": value for name, value in one["order"].items()}
    return found


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("run", type=Path, nargs="?", default=Path("work/learning/small/run"), help="a tuned run")
    parser.add_argument("--index", type=Path, help="its index; the folder beside it without")
    parser.add_argument("--cases", type=int, default=300, metavar="N", help="rows of each task that are asked")
    parser.add_argument("--limit", type=int, default=500, metavar="N", help="people who are ranked")
    parser.add_argument(
        "--labels", type=int, default=10, metavar="N", help="candidates by letters that fit its prompts"
    )
    parser.add_argument("--out", type=Path, default=Path("work/speaking"), metavar="DIR", help="where the report goes")
    asked = parser.parse_args()
    index = asked.index or asked.run.parent / "index"
    for folder, file in ((asked.run, "manifest.json"), (index, "index.json")):
        if not (folder / file).is_file():
            parser.error(f"{folder} has no {file}. Make it first: python benchmarks/learning.py, or name another")
    out = (asked.out / "quick" if asked.quick else asked.out).absolute()
    cases, limit = (FEW, ASKED) if asked.quick else (asked.cases, asked.limit)
    command = [*LLMREC, "evaluate", str(index.absolute()), "--model", str(asked.run.absolute())]
    command += ["--speech", str(cases), "--controls", "--ablate", "--labels", str(asked.labels)]
    began = time.perf_counter()
    subprocess.run(
        [*command, "--limit", str(limit), "--seed", str(asked.seed), "--out", str(out), "--overwrite"],
        check=True,
        cwd=ROOT,
    )
    figures = {
        "evaluate_minutes": round((time.perf_counter() - began) / 60, 2),
        "people": float(limit),
        "labels": float(asked.labels),
    }
    told = heard(out)
    for task in told["tasks"]:
        figures |= figures_of(task, f"{task['task']}_")
    figures |= evidence_of(told, "why_") | ranked(out, asked.seed) | lettered(out)
    for name, value in figures.items():
        print(f"  {name:90}{value:>12,.4f}")
    without = unmeasured(told)
    for name, why in without.items():
        print(f"not measured: {name}: {why}")
    more = {"unmeasured": without}
    record("speaking", figures, {}, seed=asked.seed, packages=PACKAGES, file=asked.json, data=data_of(out), more=more)


if __name__ == "__main__":
    main()
