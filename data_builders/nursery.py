"""Writes a plant nursery's export as such files come: semicolons, Windows' umlauts, comma prices, German dates, photos.

Something to try docs/bring-your-own-data.md with before you have exported anything. Whoever orders has a favourite
colour, a favourite kind, and a bed in the sun or the shade; the colour stands in no column: it can only be seen.

examples:
  python data_builders/nursery.py --out work/nursery
  python data_builders/nursery.py --out work/another --seed 1
"""

import csv
import math
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import sources
from PIL import Image, ImageDraw

from llmrec.artifact import staged
from llmrec.errors import InputError, LlmrecError

COLOURS = {
    "yellow": (240, 200, 40),
    "red": (200, 40, 50),
    "white": (245, 245, 240),
    "blue": (70, 90, 200),
    "pink": (235, 130, 175),
    "violet": (130, 60, 160),
}
KINDS = {"Stauden": 6.5, "Rosen": 14.9, "Kräuter": 3.8, "Kletterpflanzen": 17.5, "Zwiebelblumen": 4.9, "Gehölze": 24.0}
FIRST = ("Abendrot", "Dorothea", "Früher", "Großer", "Kaiserin", "Kleiner", "Mainau", "Nordlicht", "Süßer", "Winters")
LAST = ("Bote", "Gruß", "Hügel", "Jubel", "Liebling", "Schleier", "Stern", "Traum", "Zauber", "Ärger", "Übermut")
PLACES = ("sonnig", "halbschattig")
PLANTS, ORDERS, PHOTOS = "pflanzen.csv", "bestellungen.csv", "fotos"
HEAD = ("Artikelnr", "Name", "Beschreibung", "Gruppe", "Preis", "Standort", "Foto")


@dataclass(frozen=True)
class Plant:
    """One plant; its colour is in its photo alone."""

    number: str
    name: str
    kind: str
    place: str
    colour: str
    petals: int


def nursery(folder: Path, *, plants: int = 240, people: int = 500, orders: int = 9, seed: int = 0) -> None:
    """Write `pflanzen.csv`, `bestellungen.csv` and `fotos/`."""
    random = Random(seed)
    (folder / PHOTOS).mkdir()
    names = random.sample([f"{first} {last}" for first in FIRST for last in LAST] * 4, plants)
    grown = [
        Plant(
            number=f"{1000 + 7 * row:05}",
            name=name,
            kind=random.choice(list(KINDS)),
            place=random.choice(PLACES),
            colour=random.choice(list(COLOURS)),
            petals=random.randint(4, 11),
        )
        for row, name in enumerate(names)
    ]
    with (folder / PLANTS).open("w", encoding="cp1252", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(HEAD)
        for row, plant in enumerate(grown):
            price = "" if row % 50 == 49 else f"{KINDS[plant.kind] * random.uniform(0.7, 1.6):.2f} €".replace(".", ",")
            photo = f"{plant.number}.jpg" if row % 40 else ""
            about = f"{plant.kind} für einen {plant.place}en Platz, mit {plant.petals} Blütenblättern"
            rows.writerow((plant.number, plant.name, about, f"Pflanzen > {plant.kind}", price, plant.place, photo))
            if photo:
                draw(plant, random).save(folder / PHOTOS / photo, quality=88)
    with (folder / ORDERS).open("w", encoding="cp1252", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(("Kunde", "Artikelnr", "Bestellt am", "Menge"))
        rows.writerows(sorted(ordered(grown, random, people, orders), key=lambda row: row[2][6:10]))


def ordered(grown: list[Plant], random: Random, people: int, orders: int) -> list[tuple[str, str, str, int]]:
    """Who ordered what when."""
    rows = []
    for person in range(people):
        colour, kind, place = random.choice(list(COLOURS)), random.choice(list(KINDS)), random.choice(PLACES)
        likes = [1 + 12 * (p.colour == colour) + 4 * (p.kind == kind) + 2 * (p.place == place) for p in grown]
        when = datetime(2023, 3, 1, 8) + timedelta(days=random.uniform(0, 400))
        taken: set[str] = set()
        for _ in range(random.randint(max(3, orders - 3), orders + 3)):
            plant = random.choices(grown, likes)[0]
            when += timedelta(days=random.expovariate(1 / 25))
            if plant.number not in taken:
                taken.add(plant.number)
                rows.append((f"K{person:04}", plant.number, f"{when:%d.%m.%Y %H:%M}", random.choice((1, 1, 1, 2, 5))))
    return rows


def draw(plant: Plant, random: Random, size: int = 160) -> Image.Image:
    """A flower on a green ground that is never twice the same."""
    image = Image.new("RGB", (size, size), (random.randint(60, 110), random.randint(120, 160), random.randint(50, 90)))
    pen = ImageDraw.Draw(image)
    middle, far, turn = size / 2, size * random.uniform(0.2, 0.27), random.uniform(0, math.tau)
    for petal in range(plant.petals):
        angle = turn + math.tau * petal / plant.petals
        x, y, r = middle + far * math.cos(angle), middle + far * math.sin(angle), size * 0.13
        pen.ellipse((x - r, y - r, x + r, y + r), fill=COLOURS[plant.colour])
    r = size * 0.09
    pen.ellipse((middle - r, middle - r, middle + r, middle + r), fill=(90, 60, 30))
    return image


def main(arguments: list[str] | None = None) -> None:
    parser = sources.described(__doc__, "nursery.py")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder to write")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another nursery")
    parser.add_argument("--overwrite", action="store_true", help="replace one that stands there")
    asked = parser.parse_args(arguments)
    try:
        with staged(asked.out, marker=PLANTS, holds=(ORDERS, PHOTOS), overwrite=asked.overwrite) as folder:
            nursery(folder, seed=asked.seed)
    except LlmrecError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
    print(f"{asked.out}: {PLANTS}, {ORDERS} and {PHOTOS}/")
    print(f"Next: python data_builders/tabular.py --init {asked.out / PLANTS} {asked.out / ORDERS}")


if __name__ == "__main__":
    main()
