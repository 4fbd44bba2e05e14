"""Ratings foretold by means and leanings: what a model of ratings must beat."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.metrics import mae, rmse
from llmrec.splits import TRAIN, Part, Split

Floats = npt.NDArray[np.float64]

STEADY = 10.0
"""Ratings of the mean that every person and item is given in advance."""
ROUNDS = 10


@dataclass(frozen=True)
class Leanings:
    """The mean rating, and how far each item and each person lean from it."""

    mean: float
    item: Floats
    user: Floats


def fit(split: Split, ratings: Floats) -> Leanings:
    """Fit leanings of items and people in turns, each drawn towards 0 by a few ratings of the mean."""
    rated = (split.part == TRAIN) & np.isfinite(ratings)
    item, user, told = split.log.item[rated], split.log.user_of_rows()[rated], ratings[rated]
    mean = float(told.mean()) if len(told) else 0.0
    items, users = np.zeros(len(split.log.items)), np.zeros(len(split.log.users))
    per_item = np.bincount(item, minlength=len(items)) + STEADY
    per_user = np.bincount(user, minlength=len(users)) + STEADY
    for _ in range(ROUNDS):
        items = np.bincount(item, told - mean - users[user], minlength=len(items)) / per_item
        users = np.bincount(user, told - mean - items[item], minlength=len(users)) / per_user
    return Leanings(mean, items, users)


def guesses(split: Split, ratings: Floats, rows: npt.NDArray[np.int64]) -> dict[str, Floats]:
    """What simple predictors that know the training rows say of some rows."""
    told = fit(split, ratings)
    item, user = told.item[split.log.item[rows]], told.user[split.log.user_of_rows()[rows]]
    return {
        "mean of all ratings": np.full(len(rows), told.mean),
        "mean and the item's leaning": told.mean + item,
        "mean, the item's and the person's leaning": told.mean + item + user,
    }


def rating_errors(split: Split, ratings: Floats, part: Part) -> list[dict[str, Any]]:
    """RMSE and MAE of simple predictors on a part; nothing where nothing is rated."""
    rows = split.rows(part)
    rows = rows[np.isfinite(ratings[rows])]
    if not len(rows):
        return []
    return [
        {"name": name, "rmse": rmse(guess, ratings[rows]), "mae": mae(guess, ratings[rows])}
        for name, guess in guesses(split, ratings, rows).items()
    ]
