"""Files as they come from elsewhere: other encodings, missing columns, pictures that are links, pipes or broken."""

import gzip
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import sources
import tabular
import yaml
from mapped import encodings
from shops import picture
from test_builders_tabular import ITEMS, ORDERS, changed, files, made, refused

from llmrec.errors import InputError

__all__ = ["files"]  # the fixture


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised_with_and_without_its_mark(files: Path, encoding: str) -> None:
    for name, text in (("items.csv", ITEMS), ("orders.csv", ORDERS)):
        (files / name).write_bytes(text.replace(";", "\t").encode(encoding))
    guessed = yaml.safe_load(tabular.guess_mapping([files / "items.csv", files / "orders.csv"], files))
    for section in ("items", "interactions"):
        assert (guessed[section]["encoding"], guessed[section]["delimiter"]) == (encoding, "\t")
    dataset = made(files, mapping=guessed)
    assert "Teekanne „Lena“" in dataset.items.collect()["title"]
    assert dataset.info["counts"]["interactions"] == 4


def test_utf_16_lines_of_json_are_read(files: Path) -> None:
    text = '{"customer": "a", "sku": "0012", "when": "31.01.2024 12:30", "stars": 5}\n'
    (files / "orders.jsonl").write_bytes((text * 2).encode("utf-16"))
    mapping = changed(interactions__file="orders.jsonl", interactions__encoding="utf-16")
    assert made(files, mapping=mapping).info["counts"]["interactions"] == 1
    told = tabular.guess_mapping([files / "orders.jsonl"], files)
    assert yaml.safe_load(told)["interactions"]["encoding"] == "utf-16"


@pytest.mark.parametrize(
    ("written", "read_as", "told"),
    [
        ("utf-16", "utf-8", 'is written in UTF-16 (Excel\'s "Unicode text"), not in utf-8. Set encoding: utf-16'),
        ("utf-16-le", "utf-8", "Set encoding: utf-16-le"),
        ("utf-16-be", "cp1252", "Set encoding: utf-16-be"),
        ("utf-16-be", "utf-16", "Set encoding: utf-16-be"),
        ("utf-8", "utf-16", "it looks like utf-8. Set encoding: utf-8"),
        ("utf-32", "latin-1", "Set encoding: utf-32"),
    ],
)
def test_a_wrong_encoding_is_told_with_the_right_one(
    files: Path, capsys: pytest.CaptureFixture[str], written: str, read_as: str, told: str
) -> None:
    (files / "items.csv").write_bytes(ITEMS.encode(written))
    shown = refused(files, capsys, mapping=changed(items__encoding=read_as))
    assert told in shown
    assert "\0" not in shown


@pytest.mark.parametrize("packing", [bytes, gzip.compress])
def test_bytes_that_are_no_text_are_refused_in_a_short_printable_line(
    files: Path, capsys: pytest.CaptureFixture[str], packing: Any
) -> None:
    noise = b"".join(bytes([(17 * place * place + 91 * place) % 256]) for place in range(5000))
    path = files / ("items.csv.gz" if packing is gzip.compress else "items.csv")
    path.write_bytes(packing(noise + bytes(range(256))))
    with pytest.raises(InputError, match="is not text") as seen:
        tabular.guess_mapping([path], files)
    for encoding in ("utf-8", "latin-1"):
        shown = refused(files, capsys, mapping=changed(items__file=path.name, items__encoding=encoding))
        assert "is not text" in shown
        assert shown.strip().isprintable()
    assert len(str(seen.value)) < 400


def test_a_workbook_and_a_broken_archive_are_named(files: Path) -> None:
    (files / "book.csv").write_bytes(b"PK\x03\x04" + bytes(200))
    with pytest.raises(InputError, match="a workbook or a zip file"):
        tabular.guess_mapping([files / "book.csv"], files)
    (files / "half.csv.gz").write_bytes(gzip.compress(os.urandom(3000))[:1000])
    with pytest.raises(InputError, match="Is it whole"):
        tabular.guess_mapping([files / "half.csv.gz"], files)


def test_odd_names_of_columns_are_escaped_and_cut(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "orders.csv").write_text("\x1b[31mred\x07;" + ";".join(f"{'x' * 90}{n}" for n in range(99)) + "\n1;2\n")
    shown = refused(files, capsys)
    assert "\\x1b[31mred\\x07" in shown
    assert "and 70 more" in shown
    assert len(shown) < 2500
    assert sources.shown("a\nb\x00") == "a\\nb\\x00"


