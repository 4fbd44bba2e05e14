"""Small real shops for tests: drawn on the spot, written through the product's own writer."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from llmrec.dataset import Dataset, write_dataset

ITEMS, PEOPLE = 40, 30
HOUSES = ("Alder", "Brook & Sons", "Marlow")
KINDS = ("Kitchen", "Garden", "Study")


def picture(code: int, size: int = 24) -> bytes:
    """A small PNG of one colour, different for every item."""
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (67 * code % 256, 131 * code % 256, 29 * code % 256)).save(buffer, "PNG")
    return buffer.getvalue()


def catalogue(items: int = ITEMS) -> pl.DataFrame:
    """Items with every field, some of them missing here and there."""
    return pl.DataFrame(
        {
            "item": [f"i{code:03d}" for code in range(items)],
            "title": [f"Thing number {code}" if code % 9 else None for code in range(items)],
            "description": [f"A thing for the {KINDS[code % 3].lower()}." for code in range(items)],
            "categories": [["Shop", KINDS[code % 3]] for code in range(items)],
            "brand": [HOUSES[code % 3] if code % 5 else None for code in range(items)],
            "price": [5.0 + code if code % 7 else None for code in range(items)],
            "colour": [("red", "blue")[code % 2] for code in range(items)],
        }
    )


def interactions(people: int = PEOPLE, items: int = ITEMS, seed: int = 0) -> pl.DataFrame:
    """Between four and twelve different items a person, rated and mostly reviewed."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for user in range(people):
        taken = rng.choice(items, size=rng.integers(4, 13), replace=False)
        for place, item in enumerate(taken.tolist()):
            said = rng.random() < 0.8
            rows.append(
                {
                    "user": f"u{user:02d}",
                    "item": f"i{item:03d}",
                    "timestamp": 1_600_000_000_000 + int(rng.integers(10**9)) * 10 + place,
                    "rating": float(rng.integers(1, 6)),
                    "review": f"I like the handle and the colour of this one, number {item}." if said else None,
                    "summary": "Good handle" if said else None,
                }
            )
    return pl.DataFrame(rows)


def shop(out: Path, **changes: Any) -> Dataset:
    """Write a small shop with pictures for two thirds of its items."""
    items = catalogue()
    images = {name: picture(code) for code, name in enumerate(items["item"]) if code % 3}
    given: dict[str, Any] = {
        "items": items,
        "interactions": interactions(),
        "name": "a small shop",
        "licence": "none",
        "source": "tests/shops.py",
        "images": images,
        "rating_scale": (1.0, 5.0),
    }
    given |= changes
    return write_dataset(out, given.pop("items"), given.pop("interactions"), **given)
