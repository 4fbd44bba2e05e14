"""What the best possible reader of histories reaches in the drawn shop: the ceiling below the oracle.

The oracle knows every person's tastes; no reader does. The ideal reader knows how people are made and how they choose,
to the letter, and of a person only what was taken before: it draws tastes that a person could have, weighs each by how
likely it makes the history (items, ratings, moments, order), and ranks by the mean chance of the next choice. Then the
same reader is denied one kind of knowledge after the other. People, history and ranking are those of
`llmrec evaluate --limit`, on a shop of the same size and seed.

examples:
  python benchmarks/ceiling.py --quick
  python benchmarks/ceiling.py --particles 4000
  python benchmarks/ceiling.py --json benchmarks/results/ceiling.json
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from record import arguments, record
from scipy.special import ndtr
from scipy.stats import beta, gamma

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "data_builders"))
from atelier import SIZES
from drawn import oracle
from drawn.catalogue import ATTRIBUTES, DAY, DAYS_OPEN, DRAWN, OPENING, SILHOUETTES, VALUES, Catalogue
from drawn.choices import (
    AGAIN,
    BEST_MATCH,
    COMPANION,
    RATING_NOISE,
    SHARES,
    TASTE,
    WORST_MATCH,
    companions,
    taste_weights,
)
from drawn.people import DRIFT_BETWEEN, DRIFTING, DRIFTS, LIKING, TOGETHER, TRIM_LOVERS, tastes
from drawn.world import World, draw_world

from llmrec.progress import Progress, shown_progress

PACKAGES = ("numpy", "scipy")
STRONG = tuple(TOGETHER)  # colour, pattern, kind: few and telling, so that all of them are weighed before any is drawn
WEAK = tuple(name for name in ATTRIBUTES if name not in STRONG)
KIND_OF_SILHOUETTE = np.array([VALUES["kind"].index(kind) for kind, _ in SILHOUETTES])
HEAT = 0.8  # tastes are drawn a little more freely than believed: the weights then have no long tail
LASTING = 0.1  # this share of them with tastes that do not change, for the reader who knows of no change
GENEROSITY = 0.3  # its deviation over people, see draw_people
NODES, NODE_SHARES = np.polynomial.hermite_e.hermegauss(7)
NODE_SHARES = NODE_SHARES / NODE_SHARES.sum()
MOMENTS = 16  # at which the next choice may come, where the reader is not told
LONGEST_AT_ONCE = 1.2e-4  # days between a companion and what comes next, see draw_times
TINY = 1e-30

Liked = dict[str, np.ndarray]  # attribute: values x particles


@dataclass(frozen=True)
class Known:
    """What a reader takes into account beside the items of a history and how people are made."""

    ratings: bool = True
    hours: bool = True  # how long after one choice the next came, which tells companions
    change: bool = True  # that tastes may have changed, hence the order
    companions: bool = True  # that some choices go with the last one
    releases: bool = True  # what was in the shop at the time of each choice
    moment: bool = True  # when the next choice is made, hence what is in the shop by then
    averaging: bool = True  # over all tastes, not the likeliest alone


READERS: dict[str, Known] = {
    "ideal": Known(),
    "no_moment": Known(moment=False),
    "no_ratings": Known(ratings=False),
    "no_hours": Known(hours=False),
    "no_change": Known(change=False),
    "no_companions": Known(companions=False),
    "no_releases": Known(releases=False, moment=False),
    "no_averaging": Known(averaging=False),
    "set_of_items": Known(ratings=False, hours=False, change=False, companions=False),
    "bare": Known(ratings=False, hours=False, change=False, companions=False, releases=False, moment=False),
}
REACH = {
    "truth_alone_differs": ("<=", 0.0),
    "half_of_particles_changes": ("<=", 0.003),
    "ess_5th_percentile": (">=", 30.0),
    "expected_differs_deviations": ("<=", 3.0),
}


@dataclass(frozen=True)
class Person:
    """What is known of one person: choices before the last, and what was in the shop at each and at the last."""

    number: int
    history: np.ndarray
    ratings: np.ndarray
    days: np.ndarray
    available: np.ndarray  # one more than choices: the last one is for the choice to come
    target: int

    def __len__(self) -> int:
        return len(self.history)

    @cached_property
    def first_time(self) -> np.ndarray:
        """Which choices were of something not owned yet."""
        return np.array([item not in self.history[:place] for place, item in enumerate(self.history)])


@dataclass(frozen=True)
class Shop:
    """A catalogue as a reader sees it: by every attribute, or by what is written."""

    catalogue: Catalogue
    appeal: np.ndarray
    sight: bool = True

    @cached_property
    def places(self) -> dict[str, np.ndarray]:
        """For each attribute the row of a table of values, and then kinds, in which a piece finds its factor."""
        codes, told = self.catalogue.codes, self.catalogue.told
        return {
            name: codes[name]
            if self.sight or name not in DRAWN
            else np.where(told[name], codes[name], len(VALUES[name]) + codes["kind"])
            for name in ATTRIBUTES
        }

    @cached_property
    def of_kind(self) -> dict[str, np.ndarray]:
        """How common each value of a drawn attribute is within each kind."""
        found = {}
        for name in DRAWN:
            counted = np.zeros((len(VALUES["kind"]), len(VALUES[name])))
            np.add.at(counted, (self.catalogue.codes["kind"], self.catalogue.codes[name]), 1.0)
            found[name] = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1.0)
        return found

    def factor(self, name: str, factors: np.ndarray, items: np.ndarray | slice = slice(None)) -> np.ndarray:
        """How much more readily each piece is taken for its value of one attribute: items x particles."""
        if not self.sight and name in DRAWN:
            factors = np.concatenate([factors, (self.of_kind[name] @ factors).astype(factors.dtype)])
        return np.asarray(factors[self.places[name][items]])

    def weights(self, liked: Liked) -> np.ndarray:
        """How readily each piece is taken by whoever likes this: items x particles."""
        found: np.ndarray | None = None
        for name in ATTRIBUTES:
            if name not in liked:
                continue
            each = self.factor(name, np.where(liked[name], np.float32(LIKING[name]), np.float32(1.0)))
            found = each if found is None else np.multiply(found, each, out=found)
        assert found is not None
        found *= self.appeal.astype(np.float32)[:, None]
        return found

    def fitting(self, last: int, available: int) -> np.ndarray:
        """What goes with the last piece."""
        return companions(self.catalogue, last, available, sight=self.sight)


@dataclass(frozen=True)
class Strong:
    """Every way to like colours, patterns and kinds, and every way in which that may change."""

    liked: Liked
    weights: np.ndarray  # items x ways
    running: np.ndarray  # the same, summed from the first piece on
    before: np.ndarray  # of each course of a life: the way at first
    after: np.ndarray
    drift: np.ndarray  # position in DRIFTS, -1 for none
    prior: np.ndarray  # how likely each course is, without the moment of the change


def strong_ways(shop: Shop) -> Strong:
    """All of them, some ten thousand; those of other attributes count by their mean."""
    lines = {name: tastes(name)[0][1] for name in STRONG}
    ways: dict[tuple[bytes, ...], int] = {}
    masks: dict[str, list[np.ndarray]] = {name: [] for name in STRONG}
    courses: list[tuple[int, int, int, float]] = []

    def way(one: dict[str, np.ndarray]) -> int:
        key = tuple(one[name].tobytes() for name in STRONG)
        if key not in ways:
            ways[key] = len(ways)
            for name in STRONG:
                masks[name].append(one[name])
        return ways[key]

    plain = [
        dict(zip(STRONG, (a, b, c), strict=True))
        for a in lines["colour"]
        for b in lines["pattern"]
        for c in lines["kind"]
    ]
    for one in plain:
        first = way(one)
        courses.append((first, first, -1, (1 - DRIFTING) / len(plain)))
        each = DRIFTING / len(DRIFTS) / len(plain)
        for drift, name in enumerate(DRIFTS):
            if name not in one:
                courses.append((first, first, drift, each))
                continue
            gone, come = np.flatnonzero(one[name]), np.flatnonzero(~one[name])
            for old in gone:
                for new in come:
                    changed = one[name].copy()
                    changed[old], changed[new] = False, True
                    courses.append((first, way(one | {name: changed}), drift, each / len(gone) / len(come)))
    liked = {name: np.array(masks[name]).T for name in STRONG}
    weights = shop.weights(liked)
    for name in WEAK:
        usual = np.ones((len(VALUES[name]), 1), dtype=np.float32)
        for group, table in tastes(name):
            usual[group, 0] += (LIKING[name] - 1) * table.mean(axis=0) * (TRIM_LOVERS if name == "trim" else 1.0)
        weights *= shop.factor(name, usual)
    before, after, drifts, prior = map(np.array, zip(*courses, strict=True))
    running = np.cumsum(weights, axis=0, dtype=np.float64).astype(np.float32)
    return Strong(liked, weights, running, before, after, drifts, prior)


@dataclass(frozen=True)
class Particles:
    """Tastes that one person could have had, one a column, and how much likelier each is than it was drawn."""

    before: Liked
    after: Liked
    at: np.ndarray  # the choice from which on the changed taste counts; beyond the last for most
    log_ratio: np.ndarray  # prior over proposal
    log_prior: np.ndarray  # up to a constant
    drifts: np.ndarray  # those whose taste has changed
    by_strong: np.ndarray  # the chance of every piece if weak tastes were as usual

    def __len__(self) -> int:
        return len(self.at)


def change_chances(length: int) -> np.ndarray:
    """How likely a change comes with each choice, of somebody with so many."""
    low, high = (share * length for share in DRIFT_BETWEEN)
    edges = np.clip(np.arange(length + 1), low, high)
    return np.diff(edges) / (high - low)


def rating_chances(match: np.ndarray, ratings: np.ndarray, deviation: float, shift: float = 0.0) -> np.ndarray:
    """How likely each rating is: choices x particles."""
    middle = WORST_MATCH + (BEST_MATCH - WORST_MATCH) * match + shift
    given = ratings[:, None]
    upper = np.where(given >= 5, 1.0, ndtr((given + 0.5 - middle) / deviation))
    lower = np.where(given <= 1, 0.0, ndtr((given - 0.5 - middle) / deviation))
    return np.asarray(np.maximum(upper - lower, TINY))


def matches(catalogue: Catalogue, liked: Liked, items: np.ndarray) -> np.ndarray:
    """How much of what could be liked in a piece these pieces have: items x particles."""
    met = sum(np.log(LIKING[name]) * liked[name][catalogue.codes[name][items]] for name in ATTRIBUTES)
    return np.asarray(met / sum(np.log(LIKING[name]) * liked[name].any(axis=0) for name in ATTRIBUTES))


def drawn_particles(shop: Shop, strong: Strong, person: Person, count: int, rng: np.random.Generator) -> Particles:
    """Tastes drawn near what the history suggests: strong ones by their exact chances if weak ones were as usual."""
    steps, items, appeal = len(person), person.history, shop.appeal
    taste, companion = SHARES[TASTE], SHARES[COMPANION]
    log = np.zeros((steps + 1, len(strong.liked["colour"][0])))
    owned = np.zeros_like(strong.weights[0])
    by_taste = np.zeros_like(log[1:])
    for step, item in enumerate(items):
        if not person.first_time[step]:
            continue
        left = strong.running[person.available[step] - 1] - owned
        chance = (taste + (step == 0) * companion) * strong.weights[item] / left
        if step:
            fitting = np.setdiff1d(shop.fitting(items[step - 1], person.available[step]), items[:step])
            if item in fitting:
                chance += companion * strong.weights[item] / strong.weights[fitting].sum(axis=0)
            elif not len(fitting):
                chance *= (taste + companion) / taste
        there = np.setdiff1d(np.arange(person.available[step]), items[:step])
        noise = (1 - taste - companion - SHARES[AGAIN]) * appeal[item] / appeal[there].sum()
        by_taste[step] = chance / (chance + noise)
        log[step + 1] = np.log(chance + noise)
        owned = owned + strong.weights[item]
    if shop.sight:
        met = sum(
            np.log(LIKING[name]) * strong.liked[name][shop.catalogue.codes[name][items]].astype(float)
            for name in STRONG
        )
        fitted = (met + 0.4) / (sum(np.log(LIKING[name]) for name in STRONG) + 1.8)  # weak ones are met in part
        log[1:] += np.log(rating_chances(fitted, person.ratings, float(np.hypot(RATING_NOISE, GENEROSITY))))
    sums = np.cumsum(log, axis=0)

    # every course of a life: which way before, which after, and when
    moments = change_chances(steps + 1)
    possible = np.flatnonzero(moments)
    same, changed = np.flatnonzero(strong.drift < 0), np.flatnonzero(strong.drift >= 0)
    first, then = strong.before[changed], strong.after[changed]
    likely = [np.log(strong.prior[same]) + sums[-1][strong.before[same]]]
    likely += [
        np.log(strong.prior[changed] * moments[at]) + sums[at][first] + sums[-1][then] - sums[at][then]
        for at in possible
    ]
    course = np.concatenate([same, *[changed for _ in possible]])
    moment = np.concatenate([np.full(len(same), steps + 1), *[np.full(len(changed), at) for at in possible]])
    prior = np.log(strong.prior[course]) + np.where(
        moment <= steps, np.log(moments[np.minimum(moment, steps)] + TINY), 0
    )
    together = np.concatenate(likely)
    exact = np.exp(together - together.max())
    exact /= exact.sum()
    freely = np.exp(HEAT * (together - together.max()))
    lasting = np.where(moment > steps, freely, 0.0)
    freely = (1 - LASTING) * freely / freely.sum() + LASTING * lasting / lasting.sum()
    chosen = rng.choice(len(course), size=count, p=freely)
    log_ratio = prior[chosen] - np.log(freely[chosen])
    ways = strong.before[course[chosen]], strong.after[course[chosen]]
    drift, at = strong.drift[course[chosen]], moment[chosen]
    before = {name: strong.liked[name][:, ways[0]] for name in STRONG}
    after = {name: strong.liked[name][:, ways[1]] for name in STRONG}

    # weak tastes, each for itself: counts of what was taken by taste against what is usual for somebody of these tastes
    belief = np.bincount(strong.after[course], weights=exact, minlength=log.shape[1])
    some = np.flatnonzero(belief > 1e-4)
    there = np.ones((len(appeal), 2), dtype=np.float32)  # at first, and at last
    there[items, 1] = there[person.available[-1] :, 1] = there[person.available[0] :, 0] = 0.0
    usual = there * (strong.weights[:, some] @ (belief[some, None] / (strong.weights[:, some].T @ there)))
    by_strong = usual[:, 1] / usual[:, 1].sum()
    usual = (usual / usual.sum(axis=0)).mean(axis=1)
    telling = by_taste @ belief
    for name in WEAK:
        before[name] = np.zeros((len(VALUES[name]), count), dtype=bool)
        for number, (group, table) in enumerate(tastes(name)):
            if name == "trim":
                table = np.concatenate([table, np.zeros((len(table), table.shape[1]), dtype=bool)])  # half do not care
            mask = np.zeros((len(VALUES[name]), len(table)), dtype=bool)
            mask[group] = table.T
            each = shop.factor(name, np.where(mask, LIKING[name], 1.0))
            score = telling @ np.log(each[items]) - telling.sum() * np.log(usual @ each)
            chance = np.exp(score - score.max())
            chance /= chance.sum()
            row = rng.choice(len(table), size=count, p=chance)
            matter = before["kind"][number] | after["kind"][number] if name == "silhouette" else True
            log_ratio -= np.where(matter, np.log(chance[row] * len(table)), 0.0)
            before[name] |= mask[:, row]
        after[name] = before[name]
    every = before["silhouette"]
    before["silhouette"] = every & before["kind"][KIND_OF_SILHOUETTE]
    after["silhouette"] = every & after["kind"][KIND_OF_SILHOUETTE]
    other = np.flatnonzero(drift == DRIFTS.index("brand"))
    brands = len(VALUES["brand"])
    moved = (before["brand"][:, other].argmax(axis=0) + rng.integers(1, brands, size=len(other))) % brands
    after["brand"] = before["brand"].copy()
    after["brand"][:, other] = np.arange(brands)[:, None] == moved
    return Particles(before, after, at, log_ratio, prior[chosen], np.flatnonzero(at <= steps), by_strong)


@dataclass(frozen=True)
class Evidence:
    """What the histories' items weigh for each particle at each choice, as the choice rule wants it."""

    own: np.ndarray  # choices x particles: the weight of what was taken
    left: np.ndarray  # of all that was in the shop and not owned
    left_ever: np.ndarray  # of all that is not owned, released or not
    fitting: np.ndarray  # of what goes with the choice before
    fits: np.ndarray  # choices: whether what was taken does
    any_fits: np.ndarray


