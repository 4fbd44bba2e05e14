"""The stages from a catalogue to a model that ranks, each a command of the product, and what it makes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmrec.errors import InputError

ROOT = Path(__file__).parent.parent.parent
"""The checkout: builders and recipes lie beside the package."""
LLMREC = ("-m", "llmrec")
SFT = ("-m", "llmrec.sft")
OUT = "OUT"
"""What stands for a stage's folder in a command before it is known."""


Place = Callable[[str, tuple[str, ...]], Path]
"""Where a stage of this name goes, by its command."""


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
            "Builders and recipes lie in the repository, which is not beside this package. Clone it and type make demo "
            "there"
        )


def starter(
    work: Path,
    *,
    shop: Path | None = None,
    drawn: Sequence[str] = ("--size", "small"),
    recipe: str = "train/tower.yaml",
    tower: Sequence[str] = (),
    index: Sequence[str] = (),
    assemble: Sequence[str] = (),
    seed: int = 0,
    pictures: bool = True,
    place: Place | None = None,
) -> list[Stage]:
    """What a starter is tuned on: the drawn shop or another, its tower, its index, and the assembled model.

    Without `pictures` there is nothing to look at, and no tower. Folders are `work/NAME`, or where `place` puts them.
    """

    def made(name: str, command: Callable[[str], tuple[str, ...]]) -> tuple[Path, tuple[str, ...]]:
        folder = place(name, command(OUT)) if place else work / name
        return folder, command(str(folder))

    catalogue, draw = made("atelier", lambda out: ("data_builders/atelier.py", *drawn, "--out", out))
    shop = shop or catalogue
    looks = ("--recipe", recipe, *tower, f"seed={seed}")
    seen, look = made("tower", lambda out: (*LLMREC, "pretrain", str(shop), "--out", out, *looks))
    joins = "Joining the tower to a language model" if pictures else "Preparing a language model"
    eyes, tower_of = ((f"picture_encoder={seen}",), ("--tower", str(seen))) if pictures else ((), ())
    find_with = (*eyes, *index, f"seed={seed}")
    found, find = made("index", lambda out: (*LLMREC, "index", str(shop), "--out", out, *find_with))
    joined = ("--language", "starter", *assemble)
    model, join = made("starter", lambda out: (*LLMREC, "assemble", *tower_of, *joined, "--out", out))
    stages = [
        Stage("shop", "Drawing a shop, its people and what they take", shop / "dataset.json", draw),
        Stage("pretrain", "Teaching a picture tower to see it", seen / "manifest.json", look),
        Stage("index", "Fitting the retrievers that find candidates", found / "index.json", find),
        Stage("assemble", joins, model / "config.json", join),
    ]
    return [one for one in stages if pictures or one.name != "pretrain"]
