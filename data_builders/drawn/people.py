"""The people of the atelier: what each likes, how strongly, and how the liking of some changes.

A taste is a factor: a person takes a piece in a liked colour LIKING["colour"] times as readily as the same piece in
another. Factors multiply, so the odds between any two pieces can be read off this page.
"""

from dataclasses import dataclass

import numpy as np

from .catalogue import ATTRIBUTES, DAYS_OPEN, SILHOUETTES, VALUES, opaque_ids
from .vocabulary import CLOTH

LIKING: dict[str, float] = {
    "colour": 80.0,
    "pattern": 60.0,
    "kind": 40.0,
    "brand": 1.5,
    "silhouette": 1.4,
    "material": 1.4,
    "trim": 1.4,
    "occasion": 1.3,
    "price": 1.3,
}
# What is liked together: each person has one line of each. Colours and patterns go in families without overlap, so that
# two or three purchases tell the family; each kind stands in two spheres, so that people are alike in part only.
PALETTES = (
    ("red", "orange"),
    ("yellow", "cream"),
    ("green", "teal"),
    ("blue", "navy"),
    ("purple", "pink"),
    ("brown", "black"),
)
PATTERN_PAIRS = (("stripes", "check"), ("dots", "stars"), ("floral", "leaves"), ("plain", "zigzag"))
SPHERES = (
    ("dress", "skirt", "shoe", "bag", "hat"),
    ("shirt", "trousers", "jacket", "shoe", "bag"),
    ("jacket", "trousers", "hat", "umbrella", "mug"),
    ("dress", "shirt", "skirt", "cushion", "umbrella"),
    ("mug", "teapot", "vase", "lamp", "chair"),
    ("teapot", "vase", "lamp", "cushion", "chair"),
)  # fmt: skip
TOGETHER = {"colour": PALETTES, "pattern": PATTERN_PAIRS, "kind": SPHERES}
TRIM_LOVERS = 0.5  # the share of people to whom the trim matters at all

DRIFTING = 0.12  # the share of people of whom one taste changes
DRIFTS = ("colour", "pattern", "kind", "brand")
DRIFT_BETWEEN = (0.15, 0.5)  # the share of a person's choices made when it happens

FEWEST = 7  # interactions of a person
ACTIVITY = 1.5  # shape of the gamma distribution of what comes on top: the smaller, the more skewed
REGISTERS = ("terse", "warm", "pedantic", "ironic", "storyteller", "matter-of-fact")


@dataclass(frozen=True)
class People:
    """All people as columns: `liked[attribute][person, value]`, before the change that `drift` describes."""

    ids: tuple[str, ...]
    liked: dict[str, np.ndarray]
    drift_at: np.ndarray  # the ordinal of the first choice made with the changed taste; -1 where nothing changes
    drift_attribute: np.ndarray  # position in DRIFTS
    drift_from: np.ndarray  # positions in VALUES[attribute]
    drift_to: np.ndarray
    lengths: np.ndarray  # how many interactions each has
    registers: np.ndarray  # how each writes: position in REGISTERS
    generosity: np.ndarray  # how far above or below the others each rates

    def __len__(self) -> int:
        return len(self.ids)

    def likes(self, person: int, drifted: bool) -> dict[str, np.ndarray]:
        """What one person likes, as a mask over the values of each attribute, before or after the change."""
        liked = {attribute: self.liked[attribute][person] for attribute in ATTRIBUTES}
        if drifted and self.drift_at[person] >= 0:
            attribute = DRIFTS[self.drift_attribute[person]]
            liked[attribute] = liked[attribute].copy()
            liked[attribute][self.drift_from[person]] = False
            liked[attribute][self.drift_to[person]] = True
            if attribute == "kind":  # the new kind brings its own favourite silhouette along, see draw_people
                liked["silhouette"] = self.liked["every silhouette"][person] & liked["kind"][_KIND_OF_SILHOUETTE]
        return liked


_KIND_OF_SILHOUETTE = np.array([VALUES["kind"].index(kind) for kind, _ in SILHOUETTES])


