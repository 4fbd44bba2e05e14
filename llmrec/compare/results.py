"""What the cells of a suite found: figures with intervals, costs, paired differences, and what can be said of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llmrec.artifact import read_json
from llmrec.chain.running import Doing
from llmrec.compare.suite import Claim, Planned, Suite
from llmrec.errors import InputError
from llmrec.evaluation.report import system_gains
from llmrec.significance import Difference, Interval, compare, holm, intervals

MEASURE = "ndcg@10"
SURE = 0.05
"""Below this p, corrected for the number of cells, a difference is said to be one."""


@dataclass(frozen=True)
class Costs:
    """What a cell costs, the mean over its seeds."""

    minutes: float
    """Of tuning."""
    whole: float
    """Of all its stages, those that it shares with other cells too."""
    memory: float
    """The most that tuning held, in MiB; 0 where that is not known."""
    trained: int
    """Parameters that were tuned."""
    parameters: int
    """All parameters of the model."""


@dataclass(frozen=True)
class Found:
    """One cell's figures."""

    name: str
    says: str
    interval: Interval
    deviation: float | None
    """Over seeds; None for a single one."""
    seeds: Mapping[int, float]
    costs: Costs
    gap: Difference | None
    """To the cell that all are held against; None for that one."""
    corrected: float | None
    """The p of that difference, corrected for the number of cells."""
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
    level = {name for name, (_, p) in _gaps(each, best, seed).items() if p >= SURE}
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
            name in level or name == best,
            asked[name].at,
            {system: _mean(cells[name], system) for system in suite.beside},
        )
        for name, span in zip(names, spans, strict=True)
    ]
    return sorted(found, key=lambda one: -one.interval.mean)


def reading(found: Sequence[Found], suite: Suite | None = None, seeds: Sequence[int] = ()) -> list[str]:
    """What these figures allow to say, in sentences; nothing that they do not support.

    With a suite, its claims are held against them, and what of its cells and of these seeds was not run is named.
    """
    best = found[0]
    equal = [one for one in found[1:] if one.level]
    told = [f"“{best.name}” has the highest mean, {best.interval.mean:.4f}."]
    if equal:
        told = [f"{told[0][:-1]}, but {_listed([f'“{one.name}”' for one in equal])} cannot be told from it."]
        light = min([best, *equal], key=lambda one: one.costs.minutes)
        if light is not best and best.costs.minutes:
            told.append(
                f"Of these “{light.name}” is tuned in the least time: {_times(light, best)} that of “{best.name}”."
            )
    base = next((one for one in found if one.gap is None), None)
    for one in found:
        if one is base or base is None or one.gap is None or one.corrected is None:
            continue
        cost = f"; it takes {_times(one, base)} the time of tuning" if base.costs.minutes else ""
        cost += f" and {one.costs.memory / base.costs.memory:.2f} of the memory" if base.costs.memory else ""
        numbers = f"{one.gap.mean:+.4f}, {one.gap.low:+.4f} to {one.gap.high:+.4f}, p {_p(one.corrected)}"
        if one.corrected < SURE:
            way = "better" if one.gap.mean > 0 else "worse"
            told.append(f"“{one.name}” ranks {way} than “{base.name}” ({numbers}){cost}.")
        else:
            told.append(f"“{one.name}” cannot be told from “{base.name}” ({numbers}){cost}.")
    by_name = {one.name: one for one in found}
    for claim in suite.claims if suite else ():
        if claim.cell in by_name and claim.of in by_name:
            told += _held(claim, by_name[claim.cell].costs, by_name[claim.of].costs)
    if all(len(one.seeds) == 1 for one in found):
        told.append("There is one seed a cell, so what another seed would give is not known.")
    return [*told, *_missing(found, suite, seeds)] if suite else told


def as_content(found: Sequence[Found]) -> list[dict[str, Any]]:
    """The same as plain values."""
    return [asdict(one) for one in found]


def _gaps(each: Mapping[str, npt.NDArray[np.float64]], against: str, seed: int) -> dict[str, tuple[Difference, float]]:
    """Each cell's difference to one, and its p corrected for their number."""
    gaps = {name: compare(values, each[against], seed=seed) for name, values in each.items() if name != against}
    return dict(zip(gaps, zip(gaps.values(), holm([gap.p for gap in gaps.values()]), strict=True), strict=True))


def _costs(runs: Sequence[Planned], doing: Mapping[str, Doing]) -> Costs:
    tuned = [doing[one.stages[-2].name] for one in runs]
    plan = _plan(runs[0].run)
    return Costs(
        minutes=round(float(np.mean([one.minutes for one in tuned])), 3),
        whole=round(float(np.mean([sum(doing[stage.name].minutes for stage in one.stages) for one in runs])), 3),
        memory=round(max(one.peak for one in tuned)),
        trained=int(plan.get("trained_parameters", 0)),
        parameters=int(plan.get("parameters", 0)),
    )


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


def _missing(found: Sequence[Found], suite: Suite, seeds: Sequence[int]) -> list[str]:
    """What of a suite was not run, and which cell stands in for the one that all are held against."""
    made = {one.name: one.seeds for one in found}
    told = []
    if suite.against not in made:
        base = next(one.name for one in found if one.gap is None)
        told.append(f"“{suite.against}”, which all are to be held against, was not run: “{base}” stands in for it.")
    whole = [f"“{name}”" for name in suite.cells if name not in made]
    lacking = {name: [str(seed) for seed in seeds if seed not in made[name]] for name in suite.cells if name in made}
    same = {tuple(some) for some in lacking.values()}
    if len(same) == 1 and (some := list(next(iter(same)))):
        whole.append(_seeds(some) + (" of the others" if whole else ""))
    else:
        whole += [f"{_seeds(some)} of “{name}”" for name, some in lacking.items() if some]
    return [*told, *([f"Not run: {_listed(whole)}."] if whole else [])]


def _seeds(some: Sequence[str]) -> str:
    return f"seed{'s' if len(some) > 1 else ''} {_listed(some)}"


def _held(claim: Claim, one: Costs, other: Costs) -> list[str]:
    """What is claimed of a cell's costs beside what was seen; nothing where neither cost was measured."""
    costs = (("time", claim.minutes, one.minutes, other.minutes), ("memory", claim.memory, one.memory, other.memory))
    known = [(what, said, seen / of - 1) for what, said, seen, of in costs if said is not None and seen and of]
    if not known:
        return []
    said = " and ".join(f"{_share(share)} {what}" for what, share, _ in known)
    seen = " and ".join(_share(share) for *_, share in known)
    return [f"{claim.says} says {said} than “{claim.of}”: here “{claim.cell}” takes {seen}."]


def _share(value: float) -> str:
    return f"{abs(value):.0%}".replace("%", " %") + (" less" if value < 0 else " more")


def _times(one: Found, other: Found) -> str:
    return f"{one.costs.minutes / max(other.costs.minutes, 1e-9):.2f} of"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "below .0001"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
