"""Suites: cells share what they have in common, figures are paired over people, sentences say what these support."""

import itertools
import json
import math
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from from_code import results as page_of_results
from shops import shop
from suites import figures_of

from llmrec.chain.running import Doing
from llmrec.compare.page import COSTS, HIGH, LEFT, WIDE, along, page, plot
from llmrec.compare.reading import reading
from llmrec.compare.results import Costs, Found, results
from llmrec.compare.suite import Cell, Claim, Planned, Suite, all_made, distinct, name_of, plan, read_suite
from llmrec.errors import ConfigError, InputError
from llmrec.significance import Difference, Interval

ROOT = Path(__file__).parent.parent
PEOPLE = 400


def suite(**changes: Any) -> Suite:
    cells = {"short": Cell(tune=("adapter.layers=2",)), "long": Cell(tune=("adapter.layers=4",))}
    return Suite(**{"question": "How many?", "cells": cells, "against": "short", "seeds": (0, 1), **changes})


def names(planned: list[Planned], kind: str) -> list[str]:
    return [stage.name for one in planned for stage in one.stages if stage.name.startswith(kind)]


# --- what is run -------------------------------------------------------------------------------------------------


def test_cells_share_what_they_have_in_common(tmp_path: Path) -> None:
    planned = plan(suite(), tmp_path)
    assert [(one.cell, one.seed) for one in planned] == [("short", 0), ("short", 1), ("long", 0), ("long", 1)]
    for kind in ("atelier", "tower", "index", "starter"):
        assert len(names(planned, kind)) == 4
        assert len(set(names(planned, kind))) == 1, "made once"
    assert len(set(names(planned, "run"))) == len(set(names(planned, "report"))) == 4
    stages = distinct(planned)
    assert len(stages) == 4 + 4 * 2
    there: set[str] = set()
    for stage in stages:  # nothing is read before it is made
        for word in stage.command:
            for folder in re.findall(rf"{tmp_path}/stages/[^/ =]+", word):
                assert Path(folder) == stage.made.parent or folder in there, (stage.name, folder)
        there.add(str(stage.made.parent))


def test_a_seed_changes_the_stages_that_are_said_to_have_one(tmp_path: Path) -> None:
    planned = plan(suite(seeded=("pretrain", "tune")), tmp_path)
    assert len(set(names(planned, "atelier"))) == 1
    assert len(set(names(planned, "tower"))) == len(set(names(planned, "index"))) == 2
    fixed = plan(suite(seeded=("pretrain",)), tmp_path)
    assert {word for one in fixed for word in one.stages[-2].command if word.startswith("seed=")} == {"seed=0"}


def test_what_a_cell_says_comes_after_what_all_have(tmp_path: Path) -> None:
    common = Cell(tower="train/tower-contrastive.yaml", pretrain=("epochs=3",), tune=("walks.passes=2",))
    cells = {"one": Cell(), "other": Cell(tower="train/tower.yaml", tune=("walks.passes=4",), evaluate=("--sampled",))}
    one, other = plan(suite(cells=cells, against="one", all=common, seeds=(5,)), tmp_path)
    look = {planned.cell: planned.stages[1].command for planned in (one, other)}
    assert "train/tower-contrastive.yaml" in look["one"]
    assert "train/tower.yaml" in look["other"]
    assert all("epochs=3" in command for command in look.values())
    tune = other.stages[-2].command
    assert tune.index("walks.passes=2") < tune.index("walks.passes=4"), "the last one holds"
    assert "--sampled" in other.stages[-1].command
    assert "--sampled" not in one.stages[-1].command


def test_another_content_of_a_recipe_is_another_stage(tmp_path: Path) -> None:
    recipe = tmp_path / "own.yaml"
    recipe.write_text("walks: {passes: 1}\n")
    cells = {"one": Cell(recipe=str(recipe)), "other": Cell()}
    before = plan(suite(cells=cells, against="one"), tmp_path / "work")[0]
    assert plan(suite(cells=cells, against="one"), tmp_path / "work")[0] == before
    recipe.write_text("walks: {passes: 2}\n")
    after = plan(suite(cells=cells, against="one"), tmp_path / "work")[0]
    assert after.run != before.run
    assert after.report != before.report, "and so is what is made of it"
    assert [one.name for one in after.stages[:-2]] == [one.name for one in before.stages[:-2]]


