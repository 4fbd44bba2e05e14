"""What the README promises: its pictures are there, and its links lead somewhere. Its commands: test_commands.py."""

import re

import pytest
import shell


@pytest.mark.parametrize("path", shell.pages(), ids=lambda path: path.name)
def test_links_and_pictures_lead_to_files(path):
    for link in re.findall(r'(?:\]\(|src=")([^)#\s"]+)', path.read_text()):
        if not link.startswith(("http://", "https://")):
            assert (path.parent / link).exists(), f"{path.name} links to {link}"


def test_pictures_are_small_enough_to_be_cloned_by_everyone(root):
    for picture in (root / "docs" / "images").iterdir():
        assert picture.stat().st_size < 2**20


@pytest.mark.parametrize("path", shell.pages(), ids=lambda path: path.name)
def test_python_on_a_page_is_python(path):
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE):
        if language == "python":
            compile(text, path.name, "exec")
