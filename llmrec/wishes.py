"""What people say, made from the catalogue and the log: wishes in words, true reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

OPENERS = ("something", "anything", "a piece", "one item")


@dataclass(frozen=True)
class Aspect:
    """One thing that is wished of an item, which its row tells."""

    name: str
    """A field of the item, or an attribute's name."""
    value: Any
    attribute: bool = False

    def holds(self, item: Mapping[str, Any]) -> bool:
        """Whether an item is so."""
        if self.attribute:
            return bool(item["attributes"].get(self.name) == self.value)
        if self.name == "categories":
            return self.value in (item["categories"] or ())
        if self.name == "price":
            return item["price"] is not None and item["price"] < self.value
        return bool(item[self.name] == self.value)


@dataclass(frozen=True)
class Wish:
    """A wish that an item fulfils, as a noun phrase, and the reason in which it does."""

    text: str
    reason: str
    aspects: tuple[Aspect, ...] = ()

    def met(self, item: Mapping[str, Any]) -> bool:
        """Whether an item is all that is wished; its fields are those that a prompt's line shows."""
        return all(aspect.holds(item) for aspect in self.aspects)


def wish_for(item: Mapping[str, Any], price_bound: int | None, rng: Random) -> Wish:
    """A wish made from one to three written fields of the item that was taken, never from what is only pictured."""
    aspects: list[tuple[Aspect, str, str]] = []
    if item["categories"]:
        category = item["categories"][-1]
        aspects.append((Aspect("categories", category), f"in {category}", f"it is in {category}"))
    if item["brand"]:
        aspects.append((Aspect("brand", item["brand"]), f"by {item['brand']}", f"it is by {item['brand']}"))
    if price_bound is not None:
        below = Aspect("price", price_bound)
        aspects.append((below, f"for less than {price_bound}", f"it costs {item['price']:.2f}"))
    for name, value in item["attributes"].items():
        aspects.append((Aspect(name, value, attribute=True), f"with {name} {value}", f"its {name} is {value}"))
    if not aspects:
        title = item["title"]
        alike = (Aspect("title", title),) if title else ()
        return Wish(f"something like “{title}”" if title else "something new to me", "", alike)
    chosen = rng.sample(aspects, min(len(aspects), rng.choice((1, 2, 2, 3))))
    wanted = rng.choice(OPENERS) + " " + ", ".join(phrase for _, phrase, _ in chosen)
    return Wish(wanted, _joined([reason for _, _, reason in chosen]), tuple(aspect for aspect, _, _ in chosen))


def _joined(reasons: list[str]) -> str:
    return reasons[0] if len(reasons) == 1 else ", ".join(reasons[:-1]) + " and " + reasons[-1]
