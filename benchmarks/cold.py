"""How well items are ranked that nobody had taken when training ended, from the drawn shop to the report.

Draws the shop, keeps its newest items out of everything that is learnt (split=cold-items), pretrains a tower, makes the
index, assembles and tunes the starter, and ranks the new items: among themselves, and among all. Rivals are a random
order, likeness of texts and of pictures, the model shown no pictures, and the light reader. Stages are kept in --work.
Where words are made of pictures alone, all new items are one to a model shown none, and ties count against it: there
the random order is the fair floor.

examples:
  python benchmarks/cold.py --quick
  python benchmarks/cold.py --work work/cold --json benchmarks/results/cold.json
"""

import json
import sys
from pathlib import Path

import numpy as np
from chain import LIGHT, LLMREC, MODEL, SFT, data_of, gains, stage, starter
from record import arguments, record

PACKAGES = ("torch", "transformers", "peft", "trl", "lancedb", "numpy")
BLIND = f"{MODEL}, pictures none"
RIVALS = ("text", "pictures", BLIND)
QUICK = ("walks.passes=0.5", "talks.count=0", "words.warm=4", "adapter.layers=2", "watch=0")


def main() -> None:
    from llmrec.significance import compare

    parser = arguments(__doc__ or "")
    parser.add_argument("--work", type=Path, default=Path("work/cold"), metavar="DIR", help="where stages are kept")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a dataset instead of the drawn shop")
    parser.add_argument("--tower", action="append", default=[], metavar="KEY=VALUE", help="a setting of the tower")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a tuning setting")
    asked = parser.parse_args()
    size = "tiny" if asked.quick else "small"
    work = (asked.work / size).absolute()
    work.mkdir(parents=True, exist_ok=True)
    minutes: dict[str, float] = {}
    starter(
        work,
        minutes,
        size=size,
        seed=asked.seed,
        shop=asked.data.absolute() if asked.data else None,
        tower=["split=cold-items", *(["epochs=2"] if asked.quick else asked.tower)],
        index=["split=cold-items", "parts=[neighbours, text, pictures]"],
    )
    index, tuned = work / "index", work / "run"
    learn = [*SFT, "train/starter.yaml", f"model={work / 'starter'}", f"index={index}", f"out={tuned}"]
    learn += [f"seed={asked.seed}", *(QUICK if asked.quick else ()), *asked.set]
    stage("tune", tuned / "manifest.json", learn, minutes)

    figures: dict[str, float] = dict(minutes)
    for name, more in (("new", ["--cold"]), ("all", [])):
        report = work / f"report-{name}"
        ask = [*LLMREC, "evaluate", str(index), "--model", str(tuned), "--controls", *more, "--out", str(report)]
        stage(f"rank_{name}", report / "report.json", ask, minutes)
        told = json.loads((report / "report.json").read_text(encoding="utf-8"))
        each = gains(report)
        mean = {system: float(np.mean(values)) for system, values in each.items()}
        random = told["random"]["ndcg@10"]
        figures |= {f"{name}_people": told["people"], f"{name}_items": told["ranked"], f"{name}_random": random}
        figures |= {f"{name}_{system.replace(',', '').replace(' ', '_')}": mean[system] for system in (MODEL, *RIVALS)}
        figures[f"{name}_times_random"] = mean[MODEL] / random
        if LIGHT in mean:
            figures[f"{name}_light_reader"] = mean[LIGHT]
            figures[f"{name}_light_reader_times_random"] = mean[LIGHT] / random
        for other in RIVALS:
            gap = compare(each[MODEL], each[other], seed=asked.seed)
            label = other.rpartition(" ")[2]
            figures[f"{name}_model_minus_{label}"], figures[f"{name}_{label}_p"] = gap.mean, gap.p
    for name, value in figures.items():
        print(f"  {name:40}{value:>10.4f}")
    reach = {
        "new_times_random": (">=", 2.0),
        "new_model_minus_text": (">=", 0.0),
        "new_text_p": ("<=", 0.05),
    }
    data = data_of(work / "report-all")
    met = record("cold", figures, reach, seed=asked.seed, packages=PACKAGES, file=asked.json, data=data)
    sys.exit(0 if met or asked.quick else 1)


if __name__ == "__main__":
    main()