def test_a_dataset_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    own = shop(tmp_path / "own")
    asked = suite(dataset=own.folder)
    before = plan(asked, tmp_path / "work")[0]
    assert not names([before], "atelier"), "no shop is drawn"
    assert plan(asked, tmp_path / "work")[0] == before
    told = json.loads((own.folder / "dataset.json").read_text())
    (own.folder / "dataset.json").write_text(json.dumps({**told, "fingerprint": "sha256:other"}))
    after = plan(asked, tmp_path / "work")[0]
    assert after.run != before.run
    assert names([after], "tower") != names([before], "tower")


def test_cells_that_come_to_the_same_are_refused(tmp_path: Path) -> None:
    own = shop(tmp_path / "own", images={})
    asked = replace(read_suite(ROOT / "train/suites/pretraining.yaml"), dataset=own.folder)
    with pytest.raises(
        ConfigError, match=r"'none' and 'contrastive' come to the same commands, since .*own has no pictures"
    ):
        plan(asked, tmp_path / "work")
    cells = {"one": Cell(), "other": Cell(says="just so")}
    with pytest.raises(ConfigError, match="'one' and 'other' come to the same commands, so there is nothing"):
        plan(suite(cells=cells, against="one"), tmp_path)
    assert plan(suite(cells=cells, against="one"), tmp_path, only=frozenset(["other"]))
    two = {"one": Cell(), "other": Cell(system="light reader")}
    assert plan(suite(cells=two, against="one"), tmp_path), "another row of the same report"


def test_a_suite_asked_of_a_dataset_has_a_page_of_its_own() -> None:
    found = [
        name_of(Path("content.yaml"), Path(data) if data else None, quick=quick)
        for data in ("", "films")
        for quick in (False, True)
    ]
    assert found == ["content", "content-quick", "content-films", "content-films-quick"]


def test_captions_come_between_the_assembled_model_and_its_tuning(tmp_path: Path) -> None:
    cells = {"told": Cell(captions="train/captions.yaml"), "untold": Cell()}
    planned = {one.cell: one for one in plan(suite(cells=cells, against="told", seeds=(0,)), tmp_path)}
    captioned = planned["told"].stages[-3]
    assert captioned.name.startswith("captioned")
    assert f"model={captioned.made.parent}" in planned["told"].stages[-2].command
    assert not names([planned["untold"]], "captioned")
    assert [word for word in captioned.command if word.startswith("seed=")] == ["seed=0"]
    seeds = plan(suite(cells=cells, against="told"), tmp_path)
    assert len(set(names(seeds, "captioned"))) == 1, "pretraining is made once, unless the suite says otherwise"
    assert len(set(names(plan(suite(cells=cells, against="told", seeded=("pretrain",)), tmp_path), "captioned"))) == 2


def test_quick_is_small_and_has_one_seed(tmp_path: Path) -> None:
    small = suite(quick=Cell(tune=("walks.passes=0.1",)), quick_shop=("--items", "50"))
    planned = plan(small, tmp_path, quick=True)
    assert [one.seed for one in planned] == [0, 0]
    assert "50" in planned[0].stages[0].command
    tune = planned[0].stages[-2].command
    assert tune.index("walks.passes=0.1") < tune.index("adapter.layers=2"), "what is compared stays"


