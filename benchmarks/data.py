"""How fast data becomes a dataset, a split and instruction examples, against Polars reading the same file.

    python benchmarks/data.py                 1, 3 and 10 million interactions drawn on the spot, some minutes
    python benchmarks/data.py --quick         100 and 300 thousand
    python benchmarks/data.py --json benchmarks/results/data.json

Every measurement runs in a process of its own, so that its peak memory is its own; reading alone and building are
measured in turn, and the ratio is the median over the rounds. Examples are made twice, few and many: the rate is that
of the further ones, and the time before the first (loading the log, writing the line of every item) stands beside it.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
from record import arguments, record

ROOT = Path(__file__).parent.parent
PACKAGES = ("polars", "numpy", "pyarrow", "transformers", "datasets")


def draw_log(file: Path, interactions: int, seed: int) -> None:
    """A log with ten interactions a person, skewed items, and string ids as logs have them."""
    rng = np.random.default_rng(seed)
    people, items = interactions // 10, max(1000, interactions // 100)
    popular = (rng.pareto(1.1, size=interactions) * items / 50).astype(np.int64) % items
    log = pl.DataFrame(
        {
            "user": rng.integers(people, size=interactions),
            "item": rng.permutation(items)[popular],
            "timestamp": rng.integers(1_500_000_000_000, 1_700_000_000_000, size=interactions),
            "rating": rng.integers(1, 6, size=interactions).astype(np.float32),
        }
    )
    log.with_columns(
        pl.format("user-{}", "user").alias("user"), pl.format("item-{}", "item").alias("item")
    ).write_parquet(file)
    words = np.array(
        ["red", "blue", "green", "linen", "wool", "oak", "brass", "long", "short", "large", "soft", "plain"]
    )
    pl.DataFrame(
        {
            "item": [f"item-{code}" for code in range(items)],
            "title": [" ".join(rng.choice(words, 4)) for _ in range(items)],
            "brand": [f"House {code % 97}" for code in range(items)],
            "categories": [["Shop", str(words[code % len(words)])] for code in range(items)],
            "price": rng.uniform(5, 300, size=items).round(2),
        }
    ).write_parquet(file.with_suffix(".items.parquet"))


def step_read(file: Path) -> dict[str, float]:
    began = time.perf_counter()
    rows = len(pl.read_parquet(file))
    return {"seconds": time.perf_counter() - began, "rows": rows}


def step_build(file: Path) -> dict[str, float]:
    from llmrec.dataset import write_dataset
    from llmrec.splits import leave_one_out

    began = time.perf_counter()
    dataset = write_dataset(
        file.parent / "dataset",
        pl.scan_parquet(file.with_suffix(".items.parquet")),
        pl.scan_parquet(file),
        name="drawn",
        licence="none",
        source="benchmarks/data.py",
        core=5,
        overwrite=True,
    )
    built = time.perf_counter()
    sizes = leave_one_out(dataset.log).sizes()
    split = time.perf_counter()
    return {"seconds": split - began, "build": built - began, "split": split - built, "rows": sum(sizes.values())}


def step_examples(file: Path, count: int) -> dict[str, float]:
    from llmrec.dataset import Dataset
    from llmrec.example_files import write_examples
    from llmrec.examples import ExampleRecipe
    from llmrec.prompts import Prompts
    from llmrec.tokens import TokenMeter, load_tokenizer

    meter = TokenMeter(load_tokenizer("starter"), 9)
    dataset = Dataset.open(file.parent / "dataset")
    recipe = ExampleRecipe(limit=count)
    began = time.perf_counter()
    info = write_examples(
        file.parent / "examples", [(dataset, 1.0)], Prompts.load(ROOT / "prompts"), meter, recipe,
        tokenizer_name="starter", parts=["train"], overwrite=True,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "examples": info["parts"]["train"]["examples"]}


def measured(step: str, *values: str) -> dict[str, float]:
    """Run one step in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--step", step, *values], stdout=subprocess.PIPE, check=True, cwd=ROOT
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    if sys.argv[1:2] == ["--step"]:
        steps = {"read": step_read, "build": step_build, "examples": step_examples}
        told = steps[sys.argv[2]](Path(sys.argv[3]), *map(int, sys.argv[4:]))  # type: ignore[operator]
        told["gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps(told))
        return
    parser = arguments(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds = 1
    sizes = [100_000, 300_000] if asked.quick else [1_000_000, 3_000_000, 10_000_000]
    figures: dict[str, float] = {}
    times = []
    print(
        f"{'interactions':>12} {'read s':>8} {'build s':>8} {'split s':>8} {'ratio':>7} {'GiB':>6} {'examples/s':>10}"
    )
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "log.parquet"
            draw_log(file, size, asked.seed)
            rounds = [(measured("read", str(file)), measured("build", str(file))) for _ in range(asked.rounds)]
            ratio = median(build["seconds"] / read["seconds"] for read, build in rounds)
            few, many = (size // 20, size // 5) if asked.quick else (100_000, 500_000)
            made = [[measured("examples", str(file), str(count)) for count in (few, many)] for _ in range(asked.rounds)]
            rate = median(
                (more["examples"] - less["examples"]) / (more["seconds"] - less["seconds"]) for less, more in made
            )
            setup = median(less["seconds"] - few / rate for less, _ in made)
            build = {key: median(one[key] for _, one in rounds) for key in rounds[0][1]}
            read = median(one["seconds"] for one, _ in rounds)
            gib = max(build["gib"], *(one["gib"] for pair in made for one in pair))
        times.append(build["seconds"])
        label = f"{size // 1000}k" if size < 1_000_000 else f"{size // 1_000_000}m"
        figures |= {
            f"read_seconds_{label}": read,
            f"build_seconds_{label}": build["build"],
            f"split_seconds_{label}": build["split"],
            f"ratio_to_read_{label}": ratio,
            f"resident_gib_{label}": gib,
            f"examples_per_second_{label}": rate,
            f"examples_setup_seconds_{label}": setup,
        }
        print(
            f"{size:>12,} {read:>8.2f} {build['build']:>8.2f} {build['split']:>8.2f} "
            f"{ratio:>7.1f} {gib:>6.2f} {rate:>10,.0f}"
        )
    exponent = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    figures["exponent"] = exponent
    print(f"time grows with the {exponent:.2f}th power of size")
    largest = label
    reach = {
        f"ratio_to_read_{largest}": ("<=", 25.0),
        f"resident_gib_{largest}": ("<=", 4.0),
        f"examples_per_second_{largest}": (">=", 20_000.0),
        "exponent": ("<=", 1.1),
    }
    if not record("data", figures, reach, seed=asked.seed, packages=PACKAGES, file=asked.json):
        sys.exit(1)


if __name__ == "__main__":
    main()
