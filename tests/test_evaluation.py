"""An evaluation ranks everybody honestly and writes a report that stands on its own."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from shops import catalogue, interactions, shop

from llmrec.dataset import Dataset
from llmrec.errors import InputError
from llmrec.evaluation import ratings
from llmrec.evaluation.direct import COIN, Pairs, calibrate
from llmrec.evaluation.once import Remembered
from llmrec.evaluation.report import compare_reports, report_folder
from llmrec.evaluation.report import write_report as write_into
from llmrec.evaluation.run import by_chance, cases_of, comparisons, rank, rank_all, slices
from llmrec.metrics import pessimistic_ranks
from llmrec.retrieval import neighbours, popularity
from llmrec.retrieval.fusion import Fusion
from llmrec.retrieval.fusion import learn as learn_fusion
from llmrec.retrieval.reranking import Reranking, learn_reranking
from llmrec.retrieval.retriever import leave_out
from llmrec.splits import TRAIN, VALID, cold_items, leave_one_out, split_by_name
from llmrec.tables import print_report


def write_report(out: Path, *words, **named) -> None:
    with report_folder(out) as folder:
        write_into(folder, *words, **named)


class Seer:
    """Knows the test targets: what a perfect system would get. Of anybody else it says the same of all items."""

    name = "seer"

    def __init__(self, split):
        self.answer = {tuple(history.tolist()): target for _, history, target in split.cases("test")}
        self.items = len(split.log.items)

    def score(self, histories):
        table = np.zeros((len(histories), self.items), dtype=np.float32)
        for line, history in zip(table, histories, strict=True):
            if (known := tuple(history.tolist())) in self.answer:
                line[self.answer[known]] = 1
        return table


class Nothing:
    """Says the same of all items."""

    name = "nothing"

    def __init__(self, items: int):
        self.items = items

    def score(self, histories):
        return np.zeros((len(histories), self.items), dtype=np.float32)


@pytest.fixture(scope="module")
def split(small_shop: Dataset):
    return leave_one_out(small_shop.log)


def test_a_seer_gets_everything_and_whoever_says_nothing_gets_nothing(split):
    cases = cases_of(split)
    seer, nothing = rank(Seer(split), cases), rank(Nothing(40), cases)
    assert seer.gains.column("hr@1").mean() == 1.0
    assert seer.wins.mean() == 1.0
    assert nothing.gains.column("hr@20").mean() == 0.0, "ties count against the ranker"
    assert nothing.ranks.tolist() == [40 - len(history) for history in cases.histories]


def test_ranks_are_those_of_a_plain_loop_over_all_items(split):
    system = neighbours.fit(split)
    cases = cases_of(split)
    ranks = rank(system, cases).ranks
    for place, (_, history, target) in enumerate(split.cases("test")):
        scores = system.score([history])[0]
        scores[history] = -np.inf
        assert ranks[place] == sum(scores[item] >= scores[target] for item in range(40))


class Counted(Nothing):
    """Counts how many histories it was asked for."""

    name = "counted"

    def __init__(self, items: int):
        super().__init__(items)
        self.asked = 0

    def score(self, histories):
        self.asked += len(histories)
        return super().score(histories)


def test_a_part_of_several_systems_scores_each_person_once(split):
    part = Counted(40)
    cases = cases_of(split)
    rank_all([part, Fusion([part], name="one"), Fusion([part, part], name="two")], cases)
    assert part.asked == len(cases) + len(cases_of(split, "valid"))


def test_a_model_scores_each_history_once_through_fitting_calibrating_and_ranking(split):
    part, held = Counted(40), neighbours.fit(split)
    model, cases = Remembered(part), cases_of(split)
    learn_fusion([held, model], split)
    weights = learn_reranking(held, model, split)
    rank_all([model, Reranking(held, model, weights)], cases)
    asked = [history for some in ("test", "valid") for history in cases_of(split, some).histories]
    assert part.asked == len({tuple(history.tolist()) for history in asked})


def test_what_is_remembered_is_what_was_scored_and_callers_may_write_into_it(split):
    histories = cases_of(split).histories[:9]
    held = neighbours.fit(split)
    true = held.score(histories)
    for room in (0, 4 * true[0].nbytes, 2**30):
        model = Remembered(held, room=room)
        for some in ([0, 1, 2, 0], [2, 8, 3], [*range(9)]):
            found = model.score([histories[place] for place in some])
            assert np.array_equal(found, true[some])
            leave_out(found, [histories[place] for place in some])
        assert sum(row.nbytes for row in model.known.values()) <= room


def test_systems_side_by_side_rank_as_each_does_alone(split):
    parts = [neighbours.fit(split), popularity.fit(split)]
    systems = [*parts, Fusion(parts, name="both")]
    cases = cases_of(split)
    for together, system in zip(rank_all(systems, cases), systems, strict=True):
        alone = rank(system, cases)
        assert together.name == alone.name
        assert together.ranks.tolist() == alone.ranks.tolist()
        assert together.lists.tolist() == alone.lists.tolist()
        assert together.wins.tolist() == alone.wins.tolist()
        assert together.surprises.tolist() == alone.surprises.tolist()


def test_a_clean_cut_is_certain_and_noise_is_a_coin():
    rng = np.random.default_rng(0)
    sure = Pairs(rng.normal(9, 1, 2_000), rng.normal(-9, 1, 2_000))
    assert sure.surprises(calibrate(sure)).mean() < 0.01
    noise, other = (Pairs(rng.normal(size=2_000), rng.normal(size=2_000)) for _ in range(2))
    assert noise.surprises(calibrate(other)).mean() == pytest.approx(COIN, abs=0.003)
    same = Pairs(np.zeros(5), np.zeros(5))
    assert same.surprises(calibrate(same)) == pytest.approx([COIN] * 5)


def test_chances_are_those_that_the_scores_were_drawn_with():
    rng = np.random.default_rng(1)
    scores = rng.normal(50, 20, 40_000)
    taken = rng.random(40_000) < 1 / (1 + np.exp(-(scores - 45) / 10))
    chances = calibrate(Pairs(scores[taken], scores[~taken]))
    assert chances(np.array([45.0, 55.0])) == pytest.approx([0.5, 1 / (1 + np.exp(-1))], abs=0.02)


def test_an_item_without_a_score_is_less_likely_than_any_that_has_one():
    rng = np.random.default_rng(2)
    taken, other = rng.normal(1, 1, 500), rng.normal(0, 1, 500)
    taken[:50], other[:400] = -np.inf, -np.inf
    pairs = Pairs(taken, other)
    chances = calibrate(pairs)
    least = float(np.min(pairs.scores[np.isfinite(pairs.scores)]))
    assert 0 < chances(np.array([-np.inf]))[0] < chances(np.array([least]))[0]
    assert chances(np.array([np.nan, -np.inf, -1e30])).tolist() == [chances(np.array([-np.inf]))[0]] * 3
    assert pairs.surprises(chances).mean() < 0.55
    nobody = Pairs(np.full(9, -np.inf), np.full(9, -np.inf))
    assert nobody.wins().tolist() == [0.5] * 9
    assert nobody.surprises(calibrate(nobody)) == pytest.approx([COIN] * 9)


def test_a_target_is_held_against_the_same_persons_other_item_alone():
    level = np.random.default_rng(3).normal(0, 1_000, 200)
    assert Pairs(level + 1, level).wins().tolist() == [1.0] * 200, "people whose scores all lie higher are no matter"
    taken, other = np.array([np.nan, 0, np.nan, 2, np.inf]), np.array([0, np.nan, -np.inf, 2, 1e30])
    assert Pairs(taken, other).wins().tolist() == [0.0, 1.0, 0.5, 0.5, 1.0], "what is no number is the lowest"


class Levels(Seer):
    """Knows the targets, and scores each person on a level of their own."""

    name = "levels"

    def score(self, histories):
        levels = np.array([[history.sum() % 97] for history in histories], dtype=np.float32)
        return super().score(histories) + 10 * levels


def test_the_level_of_a_persons_scores_is_no_matter_to_the_auc_of_a_report(small_shop, split, tmp_path):
    cases = cases_of(split)
    write_report(
        tmp_path / "report", small_shop, cases, [rank(Levels(split), cases), rank(popularity.fit(split), cases)]
    )
    told = {one["name"]: one for one in json.loads((tmp_path / "report" / "report.json").read_text())["systems"]}
    assert told["levels"]["auc"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    wide = told["popularity"]["auc"]
    assert 0 <= wide["low"] < wide["mean"] < wide["high"] <= 1
    page = (tmp_path / "report" / "report.html").read_text()
    assert f"<td>{wide['mean']:.3f}<small>{wide['low']:.3f} to {wide['high']:.3f}</small></td>" in page


def test_a_report_without_validation_targets_says_why_it_has_no_log_loss(small_shop, split, tmp_path):
    unchosen = replace(split, part=np.where(split.part == VALID, TRAIN, split.part).astype(np.int8))
    cases = cases_of(unchosen)
    write_report(tmp_path / "report", small_shop, cases, [rank(popularity.fit(unchosen), cases)])
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    [system] = content["systems"]
    assert system["log_loss"] is None
    assert system["auc"]["mean"] > 0
    [why] = [line for line in content["untold"] if line.startswith("Log-loss")]
    assert "no validation targets" in why
    page = (tmp_path / "report" / "report.html").read_text()
    assert why in page
    assert "<th>log-loss</th>" not in page


def test_whoever_took_all_other_items_is_left_out_of_pairs_and_counted(tmp_path):
    rows = interactions(items=12)
    dataset = shop(tmp_path / "shop", items=catalogue(12), images={}, interactions=rows)
    split = leave_one_out(dataset.log)
    cases = cases_of(split)
    ranked = rank(Seer(split), cases)
    had = sum(len(set(split.log.history(user).tolist())) == 12 for user in cases.user.tolist())
    assert had
    assert ranked.wins.tolist() == [1.0] * (len(cases) - had), "nobody's target stands against an item of their own"
    write_report(tmp_path / "report", dataset, cases, [ranked])
    untold = json.loads((tmp_path / "report" / "report.json").read_text())["untold"]
    assert any(f"{had} of {len(cases)} targets have no item beside them" in line for line in untold)


def test_chances_are_never_fitted_on_what_is_measured(split):
    seer = rank(Seer(split), cases_of(split))
    assert seer.wins.mean() == 1.0
    assert seer.surprises.mean() == pytest.approx(COIN), (
        "it knew nothing on validation, so its scores were worth nothing"
    )


def test_nobody_is_asked_about_an_item_that_they_have(split):
    nothing = rank(Nothing(40), cases_of(split))
    assert set(nothing.wins) == {0.5}, "what a person has stands at the very end, so it would be told from a target"


def test_sampled_candidates_flatter(split):
    full = rank(neighbours.fit(split), cases_of(split))
    with pytest.raises(InputError, match="Ask for fewer"):
        rank(neighbours.fit(split), cases_of(split, protocol="sampled"))
    assert full.ranks.max() > 1
    assert full.runs[0].among is None, "so few items leave no 99 to draw"


def test_new_items_are_ranked_among_themselves_and_a_random_order_is_told(small_shop):
    split = cold_items(small_shop.log, share=0.4, newest=False)
    cases = cases_of(split, protocol="cold")
    seer, nothing = rank(Seer(split), cases), rank(Nothing(40), cases)
    assert seer.gains.column("hr@1").mean() == 1.0
    cold = set(split.cold.tolist())
    left = [len(cold - set(history.tolist())) for history in cases.histories]
    assert nothing.ranks.tolist() == left, "nothing but new items stands against the target"
    assert {int(code) for line in nothing.lists for code in line if code >= 0} <= cold
    assert set(nothing.wins) == {0.5}, "the other item is a new one too"
    worth = [sum(1 / np.log2(rank + 1) for rank in range(1, min(10, items) + 1)) / items for items in left]
    assert by_chance(cases)["ndcg@10"] == pytest.approx(np.mean(worth))
    assert by_chance(cases_of(split))["ndcg@10"] < by_chance(cases)["ndcg@10"]
    assert rank(popularity.fit(split), cases).gains.column("ndcg@10").mean() < np.mean(worth), "counts know nothing new"
    with pytest.raises(InputError, match="split=cold-items"):
        cases_of(leave_one_out(small_shop.log), protocol="cold")


def test_what_a_person_has_is_never_on_the_list(split):
    cases = cases_of(split)
    for history, line in zip(cases.histories, rank(popularity.fit(split), cases).lists, strict=True):
        assert not set(history.tolist()) & set(line.tolist())


def test_slices_share_out_everybody(split):
    cases = cases_of(split)
    for by in ("history", "target"):
        parts = [one for one in slices(cases) if one.by == by]
        assert sum(one.mask for one in parts).max() == 1
        assert len({one.name for one in parts}) == len(parts)
        assert sum(one.people for one in parts) == len(cases)


def test_comparisons_are_paired_and_corrected(split):
    cases = cases_of(split)
    seer, nothing = rank(Seer(split), cases), rank(Nothing(40), cases)
    rows = comparisons([nothing, seer])
    assert {row["system"] for row in rows} == {"seer"}
    assert all(row["corrected"] < 0.01 and row["low"] > 0 for row in rows)
    assert all(row["corrected"] >= row["p"] for row in rows)


def test_no_target_no_evaluation(tmp_path):
    short = shop(tmp_path / "short", interactions=interactions().unique("user"))
    with pytest.raises(InputError, match="has no test targets"):
        cases_of(leave_one_out(short.log))


def test_leanings_foretell_ratings_better_than_the_mean(tmp_path):
    rng = np.random.default_rng(0)
    leaning = rng.normal(size=40)
    rows = interactions(people=60)
    codes = rows["item"].str.slice(1).cast(pl.Int64).to_numpy()
    told = np.clip(3 + leaning[codes] + 0.3 * rng.normal(size=len(codes)), 1, 5)
    dataset = shop(tmp_path / "rated", interactions=rows.with_columns(rating=pl.Series(told)))
    values = dataset.interactions.select("rating").collect()["rating"].to_numpy().astype(float)
    found = ratings.rating_errors(leave_one_out(dataset.log), values, "test")
    assert found[1]["rmse"] < 0.7 * found[0]["rmse"]
    assert ratings.rating_errors(leave_one_out(dataset.log), np.full(len(values), np.nan), "test") == []


@pytest.fixture(scope="module")
def report(small_shop, split, tmp_path_factory) -> Path:
    cases = cases_of(split)
    systems = [rank(one, cases) for one in (popularity.fit(split), neighbours.fit(split), Seer(split))]
    out = tmp_path_factory.mktemp("report") / "report"
    write_report(out, small_shop, cases, systems)
    return out


def test_the_report_says_the_same_as_json_as_a_page_and_person_by_person(report):
    content = json.loads((report / "report.json").read_text())
    assert content["systems"][0]["name"] == "seer"
    people = pl.read_parquet(report / "people.parquet")
    page = (report / "report.html").read_text()
    for system in content["systems"]:
        ranks = people.filter(pl.col("system") == system["name"])["rank"].to_numpy()
        assert np.mean(ranks <= 10) == pytest.approx(system["measures"]["hr@10"]["mean"])
        assert f"{system['measures']['ndcg@10']['mean']:.4f}" in page
        assert (
            system["measures"]["ndcg@10"]["low"]
            <= system["measures"]["ndcg@10"]["mean"]
            <= system["measures"]["ndcg@10"]["high"]
        )
    assert {"processor", "cores"} <= content["machine"].keys()


def test_the_page_carries_everything_within_itself(report):
    page = (report / "report.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<script" not in page


def test_titles_cannot_write_into_the_page(tmp_path, small_shop):
    items = small_shop.items.collect().with_columns(title=pl.lit("<script>alert(1)</script>")).drop("image")
    dataset = shop(tmp_path / "bad", items=items)
    cases = cases_of(leave_one_out(dataset.log))
    write_report(tmp_path / "report", dataset, cases, [rank(popularity.fit(cases.split), cases)])
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_report_tells_the_log_loss_beside_that_of_a_coin(report):
    content = json.loads((report / "report.json").read_text())
    page = (report / "report.html").read_text()
    assert content["coin"] == pytest.approx(0.6931, abs=1e-4)
    for system in content["systems"]:
        told = system["log_loss"]
        assert told["low"] - 1e-9 <= told["mean"] <= told["high"] + 1e-9
        assert f"<td>{told['mean']:.3f}<small>{told['low']:.3f} to {told['high']:.3f}</small></td>" in page
    assert "always saying one half costs 0.693" in page


def reported(out: Path, *words) -> tuple[dict, str]:
    write_report(out, *words)
    return json.loads((out / "report.json").read_text()), (out / "report.html").read_text()


def test_a_report_on_new_items_covers_these_alone_and_says_nothing_of_their_popularity(small_shop, tmp_path):
    split = cold_items(small_shop.log, share=0.4, newest=False)
    cases = cases_of(split, protocol="cold")
    content, page = reported(tmp_path / "report", small_shop, cases, [rank(Nothing(40), cases)])
    [system] = content["systems"]
    shown = {int(code) for line in rank(Nothing(40), cases).lists[:, :10] for code in line if code >= 0}
    assert system["spread"]["coverage"] == pytest.approx(len(shown) / len(split.cold))
    assert system["spread"]["popularity_lift"] is None
    assert "Popularity lift: nothing that is ranked was ever taken in training." in content["untold"]
    assert "Popularity lift: nothing that is ranked was ever taken in training." in page
    assert "the share of the new items that anybody is shown" in page
    assert "The ceiling of a reranker" in page


class Silent(Nothing):
    """Puts nothing on anybody's list."""

    name = "silent"

    def score(self, histories):
        return np.full((len(histories), self.items), -np.inf, dtype=np.float32)


