"""What the README promises: its pictures are there, its links lead somewhere, and its commands do what it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = ["README.md", "CONTRIBUTING.md", "docs/datasets.md", "docs/atelier.md", "docs/prompts.md", "docs/evaluation.md"]
PAGES += ["docs/tuning.md", "docs/models.md", "docs/pretraining.md", "docs/doctor.md", "docs/chat.md"]


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_lead_to_files(root, page):
    path = root / page
    for link in re.findall(r'(?:\]\(|src=")([^)#"]+)', path.read_text()):
        if not link.startswith("https://"):
            assert (path.parent / link).exists(), f"{page} links to {link}"


def test_pictures_are_small_enough_to_be_cloned_by_everyone(root):
    for picture in (root / "docs" / "images").iterdir():
        assert picture.stat().st_size < 2**20


def test_the_commands_of_the_pipeline_run_as_they_stand(root, tmp_path):
    """With the tiny shop in the place of the small one, and nothing else changed."""
    (block,) = re.findall(r"```sh\n(.*?)```", (root / "README.md").read_text(), flags=re.DOTALL)
    for folder in ("prompts", "data_builders"):
        shutil.copytree(root / folder, tmp_path / folder)
    commands = [line.partition("#")[0].split() for line in block.strip().splitlines()]
    stages = [command[1] for command in commands[1:]]
    assert stages == ["validate", "audit", "examples", "preview", "index", "evaluate"]
    commands[0] += ["--size", "tiny"]
    for command in commands:
        program = {"python": [sys.executable], "llmrec": [sys.executable, "-m", "llmrec"]}[command[0]]
        done = subprocess.run([*program, *command[1:]], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    page = Path(tmp_path / "work" / "preview.html").read_text()
    assert "data:image/" in page
