"""What can be known at best: leave-one-out rankings by the true chances of choice, and by readers of histories.

For each person the last piece is to be found among all that were in the shop at that time and not yet owned. `all`
knows the person's tastes and every attribute; `blind` knows the tastes and only what is written about a piece; the
readers know nothing of the person but the history, with the drawn attributes or without: what a perfect learner of
histories would do.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from llmrec.progress import Progress

from .catalogue import ATTRIBUTES, DRAWN, VALUES, WRITTEN, Catalogue
from .choices import COMPANION, GIFT, IMPULSE, SHARES, TASTE, Choices, companions, taste_weights
from .people import LIKING, People, tastes

VARIANTS: dict[str, str] = {
    "all": "oracle: tastes and every attribute",
    "blind": "oracle without the drawn attributes",
    "reader": "reader of histories, all attributes",
    "blind reader": "reader without the drawn attributes",
    "neighbours": "co-occurrence kNN",
    "popularity": "popularity",
}
AT = 10
JUDGED = 5000  # people at most: enough for narrow intervals, and the biggest worlds stay quick
RESAMPLES = 1000

KEPT = 0.97  # what a reader believes a purchase tells after one more: people change
ASIDE = 0.25  # the share of purchases that tell nothing of an attribute: noise, companions, compromises


@dataclass(frozen=True)
class Question:
    """One leave-one-out question: the history and the time are known, the target is to be found."""

    person: int
    drifted: bool
    history: np.ndarray
    available: int  # the first so many pieces of the catalogue had been released
    target: int


@dataclass(frozen=True)
class Score:
    """HR@10 and NDCG@10 of one variant with 95 % bootstrap intervals over people."""

    hit_rate: float
    hit_rate_interval: tuple[float, float]
    ndcg: float
    ndcg_interval: tuple[float, float]


@dataclass(frozen=True)
class Verdict:
    """For each judged person the target and the rank that every variant gave it; 0 where it owned it already."""

    questions: list[Question]
    ranks: dict[str, np.ndarray]

    def score(self, variant: str) -> Score:
        ndcg = gains(self.ranks[variant])
        rows = np.random.default_rng(0).integers(len(ndcg), size=(RESAMPLES, len(ndcg)))
        return Score(float((ndcg > 0).mean()), _interval((ndcg > 0)[rows]), float(ndcg.mean()), _interval(ndcg[rows]))

    def worth_of_sight(self) -> float:
        """The share of the oracle's NDCG@10 that goes with the drawn attributes."""
        return 1.0 - float(gains(self.ranks["blind"]).mean() / gains(self.ranks["all"]).mean())


def judge(
    catalogue: Catalogue, people: People, choices: Choices, *, limit: int = JUDGED, progress: Progress | None = None
) -> Verdict:
    """The leave-one-out ranks of all variants; what learns, learns from all choices but each person's last."""
    questions = ask(catalogue, people, choices, limit=limit)
    known = np.ones(len(choices), dtype=bool)
    known[np.cumsum(people.lengths) - 1] = False
    count = np.bincount(choices.item[known], minlength=len(catalogue))
    # A piece that came late has had less time to be taken: the readers count by how much was bought while it was there.
    moments = np.sort(choices.timestamp[known])
    seen = 1.0 - np.searchsorted(moments, catalogue.released) / len(moments)
    rate = (count + 2.0) / (seen + 0.05)
    readers = {sight: Reader(catalogue, rate, sight=sight) for sight in (True, False)}
    neighbours = Neighbours(choices.person[known], choices.item[known], len(catalogue))
    ranks: dict[str, list[int]] = {variant: [] for variant in VARIANTS}
    for done, question in enumerate(questions):
        if progress and done % 100 == 0:
            progress("asking the oracle", done, len(questions))
        liked = people.likes(question.person, question.drifted)
        scores = {
            "all": chances(catalogue, question, taste_weights(catalogue, liked)),
            "blind": chances(catalogue, question, blind_weights(catalogue, liked), sight=False),
            "reader": readers[True].scores(question),
            "blind reader": readers[False].scores(question),
            "neighbours": neighbours.scores(question),
            "popularity": count,
        }
        for variant, ranked in ranks.items():
            ranked.append(rank(question, scores[variant]))
    return Verdict(questions, {variant: np.array(ranked) for variant, ranked in ranks.items()})


