"""Ranks on data that others published on, and stands beside their figures: Amazon 2014 Beauty and Toys, 5-core.

Leave-one-out, every item ranked, ties against the ranker, what a person has left out. Everything is fitted on the
training part and chosen on validation; the test part is looked at once. The sequence files are those of S3-Rec, P5 and
their heirs share; --data is a folder with a folder for each set, holding user_sequence_asin.txt (lines of a person's id
and items) and item_textual_id.txt (lines of an item's id and some words about it). With --ours the tuned models that
benchmarks/amazon.py left in its work folder stand there too, by its reports.

examples:
  python benchmarks/published.py --data DIR --quick
  python benchmarks/published.py --data DIR --ours work/amazon --json benchmarks/results/published.json
"""

import json
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

from papers import RANKED, SHOWN, as_content
from record import arguments, record

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "data_builders")]
PACKAGES = ("torch", "numpy", "scipy", "polars")
SETS = {"beauty": (22_363, 12_101, 198_502), "toys": (19_412, 11_924, 167_597)}

OURS = {"model": "our model alone", "fusion with model": "our model, fused", "served": "our model, as it is served"}

REACH = {
    "beauty_neighbours_hr@10": (">=", 0.0773),
    "beauty_neighbours_ndcg@10": (">=", 0.0485),
    "toys_neighbours_hr@10": (">=", 0.0915),
    "toys_neighbours_ndcg@10": (">=", 0.0590),
    "beauty_fusion_gain_ndcg@10": (">=", 1.0),
    "toys_fusion_gain_ndcg@10": (">=", 1.0),
}


def ours(report: Path, people: int) -> dict[str, dict[str, float]]:
    """The measures of our tuned models in a report, by what they are called here."""
    told = json.loads((report / "report.json").read_text(encoding="utf-8"))
    if (told["people"], told["protocol"]) != (people, "full"):
        sys.exit(
            f"{report} ranks {told['people']} people by the protocol {told['protocol']!r}, and here all are ranked. "
            "Make it anew: benchmarks/amazon.py, without --quick"
        )
    found = {one["name"]: one["measures"] for one in told["systems"]}
    return {label: {m: found[name][m]["mean"] for m in SHOWN} for name, label in OURS.items() if name in found}