def evidence(shop: Shop, weights: np.ndarray, person: Person) -> Evidence:
    """Read off the weights of all items."""
    limits, back = np.unique(person.available[:-1], return_inverse=True)
    running = np.cumsum(np.add.reduceat(weights[: limits[-1]], np.concatenate([[0], limits[:-1]]), axis=0), axis=0)
    own = weights[person.history]
    gone = np.cumsum(own * person.first_time[:, None], axis=0) - own * person.first_time[:, None]
    whole = running[-1] + weights[limits[-1] :].sum(axis=0)
    fitting, fits, any_fits = np.ones_like(own), np.zeros(len(person), bool), np.zeros(len(person), bool)
    for step in range(1, len(person)):
        found = shop.fitting(person.history[step - 1], person.available[step])
        found = found[~np.isin(found, person.history[:step])]
        fits[step], any_fits[step] = person.history[step] in found, len(found) > 0
        if fits[step]:
            fitting[step] = weights[found].sum(axis=0)
    return Evidence(own, running[back] - gone, whole - gone, fitting, fits, any_fits)


def gap_chances(days: np.ndarray) -> np.ndarray:
    """How likely each wait is (waits x companion before x companion after), up to a factor: see draw_times."""
    waits = np.diff(days)
    unit = max(float(waits.sum()) / (0.7 * max(len(waits), 1)), 1e-3)
    found = np.full((len(waits), 2, 2), 1e-12)
    found[:, 0, 0] += gamma.pdf(np.maximum(waits, 1e-5) / unit, 0.7) / unit
    found[:, 0, 1] += (gamma.cdf((waits - 0.02) / unit, 0.7) - gamma.cdf((waits - 2.0) / unit, 0.7)) / 1.98
    found[:, 1, 0] += (waits <= LONGEST_AT_ONCE) / LONGEST_AT_ONCE
    found[:, 1, 1] += ((waits > 0.0199) & (waits < 2.001)) / 1.98
    return found


