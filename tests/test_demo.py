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
from llmrec.demo.stages import MOST, QUICK, WHOLE, demonstration
from llmrec.demo.view import print_figures

ROOT = Path(__file__).parent.parent


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