def run(name: str, folder: Path, quick: bool, seed: int, tuned_work: Path | None) -> dict[str, float]:
    """Fit and measure everything on one set; prints the table beside the published figures."""
    import sequences

    from llmrec.evaluation.run import cases_of, rank
    from llmrec.retrieval import fusion, neighbours, popularity, sasrec, words
    from llmrec.retrieval.content import Content
    from llmrec.retrieval.retriever import Retriever
    from llmrec.significance import compare, intervals
    from llmrec.splits import leave_one_out

    with tempfile.TemporaryDirectory() as scratch:
        options = Namespace(
            sequences=folder / "user_sequence_asin.txt",
            titles=folder / "item_textual_id.txt",
            attributes=None,
            images=None,
            out=Path(scratch) / "dataset",
            core=0,
            drop_bad_rows=False,
            overwrite=False,
        )
        dataset = sequences.build(options)
        items = dataset.items.select("title").collect()["title"].fill_null("").to_list()
        log = dataset.log
    seen = (len(log.users), len(log.items), len(log))
    if seen != SETS[name]:
        sys.exit(f"{folder} holds {seen} people, items and interactions where {SETS[name]} are expected")
    split = leave_one_out(log)
    began = time.perf_counter()
    vectors = words.fit(items, seed=seed).vectors(items)
    by_recipe, tuned = neighbours.fit(split), neighbours.tune(split)
    settings = sasrec.SasRecRecipe(epochs=1, seed=seed) if quick else sasrec.SasRecRecipe(seed=seed)
    learnt = sasrec.fit(split, settings, progress=lambda what, done, _: print(f"{what}: {done}", file=sys.stderr))
    text = Content(lambda: vectors, "text")
    parts: list[Retriever] = [tuned, learnt, text]
    fused = fusion.learn(parts, split, seed=seed)
    without_text = fusion.Fusion(parts[:2], fusion.learn(parts[:2], split, seed=seed).weights, "fusion without text")
    cases = cases_of(split)
    systems: dict[str, Retriever] = {
        "popularity": popularity.fit(split),
        "neighbours, by the published recipe": by_recipe,
        "neighbours, chosen on validation": tuned,
        "SASRec, cross-entropy (ours)": learnt,
        "text": text,
        "fusion by ranks": fusion.Fusion(parts),
        "fusion of neighbours and SASRec": without_text,
        "learned fusion": fused,
    }
    ranked = {label: rank(system, cases) for label, system in systems.items()}
    print(f"\n{name}: {len(cases):,} people, {len(log.items):,} items, {time.perf_counter() - began:.0f} s")
    print(f"  {'':42}" + "".join(f"{measure:>10}" for measure in SHOWN) + "   95 % of ndcg@10")
    for label, row in RANKED[name].rows.items():
        cells = "".join(f"{'–' if value is None else f'{value:.4f}':>10}" for value in row.values)
        print(f"  {label:42}{cells}{f'   {row.note}' if row.note else ''}")
    for label, one in ranked.items():
        (sure,) = intervals(one.gains.column("ndcg@10")[:, None])
        means = one.gains.means()
        cells = "".join(f"{means[measure]:>10.4f}" for measure in SHOWN)
        print(f"* {label:42}{cells}   {sure.low:.4f} to {sure.high:.4f}")
    models = ours(tuned_work / name / "report", len(cases)) if tuned_work else {}
    for label, means in models.items():
        print(f"* {label:42}" + "".join(f"{means[measure]:>10.4f}" for measure in SHOWN))
    figures = {  # to four digits, as the published ones are
        f"{name}_{short}_{measure}": round(ranked[label].gains.means()[measure], 4)
        for short, label in {
            "neighbours": "neighbours, by the published recipe",
            "tuned_neighbours": "neighbours, chosen on validation",
            "sasrec": "SASRec, cross-entropy (ours)",
            "text": "text",
            "fusion_by_ranks": "fusion by ranks",
            "fusion_without_text": "fusion of neighbours and SASRec",
            "fusion": "learned fusion",
        }.items()
        for measure in SHOWN
    }
    for label, means in models.items():
        short = label.replace(",", "").replace(" ", "_")
        figures |= {f"{name}_{short}_{measure}": round(means[measure], 4) for measure in SHOWN}
    alone = [label for label in systems if "fusion" not in label]
    best = max(alone, key=lambda label: ranked[label].gains.means()["ndcg@10"])
    gap = compare(ranked["learned fusion"].gains.column("ndcg@10"), ranked[best].gains.column("ndcg@10"), seed=seed)
    print(f"  learned fusion minus {best}: {gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}), p {gap.p:.4f}")
    figures[f"{name}_fusion_gain_ndcg@10"] = figures[f"{name}_fusion_ndcg@10"] / ranked[best].gains.means()["ndcg@10"]
    figures[f"{name}_fusion_p"] = gap.p
    figures[f"{name}_sasrec_epochs"] = learnt.epochs
    return figures


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of the sets")
    parser.add_argument("--set", choices=SETS, action="append", help="one set alone")
    parser.add_argument("--ours", type=Path, metavar="DIR", help="the work folder of benchmarks/amazon.py")
    asked = parser.parse_args()
    names = asked.set or list(SETS)
    figures: dict[str, float] = {}
    for name in names:
        figures |= run(name, asked.data / name, asked.quick, asked.seed, asked.ours)
    reach = {figure: wanted for figure, wanted in REACH.items() if figure.split("_")[0] in names}
    more = {"published": as_content()}
    if not record("published", figures, reach, seed=asked.seed, packages=PACKAGES, file=asked.json, more=more):
        sys.exit(1)


if __name__ == "__main__":
    main()