def log_items(shop: Shop, seen: Evidence, person: Person, known: Known) -> np.ndarray:
    """How likely each particle makes the items of the history, whatever cause each had."""
    taste, companion, again = SHARES[TASTE], SHARES[COMPANION], SHARES[AGAIN]
    noise = 1.0 - taste - companion - again
    gaps = gap_chances(person.days) if known.hours else np.ones((len(person) - 1, 2, 2))
    left = seen.left if known.releases else seen.left_ever
    apart = np.zeros_like(seen.own[0])
    going = apart
    log = np.zeros(len(apart), dtype=np.float64)
    owned = np.zeros(len(shop.appeal), dtype=bool)
    for step, item in enumerate(person.history):
        there = shop.appeal[: person.available[step]] if known.releases else shop.appeal
        of_all = shop.appeal[item] / there[~owned[: len(there)]].sum()
        by_taste = seen.own[step] / left[step]
        if not person.first_time[step]:
            alone = np.full_like(apart, again * (person.history[:step] == item).sum() / step)
            beside = np.full_like(apart, TINY)
        elif step == 0:
            alone, beside = (taste + companion + again) * by_taste + noise * of_all, apart
        else:
            alone = taste * by_taste + noise * of_all
            if seen.fits[step]:
                beside = companion * seen.own[step] / seen.fitting[step]
            else:
                beside = companion * by_taste * (not seen.any_fits[step])
            if not known.companions:
                alone, beside = alone + companion * by_taste, np.zeros_like(apart)
        if step:
            (one, two), (three, four) = gaps[step - 1] if known.companions else np.ones((2, 2))
            apart, going = (apart * one + going * three) * alone, (apart * two + going * four) * beside
        else:
            apart, going = alone, np.zeros_like(alone)
        scale = apart + going + TINY
        log += np.log(scale)
        apart, going = apart / scale, going / scale
        owned[item] = True
    return log