def test_lists_without_anything_have_no_popularity(small_shop, split, tmp_path):
    cases = cases_of(split)
    systems = rank_all([Silent(40), popularity.fit(split)], cases)
    content, page = reported(tmp_path / "report", small_shop, cases, systems)
    told = {one["name"]: one["spread"] for one in content["systems"]}
    assert told["silent"]["popularity_lift"] is told["silent"]["gini"] is told["silent"]["novelty"] is None
    assert told["popularity"]["popularity_lift"] > 1
    assert told["popularity"]["lift_people"] == len(cases)
    assert "Popularity lift of silent: nothing stands on any list." in content["untold"]
    assert "<td>–</td><td>–</td><td>–</td>" in page


def test_a_full_report_has_one_among_a_hundred_beside_it(tmp_path, small_shop, split):
    dataset = shop(tmp_path / "shop", items=catalogue(150), images={}, interactions=interactions(items=150))
    parted = leave_one_out(dataset.log)
    full, sampled = (cases_of(parted, protocol=protocol) for protocol in ("full", "sampled"))
    systems = [neighbours.fit(parted), popularity.fit(parted)]
    content, page = reported(tmp_path / "report", dataset, full, [rank(one, full) for one in systems])
    alone, _ = reported(tmp_path / "alone", dataset, sampled, [rank(one, sampled) for one in systems])
    for one in content["systems"]:
        measured = next(other["measures"] for other in alone["systems"] if other["name"] == one["name"])
        assert one["sampled"] == {name: measured[name]["mean"] for name in one["sampled"]}, "as --sampled measures it"
        assert one["sampled"]["hr@10"] >= one["measures"]["hr@10"]["mean"], "it flatters"
    assert "<h2>One among a hundred</h2>" in page
    assert all(one["sampled"] is None for one in alone["systems"])
    cases = cases_of(split)
    content, page = reported(tmp_path / "few", small_shop, cases, [rank(popularity.fit(split), cases)])
    assert "<h2>One among a hundred</h2>" not in page
    assert any("no 99 are left to draw" in line for line in content["untold"])


