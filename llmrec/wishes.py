"""What people say, made from the catalogue and the log: wishes in words, true reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

OPENERS = ("something", "anything", "a piece", "one item")


@dataclass(frozen=True)
class Wish:
    """A wish that an item fulfils, as a noun phrase, and the reason in which it does."""

    text: str
    reason: str


def wish_for(item: Mapping[str, Any], price_bound: int | None, rng: Random) -> Wish:
    """A wish made from one to three written fields of the item that was taken, never from what is only pictured."""
    aspects: list[tuple[str, str]] = []
    if item["categories"]:
        category = item["categories"][-1]
        aspects.append((f"in {category}", f"it is in {category}"))
    if item["brand"]:
        aspects.append((f"by {item['brand']}", f"it is by {item['brand']}"))
    if price_bound is not None:
        aspects.append((f"for less than {price_bound}", f"it costs {item['price']:.2f}"))
    for name, value in item["attributes"].items():
        aspects.append((f"with {name} {value}", f"its {name} is {value}"))
    if not aspects:
        title = item["title"]
        return Wish(f"something like “{title}”" if title else "something new to me", "")
    chosen = rng.sample(aspects, min(len(aspects), rng.choice((1, 2, 2, 3))))
    wanted = rng.choice(OPENERS) + " " + ", ".join(phrase for phrase, _ in chosen)
    return Wish(wanted, _joined([reason for _, reason in chosen]))


def _joined(reasons: list[str]) -> str:
    return reasons[0] if len(reasons) == 1 else ", ".join(reasons[:-1]) + " and " + reasons[-1]
