"""What the cells of a suite found: figures with intervals, costs, paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.artifact import read_json
from llmrec.chain.running import Doing
from llmrec.compare.suite import Planned, Suite
from llmrec.errors import InputError
from llmrec.evaluation.report import system_gains
from llmrec.significance import SURE, Difference, Interval, compare, holm, intervals

MEASURE = "ndcg@10"
"""Below this p, corrected for the number of cells, a difference is said to be one."""


@dataclass(frozen=True)
class Costs:
    """What a cell costs, the mean over the seeds of which it is known; None where it is of none."""

    minutes: float | None
    """Of tuning."""
    whole: float | None
    """Of all its stages, those that it shares with other cells too."""
    memory: float | None
    """The most that the process of tuning held, in MiB."""
    trained: int | None
    """Parameters that were tuned."""
    parameters: int | None
    """All parameters of the model."""


@dataclass(frozen=True)
class Found:
    """One cell's figures."""

    name: str
    says: str
    interval: Interval
    """Over people, each person's measure being the mean over seeds."""
    deviation: float | None
    """Over seeds; None for a single one."""
    seeds: Mapping[int, float]
    costs: Costs
    gap: Difference | None
    """To the cell that all are held against; None for that one."""
    corrected: float | None
    """The p of that difference, corrected for the number of cells."""
    apart: Mapping[int, float]
    """The same difference with each seed that both have."""
    level: bool
    """Whether it cannot be told from the best."""
    at: float | None
    """Where it stands by what is compared."""
    beside: Mapping[str, float | None]
    """The means of other systems in the same reports, over the seeds."""


def results(suite: Suite, planned: Sequence[Planned], doing: Sequence[Doing], *, seed: int = 0) -> list[Found]:
    """The figures of all cells, the best first. People are paired; each one's measure is the mean over seeds."""
    by_name = {one.stage.name: one for one in doing}
    names = list(dict.fromkeys(one.cell for one in planned))
    cells = {name: [one for one in planned if one.cell == name] for name in names}
    each: dict[str, npt.NDArray[np.float64]] = {}
    means: dict[str, dict[int, float]] = {}
    people: pl.DataFrame | None = None
    asked = {name: cell.over(suite.all) for name, cell in suite.cells.items()}
    for name, runs in cells.items():
        tables = [system_gains(one.report, asked[name].system or suite.system) for one in runs]
        means[name] = {
            one.seed: float(table[MEASURE].to_numpy().mean()) for one, table in zip(runs, tables, strict=True)
        }
        for table in tables:
            people = table.select("user", "target") if people is None else people
            if not people.equals(table.select("user", "target")):
                raise InputError(
                    f"Cell {name!r} asked other people than {names[0]!r} did, so they cannot be paired. Give all cells "
                    "the same split and the same options of evaluate"
                )
        each[name] = np.mean([table[MEASURE].to_numpy() for table in tables], axis=0)
    against = suite.against if suite.against in each else names[0]
    best = max(names, key=lambda name: float(each[name].mean()))
    gaps = _gaps(each, against, seed)
    behind = _gaps(each, best, seed)
    level = {
        name for name, (gap, p) in behind.items() if not (p < SURE and steady(gap, apart(means[name], means[best])))
    }
    spans = intervals(np.stack([each[name] for name in names], axis=1), seed=seed)
    found = [
        Found(
            name,
            suite.cells[name].says,
            span,
            float(np.std(list(means[name].values()), ddof=1)) if len(means[name]) > 1 else None,
            means[name],
            _costs(cells[name], by_name),
            gaps[name][0] if name in gaps else None,
            gaps[name][1] if name in gaps else None,
            apart(means[name], means[against]) if name in gaps else {},
            name in level or name == best,
            asked[name].at,
            {system: _mean(cells[name], system) for system in suite.beside},
        )
        for name, span in zip(names, spans, strict=True)
    ]
    return sorted(found, key=lambda one: -one.interval.mean)


def apart(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """The difference of two cells with each seed that both have."""
    return {seed: mean - other[seed] for seed, mean in one.items() if seed in other}


def steady(gap: Difference, seeds: Mapping[int, float]) -> bool:
    """Whether a difference goes the same way with every seed: p is over people, and says nothing of another seed."""
    return all(gap.mean * each > 0 for each in seeds.values())


def as_content(found: Sequence[Found]) -> list[dict[str, Any]]:
    """The same as plain values."""
    return [asdict(one) for one in found]


def _gaps(each: Mapping[str, npt.NDArray[np.float64]], against: str, seed: int) -> dict[str, tuple[Difference, float]]:
    """Each cell's difference to one, and its p corrected for their number."""
    gaps = {name: compare(values, each[against], seed=seed) for name, values in each.items() if name != against}
    return dict(zip(gaps, zip(gaps.values(), holm([gap.p for gap in gaps.values()]), strict=True), strict=True))


def _costs(runs: Sequence[Planned], doing: Mapping[str, Doing]) -> Costs:
    tuned = [doing[one.stages[-2].name] for one in runs]
    every = [[doing[stage.name].minutes for stage in one.stages] for one in runs]
    plan = _plan(runs[0].run)
    return Costs(
        minutes=_known([one.minutes for one in tuned]),
        whole=_known([sum(each) for each in every if all(each)]),
        memory=round(max(one.peak for one in tuned)) or None,
        trained=plan.get("trained_parameters"),
        parameters=plan.get("parameters"),
    )


def _known(minutes: Sequence[float]) -> float | None:
    """The mean of what was noted; a stage of which nothing was has 0."""
    noted = [each for each in minutes if each]
    return round(float(np.mean(noted)), 3) if noted else None


def _mean(runs: Sequence[Planned], system: str) -> float | None:
    """The mean of a system over seeds; None where it was not there, as a fusion that too few people could teach."""
    for one in runs:
        told = read_json(
            one.report, "report.json", kind="a report", remedy="Remove it; the same command makes it again"
        )
        if system not in [there["name"] for there in told["systems"]]:
            return None
    return float(np.mean([system_gains(one.report, system)[MEASURE].to_numpy().mean() for one in runs]))


def _plan(run: Path) -> dict[str, Any]:
    told = read_json(run, "manifest.json", kind="a tuned run", remedy="Remove it; the same command makes it again")
    plan: dict[str, Any] = told.get("plan", {})
    return plan
