"""Picture vectors without any model: colours where they stand, colours at all, and the directions of edges.

Plain measures of a picture that tell colour, pattern and outline apart well enough to find things that look alike. They
know nothing of what is shown; a trained vision tower takes their place where there is one.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from llmrec.pictures import picture_fault
from llmrec.progress import Progress
from llmrec.retrieval.content import Floats, unit

SIDE = 48
GRID = 6
DIRECTIONS = 8
HUES, SHADES = 12, 4
SAMPLE = 20_000


@dataclass(frozen=True)
class Sights:
    """Fitted on a catalogue's pictures; gives vectors of any picture."""

    mean: Floats
    axes: Floats

    def vectors(self, pictures: Sequence[Path | None], progress: Progress | None = None) -> Floats:
        """One row a picture, of length 1; zeros where there is none or it is broken."""
        raw, known = measures(pictures, progress)
        found = (raw - self.mean) @ self.axes
        found[~known] = 0
        return unit(found)


def fit(pictures: Sequence[Path | None], *, width: int = 128, progress: Progress | None = None) -> Sights:
    """Learn the directions in which a catalogue's pictures differ."""
    raw, known = measures(pictures, progress)
    some = raw[known][np.random.default_rng(0).permutation(int(known.sum()))[:SAMPLE]]
    if len(some) < 2:
        return Sights(np.zeros(raw.shape[1], np.float32), np.eye(raw.shape[1], width, dtype=np.float32))
    mean = some.mean(axis=0)
    _, strength, axes = np.linalg.svd(some - mean, full_matrices=False)
    kept = max(1, min(width, int((strength > 1e-6 * strength[0]).sum())))
    # The strongest directions (the backdrop, the outline) would drown the others: their lead is cut to its root.
    scale = 1 / np.sqrt(strength[:kept] / max(float(strength[0]), 1e-9))
    return Sights(mean.astype(np.float32), (axes[:kept].T * scale).astype(np.float32))


def measures(pictures: Sequence[Path | None], progress: Progress | None = None) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The plain measures of each picture, and which pictures could be read."""
    with ThreadPoolExecutor(4) as pool:
        rows = []
        for done, row in enumerate(pool.map(_measured, pictures), 1):
            rows.append(row)
            if progress:
                progress("looking at pictures", done, len(pictures))
    known = np.array([row is not None for row in rows], dtype=bool)
    width = 3 * GRID * GRID + DIRECTIONS * GRID * GRID + HUES * SHADES
    table = np.zeros((len(rows), width), dtype=np.float32)
    for place, row in enumerate(rows):
        if row is not None:
            table[place] = row
    return table, known


def _measured(path: Path | None) -> Floats | None:
    if path is None or picture_fault(path):
        return None
    with Image.open(path) as image:
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float32) / 255
    cell = SIDE // GRID
    colours = pixels.reshape(GRID, cell, GRID, cell, 3).mean(axis=(1, 3)).ravel()
    grey = pixels.mean(axis=2)
    down, across = np.gradient(grey)
    strength = np.hypot(down, across)
    direction = ((np.arctan2(down, across) % np.pi) / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
    cells = (np.arange(SIDE)[:, None] // cell) * GRID + np.arange(SIDE)[None] // cell
    edges = np.bincount(
        (cells * DIRECTIONS + direction).ravel(), weights=strength.ravel(), minlength=GRID * GRID * DIRECTIONS
    )
    hsv = np.asarray(small.convert("HSV"), dtype=np.float32) / 256
    bins = (hsv[..., 0] * HUES).astype(int) * SHADES + (hsv[..., 2] * SHADES).astype(int)
    palette = np.bincount(bins.ravel(), weights=hsv[..., 1].ravel(), minlength=HUES * SHADES)
    return np.asarray(np.concatenate([_root(colours), _root(edges), _root(palette)]), dtype=np.float32)


def _root(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Square roots, as a block of length 1: many small values then count beside one large."""
    rooted = np.sqrt(values)
    return np.asarray(rooted / max(float(np.linalg.norm(rooted)), 1e-9))
