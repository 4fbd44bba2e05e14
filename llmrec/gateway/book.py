"""Items as the gateway shows them: fields for clients, lines for prompts, files of pictures."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmrec.artifact import staged_file
from llmrec.dataset import Dataset
from llmrec.errors import DiskFull, InputError
from llmrec.pictures import suffix
from llmrec.prompts import Prompts
from llmrec.retrieval.store import ItemStore
from llmrec.retrieval.words import texts_of
from llmrec.shelf import cleaned_fields

KEPT = 20_000  # entries; a catalogue that is larger is read as it is asked for
UPLOADED = "uploaded/"
"""How the `image` of an item begins whose picture came over HTTP."""
NAMELESS = "an item without a title"


@dataclass(frozen=True)
class Entry:
    """One item."""

    item: str
    fields: Mapping[str, Any] = field(repr=False)
    """As the store has it."""
    title: str
    """Made harmless; never empty."""
    line: str
    """As prompts show it."""
    pictured: str
    """The same with the mark of its picture."""
    text: str
    """Everything that the catalogue says of it."""
    image: Path | None
    """The file of its picture."""


class Book:
    """The items of an index by their ids. Entries are kept until the store says that they changed."""

    def __init__(
        self, store: ItemStore, dataset: Dataset | None, prompts: Prompts, attributes: Sequence[str], uploads: Path
    ):
        self.store, self.dataset, self.uploads = store, dataset, uploads
        self._prompts, self._attributes = prompts, tuple(attributes)
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._position = store.changes()[1]
        self._lock = threading.Lock()

    def get(self, ids: Sequence[str]) -> dict[str, Entry]:
        """Entries of those ids that are items."""
        with self._lock:
            changed, self._position = self.store.changes(self._position)
            for item in changed:
                self._entries.pop(item, None)
            found = {item: self._entries[item] for item in ids if item in self._entries}
            for item in found:
                self._entries.move_to_end(item)
        missing = [item for item in dict.fromkeys(ids) if item not in found]
        if missing:
            made = self._read(missing)
            with self._lock:
                self._entries |= made
                while len(self._entries) > KEPT:
                    self._entries.popitem(last=False)
            found |= made
        return found

    def picture(self, image: str | None) -> Path | None:
        """The file of an `image` value, if it is there."""
        if not image:
            return None
        if image.startswith(UPLOADED):
            path = self.uploads / image.removeprefix(UPLOADED)
        elif self.dataset is not None:
            path = self.dataset.folder / image
        else:
            return None
        return path if path.is_file() else None

    def keep(self, picture: bytes) -> str:
        """Keep a picture that was sent, and return the `image` value of it."""
        name = f"{hashlib.sha256(picture).hexdigest()}.{suffix(picture)}"
        try:
            self.uploads.mkdir(parents=True, exist_ok=True)
            if not (self.uploads / name).is_file():
                with staged_file(self.uploads / name, mark="") as partial:
                    partial.write_bytes(picture)
        except (OSError, InputError) as error:
            raise DiskFull(f"{self.uploads} takes no picture ({error}). Make room, or let it be written") from error
        return UPLOADED + name

    def _read(self, ids: Sequence[str]) -> dict[str, Entry]:
        frame = self.store.get(ids)
        texts = texts_of(frame, self._attributes)
        return {
            row["item"]: self._entry(row, text) for row, text in zip(frame.iter_rows(named=True), texts, strict=True)
        }

    def _entry(self, row: dict[str, Any], text: str) -> Entry:
        safe = cleaned_fields(row, self._attributes)
        line, pictured = (self._prompts.item_line(safe, picture=shown) for shown in (False, True))
        return Entry(row["item"], row, safe["title"] or NAMELESS, line, pictured, text, self.picture(row.get("image")))
