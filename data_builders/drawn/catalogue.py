"""The catalogue of the atelier: what each piece looks like, what is written about it and when it came to the shop.

Looks are drawn independently of everything written (only the kind decides which silhouettes, materials and trims are
possible), so words tell nothing about colour or pattern but what they say outright.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import labels
from .vocabulary import BY_NAME, CLOTH, COLOURS, HARD, KINDS, PATTERNS, TRIMS, Look

DAY = 86_400_000
OPENING = 1_672_531_200_000  # 2023-01-01T00:00:00Z: the shop has its own calendar, so no run depends on the clock
DAYS_OPEN = 730

OPENING_SHARE = 0.55  # of the collections; the others follow one by one until two weeks before the end
DAYS_TO_COMPLETE = 28  # within which all pieces of a later collection have come

ITEMS_PER_COLLECTION = 60
# Appeal falls with the rank r of a piece as (r + 4) ** -0.7: a skewed shop in which taste still matters far more.
APPEAL_SHIFT, APPEAL_SLOPE = 4.0, 0.7
TELLING_SHARE = 0.07  # how often the text gives away a drawn attribute, for each attribute

PRICES = ("low", "middle", "high")

TYPICAL_PRICE = {
    "dress": 90.0, "shirt": 45.0, "jacket": 140.0, "skirt": 60.0, "trousers": 70.0, "shoe": 100.0, "bag": 85.0,
    "hat": 35.0,
    "umbrella": 40.0, "mug": 18.0, "teapot": 55.0, "vase": 48.0, "lamp": 95.0, "cushion": 30.0, "chair": 260.0,
}  # fmt: skip

DRAWN = ("silhouette", "colour", "pattern", "material", "trim")  # the drawn attributes that people have tastes in
WRITTEN = ("kind", "brand", "occasion", "price")
ATTRIBUTES = DRAWN + WRITTEN

# A silhouette means something only together with its kind: the globe of a teapot is not the globe of a lamp.
SILHOUETTES = tuple((kind.name, silhouette) for kind in KINDS for silhouette in kind.silhouettes)

VALUES: dict[str, tuple[str, ...]] = {
    "silhouette": tuple(f"{silhouette} {kind}" for kind, silhouette in SILHOUETTES),
    "colour": tuple(COLOURS),
    "pattern": PATTERNS,
    "material": CLOTH + HARD,
    "trim": TRIMS,
    "kind": tuple(BY_NAME),
    "brand": labels.BRANDS,
    "occasion": labels.OCCASIONS,
    "price": PRICES,
}


@dataclass(frozen=True)
class Goods:
    """One piece: how it is drawn, what is written about it, and the hidden facts that steer who takes it."""

    id: str
    look: Look
    brand: str
    collection: str
    occasion: str
    price: float
    price_level: str
    title: str
    description: str
    told: tuple[str, ...]  # the drawn attributes that title or description give away
    released: int  # milliseconds since 1970
    appeal: float

    @property
    def categories(self) -> list[str]:
        return [BY_NAME[self.look.kind].department, self.look.kind]

    def value(self, attribute: str) -> str:
        """The value of an attribute as the catalogue names it; a silhouette without its kind."""
        if attribute == "price":
            return self.price_level
        return str(getattr(self.look if hasattr(self.look, attribute) else self, attribute))


@dataclass(frozen=True)
class Catalogue:
    """All goods in order of release, with the columns of numbers that choosing people and the oracle look at."""

    goods: tuple[Goods, ...]

    def __len__(self) -> int:
        return len(self.goods)

    @cached_property
    def released(self) -> np.ndarray:
        return np.array([goods.released for goods in self.goods], dtype=np.int64)

    @cached_property
    def appeal(self) -> np.ndarray:
        return np.array([goods.appeal for goods in self.goods])

    @cached_property
    def codes(self) -> dict[str, np.ndarray]:
        """For each attribute the position of every piece's value in VALUES."""
        columns = {}
        for attribute in ATTRIBUTES:
            position = {value: code for code, value in enumerate(VALUES[attribute])}
            columns[attribute] = np.array([position[_coded(goods, attribute)] for goods in self.goods], dtype=np.int64)
        return columns

    @cached_property
    def told(self) -> dict[str, np.ndarray]:
        """For each drawn attribute, whether the text of a piece gives it away."""
        return {attribute: np.array([attribute in goods.told for goods in self.goods]) for attribute in DRAWN}

    @cached_property
    def sets(self) -> np.ndarray:
        """The number of the set that a piece belongs to: same collection, same colour."""
        return self.collections * len(VALUES["colour"]) + self.codes["colour"]

    @cached_property
    def collections(self) -> np.ndarray:
        """The number of the collection that a piece belongs to."""
        names = sorted({goods.collection for goods in self.goods})
        position = {name: number for number, name in enumerate(names)}
        return np.array([position[goods.collection] for goods in self.goods], dtype=np.int64)