def test_a_sampled_report_has_no_ceiling_and_says_so(tmp_path, capsys):
    dataset = shop(tmp_path / "shop", items=catalogue(150), images={}, interactions=interactions(items=150))
    cases = cases_of(leave_one_out(dataset.log), protocol="sampled")
    content, page = reported(tmp_path / "report", dataset, cases, [rank(popularity.fit(cases.split), cases)])
    assert content["systems"][0]["found"] is None
    assert any(line.startswith("The ceiling of a reranker: ranks are among 100") for line in content["untold"])
    assert "<h2>The ceiling" not in page
    assert "Of the first ten of all items, not of the sampled" in page
    print_report(content)
    shown = capsys.readouterr().out
    assert "popularity" in shown
    assert "top 100" not in shown


def test_a_slice_of_few_people_says_that_they_are_too_few(report):
    content = json.loads((report / "report.json").read_text())
    page = (report / "report.html").read_text()
    parts = content["systems"][0]["slices"]
    few, enough = ([one for one in parts if (one["people"] < 10) == short] for short in (True, False))
    assert any(one["people"] for one in few)
    assert any(not one["people"] for one in few)
    for one in few:
        assert one["measures"] is None
        assert one["missing"] in (f"{one['people']} people: too few to tell", "1 person: too few to tell")
        assert f"{one['name']}: {one['missing']}" in page
        assert f"<th>{one['name']}<br>" not in page
    assert enough
    for one in enough:
        assert one["missing"] is None
        assert f"<th>{one['name']}<br>{one['people']} people</th>" in page
        assert f">{one['measures']['ndcg@10']['mean']:.4f}</td>" in page


