"""Kept results: which code they come from, whether that has changed since, and how they are made again."""

import ast
import json
import shlex
import subprocess
import sys
from pathlib import Path

import again
import chain
import fingerprints
import papers
import published
import pytest
import record
import suites
from from_code import results as shown

from llmrec.chain.running import JOURNAL, Journal
from llmrec.compare.suite import distinct, plan, read_suite

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


def test_a_result_keeps_the_fingerprint_of_the_data_that_it_read_and_the_page_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "BEGUN", {"code": {}, "commit": "abc"})
    report = tmp_path / "report" / "report.json"
    report.parent.mkdir()
    report.write_text(json.dumps({"dataset": {"name": "atelier", "fingerprint": "sha256:0123456789abcdef"}}))
    data = chain.data_of(report.parent) | chain.data_of(report.parent, "beauty")
    for given in (data, None):
        file = tmp_path / "told.json"
        record.record("learning", {}, {}, seed=0, packages=(), file=file, data=given)
        kept = json.loads(file.read_text())
        assert kept.get("data") == given
        monkeypatch.setattr(shown, "result", lambda _, kept=kept: kept)
        page = shown.provenance("learning")
        assert ("data atelier `sha256:01234567…` · data beauty `sha256:01234567…`" in page) == bool(given)


@pytest.mark.parametrize(
    "program", ["learning", "cold", "films", "amazon", "explaining", "explaining_xrec", "speaking", "outside", "suites"]
)
def test_whoever_has_a_dataset_at_hand_says_which(program: str) -> None:
    tree = ast.parse((ROOT / "benchmarks" / f"{program}.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    (call,) = [node for node in calls if node.func.id == "record"]
    assert "data" in [word.arg for word in call.keywords]


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
    begun_with = {"command": "python benchmarks/suites.py content --dataset work/films/films", "machine": {}}
    assert "needs films, which is not here" in (again.hindrance(begun_with, tmp_path) or "")
    (tmp_path / "work" / "films" / "films").mkdir(parents=True)
    assert again.hindrance(begun_with, tmp_path) is None
    assert next(iter(again.results())) == "learning", "others start from what it leaves"


def test_a_package_that_is_not_installed_is_told_with_how_to_install_it() -> None:
    versions = {"python": "3.11.7", "numpy-cpu": "2.3.5"}
    wanted = {"benchmark": "outside", "command": "python benchmarks/outside.py", "machine": {}, "versions": versions}
    assert again.hindrance(wanted) is None
    wanted["versions"] = {**versions, "tannoy-xyz": "3.0.1", "quarto-xyz": "2.1+cpu"}
    told = again.hindrance(wanted) or ""
    assert told.startswith("needs tannoy-xyz, quarto-xyz, which is not installed")
    assert "pip install tannoy-xyz==3.0.1 quarto-xyz==2.1 (benchmarks/outside.py" in told


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


def begin(monkeypatch: pytest.MonkeyPatch, *, code: str, anew: bool = True) -> None:
    """As a benchmark begins, with code of its own."""
    monkeypatch.setattr(record, "BEGUN", {"code": {"benchmarks/own.py": code}, "anew": anew})
    monkeypatch.setattr(chain, "MADE", {})


def run_chain(work: Path) -> None:
    """A shop, something beside it, and an index of the shop; each counts how often it was made."""
    count = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(exist_ok=True); (p / 'made').write_text('x');"
    count += "open(str(p) + '.times', 'a').write('x')"
    for name, read in (("shop", ""), ("beside", ""), ("index", f"dataset={work / 'shop'}")):
        chain.stage(name, work / name / "made", [sys.executable, "-c", count, str(work / name), read], {})


def times(work: Path) -> list[int]:
    return [len((work / f"{name}.times").read_text()) for name in ("shop", "beside", "index")]


def test_of_a_chain_made_anew_what_other_code_made_goes_and_what_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, other = tmp_path / "work", tmp_path / "other"
    for folder in (work, other):
        folder.mkdir()
    (other / "theirs").touch()
    begin(monkeypatch, code="old")
    run_chain(work)
    begin(monkeypatch, code="new", anew=False)
    run_chain(work)
    assert times(work) == [1, 1, 1]
    assert record.BEGUN["kept"] == {"benchmarks/own.py": "old"}, "a plain run keeps all, and says so"
    (work / "index" / "left").touch()
    for _ in range(2):
        begin(monkeypatch, code="new")
        run_chain(work)
        assert times(work) == [2, 2, 2], "and what this code made stays"
        assert not (work / "index" / "left").exists()
        assert not record.BEGUN.get("kept")
    (work / "shop.code").unlink()
    begin(monkeypatch, code="new")
    run_chain(work)
    assert times(work) == [3, 2, 3], "of a stage that does not say what made it the same is true"
    assert (other / "theirs").exists()


def test_a_dataset_that_is_given_is_no_stage_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, code="new")
    given = tmp_path / "given" / "dataset.json"
    given.parent.mkdir()
    given.touch()
    run = []
    monkeypatch.setattr(chain, "stage", lambda name, *_: run.append(name))
    chain.starter(tmp_path / "work", {}, size="tiny", seed=0, shop=given.parent)
    assert run == ["pretrain", "index", "assemble"]


def test_of_a_suite_made_anew_what_other_code_made_goes_and_what_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(
        read_suite(ROOT / "train/suites/adaptation.yaml"), tmp_path, only=frozenset(["LoRA", "IA3"]), seeds=[0]
    )
    stages = distinct(planned)

    def note(code: str, *, anew: bool) -> list[str]:
        """What is to be made, by kind; then it is."""
        begin(monkeypatch, code=code, anew=anew)
        suites.note_code(stages, tmp_path)
        left = [one for one in stages if not one.made.exists()]
        journal = Journal.open(tmp_path, JOURNAL)
        assert not [one for one in left if one.name in journal.stages], "what it had cost is forgotten"
        for one in left:
            one.made.parent.mkdir(parents=True, exist_ok=True)
            one.made.touch()
            journal.note(one, 1.0)
        return [one.name.partition("-")[0] for one in left]

    whole = ["atelier", "tower", "index", "starter", "run", "report", "run", "report"]
    assert note("old", anew=False) == whole
    assert note("new", anew=False) == []
    theirs = tmp_path / "stages" / "run-0123456789" / "manifest.json"
    theirs.parent.mkdir()
    theirs.touch()
    assert note("new", anew=True) == whole
    assert note("new", anew=True) == []
    planned[0].run.with_suffix(".code").unlink()
    assert note("new", anew=True) == ["run", "report"]
    assert theirs.exists(), "another suite's stages are not its own"


def test_a_stage_knows_other_code_by_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(monkeypatch, code="new")
    file, name = tmp_path / "run.code", "train/suites/content.yaml"
    recipe = {name: fingerprints.fingerprint(ROOT / name)}
    for told, same in (
        ({"benchmarks/own.py": "new"}, True),
        ({"benchmarks/own.py": "new", **recipe}, True),
        ({"benchmarks/own.py": "new", name: "0123456789"}, False),
        ({"benchmarks/own.py": "new", "llmrec/gone.py": "0123456789"}, False),
        ({}, False),
    ):
        file.write_text(json.dumps(told))
        assert record.of_now(file) == same, told


def test_made_anew_is_told_to_a_benchmark_and_not_kept_in_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "BEGUN", {})
    monkeypatch.setattr(sys, "argv", [str(LEARNING), "--anew", "--quick"])
    record.arguments("What it does.").parse_args()
    assert record.anew()
    record.record("learning", {}, {}, seed=0, packages=(), file=tmp_path / "told.json")
    assert json.loads((tmp_path / "told.json").read_text())["command"] == f"python {LEARNING} --quick"


def test_what_is_wrong_with_what_was_given_is_told_without_a_trace(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "suites.py", "content", "--dataset", "gone", "--work", "work"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: gone does not exist, so it is not a dataset."), done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_ends_as_the_command_that_it_runs(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        chain.run([*chain.LLMREC, "index", "gone"])
    assert ended.value.code == 2
    assert "Traceback" not in capfd.readouterr().err
    chain.run([sys.executable, "-c", "pass"])