def _coded(goods: Goods, attribute: str) -> str:
    return f"{goods.look.silhouette} {goods.look.kind}" if attribute == "silhouette" else goods.value(attribute)


def opaque_ids(rng: np.random.Generator, count: int, prefix: str) -> list[str]:
    """Names that tell nothing: no order, no date, no maker."""
    alphabet = np.array(list("abcdefghjkmnpqrstuvwxyz23456789"))
    names: dict[str, None] = {}
    while len(names) < count:
        for row in alphabet[rng.integers(len(alphabet), size=(count - len(names), 8))]:
            names[prefix + "".join(row)] = None
    return list(names)


def draw_look(rng: np.random.Generator, kind_name: str) -> Look:
    """A look that is possible for the kind; patterns a little less common than plain cloth, as in a shop."""
    kind = BY_NAME[kind_name]
    colours = list(COLOURS)
    colour, accent = rng.choice(len(colours), size=2, replace=False)
    pattern = 0 if rng.random() < 0.06 else int(rng.integers(len(PATTERNS)))
    return Look(
        kind=kind.name,
        silhouette=kind.silhouettes[rng.integers(len(kind.silhouettes))],
        colour=colours[colour],
        accent=colours[accent],
        pattern=PATTERNS[pattern],
        material=kind.materials[rng.integers(len(kind.materials))],
        trim=kind.trims[rng.integers(len(kind.trims))],
    )


def draw_catalogue(count: int, seed: np.random.SeedSequence) -> Catalogue:
    """A catalogue of `count` pieces; the same seed gives the same pieces."""
    ids_seed, goods_seed, dates_seed, appeal_seed = seed.spawn(4)
    rng = np.random.default_rng(goods_seed)
    ids = opaque_ids(np.random.default_rng(ids_seed), count, "i")
    openings = _collection_openings(np.random.default_rng(dates_seed), count)
    dates = np.random.default_rng(dates_seed.spawn(1)[0])
    ranks = np.random.default_rng(appeal_seed).permutation(count)
    appeal = (ranks + 1 + APPEAL_SHIFT) ** -APPEAL_SLOPE
    appeal /= appeal.mean()
    collections = labels.collection_names(len(openings))
    goods = []
    for number in range(count):
        kind = KINDS[rng.integers(len(KINDS))].name
        look = draw_look(rng, kind)
        brand = int(rng.integers(len(labels.BRANDS)))
        collection = int(rng.integers(len(openings)))
        occasion = labels.OCCASIONS[rng.integers(len(labels.OCCASIONS))]
        ratio = float(labels.BRAND_PRICE[brand] * np.exp(0.22 * rng.standard_normal()))
        price = _shelf_price(TYPICAL_PRICE[kind] * ratio)
        told = tuple(attribute for attribute in (*DRAWN[:2], "accent", *DRAWN[2:]) if rng.random() < TELLING_SHARE)
        title, description = labels.write_label(
            rng, look, brand=labels.BRANDS[brand], collection=collections[collection], occasion=occasion, told=told
        )
        released = openings[collection] + (int(dates.integers(DAYS_TO_COMPLETE * DAY)) if openings[collection] else 0)
        goods.append(
            Goods(
                id=ids[number],
                look=look,
                brand=labels.BRANDS[brand],
                collection=collections[collection],
                occasion=occasion,
                price=price,
                price_level=PRICES[int(np.digitize(price / TYPICAL_PRICE[kind], (0.82, 1.22)))],
                title=title,
                description=description,
                told=told,
                released=OPENING + min(released, (DAYS_OPEN - 3) * DAY),
                appeal=float(appeal[number]),
            )
        )
    return Catalogue(tuple(sorted(goods, key=lambda piece: (piece.released, piece.id))))


def _collection_openings(rng: np.random.Generator, count: int) -> list[int]:
    """When each collection opens, in milliseconds after the shop: many at once, the last two weeks before the end."""
    collections = max(6, round(count / ITEMS_PER_COLLECTION))
    at_once = round(OPENING_SHARE * collections)
    later = np.linspace(20, DAYS_OPEN - 14, collections - at_once)
    later[:-1] += rng.uniform(-8, 8, size=len(later) - 1)
    return [0] * at_once + [int(day * DAY) for day in later]


def _shelf_price(price: float) -> float:
    """Prices as shops write them: whole with .90 below a hundred, whole fives above."""
    return round(price) - 0.1 if price < 100 else 5.0 * round(price / 5)
