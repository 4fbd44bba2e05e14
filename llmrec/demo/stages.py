"""The stages from a shop to a model that ranks and explains, each a command of the product."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmrec.dataset import Dataset
from llmrec.errors import InputError

ROOT = Path(__file__).parent.parent.parent
"""The checkout: builders and recipes lie beside the package."""
LLMREC = ("-m", "llmrec")
SFT = ("-m", "llmrec.sft")


@dataclass(frozen=True)
class Stage:
    """One command, and the file that is there once it is done."""

    name: str
    says: str
    made: Path
    command: tuple[str, ...]
    """What Python is given."""


@dataclass(frozen=True)
class Scale:
    """How large a demonstration is: what each stage is told beside its recipe."""

    shop: tuple[str, ...]
    epochs: int
    """Of the tower; with more pictures than the drawn shop has, as many as `looks` allows."""
    looks: int
    reads: int
    """How many items are read in tuning, over all passes; the drawn shop is read three times."""
    tuning: tuple[str, ...] = ()
    merging: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()


WHOLE = Scale(
    shop=("--size", "small"),
    epochs=40,
    looks=60_000,
    reads=120_000,
    tuning=("talks.count=120",),
    merging=("--people", "400"),
    evaluation=("--limit", "200"),
)
QUICK = Scale(
    shop=("--items", "400", "--users", "600", "--interactions", "8000", "--picture-size", "160"),
    epochs=30,
    looks=12_000,
    reads=24_000,
    tuning=("talks.count=30", "watch=0"),
    merging=("--people", "100"),
    evaluation=("--limit", "60"),
)


FEWEST = 5  # epochs
PASSES, MOST = 3, 10  # through the histories: of the drawn shop, and of others at most
OWN = "[told, picture, text, popularity]"
"""What the words of another catalogue than the drawn shop are made of: there texts tell something as well. The company
that an item keeps is the retrievers' part; with it a model hardly looks (docs/lab-notes.md)."""
OWN_UNSEEN = "[text, collaborative, popularity]"
"""The same where there are no pictures."""


def require_checkout() -> None:
    """Tell whoever has the package alone where the rest is."""
    if not (ROOT / "data_builders" / "atelier.py").is_file():
        raise InputError(
            "The demonstration draws its shop with data_builders/atelier.py, which is not beside this package. "
            "Clone the repository and type make demo there"
        )


def starter(
    work: Path,
    *,
    shop: Path | None = None,
    drawn: Sequence[str] = ("--size", "small"),
    tower: Sequence[str] = (),
    index: Sequence[str] = (),
    seed: int = 0,
    pictures: bool = True,
) -> list[Stage]:
    """What a starter is tuned on: the drawn shop or another, its tower, its index, and the assembled model.

    Without `pictures` there is nothing to look at, and no tower.
    """
    shop, seen, found, model = shop or work / "atelier", work / "tower", work / "index", work / "starter"
    draw = ("data_builders/atelier.py", *drawn, "--out", str(shop))
    look = (*LLMREC, "pretrain", str(shop), "--out", str(seen), "--recipe", "train/tower.yaml", *tower, f"seed={seed}")
    joins = "Joining the tower to a language model" if pictures else "Preparing a language model"
    eyes, tower_of = ((f"picture_encoder={seen}",), ("--tower", str(seen))) if pictures else ((), ())
    find = (*LLMREC, "index", str(shop), "--out", str(found), *eyes, *index, f"seed={seed}")
    join = (*LLMREC, "assemble", *tower_of, "--language", "starter", "--out", str(model))
    stages = [
        Stage("shop", "Drawing a shop, its people and what they take", shop / "dataset.json", draw),
        Stage("pretrain", "Teaching a picture tower to see it", seen / "manifest.json", look),
        Stage("index", "Fitting the retrievers that find candidates", found / "index.json", find),
        Stage("assemble", joins, model / "config.json", join),
    ]
    return [one for one in stages if pictures or one.name != "pretrain"]


def demonstration(work: Path, scale: Scale, *, dataset: Path | None = None, seed: int = 0) -> list[Stage]:
    """Everything from the drawn shop, or from a dataset of one's own, to figures of a merged model."""
    begin = starter(work, drawn=scale.shop, tower=(f"epochs={scale.epochs}",), seed=seed)
    taught: tuple[str, ...] = (f"walks.passes={PASSES}",)
    if dataset is not None:
        from llmrec.tuning.recipe import WalkRecipe

        counts = Dataset.open(dataset).info["counts"]
        pictures = int(counts.get("pictures") or 0)
        epochs = max(FEWEST, min(scale.epochs, scale.looks // max(1, pictures)))
        begin = starter(work, shop=dataset, tower=(f"epochs={epochs}",), seed=seed, pictures=bool(pictures))[1:]
        read = max(1, min(counts["interactions"], WalkRecipe.longest * counts["users"]))
        passes = max(1, min(MOST, round(scale.reads / read)))
        taught = (f"walks.passes={passes}", f"words.content={OWN if pictures else OWN_UNSEEN}")
    index, run, model, report = work / "index", work / "run", work / "model", work / "report"
    tune = (*SFT, "train/starter.yaml", f"model={work / 'starter'}", f"index={index}", f"out={run}", f"seed={seed}")
    measure = (*LLMREC, "evaluate", str(index), "--model", str(run), "--controls", "--out", str(report))
    join = (*LLMREC, "merge", str(run), "--out", str(model), *scale.merging)
    return [
        *begin,
        Stage("tune", "Tuning it: items become words", run / "manifest.json", (*tune, *taught, *scale.tuning)),
        Stage("merge", "Merging it into a stock model folder", model / "manifest.json", join),
        Stage("evaluate", "Measuring it beside the baselines", report / "report.json", (*measure, *scale.evaluation)),
    ]
