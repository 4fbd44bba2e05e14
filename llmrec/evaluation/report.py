"""The report: figures as JSON, every person's result as Parquet, and a page with plots that carries its pictures."""

import functools
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llmrec.artifact import read_json, staged, write_json
from llmrec.dataset import Dataset
from llmrec.environment import machine, versions
from llmrec.errors import InputError
from llmrec.evaluation.direct import COIN
from llmrec.evaluation.looks import Change, looks
from llmrec.evaluation.missing import missing
from llmrec.evaluation.run import AMONG_TOLD, CEILINGS, MAIN, Cases, Ranked, by_chance, comparisons, per_person, summary
from llmrec.metrics import CUTS, gains
from llmrec.page import page_template, thumbnail
from llmrec.significance import compare, holm

MARKER = "report.json"
VERSION = 1
COMPARED = {"dataset", "split", "part", "protocol", "systems"}
FEWEST = 2
PEOPLE = 8
SHOWN_HISTORY, SHOWN_LIST = 8, 6
THUMBNAIL = 120
Thing = Callable[[int], dict[str, Any]]
OFTEN_OWNED = 0.02
"""Above this share of targets that the person had before, the page says that they cannot be found."""


def report_folder(out: Path, *, overwrite: bool = False) -> AbstractContextManager[Path]:
    """An empty folder that becomes the report. What stands in its way is told before anybody is ranked."""
    return staged(out, marker=MARKER, holds=("people.parquet", "report.html"), overwrite=overwrite)


