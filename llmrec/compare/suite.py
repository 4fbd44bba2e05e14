"""A suite: one chain of commands in cells that differ in what is compared, each with several seeds."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

from llmrec.artifact import read_json
from llmrec.chain.stages import LLMREC, ROOT, SFT, Stage, starter
from llmrec.config import load_config
from llmrec.dataset import MARKER, Dataset
from llmrec.errors import ConfigError

STAGES, PAGE = "stages", "compare.json"
Settings = tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One of the ways that are compared: which recipes, and what each command is told beside them."""

    says: str = ""
    """What it is, in a few words."""
    tower: str | None = None
    """The recipe of the picture tower: train/tower.yaml unless given."""
    pretrain: Settings = ()
    """Settings of `llmrec pretrain`, which makes the tower."""
    captions: str | None = None
    """A recipe by which the assembled model then learns to tell what pictures show; nothing unless given."""
    index: Settings = ()
    """Settings of `llmrec index`."""
    assemble: Settings = ()
    """Options of `llmrec assemble`."""
    recipe: str | None = None
    """The recipe of tuning: train/starter.yaml unless given."""
    tune: Settings = ()
    """Settings of `python -m llmrec.sft`."""
    evaluate: Settings = ()
    """Options of `llmrec evaluate`."""
    at: float | None = None
    """Where it stands among the others by what is compared, such as a number of people: it is drawn there."""
    system: str | None = None
    """Whose figures of the report are taken, where it is not the suite's system."""

    def over(self, common: "Cell") -> "Cell":
        """This cell's own beside what all cells have; where both say something, its own comes last and holds."""
        told: dict[str, Any] = {}
        for one in fields(self):
            own, usual = getattr(self, one.name), getattr(common, one.name)
            told[one.name] = (*usual, *own) if isinstance(own, tuple) else usual if own is None else own or usual
        return Cell(**told)


@dataclass(frozen=True)
class Claim:
    """What somebody says that a cell costs less than another, as a share: -0.21 is 21 % less."""

    says: str
    """Who."""
    cell: str
    of: str
    """The cell that it is held against."""
    minutes: float | None = None
    """Of tuning."""
    memory: float | None = None
    """The most that tuning holds."""

    def __post_init__(self) -> None:
        if self.minutes is None and self.memory is None:
            raise ConfigError(f"claims: {self.says!r} says nothing of {self.cell!r}. Give minutes, memory or both")