def tastes(attribute: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """The tastes that one can have in an attribute: groups of values, each with a table of what is liked together.

    A person has one row of each group's table; a row is a mask over the group's values.
    """
    values = VALUES[attribute]
    positions = np.arange(len(values))
    if attribute in TOGETHER:
        return [(positions, np.array([[value in line for value in values] for line in TOGETHER[attribute]]))]
    if attribute == "silhouette":  # one of each kind, though it counts for liked kinds only
        parts = [positions[kind == _KIND_OF_SILHOUETTE] for kind in range(len(VALUES["kind"]))]
    elif attribute == "material":  # one that is soft, one that is hard
        parts = [positions[: len(CLOTH)], positions[len(CLOTH) :]]
    else:  # nobody longs for the absence of a trim
        parts = [positions[1:] if attribute == "trim" else positions]
    return [(part, np.eye(len(part), dtype=bool)) for part in parts]


def draw_people(count: int, interactions: int, seed: np.random.SeedSequence) -> People:
    """People with tastes and with `interactions` choices to make among them, at least FEWEST each."""
    ids_seed, taste_seed, drift_seed, length_seed, manner_seed = seed.spawn(5)
    rng = np.random.default_rng(taste_seed)
    liked = {}
    for attribute in ATTRIBUTES:
        liked[attribute] = np.zeros((count, len(VALUES[attribute])), dtype=bool)
        for group, table in tastes(attribute):
            liked[attribute][:, group] = table[rng.integers(len(table), size=count)]
    liked["trim"] &= rng.random((count, 1)) < TRIM_LOVERS
    liked["every silhouette"] = liked["silhouette"]
    liked["silhouette"] = liked["every silhouette"] & liked["kind"][:, _KIND_OF_SILHOUETTE]

    lengths = _lengths(np.random.default_rng(length_seed), count, interactions)
    rng = np.random.default_rng(drift_seed)
    drifts = rng.random(count) < DRIFTING
    drift_attribute = rng.integers(len(DRIFTS), size=count)
    drift_from, drift_to = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for number, attribute in enumerate(DRIFTS):
        rows = np.flatnonzero(drift_attribute == number)
        lottery = rng.random((len(rows), len(VALUES[attribute])))
        drift_from[rows] = np.where(liked[attribute][rows], lottery, -1).argmax(axis=1)
        drift_to[rows] = np.where(liked[attribute][rows], -1, lottery).argmax(axis=1)
    drift_at = np.where(drifts, np.floor(lengths * rng.uniform(*DRIFT_BETWEEN, size=count)).astype(np.int64), -1)
    rng = np.random.default_rng(manner_seed)
    return People(
        ids=tuple(opaque_ids(np.random.default_rng(ids_seed), count, "u")),
        liked=liked,
        drift_at=drift_at,
        drift_attribute=drift_attribute,
        drift_from=drift_from,
        drift_to=drift_to,
        lengths=lengths,
        registers=rng.integers(len(REGISTERS), size=count),
        generosity=0.3 * rng.standard_normal(count),
    )


def draw_times(rng: np.random.Generator, length: int, soon: np.ndarray) -> np.ndarray:
    """Irregular days of one person's choices since the opening, ascending; `soon` marks those that follow at once.

    Most people stay to the end; one in six stops coming somewhere on the way.
    """
    joined = DAYS_OPEN * 0.75 * rng.random() ** 1.3
    left = DAYS_OPEN if rng.random() < 5 / 6 else rng.uniform(joined + 30, DAYS_OPEN)
    gaps = rng.gamma(0.7, size=length + 1)
    gaps[1:][:length][soon] = 0.0
    waiting = np.cumsum(gaps)
    days = joined + (left - joined) * waiting[:length] / waiting[-1]
    # What is bought to go with something follows within hours or two days; whatever comes next waits its turn.
    days += np.cumsum(np.where(soon, rng.uniform(0.02, 2.0, size=length), 0.0))
    days += np.arange(length) * 1e-4
    return np.minimum(days, DAYS_OPEN - 1e-3 * np.arange(length, 0, -1))


def _lengths(rng: np.random.Generator, people: int, interactions: int) -> np.ndarray:
    """Skewed activity that sums exactly to `interactions`."""
    share = rng.gamma(ACTIVITY, size=people)
    extra = rng.multinomial(interactions - FEWEST * people, share / share.sum())
    return FEWEST + np.asarray(extra, dtype=np.int64)