def log_ratings(shop: Shop, some: Particles, person: Person) -> np.ndarray:
    """How likely each particle makes the ratings, over all the generosity that people have."""
    match = matches(shop.catalogue, some.before, person.history)
    if len(some.drifts):
        after = {name: values[:, some.drifts] for name, values in some.after.items()}
        changed = np.arange(len(person))[:, None] >= some.at[some.drifts]
        match[:, some.drifts] = np.where(changed, matches(shop.catalogue, after, person.history), match[:, some.drifts])
    each = [
        np.log(rating_chances(match, person.ratings, RATING_NOISE, GENEROSITY * node)).sum(axis=0) + np.log(share)
        for node, share in zip(NODES, NODE_SHARES, strict=True)
    ]
    return np.asarray(np.logaddexp.reduce(each, axis=0))


def moments_to_come(shop: Shop, person: Person) -> np.ndarray:
    """What may be in the shop at the next choice, for one who is not told when that is: equally likely moments."""
    last, so_far = person.days[-1], max(person.days[-1] - person.days[0], 1.0)
    ends = np.append(last + (DAYS_OPEN - last) * (np.arange(12) + 0.5) / 12, DAYS_OPEN)
    still = (ends - last) / so_far  # two waits of all are to come before the end, and one person in six leaves early
    chance = still**0.4 * (1 + still) ** (-0.7 * (len(person) + 1)) * np.append(np.full(12, 1 / 72), 5 / 6)
    days = np.linspace(last, DAYS_OPEN, 500)
    by_then = beta.cdf(np.clip((days[:, None] - last) / (ends - last), 0, 1), 0.7, 0.7) @ (chance / chance.sum())
    drawn = np.interp((np.arange(MOMENTS) + 0.5) / MOMENTS, by_then, days)
    return np.searchsorted(shop.catalogue.released, OPENING + drawn * DAY, side="right")


