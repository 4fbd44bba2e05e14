"""The encoders of an index: models that make its vectors in place of weighted words and plain picture measures.

Each lies in the index as a copy, so that an index needs nothing outside itself, and is loaded when a query or a change
first needs it.
"""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmrec.artifact import read_json
from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.progress import Progress
from llmrec.retrieval.content import Floats
from llmrec.retrieval.encoder import Encoder
from llmrec.retrieval.encoder_files import adopt
from llmrec.splits import rows_told, same_rows

FOLDER = "encoders"
TOWER = "manifest.json"  # in an encoder that `llmrec pretrain` made


@dataclass(frozen=True)
class TextEncoder:
    """The text side of an encoder."""

    encoder: Encoder

    def vectors(self, texts: Sequence[str], progress: Progress | None = None) -> Floats:
        """One row an item's text, of length 1; zeros where it is empty."""
        return self.encoder.texts(texts, ("document", "passage"), progress)

    def asked(self, query: str) -> Floats:
        """The vector of a query in words; zeros where it is empty."""
        found: Floats = self.encoder.texts([query], ("query",))[0]
        return found


@dataclass(frozen=True)
class PictureEncoder:
    """The picture side of an encoder."""

    encoder: Encoder
    reads_words: bool
    """Whether its texts lie in one space with its pictures. Kept beside it, so that asking loads nothing."""

    def vectors(self, pictures: Sequence[Path | None], progress: Progress | None = None) -> Floats:
        """One row a picture, of length 1; zeros where there is none or it is broken."""
        return self.encoder.pictures(pictures, progress)

    def asked(self, query: str) -> Floats:
        """Where pictures lie that fit a query in words; zeros where it is empty."""
        found: Floats = self.encoder.texts([query])[0]
        return found


def check_rows(names: Sequence[str | None], dataset: Dataset, recipe: Mapping[str, Any]) -> None:
    """Refuse a tower that learnt from rows of this log by which an index of the recipe is to be measured."""
    for name in names:
        if not name or not (Path(name) / TOWER).is_file():
            continue
        told = read_json(Path(name), TOWER, kind="an encoder", remedy="Take another folder")
        learnt = told.get("recipe") or {}
        if told.get("stage") != "tower" or told["dataset"]["fingerprint"] != dataset.fingerprint:
            continue
        if not same_rows(learnt, recipe):
            wanted = rows_told(recipe)
            raise InputError(
                f"{name} learnt from the rows of {rows_told(learnt)}, and the index is to learn from those of "
                f"{wanted}: it would know what the index is measured by. Pretrain it so as well: "
                f"llmrec pretrain {dataset.folder} --out FOLDER {wanted}"
            )


def adopted(
    text: str | None, picture: str | None, index: Path, device: str
) -> tuple[TextEncoder | None, PictureEncoder | None]:
    """The encoders of those names (folders, or names on the hub), copied into an index and tried before they are used.

    One that reads and looks is copied and loaded once.
    """
    names = [name for name in dict.fromkeys((text, picture)) if name]
    made: dict[str, Encoder] = {}
    for number, name in enumerate(names):
        copy = index / FOLDER / str(number)
        adopt(name, copy)
        made[name] = Encoder(copy, name, device)
    reader = viewer = None
    if text:
        made[text].check_texts()
        reader = TextEncoder(made[text])
    if picture:
        made[picture].check_pictures()
        if made[picture].dual:
            made[picture].check_texts()
        viewer = PictureEncoder(made[picture], made[picture].dual)
    return reader, viewer


def kept(
    reader: TextEncoder | None, viewer: PictureEncoder | None, kinds: Collection[str], index: Path
) -> dict[str, Any]:
    """What an index says of its encoders; the copy of one that found nothing to read or to look at goes."""
    entries = {
        kind: {
            "source": one.encoder.name,
            "folder": str(one.encoder.folder.relative_to(index)),
            "model": one.encoder.kind,
            "reads_words": one.encoder.dual,
        }
        for kind, one in (("text", reader), ("picture", viewer))
        if one is not None and kind in kinds
    }
    for copy in index.glob(f"{FOLDER}/*"):
        if str(copy.relative_to(index)) not in {entry["folder"] for entry in entries.values()}:
            shutil.rmtree(copy)
    return entries


def restored(index: Path, entries: Mapping[str, Any]) -> tuple[TextEncoder | None, PictureEncoder | None]:
    """The encoders of an opened index. Nothing is loaded yet; they answer on the processor, beside whatever serves."""
    folders = {entry["folder"] for entry in entries.values()}
    made = {folder: Encoder(index / folder, str(index / folder)) for folder in folders}
    text, picture = entries.get("text"), entries.get("picture")
    return (
        TextEncoder(made[text["folder"]]) if text else None,
        PictureEncoder(made[picture["folder"]], picture["reads_words"]) if picture else None,
    )
