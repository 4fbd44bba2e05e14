"""What the starter learns from real posters: MovieLens-small, by the way of docs/bring-your-own-data.md.

Guesses a mapping from the two tables, builds the dataset, and lets `llmrec demo` make everything from it; then all its
people are ranked for, every film ranked and ties against the ranker, with other pictures than the model should see.
--data is a folder with ratings.csv, items.csv (with a column of paths to posters) and the posters.

examples:
  python benchmarks/films.py --data DIR --quick
  python benchmarks/films.py --data DIR --until dataset
  python benchmarks/films.py --data DIR --work work/films --json benchmarks/results/films.json
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
    as_figures,
    best_retriever,
    data_of,
    gains,
    looks,
    measures,
    stage,
)
from record import arguments, record

PACKAGES = ("torch", "transformers", "trl", "lancedb", "numpy")
BUILDER = "data_builders/tabular.py"


def main() -> None:
    from llmrec.significance import compare

    parser = arguments(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of tables and posters")
    parser.add_argument("--work", type=Path, default=Path("work/films"), metavar="DIR", help="where stages are kept")
    parser.add_argument("--until", metavar="STAGE", help="stop after this stage: guess, dataset, demo")
    asked = parser.parse_args()
    work = (asked.work / "quick" if asked.quick else asked.work).absolute()
    work.mkdir(parents=True, exist_ok=True)
    figures: dict[str, float] = {}
    films, demo, mapping = work / "films", work / "demo", work / "mapping" / "mapping.yaml"
    tables = [str(asked.data.absolute() / name) for name in ("items.csv", "ratings.csv")]
    mapping.parent.mkdir(exist_ok=True)
    stage("guess", mapping, [sys.executable, BUILDER, "--init", *tables, "--to", str(mapping)], figures, asked.until)
    build = [sys.executable, BUILDER, str(mapping), "--core", "5", "--out", str(films)]
    stage("dataset", films / "dataset.json", build, figures, asked.until)
    made = [*LLMREC, "demo", str(films), "--work", str(demo), "--no-serve", "--seed", str(asked.seed)]
    made += ["--quick"] if asked.quick else []
    stage("demo", demo / "report" / "report.json", made, figures, asked.until, folder=demo)
    whole = [*LLMREC, "evaluate", str(demo / "index"), "--model", str(demo / "run"), "--controls"]
    whole += ["--limit", "60"] if asked.quick else []
    stage("evaluate", work / "report" / "report.json", [*whole, "--out", str(work / "report")], figures)

    counts = json.loads((films / "dataset.json").read_text())["counts"]
    figures |= {name: counts[name] for name in ("items", "pictures", "users", "interactions")}
    taken = json.loads((demo / "demo.json").read_text())["stages"]
    figures |= {f"{name}_minutes": round(told["minutes"], 2) for name, told in taken.items() if name != "evaluate"}
    figures["demo_minutes"] = round(sum(told["minutes"] for told in taken.values()), 2)  # of all attempts together
    figures |= as_figures(measures(work / "report"))
    each = gains(work / "report")
    retriever = best_retriever(each)
    pairs = {"fused_minus_retriever": (FUSED, retriever), "model_minus_light": (MODEL, LIGHT)}
    pairs |= {"fused_minus_fused_light": (FUSED, FUSED_LIGHT), "model_minus_retriever": (MODEL, retriever)}
    for name, (one, other) in pairs.items():
        gap = compare(each[one], each[other], seed=asked.seed)
        figures |= {name: gap.mean, f"{name}_p": gap.p}
    for kind, row in looks(work / "report").items():
        figures |= {f"right_minus_{kind}": row["mean"], f"right_minus_{kind}_p": row["corrected"]}
    print(f"\nretriever: {retriever}")
    for name, value in figures.items():
        print(f"  {name:40}{value:>12,.4f}")
    reach = {
        "fused_minus_retriever": (">=", 0.0),
        "fused_minus_retriever_p": ("<=", 0.01),
        "right_minus_shuffled_p": ("<=", 0.01),
        "right_minus_none_p": ("<=", 0.01),
    }
    data = data_of(work / "report")
    if not record("films", figures, reach, seed=asked.seed, packages=PACKAGES, file=asked.json, data=data):
        sys.exit(1)


if __name__ == "__main__":
    main()
