"""What a tuned model says, measured: each figure against a reckoning of its own, and what has none says why."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import heard
import numpy as np
import polars as pl
import pytest
from shops import interactions
from tuned import small_index, small_run
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.errors import InputError
from llmrec.evaluation.evidence import ELSE, FEWEST, PLACEBO, Told, evidence, rests_on
from llmrec.evaluation.explained import CITED, all_evidence, explaining, names_of, titles_in
from llmrec.evaluation.hearing import BY_LABEL, CHECKED, MODEL, NEEDS, Hearing, number
from llmrec.evaluation.retrievers import evaluate_indexes
from llmrec.evaluation.speech import CHANCE, WORDS, choosing, liking, speech
from llmrec.examples import Asked, ExampleSource
from llmrec.features import Features, words_of
from llmrec.recommender import Recommender
from llmrec.retrieval.index import Index
from llmrec.tasks import TASKS
from llmrec.wishes import Aspect, Wish

FINISHES = ("enamelled", "braided", "lacquered", "speckled")
MANY = 400


def finish(item: str) -> str:
    return FINISHES[int(item[1:]) // 3 % len(FINISHES)]


def reviewed() -> pl.DataFrame:
    """The small shop's log with more people, whose reviews speak of each item's finish: a feature, as others agree."""
    rows = interactions(people=90)
    said = [
        f"The {finish(item)} look of it pleases me. It came on a Monday." if place % 5 else None
        for place, item in enumerate(rows["item"])
    ]
    return rows.with_columns(pl.Series("review", said))


def truth() -> dict[str, pl.DataFrame]:
    """What nobody but the tests may know: each item's finish, and that two of three rows happened because of it."""
    rows = reviewed()
    why = [[f"finish={finish(item)}"] if place % 3 else [] for place, item in enumerate(rows["item"])]
    items = rows.select("item").unique().sort("item")
    glazes = pl.Series("finish", [finish(item) for item in items["item"]])
    log = rows.select("user", "item", "timestamp").with_columns(pl.Series("reasons", why))
    return {"items": items.with_columns(glazes), "interactions": log}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("speech")
    return small_index(folder, interactions=reviewed(), truth=truth())


