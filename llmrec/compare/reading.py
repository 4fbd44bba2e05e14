"""What the figures of a suite allow to say, in sentences."""

from collections.abc import Sequence

from llmrec.compare.results import Costs, Found, steady
from llmrec.compare.suite import Claim, Suite
from llmrec.significance import SURE
from llmrec.telling import listed


def reading(found: Sequence[Found], suite: Suite | None = None, seeds: Sequence[int] = ()) -> list[str]:
    """What these figures allow to say, in sentences; nothing that they do not support.

    With a suite, its claims are held against them, and what of its cells and of these seeds was not run is named.
    """
    best = found[0]
    equal = [one for one in found[1:] if one.level]
    told = [f"“{best.name}” has the highest mean, {best.interval.mean:.4f}."]
    if equal:
        told = [f"{told[0][:-1]}, but {listed([f'“{one.name}”' for one in equal])} cannot be told from it."]
        timed = {one.name: one.costs.minutes for one in (best, *equal) if one.costs.minutes}
        light = min(timed, key=timed.__getitem__, default=best.name)
        if light != best.name and best.name in timed:
            share = timed[light] / timed[best.name]
            told.append(f"Of these “{light}” is tuned in the least time: {share:.2f} of that of “{best.name}”.")
    base = next((one for one in found if one.gap is None), None)
    told += [_against(one, base) for one in found if base is not None and one is not base]
    told += _ahead(found)
    by_name = {one.name: one for one in found}
    for claim in suite.claims if suite else ():
        if claim.cell in by_name and claim.of in by_name:
            told += _held(claim, by_name[claim.cell].costs, by_name[claim.of].costs)
    alone = [f"“{one.name}”" for one in found if len(one.seeds) == 1]
    if len(alone) == len(found):
        told.append("There is one seed a cell, so what another seed would give is not known.")
    elif alone:
        told.append(f"There is one seed of {listed(alone)}, so what another would give is not known.")
    return [*told, *_missing(found, suite, seeds)] if suite else told


def _against(one: Found, base: Found) -> str:
    """How a cell stands to the one that all are held against, with every seed as well, and what it costs beside it."""
    assert one.gap is not None
    assert one.corrected is not None
    sure, each = one.corrected < SURE, sorted(one.apart.values())
    numbers = f"{one.gap.mean:+.4f}, {one.gap.low:+.4f} to {one.gap.high:+.4f}, p {_p(one.corrected)}"
    if len(each) > 1:
        numbers += f"; with single seeds {each[0]:+.4f} to {each[-1]:+.4f}"
    way = "better" if one.gap.mean > 0 else "worse"
    if sure and steady(one.gap, one.apart):
        said = f"“{one.name}” ranks {way} than “{base.name}” ({numbers})"
    elif sure:
        said = (
            f"“{one.name}” ranks {way} than “{base.name}” on the mean of seeds, but not with each of them ({numbers})"
        )
    else:
        said = f"“{one.name}” cannot be told from “{base.name}” ({numbers})"
    costs = (("time of tuning", one.costs.minutes, base.costs.minutes), ("memory", one.costs.memory, base.costs.memory))
    shares = [f"{seen / of:.2f} of the {what}" for what, seen, of in costs if seen and of]
    return f"{said}; it takes {listed(shares)}." if shares else f"{said}."


def _ahead(found: Sequence[Found]) -> list[str]:
    """Which of the systems that stand beside have higher means than cells, each held against its own report's."""
    told = []
    for system in found[0].beside:
        known = {one.name: (one.interval.mean, one.beside[system]) for one in found}
        behind = {name: mean for name, (own, mean) in known.items() if mean is not None and mean > own}
        if not behind:
            continue
        low, high = (f"{of(behind.values()):.4f}" for of in (min, max))
        cells = "every cell" if len(behind) == len(found) else listed([f"“{name}”" for name in behind])
        told.append(f"“{system}” ({low if low == high else f'{low} to {high}'}) has a higher mean than {cells}.")
    return told


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
    return [*told, *([f"Not run: {listed(whole)}."] if whole else [])]


def _seeds(some: Sequence[str]) -> str:
    return f"seed{'s' if len(some) > 1 else ''} {listed(some)}"


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


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "below .0001"
