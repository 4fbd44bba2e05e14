"""Letter labels as a second scorer: what is asked, what is dealt out anew, and how it is measured."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from shops import shop
from tiny_models import tiny_model

from llmrec.config import build
from llmrec.errors import InputError
from llmrec.evaluation.labels import best_retriever
from llmrec.evaluation.labels import told as about_labels
from llmrec.evaluation.retrievers import evaluate_indexes
from llmrec.evaluation.run import cases_of, rank_all
from llmrec.modeling.transcript import batch
from llmrec.recommender import Recommender
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.retrieval.retriever import best, leave_out, ndcg, some_cases
from llmrec.retrieval.sasrec import SasRecRecipe
from llmrec.significance import intervals
from llmrec.tokens import TokenMeter
from llmrec.tuning import labelling
from llmrec.tuning.labelling import LabelRanking, falling
from llmrec.tuning.recipe import TuningRecipe
from llmrec.tuning.stage import tune
from llmrec.tuning.telling import next_words

ROOT = Path(__file__).parent.parent
FIRST = 6


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("labels")
    recipe = IndexRecipe(sasrec=SasRecRecipe(width=8, epochs=1), text_width=16, picture_width=8)
    return make_index(shop(folder / "shop"), folder / "index", recipe)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llava", tmp_path_factory.mktemp("base") / "llava")


def recipe_for(index: Index, model: Path, out: Path, **changes: object) -> TuningRecipe:
    content = {
        "model": str(model),
        "index": str(index.folder),
        "out": str(out),
        "prompts": str(ROOT / "prompts"),
        "quantization": "none",
        "dtype": "float32",
        "device": "cpu",
        "words": {"collaborative": 8, "width": 32, "rank": 16, "content": ["popularity"]},
        "walks": {"passes": 0},
        "talks": {
            "count": 12,
            "words": False,
            "examples": {"budget": 4096, "candidates": FIRST, "picture_tokens": 1, "tasks": {"sequential": 1}},
        },
        "watch": 0,
        "trainer": {"disable_tqdm": True},
    }
    return build(TuningRecipe, {**content, **changes})


@pytest.fixture(scope="module")
def run(index: Index, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    tune(recipe_for(index, model, out))
    return out


def labels_of(run: Path, index: Index, *, first: int = FIRST, orders: int = 1) -> LabelRanking:
    dataset = index.dataset()
    opened = Recommender.open(run, index, dataset, device="cpu")
    return opened.labelled(index.retrievers[-1], dataset, first=first, orders=orders)


def histories(index: Index, count: int = 8) -> list[np.ndarray]:
    log = index.dataset().log
    return [np.zeros(0, dtype=np.int32), *(log.history(user)[:-1] for user in range(count - 1))]


def test_a_run_of_letters_reads_histories_as_text_and_pictures_and_has_no_item_words(run: Path, index: Index) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["measured"] == {}, "items that are no words cannot be ranked as words"
    assert all("item_loss" not in entry for entry in manifest["history"])
    labels = labels_of(run, index)
    history = histories(index)[1].tolist()
    line = labels.line(history, [30, 31, 32, 33, 34, 35])
    assert max(line.tokens) < labels.ranker.vocabulary
    assert set(line.pictures) >= {code for code in history[-8:] if labels.source.shelf.images[code]}, (
        "the latest eight are shown"
    )


def test_the_first_items_are_dealt_out_anew_and_the_rest_stays_in_place(run: Path, index: Index) -> None:
    labels, asked = labels_of(run, index), histories(index)
    before, after = leave_out(labels.retriever.score(asked), asked), labels.score(asked)
    top, _ = best(before, FIRST)
    told = labels.opinions(asked[1:], top[1:])
    assert np.array_equal(after[0], before[0]), "nothing is known of the first, so the retriever's order stays"
    moved = 0
    for row in range(1, len(asked)):
        rest = np.setdiff1d(np.arange(before.shape[1]), top[row])
        assert np.array_equal(after[row, rest], before[row, rest])
        assert after[row, top[row]].min() >= before[row, top[row]].min()
        new = top[row][np.argsort(-after[row, top[row]], kind="stable")]
        assert new.tolist() == top[row][np.argsort(-told[row - 1], kind="stable")].tolist()
        moved += new.tolist() != top[row].tolist()
    assert moved, "a random model does not agree with a retriever"


def test_an_opinion_is_the_log_probability_of_the_label_behind_the_prompt(run: Path, index: Index) -> None:
    labels, history = labels_of(run, index), histories(index)[3]
    items = np.array([[30, 31, 32, 33, -1, -1]])
    told = labels.opinions([history], items)[0]
    assert np.exp(told).sum() == pytest.approx(1)
    assert np.isneginf(told[4:]).all()
    shown = np.random.default_rng([0, 0, *history.tolist()]).permutation(4)
    line = labels.line(history.tolist(), items[0, shown].tolist())
    made = batch([line], pad=0, album=labels.write.album)
    with torch.no_grad():
        hidden = labels.ranker.hidden(made["tokens"], made["mask"], made.get("pictures"))[0, -1]
        logits = labels.ranker.stock.lm_head(hidden)
    letters = [labels.write.base.tokenizer.convert_tokens_to_ids(letter) for letter in "ABCD"]
    assert np.allclose(told[shown], logits[letters].log_softmax(dim=0).numpy(), atol=1e-4)


def test_the_same_person_is_told_the_same_alone_and_among_others(run: Path, index: Index) -> None:
    labels, asked = labels_of(run, index, orders=2), histories(index)[1:]
    items, _ = best(leave_out(labels.retriever.score(asked), asked), FIRST)
    together = labels.opinions(asked, items)
    fresh = labels_of(run, index, orders=2)  # which remembers no answer
    for row in (0, 4):
        assert np.allclose(fresh.opinions([asked[row]], items[[row]])[0], together[row], atol=1e-5)


def test_no_prompt_is_asked_twice(run: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[tuple[int, ...]] = []

    def counted(ranker, write, lines, *rest, **named):
        prompts.extend(tuple(line.tokens) for line in lines)
        return next_words(ranker, write, lines, *rest, **named)

    monkeypatch.setattr(labelling, "next_words", counted)
    labels, asked = labels_of(run, index), histories(index)
    first = labels.score(asked)
    assert len(prompts) == len(asked) - 1
    assert np.array_equal(labels.score(asked), first)
    people = labels.agreement(asked).people
    assert people, "these have lists that are long enough"
    assert len(prompts) == len(asked) - 1 + people, "the other order alone is new"


def test_an_answer_is_averaged_over_orders_and_its_dependence_on_them_is_told(run: Path, index: Index) -> None:
    once, twice, asked = labels_of(run, index), labels_of(run, index, orders=2), histories(index)[1:]
    items, _ = best(leave_out(once.retriever.score(asked), asked), FIRST)
    first, second = (once._opinions(asked, items, order) for order in (0, 1))
    assert not np.allclose(first, second), "a random model goes by the place"
    assert np.allclose(twice.opinions(asked, items), (first + second) / 2)
    found = once.agreement(asked)
    assert found.people == len(asked)
    same = first.argmax(axis=1) == second.argmax(axis=1)
    places = [table.argsort(axis=1).argsort(axis=1) for table in (first, second)]
    alike = [spearmanr(*both).statistic for both in zip(*places, strict=True)]
    assert found.same_first == intervals(same[:, None].astype(float))[0]
    assert found.correlation.mean == pytest.approx(np.mean(alike))
    assert -1 <= found.correlation.low < found.correlation.mean < found.correlation.high <= 1


class Few:
    """Knows three items alone."""

    name = "few"

    def score(self, histories):
        table = np.full((len(histories), 40), -np.inf, dtype=np.float32)
        table[:, :3] = [3, 2, 1]
        return table


def test_where_nobody_has_enough_candidates_their_order_is_told_nothing_of(run: Path, index: Index) -> None:
    labels = replace(labels_of(run, index), retriever=Few())
    cases = cases_of(index.split(index.dataset()), limit=10)
    row = about_labels(labels, rank_all([Few(), labels], cases), cases, trained=FIRST)
    assert row["order"] == {"people": 0, "same_first": None, "correlation": None}
    assert f"cannot be told: of the people asked, none has a history and a list of {FIRST} candidates" in row["note"]
    assert not re.search(r"nan|0 people|\b0%", row["note"])
    one = labels_of(run, index).agreement(histories(index)[:2])
    assert (one.people, one.same_first, one.correlation) == (1, None, None), "one person has no interval"


def test_scores_that_tie_are_told_apart_by_as_little_as_it_takes() -> None:
    values = np.array([3, 2, 2, 2, 1], dtype=np.float32)
    found = falling(values)
    assert (np.diff(found) < 0).all()
    assert np.allclose(found, values, rtol=1e-6)
    assert falling(values).dtype == np.float32


def test_a_prompt_is_trimmed_to_the_budget_and_candidates_that_cannot_fit_are_told_before(
    index: Index, model: Path, run: Path, tmp_path: Path
) -> None:
    wide = labels_of(run, index)
    dear = sorted(range(len(index.items)), key=lambda code: -wide.source.shelf.costs[code])
    sizes = wide.source.sizes[wide.task, wide.template.name]
    alone = sizes.base + sum(wide.source.shelf.costs[code] + sizes.candidate_line for code in dear[:FIRST])
    examples = {"candidates": FIRST, "tasks": {"sequential": 1}, "budget": alone + 60}
    tune(recipe_for(index, model, tmp_path / "short", talks={"count": 4, "words": False, "examples": examples}))
    short = labels_of(tmp_path / "short", index)
    candidates, long = dear[:FIRST], dear[FIRST : FIRST + 10]
    assert len(short.line(long, candidates)) <= alone + 60 < len(wide.line(long, candidates))
    with pytest.raises(InputError, match=rf"budget={alone + 60}\. Ask for \d+ labels at most"):
        labels_of(tmp_path / "short", index, first=FIRST + 4)


class Splitting:
    """A real tokenizer that lacks a token for one letter."""

    name_or_path = "out/odd"

    def __init__(self, tokenizer, letter: str):
        self.tokenizer, self.letter = tokenizer, letter

    def __call__(self, text: str, **named):
        return self.tokenizer(text.replace(self.letter, "Zqz"), **named)


def test_a_tokenizer_that_splits_a_label_is_named_with_it(meter: TokenMeter) -> None:
    odd = TokenMeter(Splitting(meter.tokenizer, "C"), 9)
    assert odd.labels(2) == ("A", "B")
    with pytest.raises(InputError, match=r"tokenizer of out/odd .* label C, .* fewer candidates or take another model"):
        odd.labels(4)


def test_a_model_whose_tokenizer_splits_a_label_is_refused_before_anything_is_tuned(
    index: Index, model: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(model, tmp_path / "odd")
    path = tmp_path / "odd" / "tokenizer.json"
    content = json.loads(path.read_text())
    content["normalizer"] = {"type": "Replace", "pattern": {"String": "B"}, "content": "zq"}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"odd has no token of its own for the label B,"):
        tune(recipe_for(index, tmp_path / "odd", tmp_path / "run"))
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_report_shows_labels_beside_the_best_retriever_paired(run: Path, index: Index, tmp_path: Path) -> None:
    evaluate_indexes([index.folder], tmp_path / "report", models=[run], labels=FIRST, limit=20, device="cpu")
    told = json.loads((tmp_path / "report" / "report.json").read_text())
    names = {system["name"] for system in told["systems"]}
    assert "model, labels" in names
    assert "model" not in names, "a run without item words ranks by labels alone"
    [row] = told["labels"]
    split = index.split(index.dataset())
    assert row["retriever"] == best_retriever(index.retrievers, split).name
    mean = {system["name"]: system["measures"]["ndcg@10"]["mean"] for system in told["systems"]}
    assert row["gaps"]["ndcg@10"]["mean"] == pytest.approx(mean["model, labels"] - mean[row["retriever"]])
    assert {"model, labels", row["retriever"]} & {one["other"] for one in told["comparisons"]}
    page = (tmp_path / "report" / "report.html").read_text()
    assert row["note"] in page
    assert re.search(r"<td>model, labels</td><td>0\.\d.*?</td><td>–</td></tr>", page), "an AUC, and no log-loss"
    assert re.search(rf"<td>{row['retriever']}</td><td>0\.\d.*?</td><td>0\.\d.*?</td></tr>", page)
    [why] = [line for line in told["untold"] if line.startswith("model, labels, log-loss: ")]
    assert why in page.replace("&#39;", "'")
    for figure in (row["order"]["same_first"], row["order"]["correlation"]):
        assert figure["low"] <= figure["mean"] <= figure["high"]
    same = row["order"]["same_first"]
    assert f"the same for {same['mean']:.0%} of {row['order']['people']} people (95 %: {same['low']:.0%}" in row["note"]


def test_a_run_of_letters_says_why_nothing_is_changed_in_its_item_words(
    run: Path, index: Index, tmp_path: Path
) -> None:
    asked = {"models": [run], "labels": FIRST, "controls": True, "ablate": True, "limit": 12, "device": "cpu"}
    told = evaluate_indexes([index.folder], tmp_path / "report", **asked)
    for what in ("other pictures (--controls)", "parts of item words (--ablate)"):
        assert [line for line in told["untold"] if line.startswith(f"model, {what}: it was tuned without item words")]


def test_the_best_retriever_is_chosen_on_validation(index: Index) -> None:
    split = index.split(index.dataset())
    cases = some_cases(split, "valid", 1_000)
    best_one = best_retriever(index.retrievers, split)
    assert ndcg(best_one, cases) == max(ndcg(one, cases) for one in index.retrievers)


@pytest.mark.parametrize("kind", ["lora", "full", "frozen"])
def test_runs_with_item_words_are_asked_for_labels_too(kind: str, index: Index, model: Path, tmp_path: Path) -> None:
    talks = {"count": 8, "examples": {"budget": 4096, "candidates": FIRST}}
    words = {"collaborative": 8, "width": 32, "rank": 16, "warm": 1}
    changes = {"talks": talks, "walks": {"passes": 1}, "words": words, "adapter": {"kind": kind}}
    tune(recipe_for(index, model, tmp_path / "run", **changes))
    labels, asked = labels_of(tmp_path / "run", index), histories(index)
    line = labels.line(asked[1].tolist(), [30, 31])
    assert sum(token >= labels.ranker.vocabulary for token in line.tokens) == len(asked[1]), "histories as item words"
    assert np.isfinite(labels.score(asked)).any(axis=1).all()


def test_what_cannot_be_asked_for_labels_says_what_to_do(run: Path, index: Index, model: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    with pytest.raises(InputError, match="add --labels 20"):
        evaluate_indexes([index.folder], report, models=[run], device="cpu")
    with pytest.raises(InputError, match="give --model"):
        evaluate_indexes([index.folder], report, labels=5)
    with pytest.raises(InputError, match="not --sampled"):
        evaluate_indexes([index.folder], report, models=[run], labels=5, sampled=True)
    silent = {"walks": {"passes": 0.2}, "talks": {"count": 0}}
    tune(recipe_for(index, model, tmp_path / "run", **silent))
    with pytest.raises(InputError, match="weight for sequential or direct"):
        labels_of(tmp_path / "run", index)