@dataclass(frozen=True)
class Suite:
    """A question, and the cells whose figures answer it."""

    question: str
    """What is asked, in one sentence."""
    cells: Mapping[str, Cell]
    """What is compared, by name."""
    against: str
    """The cell that the others are held against."""
    system: str = "model"
    """Whose figures of each report are taken: model, or another that the report names."""
    beside: tuple[str, ...] = ()
    """Systems of the same reports whose means stand beside: what the retrievers reach, for example."""
    along: str = "what is compared"
    """What the `at` of the cells counts."""
    claims: tuple[Claim, ...] = ()
    """What others say of the costs of cells: it is told beside what was seen."""
    dataset: Path | None = None
    """A dataset; without it a shop is drawn."""
    shop: Settings = ("--size", "small")
    """How the shop is drawn."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """The seeds of each cell."""
    seeded: tuple[Literal["pretrain", "tune"], ...] = ("tune",)
    """The stages that a seed changes; the others are made once, with the first one, and shared."""
    all: Cell = field(default_factory=Cell)
    """What all cells have."""
    quick: Cell = field(default_factory=Cell)
    """What all cells have besides where it has to be quick."""
    quick_shop: Settings | None = None
    """How the shop is drawn then."""

    def __post_init__(self) -> None:
        if len(self.cells) < 2:
            raise ConfigError("cells has fewer than two. Name another way to compare with")
        if self.against not in self.cells:
            raise ConfigError(f"against is {self.against!r}, which is no cell. Name one of {', '.join(self.cells)}")
        for claim in self.claims:
            for name in (claim.cell, claim.of):
                if name not in self.cells:
                    raise ConfigError(f"claims has {name!r}, which is no cell. Name one of {', '.join(self.cells)}")
        for name, cell in self.cells.items():
            if cell.at is not None and cell.at <= 0:
                raise ConfigError(
                    f"cells.{name}.at is {cell.at:g}: give a number above 0, since it is drawn by doublings"
                )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"seeds is {list(self.seeds)}: give each seed once, and one at least")


@dataclass(frozen=True)
class Planned:
    """One cell with one seed: its commands from the shop to the report."""

    cell: str
    seed: int
    stages: tuple[Stage, ...]

    @property
    def run(self) -> Path:
        """The folder of the tuned run."""
        return self.stages[-2].made.parent

    @property
    def made(self) -> bool:
        """Whether all of it is there."""
        return all(stage.made.exists() for stage in self.stages)

    @property
    def report(self) -> Path:
        """The folder of the report."""
        return self.stages[-1].made.parent


def read_suite(path: Path) -> Suite:
    """Read a suite from YAML; every fault of it is told."""
    return load_config(Suite, path)


def name_of(path: Path, dataset: Path | None, *, quick: bool) -> str:
    """The folder of what a suite found, beside those of the same suite asked otherwise."""
    return f"{path.stem}{f'-{dataset.absolute().name}' if dataset else ''}{'-quick' if quick else ''}"


def plan(
    suite: Suite, work: Path, *, quick: bool = False, only: frozenset[str] = frozenset(), seeds: Sequence[int] = ()
) -> list[Planned]:
    """All cells with all seeds, or some of them. What two of them have in common has the same folder.

    Two cells that have everything in common are refused: on some data there is nothing by which they could differ.
    """
    planned = _every(suite, work, quick, only, seeds)
    for one, other in _same(suite, planned):
        why = "" if _pictures(suite) else f", since {suite.dataset} has no pictures"
        raise ConfigError(
            f"Cells {one.cell!r} and {other.cell!r} come to the same commands{why}, so there is nothing to compare. "
            "Leave one out with --only, or make them differ"
        )
    return planned


def _every(suite: Suite, work: Path, quick: bool, only: frozenset[str], seeds: Sequence[int]) -> list[Planned]:
    unknown = sorted(only - suite.cells.keys())
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no cell of this suite. Its cells are {', '.join(suite.cells)}")
    common = suite.quick.over(suite.all) if quick else suite.all
    drawn = suite.quick_shop if quick and suite.quick_shop is not None else suite.shop
    return [
        Planned(name, seed, tuple(_chain(suite, name, cell.over(common), drawn, seed, work)))
        for name, cell in suite.cells.items()
        if not only or name in only
        for seed in (seeds or seeds_of(suite, quick=quick))
    ]


def _same(suite: Suite, planned: Sequence[Planned]) -> list[tuple[Planned, Planned]]:
    """Cells that take the same row of the same report as another does, each behind that other."""
    found: list[tuple[Planned, Planned]] = []
    measured: dict[tuple[Path, str], Planned] = {}
    for one in planned:
        row = suite.cells[one.cell].over(suite.all).system or suite.system
        before = measured.setdefault((one.report, row), one)
        if before.cell != one.cell:
            found.append((before, one))
    return found


def seeds_of(suite: Suite, *, quick: bool) -> tuple[int, ...]:
    """The seeds that each cell is to have."""
    return suite.seeds[:1] if quick else suite.seeds


def all_made(suite: Suite, work: Path, out: Path, *, quick: bool = False, seeds: Sequence[int] = ()) -> list[Planned]:
    """All that is there of a suite: with its own seeds, with these, and with those that the page in `out` tells of."""
    before: list[int] = []
    if (out / PAGE).is_file():
        before = read_json(out, PAGE, kind="what a suite found", remedy="Remove it; it is written anew")["seeds"]
    every = sorted({*seeds_of(suite, quick=quick), *seeds, *before})
    planned = _every(suite, work, quick, frozenset(), every)
    same = {id(one) for _, one in _same(suite, planned)}
    return [one for one in planned if one.made and id(one) not in same]


def distinct(planned: list[Planned]) -> list[Stage]:
    """The stages of all of them, each once, in an order in which they can be run."""
    found: dict[Path, Stage] = {}
    for one in planned:
        for stage in one.stages:
            found.setdefault(stage.made, stage)
    return list(found.values())


def _chain(suite: Suite, name: str, cell: Cell, drawn: Settings, seed: int, work: Path) -> list[Stage]:
    place = partial(_folder, work)
    of_stage = {one: seed if one in suite.seeded else suite.seeds[0] for one in ("pretrain", "tune")}
    own = suite.dataset.absolute() if suite.dataset else None
    begin = starter(
        work, shop=own, drawn=drawn, recipe=cell.tower or "train/tower.yaml", tower=cell.pretrain, index=cell.index,
        assemble=cell.assemble, seed=of_stage["pretrain"], place=place,
        pictures=_pictures(suite),
    )  # fmt: skip
    folders = {one.name: one.made.parent for one in begin}
    shop, index, model = (folders[name] for name in ("shop", "index", "assemble"))
    stages = [Stage(one.made.parent.name, one.says, one.made, one.command) for one in begin[1 if own else 0 :]]

    def add(kind: str, says: str, marker: str, *command: str) -> Path:
        folder = place(kind, command)
        stages.append(Stage(folder.name, says, folder / marker, (*command, "--out", str(folder))))
        return folder

    which = f"{name}, seed {seed}"
    if cell.captions:
        settings = (f"model={model}", f"seed={of_stage['pretrain']}")
        told = (*LLMREC, "pretrain", str(shop), "--recipe", cell.captions, *settings)
        model = add("captioned", f"Learning to tell pictures: {name}", "config.json", *told)
    tune = (*SFT, cell.recipe or "train/starter.yaml", f"model={model}", f"index={index}", *cell.tune)
    tune = (*tune, f"seed={of_stage['tune']}")
    run = place("run", tune)
    stages.append(Stage(run.name, f"Tuning: {which}", run / "manifest.json", (*tune, f"out={run}")))
    measure = (*LLMREC, "evaluate", str(index), "--model", str(run), *cell.evaluate)
    add("report", f"Measuring: {which}", "report.json", *measure)
    return stages


def _pictures(suite: Suite) -> bool:
    """Whether there is anything to look at, as in every drawn shop."""
    return suite.dataset is None or bool(Dataset.open(suite.dataset).info["counts"].get("pictures"))


def _folder(work: Path, name: str, command: tuple[str, ...]) -> Path:
    """A folder of its own for each command: another setting, another recipe's content or another input is another."""
    told = [_content(word.replace(str(work), "")) for word in command]
    return work / STAGES / f"{name}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:10]}"


def _content(word: str) -> list[str]:
    """A word of a command; of a recipe also what it holds, of a dataset its fingerprint."""
    path = ROOT / word
    if Path(word).is_absolute() and (path / MARKER).is_file():
        return [word, Dataset.open(path).info["fingerprint"]]
    return [word, path.read_text(encoding="utf-8")] if path.suffix == ".yaml" and path.is_file() else [word]
