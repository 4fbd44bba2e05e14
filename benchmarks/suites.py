"""A suite of `llmrec compare` as a kept result: its figures, its costs and what they allow to say.

The suite is one of train/suites. What is made stays in the work folder, so that further seeds and other suites go on
from there. Times are those of the machine with whatever ran beside.

examples:
  python benchmarks/suites.py adaptation --quick
  python benchmarks/suites.py adaptation --seeds 0 --json benchmarks/results/suite-adaptation.json
  python benchmarks/suites.py content --dataset work/films/films --json benchmarks/results/suite-content-films.json
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chain import LLMREC, ROOT, as_figures, keeps, run
from record import also, arguments, record

from llmrec.chain.running import JOURNAL, Journal
from llmrec.chain.stages import Stage

PACKAGES = ("torch", "transformers", "peft", "trl", "numpy")
SUITES = ROOT / "train" / "suites"


def figures_of(content: Mapping[str, Any]) -> dict[str, float]:
    """What a suite found as one figure each, by the names of its cells."""
    cells: dict[str, dict[str, float]] = {}
    for one in content["found"]:
        told = cells[one["name"].lower()] = {
            "ndcg@10": one["interval"]["mean"],
            "ndcg@10_low": one["interval"]["low"],
            "ndcg@10_high": one["interval"]["high"],
        }
        costs = (("minutes", "minutes"), ("memory_mib", "memory"), ("trained_parameters", "trained"))
        told |= {figure: one["costs"][cost] for figure, cost in costs if one["costs"][cost] is not None}
        if one["gap"] is not None:
            told |= {"minus": one["gap"]["mean"], "p": one["corrected"]}
        if one["deviation"] is not None:
            told["deviation"] = one["deviation"]
        beside = {system: {"ndcg@10": mean} for system, mean in one["beside"].items() if mean is not None}
        told |= as_figures(beside, "beside_")
    return as_figures(cells)


def note_code(stages: Sequence[Stage], work: Path) -> None:
    """Keep beside each stage by what code it is made, and count what made those that are there already.

    With --anew those of other code are removed, and what is noted of their costs.
    """
    noted = Journal.open(work, JOURNAL)
    for one in stages:
        folder = one.made.parent
        there = folder.exists()
        keeps(one.name, one.made, folder.with_suffix(".code"), one.command)
        if there and not folder.exists():
            noted.forget(one)


def main() -> None:
    from llmrec.artifact import read_json
    from llmrec.chain.running import as_noted
    from llmrec.compare.reading import reading
    from llmrec.compare.results import as_content, results
    from llmrec.compare.suite import distinct, name_of, plan, read_suite

    parser = arguments(__doc__ or "")
    parser.add_argument(
        "suite", choices=sorted(path.stem for path in SUITES.glob("*.yaml")), help="which of train/suites"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[], metavar="N", help="these alone")
    parser.add_argument("--only", nargs="+", default=[], metavar="CELL", help="these cells alone")
    parser.add_argument("--dataset", type=Path, metavar="DIR", help="a dataset; a drawn shop without it")
    parser.add_argument("--work", type=Path, default=Path("work/compare"), metavar="DIR", help="where stages are kept")
    asked = parser.parse_args()
    file = SUITES / f"{asked.suite}.yaml"
    suite = read_suite(file)
    suite = replace(suite, dataset=asked.dataset) if asked.dataset else suite
    work = asked.work.absolute()
    planned = plan(suite, work, quick=asked.quick, only=frozenset(asked.only), seeds=asked.seeds)
    stages = distinct(planned)
    also(file, *(ROOT / word for one in stages for word in one.command if word.endswith(".yaml")))
    note_code(stages, work)
    words = [*LLMREC, "compare", str(file), "--work", str(asked.work)]
    for option, values in (("--seed", asked.seeds), ("--only", asked.only)):
        words += [word for value in values for word in (option, str(value))]
    words += ["--dataset", str(asked.dataset)] if asked.dataset else []
    words += ["--quick"] if asked.quick else []
    run(words)
    page = asked.work / name_of(file, asked.dataset, quick=asked.quick)
    content = read_json(page, "compare.json", kind="what a suite found", remedy="Run the suite again")
    # The page is of all that was ever made of the suite, these figures are of what was asked for now.
    found = results(suite, planned, as_noted(stages, asked.work.absolute()))
    seeds = sorted({one.seed for one in planned})
    kept = {name: content[name] for name in ("question", "along", "dataset", "people", "catalogue")} | {
        "against": next(one.name for one in found if one.gap is None),
        "seeds": seeds,
        "found": as_content(found),
        "reading": reading(found, suite, seeds),
    }
    record(
        "suites",
        figures_of(kept),
        {},
        seed=asked.seed,
        packages=PACKAGES,
        file=asked.json,
        data={content["dataset"]["name"]: content["dataset"]["fingerprint"]},
        more={"suite": kept},
    )


if __name__ == "__main__":
    main()
