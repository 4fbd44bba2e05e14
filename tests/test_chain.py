"""Commands one after the other: made once, told live, and gone on with where they were stopped."""

import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from llmrec.chain.running import Doing, Journal, alone, far, run_all
from llmrec.chain.stages import Stage
from llmrec.chain.view import shown
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
    with alone(tmp_path), pytest.raises(InputError, match="already being run"), alone(tmp_path):
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


def test_of_more_stages_than_a_terminal_has_lines_those_around_the_one_at_work_are_shown(tmp_path: Path) -> None:
    told = ["done"] * 20 + ["runs"] + ["waits"] * 20
    many = [Doing(Stage(f"{place}", f"Stage {place}.", tmp_path, ()), state) for place, state in enumerate(told)]
    for height, seen in ((20, list(range(14, 24))), (60, list(range(41)))):
        terminal = Console(force_terminal=True, width=80, height=height, record=True, file=StringIO())
        with shown(terminal) as show:
            show(many)
        text = terminal.export_text()
        assert [place for place in range(41) if f"Stage {place}." in text] == seen


def test_no_stage_outlives_whoever_runs_it(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; import sys; sys.path[:0] = [sys.argv[2], sys.argv[3]];"
        "from test_chain import stage; from llmrec.chain.running import run_all;"
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


def test_time_and_memory_of_a_stage_are_noted(tmp_path: Path) -> None:
    large = stage(tmp_path, "a", "b = bytearray(200_000_000); time.sleep(1)")
    (one,) = run_all([large], tmp_path, lambda _: None)
    assert one.peak > 200
    noted = Journal.open(tmp_path, "stages.json")
    assert noted.peak(large) == round(one.peak)
    assert noted.minutes(large) >= 1 / 60
    assert run_all([large], tmp_path, lambda _: None)[0].peak == round(one.peak)
