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
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chain import LLMREC, ROOT, data_of, run
from heard import evidence_of, figures_of, heard, named, unmeasured, with_ends
from record import arguments, record

PACKAGES = ("torch", "transformers", "peft", "trl", "numpy")
MEASURE = "ndcg@10"
FEW, ASKED = 12, 20
"""Rows that are asked and people that are ranked, to see that it works."""


def ranked(told: Mapping[str, Any]) -> dict[str, float]:
    """NDCG@10 of every system, and what the model loses with other pictures or less in its words: paired, corrected."""
    found: dict[str, float] = {}
    for one in told["systems"]:
        found |= with_ends(f"{named(one['name'])}_{MEASURE}", one["measures"][MEASURE])
    for row in told["looks"]["rows"]:
        if row["measure"] == MEASURE:
            name = f"{named(row['other'])}_loss"
            found |= with_ends(name, row) | {f"{name}_p": row["corrected"]}
    return found


def lettered(told: Mapping[str, Any]) -> dict[str, float]:
    """What letters change against the retriever that they put in order, and how much the order of candidates does."""
    found: dict[str, float] = {}
    for one in told["labels"]:
        found |= with_ends("letters_gap", one["gaps"][MEASURE]) | {"letters_people": float(one["order"]["people"])}
        for name in ("same_first", "correlation"):
            if one["order"][name] is not None:
                found |= with_ends(f"letters_{name}", one["order"][name])
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
    run([*command, "--limit", str(limit), "--seed", str(asked.seed), "--out", str(out), "--overwrite"], cwd=ROOT)
    figures = {
        "evaluate_minutes": round((time.perf_counter() - began) / 60, 2),
        "people": float(limit),
        "labels": float(asked.labels),
    }
    report, told = json.loads((out / "report.json").read_text(encoding="utf-8")), heard(out)
    for task in told["tasks"]:
        figures |= figures_of(task, f"{task['task']}_")
    figures |= evidence_of(told, "why_") | ranked(report) | lettered(report)
    for name, value in figures.items():
        print(f"  {name:90}{value:>12,.4f}")
    without = unmeasured(told)
    for name, why in without.items():
        print(f"not measured: {name}: {why}")
    more = {"unmeasured": without}
    record("speaking", figures, {}, seed=asked.seed, packages=PACKAGES, file=asked.json, data=data_of(out), more=more)


if __name__ == "__main__":
    main()
