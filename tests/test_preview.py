"""The preview shows what the model will read, and nothing in it can run."""

import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from shops import catalogue, shop

from llmrec.errors import InputError
from llmrec.example_files import write_examples
from llmrec.examples import ExampleRecipe
from llmrec.preview import write_preview


@pytest.fixture(scope="module")
def folder(tmp_path_factory, prompts, meter) -> Path:
    base = tmp_path_factory.mktemp("preview")
    items = catalogue().with_columns(brand=pl.lit("<script>alert(1)</script> & <img src=x>"))
    dataset = shop(base / "shop", items=items, name="<b>a shop</b>")
    write_examples(base / "ex", [(dataset, 1.0)], prompts, meter, ExampleRecipe(), tokenizer_name="starter")
    return base / "ex"


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("page") / "preview.html"
    assert write_preview(folder, out, count=24) == 24
    return out.read_text(encoding="utf-8")


def test_every_task_has_a_section_with_pictures_in_place(page):
    for task in ("sequential", "direct", "rating", "explanation", "summary", "conversation", "visual", "cold"):
        assert f'<section id="{task}">' in page
    assert page.count('<img src="data:image/jpeg;base64,') > 20


def test_the_tokens_of_each_part_are_told_and_fit_the_budget(page):
    totals = [int(total) for total in re.findall(r"<b>(\d+)</b> tokens", page)]
    assert len(totals) == 24
    assert 0 < max(totals) <= 2048
    assert re.search(r"user&#39;s words: \d+", page)
    assert re.search(r"\d+ pictures?: \d+", page)
    assert re.search(r"answer: \d+", page)


def test_catalogue_text_cannot_become_markup(page):
    assert "<script" not in page
    assert "<b>a shop</b>" not in page
    assert "default-src 'none'" in page


def test_a_picture_that_has_gone_is_told_not_fatal(folder, tmp_path):
    for picture in (folder.parent / "shop" / "images").iterdir():
        picture.rename(picture.with_suffix(".gone"))
    write_preview(folder, tmp_path / "preview.html", count=16)
    assert "picture missing" in (tmp_path / "preview.html").read_text(encoding="utf-8")
    for picture in (folder.parent / "shop" / "images").iterdir():
        picture.rename(picture.with_suffix(".png"))


def test_a_folder_that_holds_no_examples_is_told_apart(tmp_path):
    with pytest.raises(InputError, match=r"has no examples\.json, so it is not a folder of examples"):
        write_preview(tmp_path, tmp_path / "preview.html")
    with pytest.raises(InputError, match="'dev' is not a part"):
        write_preview(tmp_path, tmp_path / "preview.html", part="dev")


def test_the_page_may_replace_itself_but_no_other_file(folder, tmp_path):
    for _ in range(2):
        assert write_preview(folder, tmp_path / "preview.html", count=8) == 8
    (tmp_path / "diary.html").write_text("dear to me")
    with pytest.raises(InputError, match="was not written by llmrec"):
        write_preview(folder, tmp_path / "diary.html")


@pytest.mark.parametrize("damage", ["gone", "text"])
def test_damaged_examples_are_named_with_the_remedy(folder, tmp_path, damage):
    shutil.copytree(folder, tmp_path / "ex")
    (file,) = (tmp_path / "ex" / "train").glob("*.arrow")
    file.unlink() if damage == "gone" else file.write_bytes(b"not arrow")
    with pytest.raises(InputError, match="Make the examples again"):
        write_preview(tmp_path / "ex", tmp_path / "page.html")
