"""The stages from a catalogue to a model that ranks, each a command of the product, and what it makes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
