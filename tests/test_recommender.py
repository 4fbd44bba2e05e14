"""A tuned run beside the retrievers: measured, fused, and shown other pictures than it should see."""

import json
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from shops import interactions, shop
from tuned import small_run

from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.evaluation.report import system_gains
from llmrec.evaluation.retrievers import evaluate_indexes
from llmrec.features import Features
from llmrec.modeling.light import Teacher
from llmrec.prompts import Turn
from llmrec.recommender import Recommender, changed_pictures, shelves
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.script import Line
from llmrec.significance import holm
from llmrec.tables import print_report
from llmrec.tuning import telling
from llmrec.tuning.telling import TRIES, answers, explanations


def histories(dataset: Dataset) -> list[np.ndarray]:
    return [dataset.log.history(user)[:-1] for user in range(10)]


def test_other_pictures_give_other_scores_and_leave_the_model_as_it_was(tuned_index: Index, tuned_run: Path) -> None:
    dataset = tuned_index.dataset()
    opened = Recommender.open(tuned_run, tuned_index, dataset, device="cpu")
    asked = histories(dataset)
    right = opened.ranking.score(asked)
    for pictures in ("shuffled", "blank", "none"):
        other = opened.control(pictures, tuned_index)
        assert other.name == f"model, pictures {pictures}"
        assert not np.allclose(other.score(asked), right, atol=1e-4)
    groups = [place % 3 for place in range(len(tuned_index.items))]
    within = opened.control("shuffled within category", tuned_index, groups=groups)
    assert within.name == "model, pictures shuffled within category"
    assert not np.allclose(within.score(asked), right, atol=1e-4)
    assert np.array_equal(opened.ranking.score(asked), right)


def test_parts_of_item_words_are_left_out_and_stand_alone(tuned_index: Index, tuned_run: Path) -> None:
    dataset = tuned_index.dataset()
    opened = Recommender.open(tuned_run, tuned_index, dataset, device="cpu")
    asked = histories(dataset)
    right = opened.ranking.score(asked)
    found = {what: one.score(asked) for what, one in opened.ablations().items()}
    parts = ["pictures", "text", "collaborative", "popularity"]
    assert list(found) == [name for part in parts for name in (f"without {part}", f"{part} alone")]
    assert len({scores.tobytes() for scores in [*found.values(), right]}) == len(found) + 1, "each tells something else"
    unseen = opened.control("none", tuned_index).score(asked)
    assert np.allclose(found["without pictures"], unseen, atol=1e-5), "sight, picture and what they tell go together"
    assert np.array_equal(opened.ranking.score(asked), right)


def test_categories_are_taken_whole_and_may_be_missing(tmp_path: Path) -> None:
    made = shop(tmp_path / "shop")
    groups = shelves(made)
    told = made.items.select("categories").collect()["categories"].to_list()
    assert groups == [tuple(one or ()) for one in told]
    none = pl.lit(None, pl.List(pl.String)).alias("categories")
    made.items.with_columns(none).collect().write_parquet(made.folder / "items.parquet")
    assert shelves(made) is None


def test_changed_pictures_are_of_the_same_items(tuned_index: Index, tuned_run: Path) -> None:
    table = Recommender.open(tuned_run, tuned_index, tuned_index.dataset(), device="cpu").bank.vectors["picture"]
    there = np.isfinite(table).all(axis=1)
    assert 0 < there.sum() < len(there), "some items have no picture"
    shuffled = changed_pictures(table, "shuffled", None, seed=0)
    assert sorted(map(tuple, shuffled[there])) == sorted(map(tuple, table[there]))
    assert not np.array_equal(shuffled[there], table[there])
    groups = [place % 3 for place in range(len(table))]
    groups[np.flatnonzero(there)[0]] = 99
    within = changed_pictures(table, "shuffled within category", None, groups, seed=0)
    for group in range(3):
        some = [place for place in np.flatnonzero(there) if groups[place] == group]
        assert sorted(map(tuple, within[some])) == sorted(map(tuple, table[some])), "those of the same category"
        assert not (within[some] == table[some]).all(axis=1).any(), "and nobody its own"
    alone = np.flatnonzero(there)[0]
    assert np.array_equal(within[alone], table[alone]), "but who stands alone"
    blank = changed_pictures(table, "blank", np.ones(table.shape[1], np.float32), seed=0)
    assert len({tuple(row) for row in blank[there]}) == 1
    assert np.isnan(changed_pictures(table, "none", None, seed=0)).all()
    for changed in (shuffled, within, blank):
        assert np.isnan(changed[~there]).all()