def test_a_single_target_is_not_reported_on(small_shop, split, tmp_path):
    cases = cases_of(split, limit=1)
    with pytest.raises(InputError, match="Ask more people"):
        write_report(tmp_path / "one", small_shop, cases, [rank(popularity.fit(split), cases)])


def test_two_reports_are_compared_person_by_person(report, small_shop, split, tmp_path):
    cases = cases_of(split)
    write_report(tmp_path / "other", small_shop, cases, [rank(popularity.fit(split), cases)])
    rows = compare_reports(report, tmp_path / "other")
    by_name = {row["system"]: row for row in rows if row["measure"] == "hr@10"}
    assert by_name["popularity"]["mean"] == 0.0
    assert by_name["seer"]["corrected"] < 0.01


def test_reports_of_other_people_or_protocols_are_not_compared(report, small_shop, split, tmp_path):
    cases = cases_of(split, limit=10)
    write_report(tmp_path / "few", small_shop, cases, [rank(popularity.fit(split), cases)])
    with pytest.raises(InputError, match="asked different people"):
        compare_reports(report, tmp_path / "few")
    timed = cases_of(split_by_name(small_shop.log, "temporal"))
    write_report(tmp_path / "timed", small_shop, timed, [rank(popularity.fit(timed.split), timed)])
    with pytest.raises(InputError, match="split"):
        compare_reports(report, tmp_path / "timed")
    with pytest.raises(InputError, match="not a report"):
        compare_reports(report, tmp_path)


