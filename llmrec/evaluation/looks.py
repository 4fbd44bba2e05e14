"""What a model ranks by: itself against itself with other pictures, or with less in its item words."""

from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from llmrec.evaluation.run import MAIN, Ranked
from llmrec.retrieval.retriever import Retriever
from llmrec.significance import SURE, compare, holm
from llmrec.telling import listed

Kind = Literal["pictures", "words"]
WITHIN = "shuffled within category"
PICTURES = {
    "shuffled": "those of any other items",
    WITHIN: "those of others of their category",
    "blank": "blank ones",
}
"""Other pictures as a part of a sentence, where the word alone is none."""


@dataclass(frozen=True)
class Change:
    """A model that is changed in one thing, beside the name of what it is otherwise."""

    of: str
    """The unchanged model."""
    kind: Kind
    """Whether it sees other pictures, or its item words lack a part."""
    what: str
    """The change in words, such as `blank` or `without text`."""
    system: Retriever = field(repr=False)


def looks(changes: Sequence[Change], systems: Sequence[Ranked], *, seed: int = 0) -> dict[str, Any] | None:
    """Each model minus what it is when changed, paired over people and corrected for all of them; None without any."""
    if not changes:
        return None
    known = {one.name: one for one in systems}
    found = []
    for change in changes:
        own, other = known[change.of], known[change.system.name]
        for measure in MAIN:
            gap = compare(own.gains.column(measure), other.gains.column(measure), seed=seed)
            told = {"system": own.name, "kind": change.kind, "change": change.what, "other": other.name}
            found.append({**told, "measure": measure, **asdict(gap)})
    rows = [{**row, "corrected": p} for row, p in zip(found, holm([float(row["p"]) for row in found]), strict=True)]
    models = dict.fromkeys(change.of for change in changes)
    return {"rows": rows, "reading": [line for model in models for line in _reading(model, rows)]}


def _reading(model: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """What the tests of NDCG@10 allow to say of one model."""
    own = [row for row in rows if row["system"] == model and row["measure"] == MAIN[0]]
    ways = {
        "pictures": (
            "The {model} ranks better with the right pictures than with {these}",
            "The {model} ranks worse with the right pictures than with {these}",
            "The {model} ranks no differently with the right pictures than with {these}, as far as these people tell",
        ),
        "words": (
            "The {model} ranks worse with item words {these}",
            "The {model} ranks better with item words {these}",
            "The {model} ranks no differently with item words {these}, as far as these people tell",
        ),
    }
    found = []
    for kind, sentences in ways.items():
        of_kind = [row for row in own if row["kind"] == kind]
        sorted_out = (
            [row for row in of_kind if row["corrected"] < SURE and row["mean"] > 0],
            [row for row in of_kind if row["corrected"] < SURE and row["mean"] < 0],
            [row for row in of_kind if row["corrected"] >= SURE],
        )
        for sentence, some in zip(sentences, sorted_out, strict=True):
            if some:
                said = sentence.format(model=model, these=listed([_said(row["change"], kind) for row in some], "or"))
                worst = max(row["corrected"] for row in some)
                sure = f" (p {'< 0.001' if worst < 0.001 else f'at most {worst:.3f}'})" if worst < SURE else ""
                found.append(f"{said}{sure}.")
        if kind == "pictures" and of_kind:
            beaten = {row["change"] for row in sorted_out[0]}
            found.append(_so({row["change"] for row in of_kind}, beaten))
    return found


def _so(asked: Set[str], beaten: Set[str]) -> str:
    """What follows from the pictures than which the right ones are better."""
    if not beaten:
        return "Nothing here shows that it looks; the people may also be too few to tell."
    if not beaten & {"shuffled", WITHIN}:
        return "It matters that there is a picture; nothing here shows that it matters which."
    if WITHIN in asked - beaten:
        return "It looks; that it tells items of one category apart by their pictures is not shown."
    return "It looks: it matters which picture an item has."


def _said(change: str, kind: str) -> str:
    """A change as a part of a sentence."""
    if kind == "words":
        return change if change.startswith("without") else f"of {change}"
    return PICTURES.get(change, change)
