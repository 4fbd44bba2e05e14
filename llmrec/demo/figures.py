"""What a demonstration found: a line for each stage, and the figures beside the baselines."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmrec.artifact import read_json

MEASURE = "ndcg@10"
BASELINES = ("popularity", "neighbours", "sasrec", "text", "pictures", "learned fusion")
NAMES = {
    "popularity": "popularity",
    "neighbours": "who takes this takes that (kNN)",
    "sasrec": "SASRec",
    "text": "likeness of texts",
    "pictures": "likeness of pictures",
    "learned fusion": "all of these fused",
    "model": "the model alone",
    "fusion with model": "the model and the retrievers",
    "model, pictures blank": "the model, all pictures blank",
    "model, pictures shuffled": "the model, pictures of other items",
    "model, pictures shuffled within category": "the model, pictures of others of their kind",
    "model, pictures none": "the model, no pictures",
}
SPEAKS = {"shop": "atelier/dataset.json", "pretrain": "tower/manifest.json", "tune": "run/manifest.json"}
"""Files that say what a stage has found."""


@dataclass(frozen=True)
class Row:
    """A system's figure with its interval."""

    name: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """The figures of one report, in three groups, and what can be reached at all."""

    people: int
    catalogue: int
    baselines: tuple[Row, ...]
    ours: tuple[Row, ...]
    blind: tuple[Row, ...]
    oracle: float | None

    @classmethod
    def read(cls, work: Path) -> "Figures":
        """Of the report in a demonstration's folder."""
        report = _read(work / "report" / "report.json")
        shop = _read(work / SPEAKS["shop"]) if (work / SPEAKS["shop"]).is_file() else {}
        rows = {one["name"]: _row(one) for one in report["systems"]}
        oracle = shop.get("notes", {}).get("oracle", {}).get("variants", {}).get("all", {}).get(MEASURE)

        def some(*names: str) -> tuple[Row, ...]:
            return tuple(sorted((rows[name] for name in names if name in rows), key=lambda row: row.mean))

        ours = some("model", "fusion with model")
        blind = some(*(name for name in rows if name.startswith("model, pictures")))
        return cls(report["people"], report["catalogue"], some(*BASELINES), ours, blind, oracle)


def finding(stage: str, work: Path) -> str:
    """What a stage that is done has found, in a few words."""
    if stage == "evaluate":
        figures = Figures.read(work)
        best, ours = figures.baselines[-1], figures.ours[-1]
        return f"{ours.mean:.3f} with the model, {best.mean:.3f} without"
    if stage not in SPEAKS:
        return ""
    told = _read(work / SPEAKS[stage])
    if stage == "shop":
        counts = told["counts"]
        return f"{counts['items']:,} items, {counts['users']:,} people, {counts['interactions']:,} choices"
    if stage == "pretrain":
        found = told["learnt"]["trained"]["picture_to_text"]
        return f"{found['recall@10']:.0%} find their text among {found['among']}"
    measured = told["measured"].get(f"valid_{MEASURE}")
    return "" if measured is None else f"{measured:.3f} NDCG@10 on validation"


def _row(one: Mapping[str, Any]) -> Row:
    found = one["measures"][MEASURE]
    return Row(NAMES.get(one["name"], one["name"]), found["mean"], found["low"], found["high"])


def _read(path: Path) -> dict[str, Any]:
    return read_json(path.parent, path.name, kind="a stage of a demonstration", remedy=f"Remove {path.parent}")