def test_a_report_shows_the_model_alone_fused_and_under_controls(
    tuned_index: Index, tuned_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"models": [tuned_run], "controls": True, "ablate": True, "device": "cpu"}
    evaluate_indexes([tuned_index.folder], tmp_path / "report", **asked)
    told = json.loads((tmp_path / "report" / "report.json").read_text())
    names = {system["name"] for system in told["systems"]}
    assert {"model", "fusion with model", "model, pictures shuffled", "model, pictures none"} <= names
    assert {"light reader", "fusion with light reader"} <= names
    assert {"model, pictures blank", "model, without text", "model, pictures alone"} <= names
    within = "model, pictures shuffled within category"
    assert (within in names) != any(line.startswith(within) for line in told["untold"]), "measured, or told why not"
    compared = {line["system"] for line in told["comparisons"]} | {line["other"] for line in told["comparisons"]}
    assert "light reader" in compared
    looks = told["looks"]["rows"]
    changed = {row["other"] for row in looks}
    assert changed == {name for name in names if name.startswith("model, ")}, "each is held against the whole model"
    gains = {name: system_gains(tmp_path / "report", name)["ndcg@10"].to_numpy() for name in ("model", *changed)}
    for row in looks:
        if row["measure"] == "ndcg@10":
            assert row["mean"] == pytest.approx((gains["model"] - gains[row["other"]]).mean())
    assert holm([row["p"] for row in looks]) == [row["corrected"] for row in looks]
    print_report(told)
    shown = capsys.readouterr().out
    assert "…" not in shown, "no figure is cut where names are long"
    assert "looks The model ranks" in shown
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Does it look?" in page
    assert all(line in unescape(page) for line in told["looks"]["reading"])


def test_a_run_that_never_saw_a_picture_is_measured_and_the_report_says_why_there_are_no_controls(
    tuned_index: Index, tmp_path: Path
) -> None:
    run = small_run(tuned_index, tmp_path / "blind", content=["text", "popularity"])
    report = tmp_path / "report"
    told = evaluate_indexes([tuned_index.folder], report, models=[run], controls=True, limit=20, device="cpu")
    names = {system["name"] for system in told["systems"]}
    assert "model" in names
    assert not any("pictures " in name for name in names)
    [why] = [line for line in told["untold"] if line.startswith("model, other pictures")]
    assert "made without pictures" in why
    assert why in (report / "report.html").read_text()
    with pytest.raises(InputError, match="nothing to control"):
        Recommender.open(run, tuned_index, tuned_index.dataset(), device="cpu").control("none", tuned_index)


def test_beside_an_index_that_knows_no_pictures_one_control_is_missing_and_told(
    tuned_index: Index, tuned_run: Path, tmp_path: Path
) -> None:
    recipe = IndexRecipe(parts=("neighbours", "text"), text_width=16)
    blind = make_index(tuned_index.dataset(), tmp_path / "index", recipe)
    asked = {"models": [tuned_run], "controls": True, "limit": 20, "device": "cpu"}
    told = evaluate_indexes([blind.folder], tmp_path / "report", **asked)
    names = {system["name"] for system in told["systems"]}
    assert {"model", "model, pictures shuffled", "model, pictures none"} <= names
    assert "model, pictures blank" not in names
    [why] = [line for line in told["untold"] if line.startswith("model, pictures blank")]
    assert "cannot look at an empty one. Take the index that the run was tuned with." in why


def test_runs_whose_folders_are_named_alike_stand_side_by_side(
    tuned_index: Index, tuned_run: Path, tmp_path: Path
) -> None:
    runs = [tuned_run, shutil.copytree(tuned_run, tmp_path / "elsewhere" / tuned_run.name)]
    asked = {"limit": 10, "device": "cpu"}
    told = evaluate_indexes([tuned_index.folder], tmp_path / "report", models=runs, **asked)
    assert {f"model {run}" for run in runs} <= {one["name"] for one in told["systems"]}
    with pytest.raises(InputError, match=r"given twice.*Give each run once"):
        evaluate_indexes([tuned_index.folder], tmp_path / "twice", models=[tuned_run, tuned_run], **asked)