def test_utf_8_read_as_latin_1_is_warned_of(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    made(files, mapping=changed(items__encoding="cp1252"))
    assert "looks like UTF-8: '„' becomes 'â€ž'. Set encoding: utf-8" in caplog.text
    caplog.clear()
    (files / "items.csv").write_bytes(ITEMS.encode("cp1252"))
    with caplog.at_level(logging.WARNING):
        made(files, mapping=changed(items__encoding="cp1252"))
    assert "looks like" not in caplog.text


def test_plain_texts_of_other_encodings_are_not_suspected(tmp_path: Path) -> None:
    for number, (text, encoding) in enumerate(
        [
            ("名前,値\n陶器の皿,3\n", "shift_jis"),
            ("имя,цена\nваза,5\n", "cp1251"),
            ("a\x01b\x01\n1\x012\x01\n", "utf-8"),
        ]
    ):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(text.encode(encoding))
        encodings.check(path, encoding)


def test_all_missing_columns_of_both_files_are_told_at_once(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapping = changed(
        interactions__columns__user="custmer",
        interactions__columns__rating="star",
        items__columns__title="nme",
        items__attributes=["sise"],
        images__path="{phto}.jpg",
    )
    told = refused(files, capsys, mapping=mapping)
    assert "orders.csv has no column 'custmer' (interactions.user), 'star' (interactions.rating)" in told
    assert "Its columns are: customer, sku, when, stars. Did you mean 'customer' for 'custmer', 'stars' for" in told
    assert "items.csv has no column 'nme' (items.title), 'sise' (items.attributes), 'phto' (images)" in told
    assert "'name' for 'nme', 'size' for 'sise', 'photo' for 'phto'?" in told


def test_what_init_left_open_is_told_with_its_keys(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapping = changed(interactions__columns__user="???", interactions__columns__timestamp="???")
    mapping["items"]["columns"]["item"] = "???"
    told = refused(files, capsys, mapping=mapping)
    assert "has no column '???' (interactions.user, interactions.timestamp)" in told
    assert "has no column '???' (items.item)" in told


def test_a_column_missing_beside_all_attributes_is_told(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapping = changed(items__attributes="all", items__columns__title="nme")
    assert "has no column 'nme' (items.title)" in refused(files, capsys, mapping=mapping)


def test_a_link_that_leads_out_of_the_picture_folder_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "private.png").write_bytes(picture(7))
    (files / "photos" / "vase.jpg").unlink()
    (files / "photos" / "vase.jpg").symlink_to(files / "private.png")
    told = refused(files, capsys)
    assert "'vase.jpg -> " in told
    assert "leaves the folder" in told
    assert made(files, "--drop-bad-rows").info["counts"]["pictures"] == 1
    with pytest.raises(InputError, match="1 pictures are links that lead out of the folder, such as vase"):
        list(sources.pictures_by_id(files / "photos", ["vase"]))


def test_links_within_the_folder_and_a_folder_that_is_a_link_are_fine(files: Path) -> None:
    (files / "photos" / "vase.jpg").unlink()
    (files / "photos" / "vase.jpg").symlink_to("tea.png")
    (files / "photos").rename(files / "elsewhere")
    (files / "photos").symlink_to(files / "elsewhere")
    assert made(files).info["counts"]["pictures"] == 2
    assert len(list(sources.pictures_by_id(files / "photos", ["vase", "tea"]))) == 2


def test_pictures_left_out_are_named_with_item_and_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"n{number};Neu;;;;;;gone{number}.jpg;1\n" for number in range(9))
    (files / "items.csv").write_text(ITEMS + rows, encoding="utf-8")
    os.mkfifo(files / "photos" / "gone3.jpg")
    (files / "photos" / "gone6.jpg").symlink_to("gone6.jpg")
    dataset = made(files)
    missing = next(warning for warning in dataset.info["warnings"] if "is missing" in warning)
    assert missing.startswith("pictures: 7 left out, each is missing: 'n0' (")
    assert f"'n4' ('{files / 'photos' / 'gone4.jpg'}')" in missing
    assert missing.split(". ")[-2].endswith("and 2 more")
    assert any("is broken: 'n6' (" in warning for warning in dataset.info["warnings"]), "a link to itself"
    assert any("is not a regular file: 'n3' (" in warning for warning in dataset.info["warnings"])
    shown = capsys.readouterr().out
    assert "gone0.jpg" in shown
    assert "'0013' (" in shown, "the one that is no picture"


@pytest.mark.parametrize("core", ["-1", "two", "1.5"])
def test_a_core_that_is_no_count_is_refused(files: Path, capsys: pytest.CaptureFixture[str], core: str) -> None:
    assert f"argument --core: '{core}' is not a whole number from 0 on" in refused(files, capsys, f"--core={core}")


def test_ratings_and_prices_that_are_emptied_are_counted(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders = ORDERS + "carl;0012;04.02.2024 08:00;gut\ncarl;0013;04.02.2024 09:00;11\n"
    (files / "orders.csv").write_text(orders, encoding="utf-8")
    (files / "items.csv").write_text(ITEMS.replace("EUR 24,50", "auf Anfrage"), encoding="utf-8")
    dataset = made(files, "--drop-bad-rows")
    assert dataset.info["counts"]["interactions"] == 6
    assert "left out: 2 ratings that cannot be used (their rows are kept)" in capsys.readouterr().out
    assert dataset.info["notes"]["left out"]["prices that cannot be used (their rows are kept)"] == 1