def write_report(
    folder: Path,
    dataset: Dataset,
    cases: Cases,
    systems: Sequence[Ranked],
    *,
    seed: int = 0,
    seeds: Sequence[int] = (0,),
    ratings: Sequence[Mapping[str, Any]] = (),
    warnings: Sequence[str] = (),
    labels: Sequence[Mapping[str, Any]] = (),
    speech: Sequence[Mapping[str, Any]] = (),
    untold: Sequence[str] = (),
    changes: Sequence[Change] = (),
    model_seeds: Sequence[int] = (),
) -> dict[str, Any]:
    """Write `report.json`, `people.parquet` and `report.html` into a folder; returns what the JSON holds.

    `seed` is that of the evaluation itself; `seeds` are those that the retrievers' runs were fitted with,
    `model_seeds` those of a model, where it has several.
    """
    if len(cases) < FEWEST:
        raise InputError(f"{len(cases)} target has no interval, so nothing could be said about it. Ask more people")
    ordered = sorted(systems, key=lambda one: -float(one.gains.column(MAIN[0]).mean()))
    told = [{"name": one.name, **summary(one, cases, seed=seed)} for one in ordered]
    content: dict[str, Any] = {
        "version": VERSION,
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "split": cases.split.name,
        "part": cases.part,
        "protocol": cases.protocol,
        "people": len(cases),
        "catalogue": len(cases.split.log.items),
        "seeds": list(seeds),
        "model_seeds": list(model_seeds),
        "several": _several(seeds, model_seeds),
        "coin": COIN,
        "ranked": len(cases.offered),
        "random": by_chance(cases),
        "systems": told,
        "comparisons": comparisons(ordered, seed=seed),
        "looks": looks(changes, ordered, seed=seed),
        "ratings": list(ratings),
        "labels": list(labels),
        "speech": list(speech),
        "untold": [*untold, *missing(cases, told)],
        "warnings": [*warnings, *_warnings(cases)],
        "seed": seed,
        "command": shlex.join(["llmrec", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(["llmrec", "numpy", "torch"]),
    }
    per_person(ordered, cases).write_parquet(folder / "people.parquet", compression="zstd")
    (folder / "report.html").write_text(_page(content, dataset, cases, ordered), encoding="utf-8")
    write_json(folder / MARKER, content)
    return content


def _warnings(cases: Cases) -> list[str]:
    found = []
    if cases.split.people < 1:
        found.append(f"Everything learnt from {cases.split.people:.3g} of the people alone; all of them are asked.")
    owned = np.mean([target in history for history, target in zip(cases.histories, cases.target, strict=True)])
    if owned > OFTEN_OWNED:
        had = f"{owned:.1%} of the targets are items that the person had before."
        found.append(f"{had} Lists leave out what a person has, so no system finds them.")
    return found


def _page(content: Mapping[str, Any], dataset: Dataset, cases: Cases, systems: Sequence[Ranked]) -> str:
    tops = {
        name: max(max(one["measures"][name]["high"], one["measures"][name]["mean"]) for one in content["systems"])
        or 1.0
        for name in MAIN
    }
    host = content["machine"]
    thing = _things(dataset)
    return str(
        page_template("report.html").render(
            report={**content, "machine": f"{host['processor']}, {host['cores']} cores"},
            ratings=content["ratings"],
            tops=tops,
            names=[f"{name}@{cut}" for name in ("hr", "ndcg") for cut in CUTS] + ["mrr"],
            among=AMONG_TOLD,
            depths=[str(depth) for depth in CEILINGS],
            place=_place(content["comparisons"]),
            look_place=_place(content["looks"]["rows"] if content["looks"] else []),
            people=_people(thing, cases, systems, content["seed"]),
            things=_spoken_of(thing, content, dataset.log.items.to_list()),
        )
    )


def _several(seeds: Sequence[int], model_seeds: Sequence[int]) -> str | None:
    """Of what the figures are means over seeds, in words; None where nothing has several."""
    for some, what in ((seeds, "All figures"), (model_seeds, "Figures of the model")):
        if len(some) > 1:
            return f"{what} are means of {len(some)} fits with the seeds {', '.join(map(str, some))}"
    return None


def _place(comparisons: Sequence[Mapping[str, Any]]) -> Callable[[float], float]:
    """Where a difference in the main measure stands on a plot of all of them that has 0 on it, in percent."""
    rows = [row for row in comparisons if row["measure"] == MAIN[0]]
    ends = [0.0, *(row["low"] for row in rows), *(row["high"] for row in rows)]
    low, width = min(ends), max(max(ends) - min(ends), 1e-9)
    return lambda value: 100 * (value - low) / width


def _people(thing: Thing, cases: Cases, systems: Sequence[Ranked], seed: int) -> list[dict[str, Any]]:
    """Some people at random, with the pictures of what they took and of what was put on top for them."""
    chosen = np.random.default_rng(seed).permutation(len(cases))[:PEOPLE]
    return [
        {
            "user": cases.split.log.users[int(cases.user[place])],
            "length": len(cases.histories[place]),
            "history": [thing(int(code)) for code in cases.histories[place][-SHOWN_HISTORY:]],
            "target": thing(int(cases.target[place])),
            "systems": [
                {
                    "name": one.name,
                    "rank": int(one.ranks[place]),
                    "shown": [thing(int(code)) for code in one.lists[place][:SHOWN_LIST] if code >= 0],
                }
                for one in systems
            ],
        }
        for place in chosen.tolist()
    ]


def _things(dataset: Dataset) -> Thing:
    """Items by their numbers as a page shows them: title and small picture."""
    items = dataset.items.select("item", "title", "image").collect()
    small = functools.cache(functools.partial(thumbnail, side=THUMBNAIL))

    def thing(code: int) -> dict[str, Any]:
        item, title, image = items.row(code)
        return {"item": item, "title": title or item, "picture": small(dataset.picture(image))}

    return thing


def _spoken_of(thing: Thing, content: Mapping[str, Any], ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The items that stand beside what models said."""
    codes = {item: code for code, item in enumerate(ids)}
    shown = [case for model in content["speech"] for task in model["tasks"] for case in task["shown"]]
    return {item: thing(codes[item]) for case in shown for item in (case["item"], *case["history"])}


def compare_reports(first: Path, second: Path, *, seed: int = 0) -> list[dict[str, Any]]:
    """Compare the systems of one report with those of the same name, or the best, of another; paired over people."""
    left, right = (_opened(folder) for folder in (first, second))
    for key in ("split", "part", "protocol"):
        if left[0][key] != right[0][key]:
            raise InputError(
                f"{first} is about {key} {left[0][key]!r}, {second} about {right[0][key]!r}. Compare alike ones"
            )
    if left[0]["dataset"]["fingerprint"] != right[0]["dataset"]["fingerprint"]:
        raise InputError(
            f"{first} and {second} are about different data (fingerprints differ). Evaluate on the same dataset"
        )
    found = []
    names = [one["name"] for one in right[0]["systems"]]
    for system in left[0]["systems"]:
        other = system["name"] if system["name"] in names else names[0]
        one, two = _gains(left[1], system["name"]), _gains(right[1], other)
        both = one.join(two, on=["user", "target"], suffix=" of the other")
        if len(both) < max(len(one), len(two)):
            raise InputError(f"{first} and {second} asked different people. Evaluate both with the same --limit")
        for measure in MAIN:
            gap = compare(both[measure].to_numpy(), both[f"{measure} of the other"].to_numpy(), seed=seed)
            found.append({"system": system["name"], "other": other, "measure": measure, **vars(gap)})
    for row, p in zip(found, holm([row["p"] for row in found]), strict=True):
        row["corrected"] = p
    return found


def system_gains(folder: Path, system: str) -> pl.DataFrame:
    """The main measures of every person and target of one system of a report."""
    content, people = _opened(folder)
    names = [one["name"] for one in content["systems"]]
    if system not in names:
        raise InputError(f"{folder} measured no system {system!r}, but {', '.join(names)}. Name one of these")
    return _gains(people, system)


def _gains(people: pl.DataFrame, system: str) -> pl.DataFrame:
    """The main measures of every person and target, the mean where a system was fitted with several seeds."""
    own = people.filter(pl.col("system") == system)
    told = gains(own["rank"].to_numpy())
    columns = [pl.Series(measure, told.column(measure)) for measure in MAIN]
    return own.select("user", "target").with_columns(columns).group_by("user", "target", maintain_order=True).mean()


def _opened(folder: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    remedy = "Make one with: llmrec evaluate INDEX --out FOLDER"
    content = read_json(folder, MARKER, kind="a report", remedy=remedy)
    if content.get("version") != VERSION:
        raise InputError(
            f"{folder} has report version {content.get('version')}, this llmrec reads {VERSION}. {remedy} --overwrite"
        )
    missing = COMPARED - content.keys()
    if missing:
        raise InputError(f"{folder / MARKER} has no {', '.join(sorted(missing))}, so it is damaged. {remedy}")
    try:
        return content, pl.read_parquet(folder / "people.parquet", columns=["system", "user", "target", "rank"])
    except (pl.exceptions.PolarsError, OSError) as error:
        seen = str(error).partition("\n")[0]
        raise InputError(f"{folder / 'people.parquet'} is damaged ({seen}). {remedy}") from error
