"""The pictures of a catalogue, decoded to one size: in memory while they fit, from the disk above that."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional

from llmrec.pictures import picture_fault
from llmrec.progress import Progress

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
MIDDLE, SPREAD = 0.5, 0.25  # pixels from 0 to 1 are given to a tower less the one and divided by the other
SPARE = 4 / 3  # pictures are kept larger than the tower looks at, so that moving and scaling them does not blur them


@dataclass(frozen=True)
class Gallery:
    """The sound pictures of a catalogue; a place in it is a row of `items`."""

    items: Places
    """The code of each picture's item."""
    paths: tuple[Path, ...] = field(repr=False)
    side: int
    """Pixels that a tower looks at."""
    kept: Bytes | None = field(repr=False)

    def __len__(self) -> int:
        return len(self.items)

    def plain(self, places: Places) -> torch.Tensor:
        """Pictures as they are, (pictures, 3, side, side) from 0 to 1."""
        large = self._large(places)
        return functional.interpolate(large, (self.side, self.side), mode="bilinear", antialias=True)

    def varied(self, places: Places, shift: float, generator: torch.Generator) -> torch.Tensor:
        """Pictures moved, scaled and flipped at random; their colours stay."""
        large = self._large(places)
        count = len(large)
        random = torch.rand(count, 4, generator=generator) * 2 - 1
        scale = 1 + shift * random[:, 0]
        flip = torch.where(random[:, 1] < 0, -1.0, 1.0)
        nothing = torch.zeros(count)
        across = torch.stack([scale * flip, nothing, shift * random[:, 2]], dim=1)
        down = torch.stack([nothing, scale, shift * random[:, 3]], dim=1)
        grid = functional.affine_grid(
            torch.stack([across, down], dim=1), [count, 3, self.side, self.side], align_corners=False
        )
        return functional.grid_sample(large, grid, padding_mode="border", align_corners=False)

    def _large(self, places: Places) -> torch.Tensor:
        if self.kept is not None:
            pixels = self.kept[places]
        else:
            with ThreadPoolExecutor(4) as pool:
                size = round(self.side * SPARE)
                pixels = np.stack(list(pool.map(lambda place: decoded(self.paths[place], size), places.tolist())))
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def hang(
    pictures: Sequence[Path | None], side: int, *, memory_mib: int = 2_048, progress: Progress | None = None
) -> Gallery:
    """Look at all pictures once; missing and broken ones are left out."""
    size = round(side * SPARE)
    codes, paths, pixels = [], [], []
    fits = len(pictures) * size * size * 3 <= memory_mib * 2**20
    with ThreadPoolExecutor(4) as pool:
        looked = pool.map(lambda path: _looked(path, size if fits else None), pictures)
        for code, (path, seen) in enumerate(zip(pictures, looked, strict=True)):
            if progress:
                progress("reading pictures", code + 1, len(pictures))
            if path is None or seen is None:
                continue
            codes.append(code)
            paths.append(path)
            pixels.append(seen)
    kept = np.stack(pixels) if fits and pixels else None
    return Gallery(np.array(codes, dtype=np.int64), tuple(paths), side, kept)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels from 0 to 1 as a tower takes them."""
    return (pixels - MIDDLE) / SPREAD


def decoded(path: Path, size: int) -> Bytes:
    """A picture's pixels as a square; its proportions are given up, nothing is cut off."""
    with Image.open(path) as image:
        image.draft("RGB", (2 * size, 2 * size))
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC), dtype=np.uint8)


def _looked(path: Path | None, size: int | None) -> Bytes | None:
    """The pixels, or nothing but a sign that the picture is sound where no size is asked for."""
    if path is None or picture_fault(path):
        return None
    return decoded(path, size) if size else np.zeros(0, dtype=np.uint8)
