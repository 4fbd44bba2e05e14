"""The stages of a demonstration: how large it is, and how one's own data are taken."""

from dataclasses import dataclass
from pathlib import Path

from llmrec.chain.stages import LLMREC, SFT, Stage, starter
from llmrec.dataset import Dataset


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
    tuning=("talks.count=400",),
    merging=("--people", "400"),
    evaluation=("--limit", "200"),
)
QUICK = Scale(
    shop=("--items", "400", "--users", "600", "--interactions", "8000", "--picture-size", "160"),
    epochs=30,
    looks=12_000,
    reads=24_000,
    tuning=("talks.count=30", "watch=0", "words.positions=1"),
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
