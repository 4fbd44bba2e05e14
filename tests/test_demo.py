"""The demonstration: stages that are made once, go on where they were stopped, and end with figures and a page."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from shops import shop

from llmrec.demo.figures import Figures
from llmrec.demo.running import Doing, alone, far, run_all
from llmrec.demo.stages import MOST, QUICK, WHOLE, Stage, demonstration
from llmrec.demo.view import print_figures, shown
from llmrec.errors import InputError, LlmrecError

ROOT = Path(__file__).parent.parent
WRITES = "import pathlib, sys, time; p = pathlib.Path(sys.argv[1]); print(sys.argv[2]); {}; p.write_text(sys.argv[2])"


def stage(folder: Path, name: str, before: str = "pass", said: str = "hello") -> Stage:
    """A command that says something and writes one file."""
    made = folder / f"{name}.txt"
    return Stage(name, f"Making {name}", made, ("-c", WRITES.format(before), str(made), said))


def states(doing: list[Doing]) -> list[str]:
    return [one.state for one in doing]


def test_what_is_made_is_not_made_again(tmp_path: Path) -> None:
    stages = [stage(tmp_path, "a"), stage(tmp_path, "b")]
    assert states(run_all(stages, tmp_path, lambda _: None)) == ["done", "done"]
    made = (tmp_path / "a.txt").stat().st_mtime_ns
    (tmp_path / "b.txt").unlink()
    again = run_all(stages, tmp_path, lambda _: None)
    assert states(again) == ["kept", "done"]
    assert (tmp_path / "a.txt").stat().st_mtime_ns == made
    assert again[0].minutes > 0, "how long it took is known later too"


def test_a_stage_that_fails_shows_the_end_of_its_log_and_goes_on_once_it_is_mended(tmp_path: Path) -> None:
    broken = stage(tmp_path, "b", "sys.exit('the disk is on fire') if p.with_suffix('.bad').exists() else None")
    (tmp_path / "b.bad").touch()
    stages = [stage(tmp_path, "a"), broken, stage(tmp_path, "c")]
    seen: list[list[str]] = []
    with pytest.raises(LlmrecError, match="the disk is on fire"):
        run_all(stages, tmp_path, lambda doing: seen.append(states(list(doing))))
    assert seen[-1] == ["done", "failed", "waits"]
    (tmp_path / "b.bad").unlink()
    assert states(run_all(stages, tmp_path, lambda _: None)) == ["kept", "done", "done"]


def test_other_settings_are_told_and_change_nothing(tmp_path: Path) -> None:
    run_all([stage(tmp_path, "a")], tmp_path, lambda _: None)
    with pytest.raises(InputError, match="other settings"):
        run_all([stage(tmp_path, "a", said="something else")], tmp_path, lambda _: None)
    assert (tmp_path / "a.txt").read_text() == "hello"


def test_two_at_once_are_told(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(InputError, match="Another demonstration"), alone(tmp_path):
        pass


def test_how_far_a_stage_is_comes_from_its_last_line_that_says_so(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("training the tower: 3 of 40\n")
    assert far(log) == "training the tower: 3 of 40"
    log.write_text("x\n  7%|▋  | 90/1333 [02:40<30:45]\r  7%| | 91/1333 [02:42<31:23]{'loss': '4.2'}\n")
    assert far(log) == "step 91 of 1,333"
    log.write_text("nothing of the kind\n")
    assert far(log) == ""


def test_it_is_seen_live_in_a_terminal_and_line_by_line_in_a_file(tmp_path: Path) -> None:
    slow = stage(
        tmp_path, "slow", "[(print(f'drawing things: {n} of 3', flush=True), time.sleep(0.4)) for n in (1, 2, 3)]"
    )
    terminal = Console(force_terminal=True, width=100, record=True, file=StringIO())
    with shown(terminal) as show:
        run_all([slow], tmp_path, show)
    assert "Making slow" in terminal.export_text()
    slow.made.unlink()
    file = Console(width=100, record=True, file=StringIO())
    with shown(file) as show:
        run_all([slow, stage(tmp_path, "b")], tmp_path, show)
    lines = file.export_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ["Making slow", "Making slow", "Making b", "Making b"]
    assert "begins" in lines[0]
    assert "done" in lines[1]


def test_nothing_outlives_a_demonstration_that_is_killed(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; import sys; sys.path[:0] = [sys.argv[2], sys.argv[3]];"
        "from test_demo import stage; from llmrec.demo.running import run_all;"
        "folder = Path(sys.argv[1]);"
        "write = 'import os; p.with_suffix(\".pid\").write_text(str(os.getpid())); time.sleep(60)';"
        "run_all([stage(folder, 'a', write)], folder, lambda _: None)"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(ROOT), str(ROOT / "tests")]
    process = subprocess.Popen(command)
    pid = tmp_path / "a.pid"
    until = time.monotonic() + 30
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stage_pid = int(pid.read_text())
    while Path(f"/proc/{stage_pid}").exists() and "Z" not in Path(f"/proc/{stage_pid}/stat").read_text().split()[2]:
        assert time.monotonic() < until + 10, "the stage is still there"
        time.sleep(0.05)


def test_a_wait_for_a_server_takes_a_ctrl_c_though_polars_is_loaded() -> None:
    program = (
        "import subprocess, sys, polars; from llmrec.environment import waited;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True);"
        "print('waits', flush=True)\n"
        "try: waited(child)\n"
        "except KeyboardInterrupt: print('stopped')\n"
        "finally: child.kill()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "stopped\n"


@pytest.mark.parametrize("scale", [WHOLE, QUICK])
def test_every_stage_makes_what_the_next_ones_read(tmp_path: Path, scale) -> None:
    made: set[str] = set()
    for one in demonstration(tmp_path, scale):
        out = str(one.made.parent)
        read = re.findall(rf"{re.escape(str(tmp_path))}/\w+", " ".join(one.command))
        assert {path for path in read if path != out} <= made, one.name
        made.add(out)
    assert {"index", "run", "model", "report"} <= {Path(path).name for path in made}


@pytest.mark.parametrize("seen", [True, False])
def test_a_dataset_of_ones_own_is_read_as_often_as_the_time_allows(tmp_path: Path, seen: bool) -> None:
    pictures = {"images": {}} if not seen else {}
    shop(tmp_path / "own", **pictures)
    stages = {one.name: " ".join(one.command) for one in demonstration(tmp_path, WHOLE, dataset=tmp_path / "own")}
    assert "shop" not in stages
    assert ("pretrain" in stages) == seen
    assert ("picture" in stages["tune"]) == seen
    assert f"walks.passes={MOST}" in stages["tune"], "a small log can be read many times"
    assert "collaborative" in stages["tune"] or seen


def test_figures_stand_beside_baselines_and_blind_models(tmp_path: Path) -> None:
    def system(name: str, mean: float) -> dict:
        around = {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}
        return {"name": name, "measures": {"ndcg@10": around, "hr@10": around}}

    names = {
        "popularity": 0.05,
        "sasrec": 0.15,
        "model": 0.18,
        "fusion with model": 0.21,
        "model, pictures blank": 0.02,
    }
    report = {"people": 300, "catalogue": 1500, "systems": [system(*one) for one in names.items()]}
    for folder, name, content in (
        ("report", "report.json", report),
        ("atelier", "dataset.json", {"notes": {"oracle": {"variants": {"all": {"ndcg@10": 0.32}}}}}),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(json.dumps(content))
    console = Console(width=100, record=True, file=StringIO())
    print_figures(console, Figures.read(tmp_path))
    text = console.export_text()
    order = [text.index(name) for name in ("popularity", "SASRec", "the model alone", "the model and the retrievers")]
    assert order == sorted(order)
    assert "0.170–0.190" in text
    assert "all pictures blank" in text
    assert "0.320" in text


@pytest.mark.slow
def test_the_quick_demonstration_from_nothing_killed_on_the_way_and_served(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llmrec", "demo", "--quick", "--work", str(tmp_path / "demo")]
    first = subprocess.Popen([*command, "--no-serve"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    for line in first.stdout:
        if line.startswith("Tuning it") and "begins" in line:
            break
    time.sleep(20)  # somewhere in the middle
    first.send_signal(signal.SIGKILL)
    first.wait()
    again = subprocess.run([*command, "--no-serve"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Drawing a shop, its people and what they take: is there" in again.stdout
    assert "the model and the retrievers" in again.stdout
    began = time.monotonic()
    third = subprocess.Popen(
        [*command, "--port", "0", "--engine", "local"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert third.stdout is not None
    try:
        address = next(found[1] for line in third.stdout if (found := re.search(r"Open (http://\S+)", line)))
        assert time.monotonic() - began < 60
        with urllib.request.urlopen(f"{address}/v1/models") as answer:
            assert json.load(answer)["data"][0]["id"] == "llmrec"
        third.send_signal(signal.SIGINT)
        assert "The same command starts it again" in third.stdout.read()
        assert third.wait(60) == 0
    finally:
        third.terminate()
        third.wait(60)


@pytest.mark.slow
def test_from_a_shops_own_files_to_figures(tmp_path: Path) -> None:
    def run(*command: str) -> str:
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    files, mapping, plants = tmp_path / "nursery", tmp_path / "nursery" / "mapping.yaml", tmp_path / "plants"
    run("data_builders/nursery.py", "--out", str(files))
    tables = [str(files / name) for name in ("pflanzen.csv", "bestellungen.csv")]
    run("data_builders/tabular.py", "--init", *tables, "--to", str(mapping))
    said = run("data_builders/tabular.py", str(mapping), "--out", str(plants))
    assert "240 items with 234 pictures, 500 people" in said, "the guess was right without a correction"
    run("-m", "llmrec", "demo", str(plants), "--quick", "--no-serve", "--work", str(tmp_path / "work"))
    report = json.loads((tmp_path / "work" / "report" / "report.json").read_text())
    assert {"fusion with model", "model, pictures shuffled"} <= {one["name"] for one in report["systems"]}