def test_the_commands_make_an_index_and_a_report(small_shop, tmp_path):
    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "llmrec", *map(str, words)], capture_output=True, text=True, check=False
        )

    made = run("index", small_shop.folder, "--out", tmp_path / "index", "sasrec.epochs=2", "sasrec.width=16")
    assert made.returncode == 0, made.stderr
    done = run("evaluate", tmp_path / "index", "--out", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    assert "learned fusion" in done.stdout or "fusion by ranks" in done.stdout
    assert (tmp_path / "report" / "report.html").exists()
    again = run("evaluate", tmp_path / "report", "--against", tmp_path / "report")
    assert "+0.0000" in again.stdout
    assert run("evaluate", tmp_path / "index").returncode == 2
    assert run("evaluate", tmp_path / "index", "--out", tmp_path / "x", "--part", "train").returncode == 2
    wrong = run("index", small_shop.folder, "--out", tmp_path / "y", "sasrec.epoch=2")
    assert wrong.returncode == 2
    assert "did you mean sasrec.epochs" in wrong.stderr


def test_ranks_of_a_system_that_breaks_down_are_the_worst(split):
    class Broken(Nothing):
        name = "broken"

        def score(self, histories):
            return np.full((len(histories), self.items), np.nan, dtype=np.float32)

    cases = cases_of(split)
    assert rank(Broken(40), cases).gains.column("hr@20").mean() == 0.0
    assert pessimistic_ranks(np.full((1, 3), np.nan), np.array([0])).tolist() == [3]
