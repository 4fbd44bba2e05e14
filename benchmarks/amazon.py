"""Item words on data that others published on: Amazon 2014 Beauty and Toys, 5-core, words and sequences alone.

Builds each set from its sequence files, makes the index, assembles a short starter, tunes it by train/words-only.yaml
and measures it on all people of the test part, alone and fused with the retrievers, every item ranked and ties against
the ranker. Settings were chosen on validation (docs/lab-notes.md). Every stage is kept in --work and not made again.
benchmarks/published.py has the same retrievers beside all published figures; --data is the same folder.

examples:
  python benchmarks/amazon.py --data DIR --quick
  python benchmarks/amazon.py --data DIR --work work/amazon --json benchmarks/results/amazon.json
"""

import sys
from pathlib import Path

from chain import FUSED, LLMREC, SFT, as_figures, best_retriever, data_of, gains, measures, stage
from record import arguments, record

PACKAGES = ("torch", "transformers", "trl", "numpy")
KNN = {"beauty": (0.0773, 0.0485), "toys": (0.0915, 0.0590)}
WANTED = {"beauty": (0.095, 0.055), "toys": (0.105, 0.065)}
MEASURES = ("hr@10", "ndcg@10")


def main() -> None:
    from llmrec.significance import compare

    parser = arguments(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of the sets")
    parser.add_argument("--only", choices=KNN, action="append", help="one set alone")
    parser.add_argument("--work", type=Path, default=Path("work/amazon"), metavar="DIR", help="where stages are kept")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a tuning setting")
    parser.add_argument("--until", metavar="STAGE", help="stop after this stage: dataset, index, assemble, tune")
    asked = parser.parse_args()
    names = asked.only or list(KNN)
    whole = (asked.work / "quick" if asked.quick else asked.work).absolute()
    figures: dict[str, float] = {}
    data: dict[str, str] = {}
    short = whole / "short"
    whole.mkdir(parents=True, exist_ok=True)
    stage("assemble", short / "config.json", [*LLMREC, "assemble", "--layers", "6", "--out", str(short)], figures)
    for name in names:
        work, source = whole / name, asked.data / name
        work.mkdir(exist_ok=True)
        minutes: dict[str, float] = {}
        build = [sys.executable, "data_builders/sequences.py", str(source / "user_sequence_asin.txt")]
        build += ["--titles", str(source / "item_textual_id.txt"), "--out", str(work / "dataset")]
        stage("dataset", work / "dataset" / "dataset.json", build, minutes, asked.until)
        index = [*LLMREC, "index", str(work / "dataset"), "--out", str(work / "index"), f"seed={asked.seed}"]
        index += ["sasrec.epochs=1"] if asked.quick else []
        stage("index", work / "index" / "index.json", index, minutes, asked.until)
        tuned = [*SFT, "train/words-only.yaml", f"model={short}", f"index={work / 'index'}", f"out={work / 'run'}"]
        tuned += [f"seed={asked.seed}", *asked.set]
        tuned += ["walks.passes=0.02", "words.warm=1", "watch=0"] if asked.quick else []
        stage("tune", work / "run" / "manifest.json", tuned, minutes, asked.until)
        report = [*LLMREC, "evaluate", str(work / "index"), "--model", str(work / "run"), "--out", str(work / "report")]
        report += ["--limit", "200"] if asked.quick else []
        stage("evaluate", work / "report" / "report.json", report, minutes, asked.until)
        data |= data_of(work / "report", name)
        each, told = gains(work / "report"), measures(work / "report")
        retriever = best_retriever(each)
        gap = compare(each[FUSED], each[retriever], seed=asked.seed)
        figures |= {f"{name}_{key}": value for key, value in minutes.items()} | as_figures(told, f"{name}_")
        figures |= {f"{name}_fused_minus_retriever": gap.mean, f"{name}_fused_p": gap.p}
        print(f"\n{name}: fusion with the model minus {retriever}: {gap.mean:+.4f}, p {gap.p:.4f}")
        for system, values in told.items():
            print(f"  {system:32}" + "".join(f"{values[measure]:>10.4f}" for measure in MEASURES))
    reach = {}
    for name in names:
        for measure, alone, fused in zip(MEASURES, KNN[name], WANTED[name], strict=True):
            reach[f"{name}_model_{measure}"] = (">=", alone)
            reach[f"{name}_fusion_with_model_{measure}"] = (">=", fused)
    if not record("amazon", figures, reach, seed=asked.seed, packages=PACKAGES, file=asked.json, data=data):
        sys.exit(1)


if __name__ == "__main__":
    main()
