"""The command line as a person meets it: help, tables, errors and exit codes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from llmrec import __version__

COMMAND = [sys.executable, "-m", "llmrec"]


def run(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


def test_the_version_is_told():
    assert run("--version").stdout == f"llmrec {__version__}\n"


def test_help_names_each_stage_and_every_stage_has_an_example():
    told = run("--help").stdout
    for stage in ("validate", "audit", "examples", "preview"):
        assert stage in told
        assert "Example" in run(stage, "--help").stdout


def seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@pytest.mark.alone
def test_help_answers_at_once_and_loads_nothing_heavy():
    took: list[float] = []
    bare: list[float] = []
    while len(took) < 12 and (not took or min(took) - min(bare) >= 0.3):  # what else the machine does only adds to it
        took.append(seconds(lambda: run("--help")))
        bare.append(seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)))
    assert min(took) - min(bare) < 0.3, (took, bare)
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, llmrec.cli; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"torch", "transformers", "datasets", "polars", "numpy", "jinja2"} & set(loaded)


def test_a_sound_dataset_is_valid(small_shop):
    done = run("validate", small_shop.folder)
    assert done.returncode == 0
    assert "valid" in done.stdout
    assert small_shop.fingerprint in done.stdout
    assert json.loads(run("validate", small_shop.folder, "--json").stdout)["dataset"]["counts"]["items"] == 40


def test_a_dataset_that_was_tampered_with_is_told_with_every_reason(small_shop, tmp_path):
    folder = tmp_path / "shop"
    subprocess.run(["cp", "-r", small_shop.folder, folder], check=True)
    log = pl.read_parquet(folder / "interactions.parquet")
    log = log.with_columns(
        item=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit("nobody")).otherwise("item"),
        rating=pl.when(pl.int_range(pl.len()) == 4).then(9.0).otherwise("rating").cast(pl.Float32),
    )
    log.write_parquet(folder / "interactions.parquet")
    done = run("validate", folder)
    assert done.returncode == 2
    assert "interactions.parquet, row 3: the item 'nobody' is not in the catalogue" in done.stdout
    assert "interactions.parquet, row 5: the rating is outside 1 to 5" in done.stdout
    assert "the fingerprint does not fit" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["validate", "nowhere"], "error: nowhere does not exist, so it is not a dataset"),
        (["examples", "nowhere", "--out", "ex"], "error: nowhere does not exist"),
        (["examples", "--out", "ex", "history=3"], "error: No dataset was given"),
        (["preview", "."], "error: . has no examples.json"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(words, message, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_setting_names_the_nearest_one(small_shop, root, tmp_path):
    done = run("examples", small_shop.folder, "--out", tmp_path / "ex", "candidats=5", cwd=root)
    assert done.returncode == 2
    assert "unknown key candidats: did you mean candidates?" in done.stderr


def test_settings_are_listed_with_their_help(root):
    told = run("examples", "--settings", cwd=root).stdout
    assert "budget=2048\n    The most tokens of a whole example" in told


def test_from_dataset_to_page(small_shop, root, tmp_path):
    examples = tmp_path / "ex"
    done = run("examples", small_shop.folder, "--out", examples, "limit=40", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "sequential" in done.stdout
    again = run("examples", small_shop.folder, "--out", examples, cwd=root)
    assert again.returncode == 2
    assert "already exists" in again.stderr
    assert run("examples", small_shop.folder, "--out", examples, "--overwrite", "limit=30", cwd=root).returncode == 0
    done = run("preview", examples, "--out", tmp_path / "page.html", "--count", "8", cwd=root)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").stat().st_size > 5_000