def test_a_run_keeps_the_light_reader_that_taught_it(tuned_index: Index, tuned_run: Path, tmp_path: Path) -> None:
    dataset = tuned_index.dataset()
    opened = Recommender.open(tuned_run, tuned_index, dataset, device="cpu")
    assert opened.light is not None
    asked = histories(dataset)
    told = opened.light.score(asked)
    assert np.isfinite(told).all()
    shuffled = [asked[0][::-1].copy()]
    assert np.allclose(opened.light.score(shuffled), told[:1], atol=1e-5), "a mean knows no order"
    assert np.allclose(opened.light.score([asked[3]]), told[3:4], atol=1e-5), "company in a batch changes nothing"
    assert (opened.light.score([np.zeros(0, np.int32)]) == -np.inf).all(), "it knows nothing of newcomers"
    assert not np.allclose(told[0], told[1], atol=1e-3), "who took other things is told other things"
    teacher = opened.light.teacher
    teacher.save(tmp_path)
    again = replace(opened.light, teacher=Teacher.load(tmp_path, teacher.vocabulary))
    assert np.array_equal(again.score(asked), told)
    (tmp_path / "reader.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="not whole"):
        Teacher.load(tmp_path, teacher.vocabulary)


def test_a_run_without_a_light_reader_opens(tuned_index: Index, tuned_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tuned_run, tmp_path / "run")
    (tmp_path / "run" / "reader.safetensors").unlink()
    assert Recommender.open(tmp_path / "run", tuned_index, tuned_index.dataset(), device="cpu").light is None


def test_a_model_of_other_data_is_refused(tuned_run: Path, tmp_path: Path) -> None:
    recipe = IndexRecipe(parts=("neighbours", "text", "pictures"), text_width=16, picture_width=8)
    other = make_index(shop(tmp_path / "shop", interactions=interactions(seed=5)), tmp_path / "index", recipe)
    with pytest.raises(InputError, match="tuned on other data"):
        Recommender.open(tuned_run, other, other.dataset(), device="cpu")


def test_a_model_that_may_have_read_what_it_would_be_asked_is_refused(tuned_run: Path, tuned_index: Index) -> None:
    dataset = tuned_index.dataset()
    for more, said in (({"split": "temporal"}, "split=temporal people=1"), ({"people": 0.5}, "people=0.5")):
        index = replace(tuned_index, info=tuned_index.info | {"recipe": tuned_index.info["recipe"] | more})
        with pytest.raises(InputError, match=f"split=leave-one-out people=1, and .*{said}"):
            Recommender.open(tuned_run, index, dataset, device="cpu")


def test_it_answers_in_words_the_same_alone_and_among_others(tuned_index: Index, tuned_run: Path) -> None:
    dataset = tuned_index.dataset()
    opened = Recommender.open(tuned_run, tuned_index, dataset, device="cpu")
    pictured = next(code for code, row in enumerate(dataset.items.collect()["image"]) if row)
    from llmrec.shelf import numbered

    lines: list[Line] = [
        opened.write.prompt([Turn("user", "What is this?")]),
        opened.write.prompt([Turn("user", f"What is this {numbered(pictured)} and what is it good for?")]),
    ]
    told = answers(opened.ranking.ranker, opened.write, lines, longest=8)
    assert told == [answers(opened.ranking.ranker, opened.write, [line], longest=8)[0] for line in lines]


def test_an_explanation_that_names_nothing_known_is_asked_for_again_and_then_left_out(
    tuned_index: Index, tuned_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Recommender.open(tuned_run, tuned_index, tuned_index.dataset(), device="cpu")
    lines = [opened.write.prompt([Turn("user", "Why this?")])] * 2
    given = {"own": [""] * len(tuned_index.items), "longest": 4}
    ranker, write = opened.ranking.ranker, opened.write
    features = Features({"handle": 20, "glaze": 20}, {1: {"handle": 1.0}})
    texts, asked = explanations(ranker, write, lines, [0, 1], features, **given)
    assert asked == [TRIES, TRIES], "an untaught model names no feature"
    assert texts == ["", ""]
    said = "A handle. I like the handle of it. Its glaze shines a lot. I took it for the handle"
    monkeypatch.setattr(telling, "answers", lambda _, __, some, **___: [said] * len(some))
    texts, asked = explanations(ranker, write, lines, [0, 1], features, **given)
    assert texts == ["", "I like the handle of it."], "no fragment, and nothing that nobody knows of it"
    assert asked == [TRIES, 1]
    texts, asked = explanations(ranker, write, lines, [0, 1], Features(), **given)
    assert texts == ["A handle. I like the handle of it. Its glaze shines a lot."] * 2, "nothing can be checked"
    assert asked == [1, 1]
