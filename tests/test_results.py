"""Kept results: which code they come from, whether that has changed since, and how they are made again."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import again
import fingerprints
import papers
import published
import pytest
from from_code import results as shown

ROOT = Path(__file__).parent.parent
LEARNING = ROOT / "benchmarks" / "learning.py"


def test_a_fingerprint_is_of_what_a_module_does(tmp_path: Path) -> None:
    def told(text: str) -> str:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.py"
        path.write_text(text)
        return fingerprints.fingerprint(path)

    plain = told("def f(x):\n    return x + 1\n")
    assert told('"""A module."""\n\n\ndef f(x):  # adds\n    """One more."""\n    return x + 1\n') == plain
    assert told("def f(x):\n    return x + 2\n") != plain
    assert told("def f(x):\n    return x + 1 if '#' else x\n") != told("def f(x):\n    return x + 1 if '' else x\n")
    assert told('def f(x):\n    return "x"\n') != told('def f(x):\n    return "y"\n'), "a text that is used is code"


def test_what_a_benchmark_runs_is_found_through_functions_and_commands() -> None:
    found = fingerprints.sources(LEARNING)
    wanted = [
        "benchmarks/learning.py",
        "benchmarks/chain.py",
        "llmrec/modeling/ranker.py",
        "llmrec/retrieval/sasrec.py",
    ]
    wanted += ["train/starter.yaml", "train/tower.yaml", "prompts/base.jinja", "data_builders/atelier.py"]
    for name in (*wanted, "data_builders/drawn/people.py", "llmrec/significance.py"):
        assert name in found, name
    assert not [name for name in found if "gateway" in name or "doctor" in name], "what it never runs is left out"
    assert not [name for name in found if "suites" in name]
    assert not {"benchmarks/record.py", "benchmarks/fingerprints.py"} & found.keys()
    alone = fingerprints.sources(ROOT / "benchmarks" / "retrieval.py")
    assert "llmrec/retrieval/store.py" in alone
    assert "llmrec/modeling/ranker.py" not in alone
    assert any(name.startswith("llmrec/gateway/") for name in fingerprints.sources(ROOT / "benchmarks" / "serving.py"))


def test_a_result_is_stale_when_a_module_changed_came_or_went() -> None:
    code = fingerprints.sources(LEARNING)
    assert fingerprints.changed({"benchmark": "learning", "code": code}) == []
    other = {**code, "llmrec/modeling/ranker.py": "0123456789", "llmrec/gone.py": "0123456789"}
    del other["train/starter.yaml"]
    told = {"benchmark": "learning", "code": other}
    assert fingerprints.changed(told) == ["llmrec/gone.py", "llmrec/modeling/ranker.py", "train/starter.yaml"]
    assert again.state(told) == "STALE: llmrec/gone.py, llmrec/modeling/ranker.py, train/starter.yaml"
    assert again.state({"benchmark": "learning", "code": code}) == "fresh"
    assert "before fingerprints" in again.state({"benchmark": "learning"})


def test_a_recipe_that_a_result_names_beside_its_own_counts_while_it_is_as_it_was() -> None:
    name = "train/suites/adaptation.yaml"
    assert name not in fingerprints.sources(LEARNING)
    code = {**fingerprints.sources(LEARNING), name: fingerprints.fingerprint(ROOT / name)}
    assert fingerprints.changed({"benchmark": "learning", "code": code}) == []
    code[name] = "0123456789"
    assert fingerprints.changed({"benchmark": "learning", "code": code}) == [name]


def test_the_page_of_results_marks_what_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    told = dict(shown.result("learning"))
    for code, mark in (
        (fingerprints.sources(LEARNING), None),
        ({**fingerprints.sources(LEARNING), "llmrec/log.py": "0"}, "`llmrec/log.py`"),
    ):
        monkeypatch.setattr(shown, "result", lambda _, code=code: {**told, "code": code})
        page = shown.provenance("learning")
        assert ("stale" in page) == bool(mark)
        assert mark is None or f"Changed since: {mark}." in page


@pytest.mark.parametrize("name", sorted(again.results()))
def test_every_kept_result_names_the_command_that_makes_it(name: str) -> None:
    result = again.results()[name]
    words = shlex.split(result["command"])
    assert words[0] == "python"
    assert words[1] == f"benchmarks/{result['benchmark']}.py"
    assert (ROOT / words[1]).is_file()
    assert words[words.index("--json") + 1] == f"benchmarks/results/{name}.json"
    assert not [word for word in words if word.startswith("/")], "it runs in any checkout"
    assert {"machine", "versions", "seed", "commit", "figures"} <= result.keys()


def test_data_and_devices_that_are_not_there_are_told(tmp_path: Path) -> None:
    wanted = {"command": "python benchmarks/amazon.py --data data/amazon2014", "machine": {}}
    assert "needs data/amazon2014, which is not here" in (again.hindrance(wanted, tmp_path) or "")
    (tmp_path / "data/amazon2014").mkdir(parents=True)
    assert again.hindrance(wanted, tmp_path) is None
    assert next(iter(again.results())) == "learning", "others start from what it leaves"


def test_the_list_says_how_each_stands_and_a_name_that_is_none_is_told() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "benchmarks/again.py", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    listed = run("--list")
    assert listed.returncode == 0, listed.stderr
    for name, result in again.results().items():
        assert f"\n{name} " in f"\n{listed.stdout}"
        assert result["command"] in listed.stdout
    assert "there is no result 'lerning'. There are learning" in run("lerning").stderr


def test_a_result_keeps_what_made_it(tmp_path: Path) -> None:
    program = ROOT / "benchmarks" / "data.py"
    told = tmp_path / "data.json"
    done = subprocess.run(
        [sys.executable, str(program), "--quick", "--json", str(told)], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert told.exists(), done.stdout + done.stderr
    assert json.loads(told.read_text())["code"] == fingerprints.sources(program)


def test_what_a_result_starts_from_is_made_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("added", "amazon", "learning", "published"):
        (tmp_path / f"{name}.json").write_text("{}")
    monkeypatch.setattr(again, "RESULTS", tmp_path)
    assert list(again.results()) == ["learning", "amazon", "added", "published"], "--ours reads amazon's work folder"


def test_published_figures_stand_on_the_page_with_notes_and_ours_below(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"beauty_fusion_hr@10": 0.0943, "toys_fusion_ndcg@5": 0.0553}
    monkeypatch.setattr(shown, "result", lambda _: {"figures": figures})
    lines = shown.published("published", ["learned fusion | fusion", "our model, fused | our_model_fused"]).splitlines()
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines if "|" in line
    }
    assert rows["HSTU, cross-entropy"] == [
        "0.0568",
        "0.0347",
        "0.0859",
        "0.0441",
        "0.0611",
        "0.0363",
        "0.0914",
        "0.0461",
        "",
    ]
    assert rows["co-occurrence kNN"][2:4] == ["0.0773", "0.0485"]
    assert rows["LlamaRec"] == ["", "", "0.0971", "0.0554", "", "", "", "", papers.FILTERED]
    assert rows["VIP5"][-1] == papers.LEAK
    assert rows["**learned fusion**"] == ["", "", "0.0943", "", "", "0.0553", "", "", "ours"]
    assert not any("our model" in label for label in rows), "nothing of it is known yet"
    assert rows["VIP5, Beauty"] == ["1.29", "12.9", papers.HEADLINE]
    assert rows["VIP5, adapters"][:3] == ["3.58", "11.1", "29"]
    told = [label for table in (papers.RANKED | papers.OTHERWISE).values() for label in table.rows]
    assert rows.keys() >= set(told)


def test_published_figures_are_kept_beside_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "published.json"
    monkeypatch.setattr(published, "run", lambda *_: {"toys_fusion_gain_ndcg@10": 1.2})
    monkeypatch.setattr(published, "REACH", {"toys_fusion_gain_ndcg@10": (">=", 1.0)})
    words = [published.__file__, "--data", str(tmp_path), "--set", "toys", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", words)
    published.main()
    kept = json.loads(file.read_text())["published"]
    assert kept["toys"]["rows"]["TIGER"]["values"] == [0.0521, 0.0371, 0.0712, 0.0432]
    assert kept["beauty"]["rows"]["LlamaRec"]["note"] == papers.FILTERED
    assert kept["efficiency"]["rows"]["VIP5, adapters"]["values"] == [3.58, 11.1, 29.0]
