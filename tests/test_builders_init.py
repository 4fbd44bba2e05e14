"""--init recognises columns by their names in four languages and times by their values, and writes where it is told."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tabular
import yaml
from mapped.dates import Reading, reading_of
from mapped.names import column_for, tells_the_future

from llmrec.dataset import Dataset

GERMAN_ITEMS = """Artikelnummer;Artikelbezeichnung;Beschreibung;Kategorie;Marke;Preis;Farbe;Durchschnittsbewertung;\
Anzahl Bewertungen;Verkaufsrang
0012;Teekanne;Rund.;Küche;Brook;1.299,00 €;rot;4,5;17;3
0013;Vase;Hoch.;Garten;Alder;24,50 €;blau;3,5;4;9
"""
GERMAN_ORDERS = """Kundennummer;Artikelnummer;Bestelldatum;Sterne;Kommentar
anna;0012;18.09.2024 19:50;5;Schön
ben;0013;02.10.2024 08:05;3;
"""


def guessed(folder: Path, **files: str) -> tuple[dict[str, Any], str]:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    text = tabular.guess_mapping([folder / f"{name}.csv" for name in files], folder)
    return yaml.safe_load(text), text


def built(mapping: Path) -> Dataset:
    tabular.main([str(mapping), "--out", str(mapping.parent / "out")])
    return Dataset.open(mapping.parent / "out")


def test_a_german_export_is_recognised_whole(tmp_path: Path) -> None:
    mapping, text = guessed(tmp_path, artikel=GERMAN_ITEMS, bestellungen=GERMAN_ORDERS)
    assert mapping["interactions"]["columns"] == {
        "user": "Kundennummer",
        "item": "Artikelnummer",
        "timestamp": "Bestelldatum",
        "rating": "Sterne",
        "review": "Kommentar",
    }
    assert mapping["interactions"]["time"] == "%d.%m.%Y %H:%M"
    assert mapping["items"]["columns"] == {
        "item": "Artikelnummer",
        "title": "Artikelbezeichnung",
        "description": "Beschreibung",
        "categories": "Kategorie",
        "brand": "Marke",
        "price": "Preis",
    }
    assert mapping["items"]["attributes"] == ["Farbe"]
    assert "Durchschnittsbewertung, Anzahl Bewertungen, Verkaufsrang" in text
    (tmp_path / "mapping.yaml").write_text(text, encoding="utf-8")
    assert built(tmp_path / "mapping.yaml").info["counts"]["interactions"] == 2


def test_french_and_spanish_exports_are_recognised(tmp_path: Path) -> None:
    french, told = guessed(
        tmp_path,
        produits="référence,désignation,catégorie,marque,prix,couleur,note moyenne,nombre d'avis\n"
        "A1,Vase,Maison,Alder,3,bleu,4.2,8\n",
        avis="client,référence,date,note,commentaire\nanne,A1,2024-09-18,4,Joli\n",
    )
    assert french["interactions"]["columns"] == {
        "user": "client",
        "item": "référence",
        "timestamp": "date",
        "rating": "note",
        "review": "commentaire",
    }
    assert french["items"]["columns"]["title"] == "désignation"
    assert french["items"]["attributes"] == ["couleur"]
    assert "note moyenne, nombre d'avis" in told
    spanish, _ = guessed(
        tmp_path,
        opiniones="cliente,producto,nombre,precio,marca,fecha,valoración\nana,P1,Jarrón,3,Alder,18/09/2024 10:00,4\n",
    )
    assert spanish["interactions"]["columns"] == {
        "user": "cliente",
        "item": "producto",
        "timestamp": "fecha",
        "rating": "valoración",
    }
    assert spanish["interactions"]["time"] == "%d/%m/%Y %H:%M"
    assert spanish["items"]["columns"] == {"item": "producto", "title": "nombre", "brand": "marca", "price": "precio"}


@pytest.mark.parametrize(
    "name",
    [
        "Durchschnittsbewertung",
        "Anzahl Bewertungen",
        "Anzahl_Verkäufe",
        "Verkaufsrang",
        "note moyenne",
        "Ø Bewertung",
        "nombre d'avis",
        "nb_ventes",
        "valoración media",
        "más vendido",
        "average_rating",
        "rating",
        "Bewertungsanzahl",
    ],
)
def test_figures_counted_later_are_held_back_under_many_names(name: str) -> None:
    assert tells_the_future(name)


@pytest.mark.parametrize(
    "name", ["Verkaufspreis", "Verkäufer", "Orange", "nombre", "Farbe", "Anzahl Teile", "Material"]
)
def test_plain_attributes_are_not_held_back(name: str) -> None:
    assert not tells_the_future(name)


@pytest.mark.parametrize(
    ("values", "time"),
    [
        (["18.09.2024 19:50", "1.10.2024 08:05"], "%d.%m.%Y %H:%M"),
        (["01.02.2024", "03.04.2024"], "%d.%m.%Y"),
        (["18.09.24"], "%d.%m.%y"),
        (["09/18/2024 07:05:09 PM", "01/02/2024 01:00:00 AM"], "%m/%d/%Y %I:%M:%S %p"),
        (["31/01/2024, 10:00"], "%d/%m/%Y, %H:%M"),
        (["2024/01/31 10:00:00"], "%Y/%m/%d %H:%M:%S"),
        (["31-01-2024"], "%d-%m-%Y"),
        (["Jan 31, 2024", "Feb 1, 2024"], "%b %d, %Y"),
        (["2024-09-18T19:50:00Z"], "iso"),
        (["2024-09-18 19:50", None, "2024-09-19"], "iso"),
        (["1726689000"], "s"),
        (["1726689000123"], "ms"),
    ],
)
def test_times_are_recognised_by_their_values(values: list[str | None], time: str) -> None:
    assert reading_of(pl.Series(values), named=False) == Reading(time)


def test_days_and_months_that_cannot_be_told_apart_are_left_to_check(tmp_path: Path) -> None:
    mapping, text = guessed(tmp_path, log="user,item,date\na,1,03/04/2024\nb,2,05/06/2024\n")
    assert mapping["interactions"]["time"] == "%d/%m/%Y"
    assert "# or '%m/%d/%Y': no day above 12 tells which of the two comes first. Check it" in text
    assert guessed(tmp_path, log="user,item,date\na,1,03/04/2024\nb,2,05/16/2024\n")[0]["interactions"]["time"] == (
        "%m/%d/%Y"
    )


@pytest.mark.parametrize("values", [["12:30", "13:45"], ["1", "2"], ["99/99/2024"], ["A-1"], ["1.2.3"], [None]])
def test_what_is_no_time_is_not_taken_for_one(values: list[str | None]) -> None:
    assert reading_of(pl.Series(values, dtype=pl.String), named=False) is None


def test_times_are_found_under_any_name_and_not_where_only_the_hour_stands(tmp_path: Path) -> None:
    log = "user,item,time,erfasst\na,1,12:30,18.09.2024 12:30\nb,2,09:00,19.09.2024 09:00\n"
    mapping, _ = guessed(tmp_path, log=log)
    assert mapping["interactions"]["columns"]["timestamp"] == "erfasst"


def test_a_note_is_a_rating_only_where_it_is_a_number(tmp_path: Path) -> None:
    mapping, _ = guessed(tmp_path, log="user,item,date,note\na,1,2024-01-01,gift wrapped\n")
    assert "rating" not in mapping["interactions"]["columns"]
    assert column_for("rating", ["Note"]) == "Note"


def test_to_writes_a_mapping_whose_paths_fit_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "maps").mkdir()
    (tmp_path / "export" / "artikel.csv").write_text(GERMAN_ITEMS, encoding="utf-8")
    (tmp_path / "export" / "bestellungen.csv").write_text(GERMAN_ORDERS, encoding="utf-8")
    to = tmp_path / "maps" / "shop.yaml"
    files = [str(tmp_path / "export" / name) for name in ("artikel.csv", "bestellungen.csv")]
    tabular.main(["--init", *files, "--to", str(to)])
    assert f"python data_builders/tabular.py {to} --out work/shop" in capsys.readouterr().out
    assert yaml.safe_load(to.read_text())["items"]["file"] == "../export/artikel.csv"
    assert built(to).info["counts"]["items"] == 2
    written = to.read_bytes()
    with pytest.raises(SystemExit, match="2"):
        tabular.main(["--init", *files, "--to", str(to)])
    assert "exists already, and may hold corrections" in capsys.readouterr().err
    assert to.read_bytes() == written
    with pytest.raises(SystemExit, match="2"):
        tabular.main(["--init", *files, "--to", str(tmp_path / "gone" / "shop.yaml")])


def test_a_printed_mapping_says_where_its_paths_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log.csv").write_text(GERMAN_ORDERS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    tabular.main(["--init", "log.csv"])
    assert f"# Paths are relative to {tmp_path}: write the mapping there" in capsys.readouterr().out
