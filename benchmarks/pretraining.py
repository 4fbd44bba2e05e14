"""What the pretrained picture tower sees in the drawn shop, on items held out, beside the same tower untrained.

Draws the small shop, pretrains by a recipe, and reads colour, pattern and more from picture vectors by a line, with the
truth that only evaluation may look at. The picture's text among 100 is held against the best that anyone could do who
sees everything in the picture: looks are hardly written anywhere, so several texts often fit a picture alike.

examples:
  python benchmarks/pretraining.py --quick
  python benchmarks/pretraining.py --json benchmarks/results/pretraining.json
  python benchmarks/pretraining.py --data work/learning/small/atelier --tower work/learning/small/tower
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from record import arguments, record

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
PACKAGES = ("torch", "transformers", "numpy", "scipy")
LOOKS = ("colour", "pattern", "kind", "silhouette", "accent", "material", "trim")
REACH = {
    "colour.vector": (">=", 0.9),
    "pattern.vector": (">=", 0.9),
    "text_recall@10": (">=", 0.5),
    "minutes": ("<=", 10.0),
}


def drawn_shop(folder: Path, size: str, seed: int) -> Path:
    """A drawn shop of that size."""
    script = ROOT / "data_builders" / "atelier.py"
    subprocess.run(
        [sys.executable, str(script), "--size", size, "--seed", str(seed), "--out", str(folder)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return folder


def best_recall(truth: pl.DataFrame, codes: np.ndarray, *, among: int = 100, draws: int = 20) -> dict[str, float]:
    """Recall of somebody who sees every look in a picture and knows all that a text tells: its kind and what it gives
    away. Texts that fit alike are guessed between."""
    rows = [truth.row(int(code), named=True) for code in codes]
    rng = np.random.default_rng(0)
    among = min(among, len(rows))
    first, ten = [], []
    for _ in range(draws):
        chosen = [rows[place] for place in rng.permutation(len(rows))[:among]]
        for own in chosen:
            fits = [
                len(text["told"])
                for text in chosen
                if text["kind"] == own["kind"] and all(text[name] == own[name] for name in text["told"])
            ]
            better, alike = sum(told > len(own["told"]) for told in fits), fits.count(len(own["told"]))
            first.append(1 / alike if not better else 0.0)
            ten.append(min(1.0, max(0, 10 - better) / alike))
    return {"recall@1": float(np.mean(first)), "recall@10": float(np.mean(ten))}


def main() -> None:
    """Pretrain, measure, record."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a shop drawn earlier; a new one by default")
    parser.add_argument(
        "--tower", type=Path, metavar="DIR", help="a tower that was pretrained on --data by llmrec pretrain"
    )
    parser.add_argument("--recipe", type=Path, default=ROOT / "train" / "tower.yaml")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings of the recipe")
    asked = parser.parse_args()
    if asked.tower and not asked.data:
        parser.error("--tower goes with --data, the shop that it was pretrained on")

    from llmrec.config import build, load_config
    from llmrec.dataset import Dataset
    from llmrec.pretraining.recipe import TowerRecipe
    from llmrec.progress import shown_progress

    quick = ["epochs=1"] if asked.quick else []
    recipe = load_config(TowerRecipe, asked.recipe, [*quick, *asked.settings, f"seed={asked.seed}"])
    if asked.tower:
        recipe = build(TowerRecipe, json.loads((asked.tower / "manifest.json").read_text())["recipe"], str(asked.tower))
    with tempfile.TemporaryDirectory() as folder, shown_progress() as progress:
        shop = asked.data or drawn_shop(Path(folder) / "shop", "tiny" if asked.quick else "small", asked.seed)
        tower = asked.tower or Path(folder) / "tower"
        figures = measured(Dataset.open(shop), tower, recipe, progress)
    for name, value in figures.items():
        print(f"{name:32} {value:.4f}")
    met = record("pretraining", figures, REACH, seed=asked.seed, packages=PACKAGES, file=asked.json)
    sys.exit(0 if met or asked.quick else 1)


def measured(dataset: Any, out: Path, recipe: Any, progress: Any) -> dict[str, float]:
    """Pretrain, where there is no tower yet, and read the truth out of its vectors."""
    from transformers import CLIPModel

    from llmrec.pretraining import catalogue, probes, tower
    from llmrec.pretraining.findings import next_item
    from llmrec.pretraining.stage import pretrain_tower

    began = time.monotonic()
    known = (out / "manifest.json").exists()
    if known:
        info = json.loads((out / "manifest.json").read_text())
        if info["dataset"]["fingerprint"] != dataset.fingerprint:
            sys.exit(f"{out} was pretrained on other data than {dataset.folder} holds")
    else:
        info = pretrain_tower(dataset, out, recipe, progress=progress)
    read = catalogue.read(dataset, recipe)
    names = dataset.items.select("item").collect()
    truth = names.join(
        pl.read_parquet(dataset.folder / "truth" / "items.parquet"), on="item", how="left", maintain_order="left"
    )
    codes = read.gallery.items
    figures = {"minutes": info["seconds"] / 60}
    if not known:
        figures["minutes_with_measuring"] = (time.monotonic() - began) / 60
    towers = {
        "": CLIPModel.from_pretrained(out),
        "untrained.": tower.untrained(recipe.shape, read.tokenizer, recipe.seed),
    }
    for before, model in towers.items():
        vectors, means = tower.picture_vectors(model, read.gallery, np.arange(len(codes)))
        for look in LOOKS:
            values = truth[look].gather(codes).to_list()
            for kind, table in (("vector", vectors), ("patches", means)):
                found = probes.reads(table, values, read.taught, read.held_out)
                if found is not None:
                    figures[f"{before}{look}.{kind}"] = found["accuracy"]
        figures[f"{before}next_item_ndcg@10"] = next_item(vectors, read, part="test")
        learnt = info["learnt"]["untrained" if before else "trained"]["picture_to_text"]
        figures |= {f"{before}text_{name}": learnt[name] for name in ("recall@1", "recall@10")}
    best = best_recall(truth, codes[read.held_out])
    return figures | {f"best_possible.text_{name}": value for name, value in best.items()}


if __name__ == "__main__":
    main()