def next_chances(
    shop: Shop, weights: np.ndarray, belief: np.ndarray, person: Person, available: int, *, by_companions: bool = True
) -> np.ndarray:
    """The chance of every piece to come next, mean over particles: as oracle.chances, which knows the one true one."""
    there = np.ones(len(shop.appeal), dtype=bool)
    there[person.history] = False
    there[available:] = False
    if not there.any():
        return np.zeros(len(there))
    taste, companion, again = SHARES[TASTE], SHARES[COMPANION], SHARES[AGAIN]
    by_appeal = np.where(there, shop.appeal, 0.0)
    chance = (1 - taste - companion - again) * by_appeal / by_appeal.sum()
    fitting = shop.fitting(int(person.history[-1]), available)
    fitting = fitting[there[fitting]]
    if len(fitting) and by_companions:
        chance[fitting] += companion * (weights[fitting] @ (belief / weights[fitting].sum(axis=0)))
    else:
        taste += companion
    left = there.astype(np.float32) @ weights
    return np.asarray(chance + np.where(there, taste * (weights @ (belief / left).astype(np.float32)), 0.0))


@dataclass(frozen=True)
class Answer:
    """What one reader makes of one person: the rank of the next choice, and the gain that it expected."""

    rank: int
    expected: float


def answered(chance: np.ndarray, person: Person) -> Answer:
    """Ties count against the target; what is owned already is never offered."""
    offered = np.ones(len(chance), dtype=bool)
    offered[person.history] = False
    best = -np.sort(-chance[offered])[: oracle.AT]
    expected = float((best / np.log2(np.arange(2, len(best) + 2))).sum())
    if not offered[person.target]:
        return Answer(0, expected)
    return Answer(int((chance[offered] >= chance[person.target]).sum()), expected)