@pytest.fixture(scope="module")
def run(index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(index, tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def hearing(index: Index, run: Path) -> Hearing:
    dataset = index.dataset()
    return Hearing(Recommender.open(run, index, dataset, device="cpu"), index, dataset, "test")


def figure(told: dict, who: str, what: str) -> float:
    return next(row["figures"][what]["mean"] for row in told["rows"] if row["name"] == who)


def test_cases_are_held_out_rows_that_serve_their_task_and_prompts_tell_nothing_of_the_answer(hearing: Hearing) -> None:
    held_out = set(hearing.source.split.rows("test").tolist())
    for task in TASKS:
        cases = hearing.cases(task, MANY)
        assert cases, task
        assert {case.draft.happening.row for case in cases} <= held_out
        assert all(case.draft.template.needs >= NEEDS[task] for case in cases)
        if task == "explanation":
            assert all("hint" not in case.draft.template.needs for case in cases)
            for case in cases:
                prompt = " ".join(str(piece) for _, said in case.example.prompt for piece in said)
                assert case.draft.happening.review not in prompt
        if task in BY_LABEL:
            for case in cases:
                place = case.example.candidates.index(case.item)
                assert hearing.source.labels[place] == case.example.label
    few = hearing.cases("rating", 7)
    assert [case.draft.happening.row for case in few] == [
        case.draft.happening.row for case in hearing.cases("rating", 7)
    ]


def test_the_share_that_meets_a_wish_is_that_of_a_plain_loop(hearing: Hearing, index: Index) -> None:
    cases = hearing.cases("conversation", MANY)
    told = choosing(hearing, index.retrievers[-1], cases)
    fields = hearing.source.shelf.fields
    opinions = hearing.choices(cases)
    met, right = [], []
    for case, row in zip(cases, opinions, strict=True):
        assert case.draft.wish.met(fields[case.item]), "a wish is made of what was taken"
        chosen = case.example.candidates[int(row.argmax())]
        met.append(case.draft.wish.met(fields[chosen]))
        right.append(chosen == case.item)
    assert figure(told, MODEL, "meets the wish") == pytest.approx(np.mean(met))
    assert figure(told, MODEL, "the right one") == pytest.approx(np.mean(right))
    chance = [np.mean([case.draft.wish.met(fields[code]) for code in case.example.candidates]) for case in cases]
    assert figure(told, CHANCE, "meets the wish") == pytest.approx(np.mean(chance))
    assert figure(told, CHANCE, "the right one") == pytest.approx(1 / 3)
    scores = index.retrievers[-1].score([np.array(case.example.history, dtype=np.int32) for case in cases])
    by_hand = np.mean([
        case.example.candidates[int(np.argmax(scores[place][list(case.example.candidates)]))] == case.item
        for place, case in enumerate(cases)
    ])  # fmt: skip
    assert figure(told, index.retrievers[-1].name, "the right one") == pytest.approx(by_hand)
    assert WORDS in [row["name"] for row in told["rows"]]


def test_a_shown_thing_is_answered_by_one_of_its_kind(hearing: Hearing, index: Index) -> None:
    cases = hearing.cases("visual", MANY)
    told = choosing(hearing, index.retrievers[-1], cases)
    fields = hearing.source.shelf.fields
    alike = [
        fields[case.example.candidates[int(row.argmax())]]["categories"] == fields[case.draft.shown]["categories"]
        for case, row in zip(cases, hearing.choices(cases), strict=True)
    ]
    assert figure(told, MODEL, "the shown kind") == pytest.approx(np.mean(alike))


def test_equal_candidates_are_all_alike_to_a_judge_of_them(hearing: Hearing, index: Index) -> None:
    class Level:
        name = "says nothing"

        def score(self, histories):
            return np.zeros((len(histories), len(index.items)), dtype=np.float32)

    told = choosing(hearing, Level(), hearing.cases("sequential", MANY))
    assert figure(told, "says nothing", "the right one") == pytest.approx(1 / 3)


def test_explanations_stand_beside_others_and_are_held_against_what_is_known(hearing: Hearing) -> None:
    features = hearing.source.features
    assert set(FINISHES) <= set(features.counts), "reviewers agree on the finish"
    cases = hearing.cases("explanation", 30)
    told = explaining(hearing, cases)
    own = "the person's own review"
    assert figure(told, own, "names a feature of theirs") == 1.0
    assert figure(told, own, "features covered") == 1.0
    assert "BLEU-4" not in next(row["figures"] for row in told["rows"] if row["name"] == own), "against itself"
    other = "somebody else's review"
    spoken = figure(told, other, "names a feature of theirs")
    assert spoken > 0.8
    assert spoken + figure(told, other, "silent") == pytest.approx(1.0), "others speak of the same finish, if at all"
    assert figure(told, other, "BLEU-4") > 0.9 > figure(told, MODEL, "BLEU-4"), "cut as the reference is"
    listed = "what reviewers agree on, listed"
    assert figure(told, listed, "names a feature of theirs") == 1.0, "the prompt says as much"
    assert figure(told, listed, "BLEU-4") < figure(told, other, "BLEU-4")
    assert figure(told, other, "names what nobody says") == 0.0
    assert figure(told, CHECKED, "names what nobody says") == 0.0
    assert figure(told, "a sentence of the title", "names a feature of theirs") == 0.0
    assert figure(told, own, "names a true reason") == 1.0
    assert figure(told, other, "contradicts the catalogue") == figure(told, own, "contradicts the catalogue") == 0.0
    assert figure(told, "a sentence of the title", "names a true reason") == 0.0
    asked = sum(bool(hearing.reasons(case)) for case in cases)
    assert 0 < asked < len(cases)
    assert any(f"is known of {asked} of these rows" in note for note in told["notes"])
    assert any("values of its fields (categories, brand, colour, finish)" in note for note in told["notes"])
    for case, shown in zip(cases, told["shown"], strict=False):
        texts = shown["texts"]
        assert shown["own"]
        assert not texts[other] or words_of(texts[other]) & set(FINISHES) == {finish(shown["item"])}
        assert shown["item"] == hearing.source.shelf.ids[case.item]


def test_an_item_that_was_not_taken_is_found_by_its_title() -> None:
    names = names_of(["Blue cup", "Red cup tall", "Red", "Lamp shade", "Lamp shade"])
    assert titles_in("I had the red cup, tall as it is, and a lamp shade. Red!", names) == {"Red cup tall"}
    assert titles_in("The blue cups and a red cup.", names) == set()
    sequel = names_of(["Toy Story", "Toy Story 2"])
    assert titles_in("I took the Toy Story 2 because I like it.", sequel) == {"Toy Story 2"}
    assert titles_in("Toy Story 2, and before it Toy Story.", sequel) == {"Toy Story", "Toy Story 2"}


def test_a_newcomer_is_as_new_to_item_words_and_retrievers_as_to_the_model(hearing: Hearing, index: Index) -> None:
    cases = hearing.cases("cold", MANY)
    told = choosing(hearing, index.retrievers[-1], cases)
    shown = [np.array(case.example.history, dtype=np.int32) for case in cases]
    assert any(case.history and not len(one) for case, one in zip(cases, shown, strict=True))
    scores = hearing.scores(shown)
    right = []
    for case, row in zip(cases, scores, strict=True):
        candidates = list(case.example.candidates)
        right.append(candidates[int(row[candidates].argmax())] == case.item)
    assert figure(told, WORDS, "the right one") == pytest.approx(np.mean(right))


def test_a_single_row_has_a_mean_and_no_interval(hearing: Hearing, index: Index) -> None:
    wished = next(case for case in hearing.cases("conversation", MANY) if case.draft.wish)
    told = choosing(hearing, index.retrievers[-1], [wished, hearing.cases("sequential", 1)[0]])
    wish = next(row["figures"]["meets the wish"] for row in told["rows"] if row["name"] == MODEL)
    assert wish["low"] is None
    assert wish["mean"] in (0.0, 1.0)
    json.dumps(told, allow_nan=False)


def test_what_a_person_took_is_told_apart_from_an_item_that_the_same_person_did_not_take(hearing: Hearing) -> None:
    cases = hearing.cases("direct", MANY)
    told = liking(hearing, cases)
    asked = [case for case in cases if case.example.answer == case.example.label]
    assert {case.example.label for case in asked} == {"yes", "no"}
    pairs, wins, right = 0, 0.0, 0.0
    for case in asked:
        other = hearing.other(case)
        assert {case.example.label, other.example.label} == {"yes", "no"}
        assert other.draft.happening == case.draft.happening
        assert other.draft.template == case.draft.template
        taken, drawn = (case, other) if case.example.label == "yes" else (other, case)
        assert taken.item == case.draft.happening.target
        assert drawn.item not in case.draft.happening.taken
        yes, no = (float(hearing.yes([one])[0]) for one in (taken, drawn))
        pairs, wins, right = pairs + 1, wins + (yes > no) + (yes == no) / 2, right + ((yes > 0) + (no <= 0)) / 2
    found = {row["name"]: row["figures"] for row in told["rows"]}
    assert found[MODEL]["AUC"]["mean"] == pytest.approx(wins / pairs, abs=2 / pairs), "close ones may turn in a batch"
    assert found[MODEL]["right"]["mean"] == pytest.approx(right / pairs, abs=2 / pairs)
    assert found.keys() == {MODEL, WORDS, "popularity"}
    assert all(one["AUC"]["low"] < one["AUC"]["mean"] < one["AUC"]["high"] for one in found.values())
    none = liking(hearing, [case for case in cases if case not in asked])
    assert "too few" in none["missing"]


def test_whole_reviews_are_learnt_where_nobody_has_to_agree(hearing: Hearing) -> None:
    def answers(source: ExampleSource) -> set[str]:
        rows = source.rows("train")[:200]
        asked = Asked("explanation", source.without_hint["explanation"])
        return {example.answer for _, example in source.made(rows, source.said(rows), "train", asked)}

    kept, whole = answers(hearing.source), answers(hearing.opened.source(hearing.dataset, whole_reviews=True))
    assert len(kept) == len(whole) == len(FINISHES)
    assert not [answer for answer in kept if "Monday" in answer], "of it, and no more"
    assert all(answer.endswith("pleases me. It came on a Monday.") for answer in whole)


def test_a_rating_is_the_first_number_within_the_scale() -> None:
    assert number("I give it 4.5 stars of 5", 1, 5) == 4.5
    assert number("4,5", 1, 5) == 4.5
    assert number("9", 1, 5) == 5
    assert number("none", 1, 5) is None


def test_a_reason_rests_on_the_items_of_which_reviewers_say_the_same() -> None:
    said = {1: frozenset({"navy"}), 2: frozenset({"dots", "navy"}), 3: frozenset({"wide"})}
    assert rests_on(Told([1, 2, 3, 4, 1], 9, {"navy"}), said) == [0, 1, 4]
    assert rests_on(Told([1, 2, 3], 9, set()), said) == []


class Reading(Hearing):
    """A reader of our own: an item is the likelier, the more of the history has its finish."""

    def scores(self, histories):
        finishes = [finish(item) for item in self.source.shelf.ids]
        alike = np.array([[one == other for other in finishes] for one in finishes], dtype=np.float64)
        return np.array([alike[list(history)].sum(axis=0) for history in histories])


def test_leaving_out_what_a_reason_rests_on_costs_a_reader_that_goes_by_it(hearing: Hearing) -> None:
    reader = Reading(hearing.opened, hearing.index, hearing.dataset, hearing.part)
    ids = hearing.source.shelf.ids
    cases = hearing.cases("rating", MANY)
    true = [Told(case.history, case.item, {finish(ids[case.item])}) for case in cases]
    told = evidence(reader, "true", true)
    assert told["missing"] is None
    assert told["cases"] >= FEWEST
    assert told["fall"]["mean"] == pytest.approx(told["left_out"]), "each item that is left out was worth one"
    assert told["fall"]["low"] <= told["fall"]["mean"] <= told["fall"]["high"]
    assert told["fall_of_others"]["mean"] == pytest.approx(0.0)
    assert told["gap"]["p"] < 0.001
    false = [
        Told(case.history, case.item, {FINISHES[(FINISHES.index(finish(ids[case.item])) + 1) % len(FINISHES)]})
        for case in cases
    ]
    lie = evidence(reader, "false", false)
    assert lie["fall"]["mean"] == pytest.approx(0.0)
    assert lie["gap"]["mean"] <= 0, "a story rests on what does not matter"


def test_a_feature_that_is_not_why_is_told_by_choices_that_have_another_of_its_features(hearing: Hearing) -> None:
    """Each item has a finish and a size; one reader goes by the one, one by the other; the reasons name finishes."""
    ids = hearing.source.shelf.ids

    def size(item: str) -> str:
        return ("tiny", "huge")[int(item[1:]) % 2]

    class BySize(Hearing):
        def scores(self, histories):
            alike = np.array([[size(one) == size(other) for other in ids] for one in ids], dtype=np.float64)
            return np.array([alike[list(history)].sum(axis=0) for history in histories])

    of_item = {code: {finish(item): 1.0, size(item): 1.0} for code, item in enumerate(ids)}
    cases = hearing.cases("rating", MANY)
    reasons = [Told(case.history, case.item, {finish(ids[case.item])}) for case in cases]
    gaps = {}
    for kind in (Reading, BySize):
        reader = kind(hearing.opened, hearing.index, hearing.dataset, hearing.part)
        reader.source.features = Features({}, of_item)
        told = evidence(reader, "finish", reasons, PLACEBO)
        assert told["against"] == PLACEBO
        assert FEWEST <= told["cases"] < evidence(reader, "finish", reasons, ELSE)["cases"], "not all have a placebo"
        gaps[kind] = told
    assert gaps[Reading]["gap"]["mean"] > 0
    assert gaps[Reading]["gap"]["p"] < 0.001
    assert gaps[BySize]["fall_of_others"]["mean"] == pytest.approx(gaps[BySize]["left_out"]), (
        "each of them was worth one"
    )
    assert gaps[BySize]["gap"]["mean"] < 0


def test_what_rests_on_nothing_or_on_all_is_not_judged(hearing: Hearing) -> None:
    ids = hearing.source.shelf.ids
    one = [code for code, item in enumerate(ids) if finish(item) == FINISHES[0]]
    told = evidence(hearing, "x", [Told(one[:4], one[5], {FINISHES[0]}), Told([], one[0], {FINISHES[0]})] * FEWEST)
    assert told["cases"] == 0
    assert "rest on a part of the history" in told["missing"]


def test_falls_are_those_of_the_models_own_scores(hearing: Hearing) -> None:
    ids = hearing.source.shelf.ids
    cases = hearing.cases("rating", MANY)
    falls, others, reasons = [], [], []
    for case in cases:
        # One of the history rests with the reason and one beside it: there is one way of leaving out each.
        cited = [item for item in case.history if finish(ids[item]) == finish(ids[case.item])][:1]
        rest = [item for item in case.history if finish(ids[item]) != finish(ids[case.item])][:1]
        history = cited + rest
        reasons.append(Told(history, case.item, {finish(ids[case.item])}))
        if cited and rest:
            both = hearing.scores([np.array(some, dtype=np.int32) for some in (history, rest, cited)])
            falls.append(both[0, case.item] - both[1, case.item])
            others.append(both[0, case.item] - both[2, case.item])
    told = evidence(hearing, "x", reasons)
    assert told["cases"] == len(falls) >= FEWEST
    assert told["fall"]["mean"] == pytest.approx(np.mean(falls), abs=1e-4)
    assert told["fall_of_others"]["mean"] == pytest.approx(np.mean(others), abs=1e-4)


def test_what_a_text_says_against_the_catalogue_is_counted(hearing: Hearing) -> None:
    """What is true of the item beside it: of another category always, of another finish sometimes."""
    cases = hearing.cases("explanation", 12)
    ids = hearing.source.shelf.ids
    for case in cases:
        other = case.item - 1 if case.item else 1
        said = f"A {finish(ids[other])} thing for the {hearing.source.shelf.fields[other]['categories'][-1]}."
        found = {name.partition("=")[2] for name in hearing.catalogue.judge(said, case.item, []).contradictions}
        wanted = {hearing.source.shelf.fields[other]["categories"][-1]}
        wanted |= {finish(ids[other])} - {finish(ids[case.item])}
        assert found == wanted


def test_an_earlier_choice_that_a_text_names_is_what_it_rests_on(hearing: Hearing) -> None:
    reader = Reading(hearing.opened, hearing.index, hearing.dataset, hearing.part)
    ids = hearing.source.shelf.ids
    alike = [
        (case, next((item for item in case.history if finish(ids[item]) == finish(ids[case.item])), None))
        for case in hearing.cases("rating", MANY)
    ]
    named = [Told(case.history, case.item, (), {item}) for case, item in alike if item is not None]
    told = evidence(reader, CITED, named)
    assert told["cases"] >= FEWEST
    assert told["fall"]["mean"] == pytest.approx(1.0), "it was worth one, and no other was left out"
    assert told["fall_of_others"]["mean"] < 1.0
    assert told["gap"]["p"] < 0.001


def test_a_title_in_a_text_means_the_earlier_choice_that_has_it(hearing: Hearing) -> None:
    titles, cases = hearing.source.shelf.titles, hearing.cases("rating", 30)
    names = names_of(titles)
    known = [titles.count(titles[case.history[0]]) == 1 for case in cases]
    assert FEWEST <= sum(known) < len(cases), "some items have no title"

    def cited(texts: list[str]) -> dict:
        return next(row for row in all_evidence(hearing, cases, texts, names) if row["name"] == CITED)

    told = cited([f"It suits the {titles[case.history[0]]}." for case in cases])
    assert told["missing"] is None
    assert told["reasons"] == sum(known)
    assert told["left_out"] == 1
    assert told["corrected"] >= told["gap"]["p"]
    assert "0 of 30 explanations name an earlier choice" in cited(["I like it."] * 30)["missing"]


def test_a_wish_that_names_nothing_says_why_it_cannot_be_checked(hearing: Hearing, index: Index) -> None:
    cases = [
        replace(case, draft=replace(case.draft, wish=Wish("something new to me", "")))
        for case in hearing.cases("conversation", 4)
    ]
    told = choosing(hearing, index.retrievers[-1], cases)
    assert all(set(row["figures"]) == {"the right one"} for row in told["rows"])
    assert any("Whether a wish is met cannot be told" in note for note in told["notes"])


def test_a_wish_is_met_by_what_the_row_tells_and_by_nothing_else() -> None:
    item = {
        "categories": ["Shop", "Garden"],
        "brand": "Alder",
        "price": 9.5,
        "title": "Rake",
        "attributes": {"colour": "red"},
    }
    assert Wish("", "", (Aspect("categories", "Garden"), Aspect("price", 10), Aspect("colour", "red", True))).met(item)
    for aspect in (
        Aspect("brand", "Marlow"),
        Aspect("price", 9),
        Aspect("colour", "blue", True),
        Aspect("title", "Hoe"),
    ):
        assert not Wish("", "", (aspect,)).met(item)
    assert not Wish("", "", (Aspect("price", 10),)).met({**item, "price": None})


def test_the_command_writes_what_the_model_says_beside_the_ranking(index: Index, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    command = ["evaluate", str(index.folder), "--model", str(run), "--speech", "12", "--limit", "20"]
    done = CliRunner().invoke(app, [*command, "--device", "cpu", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "What the model says" in done.output
    content = json.loads((out / "report.json").read_text())
    (told,) = content["speech"]
    assert [task["task"] for task in told["tasks"]] == list(TASKS)
    for task in told["tasks"]:
        assert task["missing"] is None, task
        assert task["rows"]
        assert all(set(row["figures"]) <= set(task["measures"]) for row in task["rows"])
    reasons = ("the short reason", CHECKED)
    assert [(one["name"], one["against"]) for one in told["evidence"]] == [
        *((name, against) for name in reasons for against in (ELSE, PLACEBO)),
        (CITED, ELSE),
    ]
    figures = heard.figures_of(told["tasks"][0], "next_") | heard.evidence_of(told, "why_")
    assert figures["next_cases"] == told["tasks"][0]["cases"]
    assert figures["next_model_the_right_one_low"] <= figures["next_model_the_right_one"]
    assert "why_the_short_reason_against_as_much_else_cases" in figures
    page = (out / "report.html").read_text()
    for words in ("What the model says", "Explanations", "Is the reason why?", "somebody else&#39;s review", "ROUGE-L"):
        assert words in page
    assert "http" not in page.replace("http-equiv", "")
    assert any("--controls" in line for line in content["untold"])
    assert "--controls" in page
    assert not any("--speech" in line for line in content["untold"])


def test_a_shop_whose_reviews_say_nothing_and_a_run_without_talks_say_why(
    tuned_index: Index, tuned_run: Path, index: Index
) -> None:
    dataset = tuned_index.dataset()
    opened = Recommender.open(tuned_run, tuned_index, dataset, device="cpu")
    plain = Hearing(opened, tuned_index, dataset, "test")
    plain.source.features = Features()
    told = explaining(plain, plain.cases("explanation", 6))
    assert any("cannot be held against" in note for note in told["notes"])
    assert all("names what nobody says" not in row["figures"] for row in told["rows"])
    assert any("has no truth/" in note for note in told["notes"])
    assert all("names a true reason" not in row["figures"] for row in told["rows"])
    assert all(one["missing"] for one in told["evidence"])
    mute = replace(opened, recipe=replace(opened.recipe, talks=replace(opened.recipe.talks, count=0)))
    silent = speech(Hearing(mute, tuned_index, dataset, "test"), tuned_index.retrievers[-1], 5)
    assert "talks.count=0" in silent["missing"]
    assert not silent["tasks"]
    with pytest.raises(InputError, match="give --model RUN"):
        evaluate_indexes([index.folder], Path("nowhere"), speech=5)


@pytest.mark.slow
def test_the_benchmark_keeps_each_figure_with_its_interval_and_says_what_it_lacks(
    index: Index, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import speaking

    kept, out = tmp_path / "speaking.json", tmp_path / "out"
    words = [str(run), "--index", str(index.folder), "--out", str(out), "--quick", "--json", str(kept)]
    monkeypatch.setattr(sys, "argv", [speaking.__file__, *words])
    speaking.main()
    content, report = json.loads(kept.read_text()), json.loads((out / "quick" / "report.json").read_text())
    figures = content["figures"]
    assert figures["people"] == report["people"]
    assert content["data"] == {report["dataset"]["name"]: report["dataset"]["fingerprint"]}
    (told,) = report["speech"]
    for task in told["tasks"]:
        assert figures[f"{task['task']}_cases"] == task["cases"]
    auc = next(task for task in told["tasks"] if task["task"] == "direct")["rows"][0]["figures"]["AUC"]
    assert [figures[f"direct_model_auc{end}"] for end in ("", "_low", "_high")] == list(auc.values())
    measured = [row for row in told["evidence"] if not row["missing"]]
    assert len(measured) + len(content["unmeasured"]) == len(told["evidence"])
    assert sum(name.startswith("why_") and name.endswith("_p") for name in figures) == len(measured)
    asked = {row["other"]: row["corrected"] for row in report["looks"]["rows"] if row["measure"] == "ndcg@10"}
    assert len(asked) > len(("shuffled", "within categories", "blank", "none"))
    for name, p in asked.items():
        short = name.replace(",", "").replace(" ", "_")
        lost = figures["model_ndcg@10"] - figures[f"{short}_ndcg@10"]
        assert figures[f"{short}_loss"] == pytest.approx(lost)
        assert figures[f"{short}_loss_low"] <= lost <= figures[f"{short}_loss_high"]
        assert figures[f"{short}_loss_p"] == p
    (letters,) = report["labels"]
    assert figures["letters_gap"] == letters["gaps"]["ndcg@10"]["mean"]
    assert figures["letters_same_first_low"] == letters["order"]["same_first"]["low"]
    monkeypatch.setattr(sys, "argv", [speaking.__file__, str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit):
        speaking.main()
