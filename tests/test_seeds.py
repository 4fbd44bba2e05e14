"""Several indexes that differ in their seed are measured as one, and indexes that differ otherwise are refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from shops import interactions, shop
from tiny_models import tiny_model
from tuned import small_recipe
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.config import load_config
from llmrec.errors import ConfigError, InputError
from llmrec.evaluation.report import compare_reports
from llmrec.evaluation.retrievers import evaluate_indexes
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.retrieval.sasrec import SasRecRecipe
from llmrec.tuning.stage import tune

RECIPE = IndexRecipe(parts=("neighbours", "sasrec"), sasrec=SasRecRecipe(width=16, epochs=2, dropout=0.0))


@pytest.fixture(scope="module")
def indexes(small_shop, tmp_path_factory) -> list[Path]:
    base = tmp_path_factory.mktemp("seeds")
    for seed in (0, 1, 2):
        make_index(small_shop, base / f"index-{seed}", replace(RECIPE, seed=seed), device="cpu")
    return sorted(base.iterdir())


@pytest.fixture(scope="module")
def reports(indexes, tmp_path_factory) -> list[Path]:
    """One report a seed, and last the one of all three."""
    base = tmp_path_factory.mktemp("reports")
    for place, index in enumerate(indexes):
        evaluate_indexes([index], base / f"one-{place}")
    evaluate_indexes(indexes, base / "together")
    return sorted(base.iterdir())


def told(report: Path) -> dict:
    return json.loads((report / "report.json").read_text())


def figure(report: Path, system: str, measure: str) -> float:
    (one,) = [one for one in told(report)["systems"] if one["name"] == system]
    return one["measures"][measure]["mean"]


def test_the_seed_of_an_index_reaches_all_that_is_drawn(indexes):
    kept = [json.loads((index / "index.json").read_text())["recipe"] for index in indexes]
    assert [recipe["sasrec"]["seed"] for recipe in kept] == [0, 1, 2]
    with pytest.raises(ConfigError, match="Set seed instead"):
        load_config(IndexRecipe, None, ["sasrec.seed=3"])


def test_figures_are_means_over_seeds_with_their_deviation(reports):
    *alone, together = reports
    assert told(together)["seeds"] == [0, 1, 2]
    for system in told(together)["systems"]:
        for measure in ("ndcg@10", "hr@10"):
            each = [figure(report, system["name"], measure) for report in alone]
            assert system["measures"][measure]["mean"] == pytest.approx(np.mean(each))
            assert system["deviation"][measure] == pytest.approx(np.std(each, ddof=1))
            assert system["measures"][measure]["low"] <= np.mean(each) <= system["measures"][measure]["high"]
    assert [one["deviation"]["hr@10"] for one in told(together)["systems"] if one["name"] == "popularity"] == [0.0]
    assert any(one["deviation"]["ndcg@10"] > 0 for one in told(together)["systems"] if one["name"] == "sasrec")


def test_every_person_is_kept_once_a_seed(reports):
    *alone, together = reports
    people = pl.read_parquet(together / "people.parquet").sort("system", "seed", "user")
    for seed, report in enumerate(alone):
        own = pl.read_parquet(report / "people.parquet").sort("system", "seed", "user")
        assert people.filter(pl.col("seed") == seed).equals(own)


def test_the_page_and_the_table_tell_the_deviation_only_where_there_are_several(reports, indexes, tmp_path):
    *alone, together = reports
    page = (together / "report.html").read_text()
    assert "means of 3 fits with the seeds 0, 1, 2" in page
    for system in told(together)["systems"]:
        assert f"± {system['deviation']['ndcg@10']:.4f}" in page
    assert "±" not in (alone[0] / "report.html").read_text()
    assert all(system["deviation"] is None for system in told(alone[0])["systems"])
    done = CliRunner().invoke(app, ["evaluate", *map(str, indexes), "--out", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    assert "± is the standard deviation of NDCG@10 over seeds" in done.output
    assert "…" not in done.output, "the table fits 80 columns"


def test_means_over_seeds_are_compared_with_a_single_seed_person_by_person(reports):
    *alone, together = reports
    rows = {row["system"]: row for row in compare_reports(together, alone[1]) if row["measure"] == "ndcg@10"}
    for system in ("popularity", "sasrec"):
        gap = figure(together, system, "ndcg@10") - figure(alone[1], system, "ndcg@10")
        assert rows[system]["mean"] == pytest.approx(gap)
    assert rows["popularity"]["corrected"] == 1.0


def test_the_same_seed_twice_tells_nothing(indexes, tmp_path):
    with pytest.raises(InputError, match=r"have the same seed 1.*llmrec index DATASET --out FOLDER seed=1"):
        evaluate_indexes([indexes[1], indexes[1]], tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"split": "cold-items"}, r"differ in split \('leave-one-out' and 'cold-items'\)"),
        ({"parts": ("neighbours",)}, r"different parts \(neighbours, sasrec and neighbours\)"),
        ({"sasrec": replace(RECIPE.sasrec, width=8)}, r"differ in sasrec.width \(16 and 8\)"),
    ],
)
def test_indexes_of_other_settings_are_refused(small_shop, indexes, tmp_path, change, said):
    make_index(small_shop, tmp_path / "other", replace(RECIPE, seed=5, **change), device="cpu")
    with pytest.raises(InputError, match=said):
        evaluate_indexes([indexes[0], tmp_path / "other"], tmp_path / "report")


def test_an_index_of_other_data_is_refused(indexes, tmp_path):
    other = shop(tmp_path / "shop", interactions=interactions(seed=9))
    make_index(other, tmp_path / "other", replace(RECIPE, seed=5), device="cpu")
    with pytest.raises(InputError, match="made of different data"):
        evaluate_indexes([indexes[0], tmp_path / "other"], tmp_path / "report")
    with pytest.raises(InputError, match="fingerprints differ"):
        evaluate_indexes([indexes[0]], tmp_path / "report", dataset=tmp_path / "shop")


def test_what_cannot_be_measured_says_what_to_do(small_shop, indexes, tmp_path):
    half = shutil.copytree(indexes[0], tmp_path / "half")
    (half / "retrievers.safetensors").unlink()
    with pytest.raises(InputError, match=r"is damaged .*Make one with: llmrec index"):
        evaluate_indexes([half], tmp_path / "report")
    older = shutil.copytree(indexes[0], tmp_path / "older")
    info = json.loads((older / "index.json").read_text())
    (older / "index.json").write_text(json.dumps({**info, "schema": 0}))
    with pytest.raises(InputError, match=r"has index version 0.*Make one with: llmrec index"):
        evaluate_indexes([older], tmp_path / "report")
    make_index(small_shop, tmp_path / "live", replace(RECIPE, refit=True), device="cpu")
    with pytest.raises(InputError, match="Make one with refit=false"):
        evaluate_indexes([tmp_path / "live"], tmp_path / "report")
    with pytest.raises(InputError, match=r"has no index\.json, so it is not an index"):
        evaluate_indexes([small_shop.folder], tmp_path / "report")


def test_a_report_that_is_in_the_way_is_told_before_anybody_is_ranked(indexes, reports):
    steps: list[str] = []
    with pytest.raises(InputError, match="already exists"):
        evaluate_indexes([indexes[0]], reports[0], progress=lambda what, *_: steps.append(what))
    assert steps == []


def test_a_dataset_that_was_moved_is_asked_for(small_shop, indexes, tmp_path):
    moved = shutil.copytree(indexes[0], tmp_path / "moved")
    text = (moved / "index.json").read_text()
    (moved / "index.json").write_text(text.replace(str(small_shop.folder.resolve()), str(tmp_path / "gone")))
    with pytest.raises(InputError, match=r"gone, which is not there any more\..*--dataset"):
        evaluate_indexes([moved], tmp_path / "report")
    evaluate_indexes([moved], tmp_path / "report", dataset=small_shop.folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"version": 9}, r"has report version 9, this llmrec reads 1\. Make one with: llmrec evaluate"),
        ({"version": 1}, r"has no dataset, part, protocol, split, systems, so it is damaged"),
    ],
)
def test_a_report_that_cannot_be_compared_says_what_to_do(reports, tmp_path, damage, said):
    broken = shutil.copytree(reports[0], tmp_path / "broken")
    (broken / "report.json").write_text(json.dumps(damage))
    with pytest.raises(InputError, match=said):
        compare_reports(reports[0], broken)


def test_people_that_cannot_be_read_say_what_to_do(reports, tmp_path):
    broken = shutil.copytree(reports[0], tmp_path / "broken")
    pl.DataFrame({"user": ["u"]}).write_parquet(broken / "people.parquet")
    with pytest.raises(InputError, match=r"people\.parquet is damaged .*Make one with: llmrec evaluate"):
        compare_reports(reports[0], broken)


def test_two_reports_and_no_more_are_compared(reports):
    done = CliRunner().invoke(app, ["evaluate", *map(str, reports[:2]), "--against", str(reports[2])])
    assert done.exit_code == 2
    assert "compares two reports" in done.output


def test_runs_of_one_recipe_count_as_one_model_with_several_seeds(tuned_index: Index, tmp_path: Path) -> None:
    tiny_model("llava", tmp_path / "model")
    recipe = small_recipe(tuned_index, tmp_path)
    runs = []
    for seed in (3, 5):
        runs.append(tmp_path / f"run-{seed}")
        tune(replace(recipe, seed=seed, out=runs[-1], talks=replace(recipe.talks, count=0)))
    asked = {"controls": True, "device": "cpu"}
    for place, run in enumerate(runs):
        evaluate_indexes([tuned_index.folder], tmp_path / f"one-{place}", models=[run], **asked)
    evaluate_indexes([tuned_index.folder], tmp_path / "together", models=runs, **asked)
    alone, together = [tmp_path / f"one-{place}" for place in range(2)], tmp_path / "together"
    assert told(together)["model_seeds"] == [3, 5]
    of_models = {"model", "fusion with model", "served", "model, pictures none"}
    assert of_models <= {one["name"] for one in told(together)["systems"]}
    for system in told(together)["systems"]:
        each = [figure(report, system["name"], "ndcg@10") for report in alone]
        assert system["measures"]["ndcg@10"]["mean"] == pytest.approx(np.mean(each))
        if system["name"] in of_models:
            assert system["deviation"]["ndcg@10"] == pytest.approx(np.std(each, ddof=1))
        elif system["name"] == "neighbours":
            assert system["deviation"] is None, "it was fitted once"
    assert each_seed(together, "model") == [3, 5]
    page = (together / "report.html").read_text()
    assert "Figures of the model are means of 2 fits with the seeds 3, 5" in page
    other = tmp_path / "other"
    tune(replace(recipe, seed=6, out=other, talks=replace(recipe.talks, count=0), batch_tokens=recipe.batch_tokens + 1))
    evaluate_indexes([tuned_index.folder], tmp_path / "apart", models=[runs[0], other], device="cpu")
    assert told(tmp_path / "apart")["model_seeds"] == []
    assert {"model run-3", "model other"} <= {one["name"] for one in told(tmp_path / "apart")["systems"]}, "not alike"


def each_seed(report: Path, system: str) -> list[int]:
    """The seeds of a system's rows."""
    people = pl.read_parquet(report / "people.parquet").filter(pl.col("system") == system)
    return sorted(people["seed"].unique().to_list())
