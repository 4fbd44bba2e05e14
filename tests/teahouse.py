"""A small shop for conversations: teapots, lamps and more, with twins, missing prices and ambiguous names."""

from pathlib import Path
from typing import Any

import polars as pl
from shops import shop

from llmrec.dataset import Dataset

ROWS: tuple[tuple[Any, ...], ...] = (
    # item, title, categories, brand, price, colour, pattern, collection, in_stock
    ("t1", "Blue teapot “Vera” from Alder", "Kitchen/teapot", "Alder", 39.0, "blue", "stripes", "Lantern", True),
    ("t2", "Clio teapot by Marlow", "Kitchen/teapot", "Marlow", 24.0, "white", "plain", "Harbour", True),
    ("t3", "Teapot Kit, Brook & Sons", "Kitchen/teapot", "Brook & Sons", 55.0, "red", "dots", "Lantern", False),
    ("m1", "Vera mug by Alder", "Kitchen/mug", "Alder", 12.0, "blue", "stripes", "Harbour", True),
    ("m2", "Mug “Otis” from Casa Piro", "Kitchen/mug", "Casa Piro", 9.5, "red", "plain", "Market", True),
    ("l1", "Ida lamp by Marlow", "Home/lamp", "Marlow", 80.0, "white", "plain", "Lantern", True),
    ("l2", "Lamp Noor, Casa Piro", "Home/lamp", "Casa Piro", None, "green", "dots", "Market", True),
    ("d1", "Nordlys Hale dress", "Clothing/dress", "Nordlys", 120.0, "red", "dots", "Market", True),
    ("v1", "Vase Fenn, Alder", "Home/vase", "Alder", 30.0, "green", "plain", "Harbour", False),
    ("v2", "Ida vase by Marlow", "Home/vase", "Marlow", 42.0, "yellow", "plain", "Lantern", True),
    ("v3", "Ida vase by Marlow", "Home/vase", "Marlow", 44.0, "green", "stripes", "Harbour", True),
    ("c1", "Thistle", "Home/cushion", "Brook & Sons", 18.0, "yellow", "stripes", "Market", True),
    ("item-77", None, "Home/cushion", None, None, None, None, None, None),
    ("s1", "Hollis shoe by Nordlys", "Clothing/shoe", "Nordlys", 95.0, "black", "plain", "Market", True),
)
NAMES = ("item", "title", "categories", "brand", "price", "colour", "pattern", "collection", "in_stock")


def teahouse(out: Path) -> Dataset:
    """The shop as a dataset, with people who took some of it."""
    rows = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    items = pl.DataFrame([row | {"categories": row["categories"].split("/")} for row in rows])
    log = pl.DataFrame(
        [
            {
                "user": f"u{user}",
                "item": ROWS[(user * 3 + step * 5) % len(ROWS)][0],
                "timestamp": 1_600_000_000_000 + step,
            }
            for user in range(14)
            for step in range(5)
        ]
    )
    return shop(out, items=items, interactions=log, images={}, rating_scale=None, name="a tea house")
