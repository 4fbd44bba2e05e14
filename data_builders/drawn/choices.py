"""The choices of the atelier's people: who takes what, when and why.

Each choice has a cause, drawn beforehand: taste (most), a companion to the last purchase, a gift or an impulse (noise
that no history explains), or the same piece once more. The oracle computes with the very functions that choose here.
"""

from dataclasses import dataclass

import numpy as np

from llmrec.progress import Progress

from .catalogue import ATTRIBUTES, DAY, OPENING, Catalogue
from .people import LIKING, People, draw_times

CAUSES = ("taste", "companion", "gift", "impulse", "again")
TASTE, COMPANION, GIFT, IMPULSE, AGAIN = range(5)
SHARES = (0.83, 0.08, 0.04, 0.04, 0.01)

# Full marks for a piece that matches every taste; the rest follows the share of the possible liking that it meets.
WORST_MATCH, BEST_MATCH, RATING_NOISE = 1.7, 5.0, 0.6


@dataclass(frozen=True)
class Choices:
    """All choices, person by person and in order of time, as columns."""

    person: np.ndarray
    item: np.ndarray  # position in the catalogue
    timestamp: np.ndarray  # milliseconds since 1970
    cause: np.ndarray  # position in CAUSES
    drifted: np.ndarray  # made with the changed taste
    rating: np.ndarray

    def __len__(self) -> int:
        return len(self.person)


def taste_weights(catalogue: Catalogue, liked: dict[str, np.ndarray]) -> np.ndarray:
    """How readily someone who likes these values takes each piece, not normalised: appeal times the factors."""
    weights = catalogue.appeal.copy()
    for attribute in ATTRIBUTES:
        weights *= np.where(liked[attribute], LIKING[attribute], 1.0)[catalogue.codes[attribute]]
    return weights


def match(catalogue: Catalogue, liked: dict[str, np.ndarray], item: int) -> float:
    """How much of what someone could like in a piece this piece has: 0 to 1 in logarithms of the factors."""
    met = sum(
        np.log(LIKING[attribute]) for attribute in ATTRIBUTES if liked[attribute][catalogue.codes[attribute][item]]
    )
    return float(met / sum(np.log(LIKING[attribute]) for attribute in ATTRIBUTES if liked[attribute].any()))


def companions(catalogue: Catalogue, last: int, available: int, *, sight: bool = True) -> np.ndarray:
    """Pieces that go with the last one: of its collection and colour, of another kind, among the first `available`.

    Without sight of the colour, the whole collection seems to go with it.
    """
    kinds, sets = catalogue.codes["kind"], catalogue.sets if sight else catalogue.collections
    same = np.flatnonzero(sets[:available] == sets[last])
    return same[kinds[same] != kinds[last]]


def draw_choices(
    catalogue: Catalogue, people: People, seed: np.random.SeedSequence, progress: Progress | None = None
) -> Choices:
    """Lets every person choose, each from a random stream of its own, so that more people change nobody's choices."""
    parts = []
    for person, stream in enumerate(seed.spawn(len(people))):
        if progress and person % 100 == 0:
            progress("choosing", person, len(people))
        parts.append(_choices_of(catalogue, people, person, np.random.default_rng(stream)))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Choices(np.repeat(np.arange(len(people)), people.lengths), *columns)


def _choices_of(catalogue: Catalogue, people: People, person: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    length = int(people.lengths[person])
    causes = rng.choice(len(CAUSES), size=length, p=SHARES)
    causes[0] = TASTE if causes[0] in (COMPANION, AGAIN) else causes[0]
    days = draw_times(rng, length, causes == COMPANION)
    timestamps = OPENING + (days * DAY).astype(np.int64)
    timestamps -= timestamps % 1000
    available = np.searchsorted(catalogue.released, timestamps, side="right")
    drift_at = people.drift_at[person] if people.drift_at[person] >= 0 else length
    drifted = np.arange(length) >= drift_at
    items = np.zeros(length, dtype=np.int64)
    ratings = np.zeros(length)
    liked = people.likes(person, drifted=False)
    weights = taste_weights(catalogue, liked)
    # Pieces stand in order of release, so the choice among those released is a draw from a prefix of one running sum.
    by_appeal, by_taste = np.cumsum(catalogue.appeal), np.cumsum(weights)
    owned = np.zeros(len(catalogue), dtype=bool)
    for step in range(length):
        if step == drift_at:
            liked = people.likes(person, drifted=True)
            weights = taste_weights(catalogue, liked)
            by_taste = np.cumsum(weights)
        cause, limit = causes[step], int(available[step])
        if cause == AGAIN:
            item = items[rng.integers(step)]
        elif cause in (GIFT, IMPULSE):
            item = _draw(rng, by_appeal, limit, owned, catalogue.appeal)
        else:
            item = -1
            if cause == COMPANION:
                fitting = companions(catalogue, items[step - 1], limit)
                fitting = fitting[~owned[fitting]]
                if len(fitting):
                    running = np.cumsum(weights[fitting])
                    item = fitting[min(np.searchsorted(running, rng.random() * running[-1], "right"), len(fitting) - 1)]
                else:
                    causes[step] = TASTE
            if item < 0:
                item = _draw(rng, by_taste, limit, owned, weights)
        owned[item] = True
        items[step] = item
        ratings[step] = WORST_MATCH + (BEST_MATCH - WORST_MATCH) * match(catalogue, liked, item)
    ratings += people.generosity[person] + RATING_NOISE * rng.standard_normal(length)
    return items, timestamps, causes, drifted, np.clip(np.rint(ratings), 1, 5).astype(np.float32)


def _draw(rng: np.random.Generator, running: np.ndarray, limit: int, owned: np.ndarray, weights: np.ndarray) -> int:
    """One of the first `limit` pieces by weight, none that is owned.

    Drawing again until a piece is not owned is cheap and exact; where that takes long, the rest is counted out.
    """
    for _ in range(30):
        item = int(np.searchsorted(running[:limit], rng.random() * running[limit - 1], "right"))
        if item < limit and not owned[item]:
            return item
    running = np.cumsum(np.where(owned[:limit], 0.0, weights[:limit]))
    if running[-1] == 0:
        return int(rng.integers(limit))  # owns everything: some piece once more
    return int(np.searchsorted(running, rng.random() * running[-1], "right"))
