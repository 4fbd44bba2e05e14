"""What is shipped: a wheel that holds llmrec alone and works where nothing else of the repository is."""

import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from llmrec import __version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, root) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(root)]
    subprocess.run(build, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_llmrec_alone_with_its_pages(wheel, root):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"llmrec", f"llmrec-{__version__}.dist-info"}
    assert "llmrec/pages/preview.html" in names
    assert "llmrec/py.typed" in names
    shop = {path.name for path in (root / "llmrec" / "pages" / "shop").iterdir()}
    assert {"index.html", "app.js", "base.css"} <= shop
    assert {f"llmrec/pages/shop/{name}" for name in shop} <= set(names)


def test_the_wheel_is_imported_and_answers_in_an_empty_environment(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", wheel], check=True, capture_output=True)
    told = subprocess.run(
        [python, "-c", "import llmrec, llmrec.errors; print(llmrec.__version__)"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert told.stdout.strip() == __version__


def test_the_readme_names_make_targets_that_exist(root):
    named = set(re.findall(r"(?:^|[`A-Z] ?)make ([a-z][a-z-]*)", (root / "README.md").read_text(), flags=re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"setup", "test", "demo"} <= named
    assert named <= targets


def test_every_dependency_is_pinned_by_the_lock(root):
    lock = (root / "constraints.txt").read_text()
    pinned = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, flags=re.MULTILINE)}
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {normal(re.split(r"[<>=!;\[ ]", one)[0]) for one in needed} <= pinned


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
