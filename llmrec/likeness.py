"""Pictures that look the same: found by small colour thumbnails, however they were scaled or compressed."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from llmrec.pictures import picture_fault
from llmrec.progress import Progress

SIDE = 32
TOLERANCE = (
    10.0  # root mean square difference of thumbnails, of 255: scaling and JPEG stay below, another motif does not
)
AXES = 12  # in which near ones are looked for, before whole thumbnails are compared
SAMPLE = 2_000

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Likeness:
    """Groups of pictures that look the same; `group` holds one number a picture, -1 for a picture without a twin."""

    group: npt.NDArray[np.int64]

    @property
    def alike(self) -> int:
        """How many pictures have a twin."""
        return int((self.group >= 0).sum())

    @property
    def largest(self) -> int:
        """How many pictures the largest group has: a placeholder shows here."""
        return int(np.bincount(self.group[self.group >= 0]).max(initial=0))


def likeness(pictures: Sequence[Path | None], progress: Progress | None = None) -> Likeness:
    """Group near-duplicates. A picture that is missing or broken has no twin."""
    found: list[tuple[int, npt.NDArray[np.uint8]]] = []
    wanted = [(place, path) for place, path in enumerate(pictures) if path is not None]
    with ThreadPoolExecutor(4) as pool:
        for done, (place, small) in enumerate(pool.map(_thumbnail, wanted), 1):
            if small is not None:
                found.append((place, small))
            if progress:
                progress("comparing pictures", done, len(wanted))
    group = np.full(len(pictures), -1, dtype=np.int64)
    if len(found) > 1:
        thumbnails, of_first = np.unique(np.stack([small for _, small in found]), axis=0, return_inverse=True)
        joined = _joined(thumbnails.astype(np.float32))[of_first.reshape(-1)]
        twins = np.bincount(joined) > 1
        places = np.array([place for place, _ in found])
        group[places] = np.where(twins[joined], joined, -1)
    return Likeness(group)


def _thumbnail(pair: tuple[int, Path]) -> tuple[int, npt.NDArray[np.uint8] | None]:
    place, path = pair
    if picture_fault(path):
        return place, None
    with Image.open(path) as image:
        image.draft("RGB", (SIDE * 4, SIDE * 4))
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    return place, np.asarray(small).reshape(-1)


def _joined(thumbnails: Vectors) -> npt.NDArray[np.int64]:
    """Number the connected groups of thumbnails within the tolerance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    near = TOLERANCE * np.sqrt(thumbnails.shape[1])
    centred = thumbnails - thumbnails.mean(axis=0)
    rng = np.random.default_rng(0)
    some = centred[rng.permutation(len(centred))[:SAMPLE]]
    _, _, axes = np.linalg.svd(some, full_matrices=False)
    # A projection only brings points nearer, so no pair within reach is missed.
    pairs = cKDTree(centred @ axes[:AXES].T).query_pairs(near, output_type="ndarray")
    kept = []
    for part in np.array_split(pairs, len(pairs) // 10_000 + 1):
        apart = np.linalg.norm(thumbnails[part[:, 0]] - thumbnails[part[:, 1]], axis=1)
        kept.append(part[apart <= near])
    left, right = np.concatenate(kept).T
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(len(thumbnails),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
