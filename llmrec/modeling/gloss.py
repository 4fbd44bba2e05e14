"""What vectors of pictures tell in words: the shares of reviews that would say "navy" or "stripes" of what is seen.

A picture vector holds much that nobody chooses by, often in its strongest directions. Who reads from some ten thousand
choices which directions matter reads badly; reviews name them. Ridge regression from vectors to `said` finds where a
vector holds each word, and for items that nobody spoke of it tells the words all the same.
"""

import numpy as np
import numpy.typing as npt

from llmrec.said import Said

Floats = npt.NDArray[np.float32]

RESTRAINTS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Candidates for the restraint of the regression, in variances of a vector's value an item."""
FOLDS = 5
MOST = 20_000  # items that it is fitted on
LEAST = 0.02  # share of the words' variance that a vector must tell of items it was not fitted on
FEWEST = 50  # items that have both


def fit_gloss(vectors: Floats, said: Said) -> Floats | None:
    """The map from vectors (rows of NaN where there is none), with a 1 behind them, to words of spread 1.

    None where too few items have a vector and were spoken of, or where vectors tell nothing of others' words.
    """
    rows = np.flatnonzero(np.isfinite(vectors).all(axis=1) & (said.trust > 0))
    if len(rows) < FEWEST:
        return None
    rng = np.random.default_rng(0)
    rows = rng.permutation(rows)[:MOST]
    own = vectors[rows].astype(np.float64)
    mean, size = own.mean(axis=0), max(float(own.std(axis=0).mean()), 1e-9)
    entering = np.concatenate([(own - mean) / size, np.ones((len(own), 1))], axis=1)
    chance = np.sqrt(said.usual * (1 - said.usual)).clip(1e-3).astype(np.float64)
    trust = said.trust[rows].astype(np.float64)
    # One who has few reviews is taken for partly usual; a word that is rare counts as much as one that is common.
    wanted = trust[:, None] * (said.share[rows] - said.usual) / chance
    folds = np.arange(len(rows)) % FOLDS
    left = dict.fromkeys(RESTRAINTS, 0.0)
    for fold in range(FOLDS):
        learnt, asked = folds != fold, folds == fold
        solved = _ridges(entering[learnt], wanted[learnt], trust[learnt])
        for restraint, found in solved.items():
            missed = ((entering[asked] @ found - wanted[asked]) ** 2).sum(axis=1)
            left[restraint] += float(trust[asked] @ missed)
    whole = float(trust @ (wanted**2).sum(axis=1))
    best = min(left, key=lambda restraint: left[restraint])
    if left[best] > (1 - LEAST) * whole:
        return None
    found = _ridges(entering, wanted, trust, (best,))[best]
    told = entering @ found
    found[-1] -= told.mean(axis=0) + mean / size @ found[:-1]
    found[:-1] /= size
    return np.asarray(found / max(float(told.std(axis=0).mean()), 1e-9), dtype=np.float32)


def _ridges(
    entering: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], trust: npt.NDArray[np.float64],
    restraints: tuple[float, ...] = RESTRAINTS,
) -> dict[float, npt.NDArray[np.float64]]:  # fmt: skip
    """Weighted ridge regressions of the same rows, by their restraint."""
    weighted = entering * trust[:, None]
    square, mixed = weighted.T @ entering, weighted.T @ wanted
    spread, axes = np.linalg.eigh(square)
    turned = axes.T @ mixed
    return {one: axes @ (turned / (spread + one * len(entering))[:, None]) for one in restraints}