def test_the_survey_s_ways_of_adapting_are_cells_and_are_told(tmp_path: Path) -> None:
    asked = read_suite(ROOT / "train/suites/adaptation.yaml")
    lines = (ROOT / "docs/comparing.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith("| `adaptation.yaml`")]
    assert [name.strip() for name in row.split("|")[3].split(",")] == list(asked.cells)
    tuned = {one.cell: list(one.stages[-2].command) for one in plan(asked, tmp_path, seeds=(0,))}
    assert [word for word in tuned["QLoRA"] if word not in tuned["LoRA"]][:-1] == ["quantization=4bit"]


@pytest.mark.parametrize(("name", "several"), [("content", {"two positions": 2}), ("adaptation", {})])
def test_cells_of_item_words_say_how_many_places_these_take(name: str, several: dict[str, int], tmp_path: Path) -> None:
    planned = plan(read_suite(ROOT / f"train/suites/{name}.yaml"), tmp_path, seeds=(0,))
    told = {one.cell: [word for word in one.stages[-2].command if "words.positions=" in word] for one in planned}
    assert {cell: int(words[-1].split("=")[1]) for cell, words in told.items()} == dict.fromkeys(told, 1) | several


def test_some_cells_alone(tmp_path: Path) -> None:
    assert {one.cell for one in plan(suite(), tmp_path, only=frozenset(["long"]))} == {"long"}
    with pytest.raises(ConfigError, match=r"'broad' is no cell of this suite\. Its cells are short, long"):
        plan(suite(), tmp_path, only=frozenset(["broad"]))


CLAIM = """
question: Which?
against: a
cells: {{a: {{}}, b: {{}}}}
claims: [{{says: They, cell: {cell}, of: {of}{rest}}}]
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("question: Which?\nagainst: a\ncells: {a: {}}\n", "fewer than two"),
        ("question: Which?\nagainst: c\ncells: {a: {}, b: {}}\n", "against is 'c'"),
        ("question: Which?\nagainst: a\ncells: {a: {}, b: {}}\nseeds: [1, 1]\n", "each seed once"),
        ("question: Which?\nagainst: a\ncells: {a: {tun: []}, b: {}}\n", "did you mean cells.a.tune"),
        ("against: a\ncells: {a: {}, b: {}}\n", "question is missing"),
        ("question: Which?\nagainst: a\ncells: {a: {at: 0}, b: {}}\n", r"cells\.a\.at is 0: give a number above 0"),
        (CLAIM.format(cell="c", of="a", rest=", minutes: -0.2"), "claims has 'c', which is no cell. Name one of a, b"),
        (CLAIM.format(cell="a", of="c", rest=", memory: -0.2"), "claims has 'c', which is no cell. Name one of a, b"),
        (CLAIM.format(cell="b", of="a", rest=""), "'They' says nothing of 'b'. Give minutes, memory or both"),
    ],
)
def test_a_suite_that_cannot_be_is_told(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(text)
    with pytest.raises(ConfigError, match=why):
        read_suite(tmp_path / "suite.yaml")


# --- what it found -----------------------------------------------------------------------------------------------


def made(planned: Planned, ranks: np.ndarray, users: list[str] | None = None) -> None:
    """A report and a run as the commands write them."""
    users = users or [f"u{place}" for place in range(len(ranks))]
    planned.report.mkdir(parents=True)
    planned.run.mkdir(parents=True)
    told = {"version": 1, "dataset": {"name": "x", "fingerprint": "f"}, "split": "s", "part": "test"}
    told |= {"protocol": "full", "systems": [{"name": "model"}], "people": len(ranks), "catalogue": 99}
    (planned.report / "report.json").write_text(json.dumps(told))
    table = pl.DataFrame({"system": "model", "user": users, "target": "i1", "rank": ranks.astype(np.int64)})
    table.write_parquet(planned.report / "people.parquet")
    plan_of = {"plan": {"trained_parameters": 10, "parameters": 40}, "kind": "run"}
    (planned.run / "manifest.json").write_text(json.dumps(plan_of))


def doing(planned: list[Planned], minutes: dict[str, float]) -> list[Doing]:
    return [
        Doing(stage, "done", minutes[one.cell] if stage.name.startswith("run") else 0.5, peak=100.0)
        for one in planned
        for stage in one.stages
    ]


def test_figures_are_means_over_seeds_and_differences_are_paired_over_people(tmp_path: Path) -> None:
    planned = plan(suite(), tmp_path)
    rng = np.random.default_rng(0)
    hard = rng.integers(1, 40, PEOPLE)
    for one in planned:  # everybody is a little better served by the long one
        made(one, np.maximum(1, hard - 3) if one.cell == "long" else hard + one.seed)
    found = results(suite(), planned, doing(planned, {"short": 2.0, "long": 3.0}))
    assert [one.name for one in found] == ["long", "short"]
    long, short = found
    assert short.gap is None
    assert long.gap is not None
    assert long.corrected is not None
    assert long.gap.mean == pytest.approx(long.interval.mean - short.interval.mean)
    assert long.corrected < 0.001
    assert not short.level
    assert short.interval.mean == pytest.approx(np.mean(list(short.seeds.values())))
    assert short.deviation == pytest.approx(np.std(list(short.seeds.values()), ddof=1))
    assert long.deviation == 0
    assert long.costs == Costs(minutes=3.0, whole=3.0 + 0.5 * 5, memory=100, trained=10, parameters=40)
    text = " ".join(reading(found))
    assert "“long” has the highest mean" in text
    assert "“long” ranks better than “short”" in text
    assert "takes 1.50 of the time of tuning and 1.00 of the memory" in text


def test_a_difference_by_chance_is_not_called_one(tmp_path: Path) -> None:
    one_seed = suite(seeds=(0,))
    planned = plan(one_seed, tmp_path)
    rng = np.random.default_rng(1)
    for one in planned:
        made(one, rng.integers(1, 40, PEOPLE))
    found = results(one_seed, planned, doing(planned, {"short": 2.0, "long": 4.0}))
    text = " ".join(reading(found))
    assert all(one.level for one in found)
    assert "cannot be told from" in text
    assert "better" not in text
    assert "worse" not in text
    assert "one seed a cell" in text
    assert found[0].deviation is None


def test_other_people_cannot_be_paired(tmp_path: Path) -> None:
    planned = plan(suite(seeds=(0,)), tmp_path)
    made(planned[0], np.arange(1, 9))
    made(planned[1], np.arange(1, 9), users=[f"v{place}" for place in range(8)])
    with pytest.raises(InputError, match="'long' asked other people than 'short' did"):
        results(suite(seeds=(0,)), planned, doing(planned, {"short": 1, "long": 1}))


def test_a_system_that_no_report_has_is_told(tmp_path: Path) -> None:
    other = suite(seeds=(0,), system="modal")
    planned = plan(other, tmp_path)
    for one in planned:
        made(one, np.arange(1, 9))
    with pytest.raises(InputError, match="measured no system 'modal', but model"):
        results(other, planned, doing(planned, {"short": 1, "long": 1}))


def shown(name: str, mean: float, minutes: float, *, level: bool, gap: float | None = None, p: float = 0.5) -> Found:
    difference = None if gap is None else Difference(gap, gap - 0.01, gap + 0.01, p)
    span = Interval(mean, mean - 0.01, mean + 0.01)
    costs = Costs(minutes, 2 * minutes, 1024.0, 5_000_000, 9_000_000)
    corrected = None if gap is None else p
    return Found(name, "", span, None, {0: mean, 1: mean}, costs, difference, corrected, {}, level, None, {})


def test_the_cheapest_of_those_that_are_as_good_is_named() -> None:
    found = [
        shown("all", 0.21, 10, level=True, gap=0.03, p=0.001),
        shown("some", 0.205, 4, level=True, gap=0.025, p=0.01),
        shown("few", 0.18, 1, level=False),
    ]
    told = reading(found)
    assert told[0] == "“all” has the highest mean, 0.2100, but “some” cannot be told from it."
    assert told[1] == "Of these “some” is tuned in the least time: 0.40 of that of “all”."
    assert any(sentence.startswith("“some” ranks better than “few” (+0.0250") for sentence in told)


def test_what_stands_beside_and_is_ahead_is_told() -> None:
    cells = [("words", 0.18), ("letters", 0.16)]
    found = [replace(shown(name, mean, 1, level=True), beside={"fusion": 0.2, "sasrec": 0.17}) for name, mean in cells]
    found[1] = replace(found[1], gap=Difference(-0.02, -0.03, -0.01, 0.5), corrected=0.5)
    told = "“fusion” (0.2000) has a higher mean than every cell."
    assert [one for one in reading(found) if "higher mean" in one] == [
        told, "“sasrec” (0.1700) has a higher mean than “letters”."
    ]  # fmt: skip
    found[0] = replace(found[0], beside={"fusion": 0.19, "sasrec": None})
    found[1] = replace(found[1], beside={"fusion": 0.2, "sasrec": 0.15})
    ahead = [one for one in reading(found) if "higher mean" in one]
    assert ahead == ["“fusion” (0.1900 to 0.2000) has a higher mean than every cell."]


def test_what_others_claim_of_costs_is_told_beside_what_was_seen() -> None:
    found = [shown("all layers", 0.21, 4, level=False), shown("LoRA", 0.2, 7.28, level=False, gap=-0.01, p=0.01)]
    found[1] = replace(found[1], costs=replace(found[1].costs, memory=481.0))
    claim = Claim("VIP5", "LoRA", "all layers", minutes=-0.21, memory=-0.18)
    cells = {name: Cell() for name in ("all layers", "LoRA", "IA3")}
    claimed = suite(cells=cells, against="all layers", claims=(claim,))
    (told,) = [one for one in reading(found, claimed) if "VIP5" in one]
    wanted = (
        "VIP5 says 21 % less time and 18 % less memory than “all layers”: here “LoRA” takes 82 % more and 53 % less."
    )
    assert told == wanted
    unmeasured = [replace(one, costs=replace(one.costs, memory=None)) for one in found]
    assert "VIP5 says 21 % less time than “all layers”: here “LoRA” takes 82 % more." in reading(unmeasured, claimed)
    other = replace(claimed, claims=(Claim("VIP5", "IA3", "all layers", minutes=-0.21),))
    assert not any("VIP5" in one for one in reading(found, other)), "it was not run"
    told_of = read_suite(ROOT / "train/suites/adaptation.yaml").claims
    assert [(one.cell, one.of, one.minutes, one.memory) for one in told_of] == [
        (cell, "all layers", -0.21, -0.18) for cell in ("LoRA", "IA3")
    ]


def costing(one: Found, **costs: float | None) -> Found:
    return replace(one, costs=replace(one.costs, **costs))


def test_a_difference_that_not_every_seed_shows_is_told_as_such() -> None:
    base = shown("base", 0.2, 2, level=False)
    better = shown("other", 0.22, 2, level=True, gap=0.02, p=0.001)
    (one,) = reading([replace(better, apart={0: 0.015, 1: 0.025}), base])[1:]
    assert one.startswith("“other” ranks better than “base” (+0.0200, +0.0100 to +0.0300, p 0.0010; ")
    assert "with single seeds +0.0150 to +0.0250)" in one
    (one,) = reading([replace(better, apart={0: -0.005, 1: 0.045}), base])[1:]
    assert one.startswith("“other” ranks better than “base” on the mean of seeds, but not with each of them (")
    assert "with single seeds -0.0050 to +0.0450)" in one
    some = reading([replace(better, apart={0: 0.02}, seeds={0: 0.22}), base])
    assert some[-1] == "There is one seed of “other”, so what another would give is not known."


def test_what_people_show_with_one_seed_and_not_with_another_is_level_with_the_best(tmp_path: Path) -> None:
    planned = plan(suite(), tmp_path)
    hard = np.random.default_rng(0).integers(1, 40, PEOPLE)
    for one in planned:  # the long one is far better with one seed, and a little worse with the other
        made(one, np.maximum(1, hard - 5) if (one.cell, one.seed) == ("long", 0) else hard + (one.cell == "long"))
    long, short = results(suite(), planned, doing(planned, {"short": 2.0, "long": 3.0}))
    assert long.name == "long"
    assert long.corrected is not None
    assert long.corrected < 0.001, "over people"
    assert long.apart[0] > 0 > long.apart[1]
    assert short.apart == {}
    assert short.level
    assert any("but not with each of them" in one for one in reading([long, short]))


def test_costs_that_were_not_noted_are_not_known(tmp_path: Path) -> None:
    planned = plan(suite(), tmp_path)
    for one in planned:
        made(one, np.arange(1, 9))
    noted = doing(planned, {"short": 2.0, "long": 3.0})
    for one in noted:
        if one.stage in planned[0].stages:  # of one seed of the short one, and what all share
            one.minutes = one.peak = 0.0
    costs = {one.name: one.costs for one in results(suite(), planned, noted)}
    assert costs["short"].minutes == 2.0, "of the other seed"
    assert costs["short"].whole is None
    assert costs["long"].memory == 100
    for one in noted:
        one.minutes = one.peak = 0.0
    (planned[0].run / "manifest.json").write_text(json.dumps({"kind": "run"}))
    found = results(suite(), planned, noted)
    costs = {one.name: one.costs for one in found}
    assert costs["short"] == Costs(None, None, None, None, None)
    assert not any("takes" in one or "least time" in one for one in reading(found))


def test_points_of_a_plot_stand_within_it_and_in_order() -> None:
    found = [shown("a", 0.3, 8, level=True), shown("b", 0.2, 2, level=False, gap=-0.1), shown("c", 0.1, 0, level=False)]
    drawn = plot(found, COSTS["minutes"])
    points = drawn["points"]
    assert [one["number"] for one in points] == [1, 2, 3]
    assert [one["kind"] for one in points] == ["best base", "", "base"]
    assert points[0]["x"] > points[1]["x"] > points[2]["x"] > LEFT
    assert points[0]["y"] < points[1]["y"] < points[2]["y"] < HIGH, "better is higher up"
    assert all(0 < one["top"] <= one["y"] <= one["bottom"] < HIGH and one["x"] < WIDE for one in points)
    assert [one["says"] for one in drawn["columns"]] == ["0", "2", "4", "6", "8"]
    assert [one["says"] for one in drawn["rows"]] == ["0.100", "0.150", "0.200", "0.250", "0.300"]
    assert all(0 < one["at"] < HIGH for one in drawn["rows"])
    single = [replace(one, interval=Interval(one.interval.mean, math.nan, math.nan)) for one in found]
    assert all(one["top"] == one["y"] == one["bottom"] for one in plot(single, COSTS["minutes"])["points"]), (
        "one person"
    )
    same = [costing(one, minutes=0.0) for one in found]
    assert len({one["x"] for one in plot(same, COSTS["minutes"])["points"]}) == 1


def test_numbers_of_points_that_lie_on_one_another_do_not() -> None:
    found = [shown(name, 0.2 + at / 2000, 5, level=True) for at, name in enumerate("edcba")]
    points = plot(found, COSTS["minutes"])["points"]
    places = [(one["number_x"], one["number_y"]) for one in points]
    for at, (x, y) in enumerate(places):
        assert all(abs(x - other) >= 10 or abs(y - lower) >= 12 for other, lower in places[:at])
        assert abs(x - points[at]["x"]) < 24
        assert abs(y - points[at]["y"]) < 40


def test_what_is_not_known_is_not_drawn_and_the_plot_says_why() -> None:
    found = [shown("a", 0.3, 8, level=True), shown("b", 0.2, 2, level=False, gap=-0.1), shown("c", 0.1, 4, level=False)]
    found[1] = costing(found[1], memory=None)
    drawn = plot(found, COSTS["memory"])
    assert [one["number"] for one in drawn["points"]] == [1, 3], "as the table counts them"
    assert drawn["missing"] == "Without 2: what tuning held was not seen, which Linux alone tells."
    nothing = plot([costing(one, memory=None) for one in found], COSTS["memory"])
    assert nothing["points"] == []
    assert nothing["missing"].startswith("Not drawn: what tuning held")
    content = {"question": "Which?", "system": "model", "beside": ["sasrec"], "along": "layers", "against": "a"}
    content |= {
        "quick": False,
        "dataset": {"name": "teahouse", "fingerprint": "sha256:1"},
        "people": 9,
        "seeds": [0, 1],
    }
    content |= {"catalogue": 99, "reading": [], "command": "llmrec compare", "versions": {}}
    content |= {"machine": {"processor": "one", "cores": 2, "memory_gib": 4}}
    told = [replace(costing(one, memory=None, minutes=None), beside={"sasrec": None}) for one in found]
    told[0], told[2] = replace(told[0], at=3.0), replace(told[2], at=6.0, apart={0: 0.1})
    html = page({**content, "found": [asdict(one) for one in told]}, told)
    assert html.count("<svg") == 2, "along layers, and by tuned parameters"
    assert "<b>memory while tuning, GiB</b><br>Not drawn: what tuning held" in html
    assert "Without 2: the suite does not say at what they stand." in html
    assert html.count("not known") == 3 * 2
    assert html.count("not in all reports") == 3
    assert "on teahouse, 9 people" in html
    assert "0: +0.1000" in html


def test_what_doubles_is_drawn_as_far_apart_as_anything_that_doubles() -> None:
    found = [replace(shown(name, 0.1, 1, level=False), at=at) for name, at in (("a", 30.0), ("b", 60.0), ("c", 120.0))]
    drawn = plot(found, along("people"))
    x = [one["x"] for one in drawn["points"]]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)
    assert x[1] - x[0] > 100
    assert [(one["at"], one["says"]) for one in drawn["columns"]] == list(zip(x, ("30", "60", "120"), strict=True))
    alone = plot(found[1:2], along("people"))
    assert [one["says"] for one in alone["columns"]] == ["60"]
    many = plot([replace(found[0], at=1000.0 + at) for at in range(30)], along("people"))["columns"]
    assert many[0]["says"] == "1,000"
    assert 3 < len(many) < 15
    assert all(later["at"] - one["at"] >= 36 for one, later in itertools.pairwise(many)), "figures do not touch"


def test_a_cell_of_another_system_and_means_that_stand_beside(tmp_path: Path) -> None:
    asked = suite(seeds=(0,), beside=("other",), cells={"short": Cell(), "long": Cell(system="other", tune=("a=1",))})
    planned = plan(asked, tmp_path)
    for one, ranks in zip(planned, (np.arange(1, 9), np.arange(3, 11)), strict=True):
        made(one, ranks)
        people = pl.read_parquet(one.report / "people.parquet")
        best = people.with_columns(system=pl.lit("other"), rank=pl.lit(1, dtype=people["rank"].dtype))
        pl.concat([people, best]).write_parquet(one.report / "people.parquet")
        content = json.loads((one.report / "report.json").read_text())
        content["systems"].append({"name": "other"})
        (one.report / "report.json").write_text(json.dumps(content))
    found = {one.name: one for one in results(asked, planned, doing(planned, {"short": 1, "long": 1}))}
    assert found["long"].interval.mean == 1.0, "its own system"
    assert found["short"].interval.mean < 1.0
    assert found["short"].beside == {"other": 1.0}
    lacking = replace(asked, beside=("learned fusion",))
    assert results(lacking, planned, doing(planned, {"short": 1, "long": 1}))[0].beside == {"learned fusion": None}
    common = replace(asked, cells={"short": Cell(), "long": Cell(tune=("a=1",))}, all=Cell(system="other"))
    assert {one.interval.mean for one in results(common, planned, doing(planned, {"short": 1, "long": 1}))} == {1.0}


def test_seeds_that_are_asked_for_are_run_alone(tmp_path: Path) -> None:
    assert {one.seed for one in plan(suite(), tmp_path, seeds=(7,))} == {7}
    all_of_them = {one.run for one in plan(suite(seeds=(0, 1, 7)), tmp_path)}
    assert {one.run for one in plan(suite(), tmp_path, seeds=(7,))} < all_of_them, "more can follow"


def test_what_was_made_before_stays_on_the_page_and_what_was_not_is_named(tmp_path: Path) -> None:
    asked = suite(cells={**suite().cells, "broad": Cell(tune=("adapter.layers=8",))})
    out = tmp_path / "page"

    def make(cell: str, seed: int) -> list[str]:
        (one,) = plan(asked, tmp_path, only=frozenset([cell]), seeds=(seed,))
        made(one, np.arange(1, 41))
        for stage in one.stages:
            stage.made.parent.mkdir(parents=True, exist_ok=True)
            stage.made.touch()
        there = all_made(asked, tmp_path, out, seeds=(seed,))
        costs = doing(there, dict.fromkeys(asked.cells, 1.0))
        found = results(asked, there, costs)
        out.mkdir(exist_ok=True)
        (out / "compare.json").write_text(json.dumps({"seeds": sorted({each for one in found for each in one.seeds})}))
        seen.append({one.name: list(one.seeds) for one in found})
        return reading(found, asked, asked.seeds)

    seen: list[dict[str, list[int]]] = []
    told = make("long", 0)
    assert "“short”, which all are to be held against, was not run: “long” stands in for it." in told
    assert told[-1] == "Not run: “short”, “broad” and seed 1 of the others."
    told = make("short", 0)
    assert seen[-1] == {"short": [0], "long": [0]}, "the one made by an earlier call too"
    assert not any("stands in" in one for one in told)
    assert any(one.startswith("“long” cannot be told from “short”") for one in told), "the suite's own base"
    told = make("long", 7)
    assert seen[-1] == {"short": [0], "long": [0, 7]}
    told = make("long", 1)
    assert seen[-1] == {"short": [0], "long": [0, 1, 7]}, "a seed that is not the suite's is told of by the page"
    assert told[-1] == "Not run: “broad” and seed 1 of “short”."
    make("broad", 0)
    make("broad", 1)
    assert "Not run" not in make("short", 1)[-1]


# --- the command -------------------------------------------------------------------------------------------------

TINY = """
question: Do more layers rank better?
against: two layers
along: layers
beside: [popularity]
cells:
  two layers: {at: 2, tune: [adapter.layers=2]}
  none: {at: 1, system: light reader, says: words, tune: [adapter.kind=frozen, adapter.layers=0, words.still=false]}
seeds: [3]
shop: [--items, "120", --users, "120", --interactions, "1500", --picture-size, "64"]
all:
  pretrain: [epochs=1]
  index: [sasrec.epochs=1]
  assemble: [--layers, "2"]
  tune: [walks.passes=0.3, words.warm=1, talks.count=0, watch=0]
  evaluate: [--limit, "40"]
"""


@pytest.mark.slow
def test_a_suite_from_its_shop_to_its_page_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "layers.yaml").write_text(TINY)
    command = [sys.executable, "-m", "llmrec", "compare", str(tmp_path / "layers.yaml"), "--work", str(tmp_path / "w")]
    listed = subprocess.run([*command, "--plan"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(listed.splitlines()) == listed.count("to make") == 4 + 2 * 2
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "w/layers/compare.json").read_text())
    assert {one["name"] for one in told["found"]} == {"two layers", "none"}
    assert told["seeds"] == [3]
    assert told["people"] == 40
    for one in told["found"]:
        assert one["costs"]["minutes"] > 0
        assert one["costs"]["memory"] > 200
        assert set(one["seeds"]) == {"3"}
    assert told["found"][0]["costs"]["trained"] != told["found"][1]["costs"]["trained"]
    page = (tmp_path / "w/layers/compare.html").read_text()
    for sentence in told["reading"]:
        assert sentence.split(" (")[0] in page
        assert f"- {sentence}" in done.stdout
    assert page.count("<circle") == 2 * 4
    assert "By layers" in page
    assert len({one["beside"]["popularity"] for one in told["found"]}) == 1, "the same index"
    reports = (tmp_path / "w/stages").glob("report-*/report.json")
    each = [
        {one["name"]: one["measures"]["ndcg@10"]["mean"] for one in json.loads(path.read_text())["systems"]}
        for path in reports
    ]
    seen = {one["name"]: one["interval"]["mean"] for one in told["found"]}
    assert any(one["model"] == pytest.approx(seen["two layers"]) for one in each)
    assert any(one["light reader"] == pytest.approx(seen["none"]) for one in each), "the cell names another system"
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert again.count("is there") == 8
    assert "begins" not in again
    subprocess.run([*command, "--only", "none"], cwd=ROOT, capture_output=True, text=True, check=True)
    kept_of = json.loads((tmp_path / "w/layers/compare.json").read_text())
    assert kept_of["found"] == told["found"], "one cell alone leaves the others on the page"
    assert kept_of["against"] == "two layers"

    (drawn,) = (path.parent for path in (tmp_path / "w/stages").glob("atelier-*/dataset.json"))
    own = [*command, "--dataset", str(drawn), "--plan"]
    listed = subprocess.run(own, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(listed.splitlines()) == 7, "no shop is drawn"
    quick = subprocess.run([*own, "--quick"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(quick.splitlines()) == 7, "nor where it has to be quick"

    figures = figures_of(told)
    assert figures["two_layers_ndcg@10"] == seen["two layers"]
    wanted = "ndcg@10 ndcg@10_low ndcg@10_high minutes memory_mib trained_parameters minus p beside_popularity_ndcg@10"
    assert {name for name in figures if name.startswith("none_")} == {f"none_{one}" for one in wanted.split()}
    kept = {
        "suite": told,
        "benchmark": "suites",
        "command": "python benchmarks/suites.py layers",
        "commit": "",
        "seed": 3,
    }
    monkeypatch.setattr(
        page_of_results, "result", lambda _: {**kept, "machine": told["machine"], "versions": told["versions"]}
    )
    lines = page_of_results.suite("suite-layers", []).splitlines()
    assert [line.count("|") for line in lines if line.startswith("|")] == [9] * 4 + [4] * 4
    assert f". **none**: words | {seen['none']:.4f} |" in "\n".join(lines)
    assert all(f"- {sentence}" in lines for sentence in told["reading"])