@dataclass(frozen=True)
class Reading:
    """All answers about one person, and the effective number of particles behind the ideal one's."""

    answers: dict[str, Answer]
    effective: float


def final_weights(some: Particles, weights: np.ndarray, changed: np.ndarray | None) -> np.ndarray:
    """The weights at the choice to come."""
    if changed is None:
        return weights
    weights = weights.copy()
    weights[:, some.drifts] = changed
    return weights


def read(
    shop: Shop, strong: Strong, person: Person, readers: dict[str, Known], count: int, rng: np.random.Generator
) -> Reading:
    """Let all readers look at one person with the same particles."""
    some = drawn_particles(shop, strong, person, count, rng)
    weights, changed = shop.weights(some.before), None
    seen = evidence(shop, weights, person)
    if len(some.drifts):
        changed = shop.weights({name: values[:, some.drifts] for name, values in some.after.items()})
        then = evidence(shop, changed, person)
        late = np.arange(len(person))[:, None] >= some.at[some.drifts]
        for name in ("own", "left", "left_ever", "fitting"):
            table = getattr(seen, name)
            table[:, some.drifts] = np.where(late, getattr(then, name), table[:, some.drifts])
    last = final_weights(some, weights, changed)
    rated = log_ratings(shop, some, person) if shop.sight else np.zeros(count)
    items: dict[Known, np.ndarray] = {}
    answers: dict[str, Answer] = {}
    effective = 0.0
    for name, known in readers.items():
        alike = replace(known, ratings=True, change=True, moment=True, averaging=True)
        if alike not in items:
            items[alike] = log_items(shop, seen, person, alike)
        log = some.log_ratio + items[alike] + (rated if known.ratings else 0.0)
        if not known.change:
            log = np.where(some.at <= len(person), -np.inf, log)
        belief = np.exp(log - log.max())
        belief /= belief.sum()
        if not known.averaging:
            belief = (np.arange(count) == (log - some.log_ratio + some.log_prior).argmax()).astype(float)

        def chance(belief: np.ndarray, known: Known = known) -> np.ndarray:
            ends = [person.available[-1]] if known.moment else moments_to_come(shop, person)
            ends = ends if known.releases else [len(shop.appeal)]
            each = [next_chances(shop, last, belief, person, int(end), by_companions=known.companions) for end in ends]
            return np.asarray(np.mean(each, axis=0))

        answers[name] = answered(chance(belief), person)
        if name == "ideal":
            effective = float(1.0 / (belief**2).sum())
            for part, share in (("quarter", 4), ("half", 2)):
                fewer = np.where(np.arange(count) < count // share, belief, 0.0)
                answers[f"{name}_{part}"] = answered(chance(fewer / max(fewer.sum(), TINY)), person)
    answers["strong_alone"] = answered(some.by_strong, person)
    return Reading(answers, effective)


def asked_people(world: World, limit: int) -> Iterator[Person]:
    """The people whom `llmrec evaluate --limit` asks, in its order."""
    people, choices = world.people, world.choices
    order = np.argsort(np.array(people.ids))
    places = np.sort(np.random.default_rng(0).permutation(len(people))[:limit])
    ends = np.cumsum(people.lengths)
    available = np.searchsorted(world.catalogue.released, choices.timestamp, side="right")
    for number in order[places]:
        rows = slice(ends[number] - people.lengths[number], ends[number])
        history = slice(rows.start, rows.stop - 1)
        yield Person(
            number=int(number),
            history=choices.item[history],
            ratings=choices.rating[history],
            days=(choices.timestamp[history] - OPENING) / DAY,
            available=available[rows],
            target=int(choices.item[rows.stop - 1]),
        )


def oracles(world: World, shop: Shop, person: Person) -> dict[str, Answer]:
    """The oracle by its own code, by ours with the truth as the only particle, and not told the moment."""
    catalogue, people = world.catalogue, world.people
    liked = people.likes(person.number, drifted=bool(people.drift_at[person.number] >= 0))
    question = oracle.Question(person.number, False, person.history, int(person.available[-1]), person.target)
    if shop.sight:
        weights = taste_weights(catalogue, liked)
    else:
        weights = oracle.blind_weights(catalogue, liked)
    told = oracle.chances(catalogue, question, weights, sight=shop.sight)
    truth = shop.weights({name: liked[name][:, None] for name in ATTRIBUTES})
    sure = np.ones(1)
    each = [next_chances(shop, truth, sure, person, int(end)) for end in moments_to_come(shop, person)]
    return {
        "oracle": Answer(oracle.rank(question, told), answered(told, person).expected),
        "truth_alone": answered(next_chances(shop, truth, sure, person, question.available), person),
        "oracle_no_moment": answered(np.mean(each, axis=0), person),
    }


def counted_appeal(world: World, *, while_there: bool) -> np.ndarray:
    """Appeal as the training rows tell it: how often each piece was taken, in all or while it was there."""
    known = np.ones(len(world.choices), dtype=bool)
    ends = np.cumsum(world.people.lengths)
    known[ends - 1] = known[ends - 2] = False
    moments = np.sort(world.choices.timestamp[known])
    there = 1.0 - np.searchsorted(moments, world.catalogue.released) / len(moments)
    taken = np.bincount(world.choices.item[known], minlength=len(world.catalogue)) + 2.0
    return np.asarray(taken / (there + 0.05) if while_there else taken)


def measured(
    world: World, shop: Shop, readers: dict[str, Known], people: int, count: int, seed: int, progress: Progress
) -> list[Reading]:
    """Every person's answers, from a random stream of each one's own."""
    strong = strong_ways(shop)
    readings = []
    for done, person in enumerate(asked_people(world, people)):
        progress("reading histories", done, people)
        reading = read(shop, strong, person, readers, count, np.random.default_rng([seed, person.number]))
        readings.append(Reading(oracles(world, shop, person) | reading.answers, reading.effective))
    return readings


def reached(readings: list[Reading], name: str) -> np.ndarray:
    """NDCG@10 of every person by one reader."""
    return oracle.gains(np.array([reading.answers[name].rank for reading in readings]))


def told(readings: list[Reading]) -> dict[str, float]:
    """NDCG@10 of every reader, and how far it can be trusted."""
    figures = {name: float(reached(readings, name).mean()) for name in readings[0].answers}
    expected = {
        name: np.array([reading.answers[name].expected for reading in readings])
        for name in ("oracle", "ideal", "oracle_no_moment", "no_moment")
    }
    ideal, effective = reached(readings, "ideal"), np.array([reading.effective for reading in readings])
    off = ideal - expected["ideal"]
    truth_off = reached(readings, "oracle") - reached(readings, "truth_alone")
    return figures | {
        "share_of_oracle": figures["ideal"] / figures["oracle"],
        "share_of_oracle_no_moment": figures["no_moment"] / figures["oracle"],
        "share_of_oracle_bare": figures["bare"] / figures["oracle"],
        **{f"{name}_expected": float(values.mean()) for name, values in expected.items()},
        "ideal_deviation": float(ideal.std(ddof=1) / np.sqrt(len(readings))),
        "expected_differs_deviations": float(abs(off.mean()) / (off.std(ddof=1) / np.sqrt(len(readings)))),
        "truth_alone_differs": float(np.abs(truth_off).sum()),
        "half_of_particles_changes": abs(figures["ideal_half"] - figures["ideal"]),
        "ess_median": float(np.median(effective)),
        "ess_5th_percentile": float(np.percentile(effective, 5)),
        "ess_least": float(effective.min()),
    }


def main() -> None:
    """Draw the shop, read everybody as it is, by counts and blind, record."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--people", type=int, default=1000, metavar="N", help="how many are asked (default: 1000)")
    parser.add_argument(
        "--particles", type=int, default=1000, metavar="N", help="tastes drawn a person (default: 1000)"
    )
    asked = parser.parse_args()
    size = SIZES["tiny" if asked.quick else "small"]
    people, count = min(asked.people, size.users), 300 if asked.quick else asked.particles
    world = draw_world(size.items, size.users, size.interactions, asked.seed)
    began = time.monotonic()

    shop = Shop(world.catalogue, world.catalogue.appeal)
    timed, bare = {name: READERS[name] for name in ("ideal", "no_moment")}, {"bare": READERS["bare"]}
    other_shops = {
        "appeal_counted": (replace(shop, appeal=counted_appeal(world, while_there=True)), timed),
        "popularity_counted": (replace(shop, appeal=counted_appeal(world, while_there=False)), bare),
        "blind": (replace(shop, sight=False), timed),
    }
    with shown_progress() as progress:
        readings = measured(world, shop, READERS, people, count, asked.seed, progress)
        others = {
            what: measured(world, other, readers, people, count, asked.seed, progress)
            for what, (other, readers) in other_shops.items()
        }
    figures = {"people": people, "particles": count} | told(readings)
    for what, other in others.items():
        figures |= {f"{what}_{name}": float(reached(other, name).mean()) for name in other_shops[what][1]}
    figures["blind_oracle"] = float(reached(others["blind"], "oracle").mean())
    figures["blind_truth_alone"] = float(reached(others["blind"], "truth_alone").mean())
    figures["minutes"] = (time.monotonic() - began) / 60
    for name, value in figures.items():
        print(f"  {name:36}{value:>10.4f}")
    met = record("ceiling", figures, REACH, seed=asked.seed, packages=PACKAGES, file=asked.json)
    sys.exit(0 if met or asked.quick else 1)


if __name__ == "__main__":
    main()