def gains(ranks: np.ndarray) -> np.ndarray:
    """NDCG@10 of one relevant piece at each rank."""
    found = (ranks > 0) & (ranks <= AT)
    return np.where(found, 1.0 / np.log2(np.where(found, ranks, 1) + 1.0), 0.0)


def _interval(samples: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(samples.mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def figures(verdict: Verdict) -> dict[str, Any]:
    """The verdict for a dataset's description, to four digits."""

    def interval(bounds: tuple[float, float]) -> list[float]:
        return [round(bound, 4) for bound in bounds]

    scores = {variant: verdict.score(variant) for variant in VARIANTS}
    return {
        "protocol": "leave-one-out, full ranking of what is released and not owned, ties against the target",
        "people": len(verdict.questions),
        "sight_share_of_ndcg": round(verdict.worth_of_sight(), 4),
        "variants": {
            variant: {
                "hr@10": round(score.hit_rate, 4),
                "hr@10_95": interval(score.hit_rate_interval),
                "ndcg@10": round(score.ndcg, 4),
                "ndcg@10_95": interval(score.ndcg_interval),
            }
            for variant, score in scores.items()
        },
    }


def ranks_table(verdict: Verdict, catalogue: Catalogue, people: People) -> pl.DataFrame:
    """One row for each judged person: the target and its rank by every variant; 0 where it was owned already."""
    asked = {
        "user": [people.ids[question.person] for question in verdict.questions],
        "target": [catalogue.goods[question.target].id for question in verdict.questions],
    }
    return pl.DataFrame(asked | {variant.replace(" ", "_"): ranks for variant, ranks in verdict.ranks.items()}).sort(
        "user"
    )


def ask(catalogue: Catalogue, people: People, choices: Choices, *, limit: int) -> list[Question]:
    """The question about each person's last choice; of a sample where there are more than `limit` people."""
    ends = np.cumsum(people.lengths)
    chosen = np.arange(len(people))
    if len(people) > limit:
        chosen = np.sort(np.random.default_rng(0).choice(len(people), size=limit, replace=False))
    return [
        Question(
            person=int(person),
            drifted=bool(choices.drifted[ends[person] - 1]),
            history=choices.item[ends[person] - people.lengths[person] : ends[person] - 1],
            available=int(np.searchsorted(catalogue.released, choices.timestamp[ends[person] - 1], side="right")),
            target=int(choices.item[ends[person] - 1]),
        )
        for person in chosen
    ]


def rank(question: Question, scores: np.ndarray) -> int:
    """The target's place among what was to be had and is not owned; ties count against it; 0 if it is owned already."""
    if question.target in question.history:
        return 0
    ahead = scores[: question.available] >= scores[question.target]
    ahead[question.history] = False
    return int(ahead.sum())


def chances(catalogue: Catalogue, question: Question, weights: np.ndarray, *, sight: bool = True) -> np.ndarray:
    """The chance of every piece to be the next choice, given how readily the person takes each: all causes together.

    Without sight, what goes with the last piece can only be told by its collection.
    """
    owned = np.zeros(len(catalogue), dtype=bool)
    owned[question.history] = True
    out = owned.copy()
    out[question.available :] = True
    by_taste, by_appeal = np.where(out, 0.0, weights), np.where(out, 0.0, catalogue.appeal)
    taste, companion = SHARES[TASTE], SHARES[COMPANION]
    if out.all():  # in a very small shop somebody may own everything
        return np.zeros(len(catalogue))
    chance = (SHARES[GIFT] + SHARES[IMPULSE]) * by_appeal / by_appeal.sum()
    fitting = companions(catalogue, int(question.history[-1]), question.available, sight=sight)
    fitting = fitting[~owned[fitting]]
    if len(fitting):
        chance[fitting] += companion * by_taste[fitting] / by_taste[fitting].sum()
    else:
        taste += companion
    chance += taste * by_taste / by_taste.sum()
    return chance


def blind_weights(catalogue: Catalogue, liked: dict[str, np.ndarray]) -> np.ndarray:
    """What someone who knows the tastes expects of a piece from its text: drawn factors averaged over its kind.

    Looks are drawn independently given the kind, so the average of the product is the product of the averages. What the
    text gives away is known.
    """
    weights = catalogue.appeal.copy()
    kinds = catalogue.codes["kind"]
    number = np.bincount(kinds, minlength=len(VALUES["kind"]))
    for attribute in ATTRIBUTES:
        factor = np.where(liked[attribute], LIKING[attribute], 1.0)[catalogue.codes[attribute]]
        if attribute in DRAWN:
            mean = np.bincount(kinds, weights=factor, minlength=len(number)) / np.maximum(number, 1)
            factor = np.where(catalogue.told[attribute], factor, mean[kinds])
        weights *= factor
    return weights


class Reader:
    """Ranks by what a history shows: knows how people are made, not this person, and infers tastes by Bayes' rule.

    For each attribute it weighs every taste that a person could have; then it ranks as the oracle does, with expected
    factors for true ones and popularity for appeal.
    """

    def __init__(self, catalogue: Catalogue, popularity: np.ndarray, *, sight: bool) -> None:
        self.catalogue = catalogue
        self.popularity = popularity
        self.sight = sight
        self.beliefs = {name: _beliefs(catalogue, name) for name in (ATTRIBUTES if sight else WRITTEN)}

    def scores(self, question: Question) -> np.ndarray:
        recency = KEPT ** np.arange(len(question.history) - 1, -1, -1.0)
        weights = self.popularity.copy()
        for attribute, beliefs in self.beliefs.items():
            code = self.catalogue.codes[attribute]
            count = np.bincount(code[question.history], weights=recency, minlength=len(VALUES[attribute]))
            hoped = np.ones(len(count))
            for group, liked, log_chance in beliefs:
                belief = log_chance @ count[group]
                belief = np.exp(belief - belief.max())
                hoped[group] += (LIKING[attribute] - 1.0) * (belief @ liked) / belief.sum()
            weights *= hoped[code]
        return chances(self.catalogue, question, weights, sight=self.sight)


def _beliefs(catalogue: Catalogue, attribute: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each group of values: its positions, every possible taste, and how likely each taste makes each value."""
    habit = np.bincount(catalogue.codes[attribute], minlength=len(VALUES[attribute])) + 1.0
    noise = ASIDE
    beliefs = []
    for group, liked in tastes(attribute):
        usual = habit[group] / habit[group].sum()
        chance = usual * np.where(liked, LIKING[attribute], 1.0)
        chance = (1 - noise) * chance / chance.sum(axis=1, keepdims=True) + noise * usual
        beliefs.append((group, liked.astype(float), np.log(chance)))
    return beliefs


class Neighbours:
    """Ranks by what was bought by the same people: cosine of co-occurrence, shrunk for pieces that few have bought."""

    def __init__(self, people: np.ndarray, items: np.ndarray, catalogue: int) -> None:
        bought = csr_matrix((np.ones(len(items)), (people, items)), shape=(int(people.max()) + 1, catalogue))
        bought.sum_duplicates()
        bought.data[:] = 1.0  # a piece bought again counts once
        together = (bought.T @ bought).tocoo()
        scale = np.sqrt(together.tocsr().diagonal())
        cosine = together.data / (scale[together.row] * scale[together.col] + 5.0)
        cosine[together.row == together.col] = 0.0
        self.likeness = csr_matrix((cosine, (together.row, together.col)), shape=together.shape)

    def scores(self, question: Question) -> np.ndarray:
        return np.asarray(self.likeness[question.history].sum(axis=0)).ravel()
