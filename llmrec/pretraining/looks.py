"""Plain measures of pictures that a tower learns to tell: colours where they stand, palettes, spectra of textures.

A spectrum is the energy of a patch by wavelength and direction. It does not change when a pattern moves, so whoever
can tell it has learnt patterns and not pixels.
"""

import math

import torch
from torch.nn import functional

BANDS = (0.03, 0.06, 0.1, 0.15, 0.21, 0.28, 0.36, 0.5)  # cycles a pixel
DIRECTIONS = 8
CELLS = 4  # mean colours on a grid of so many cells a side in each patch
SHADES_PATCH, SHADES_PICTURE = 4, 6  # steps of each colour channel in a palette


def looks(pixels: torch.Tensor, patch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Measures of each patch (pictures, patches, values) and of each whole picture (pictures, values)."""
    power = _power(pixels, patch)
    pictures, patches = power.shape[:2]
    cells = _patches(functional.adaptive_avg_pool2d(pixels, pixels.shape[-1] // patch * CELLS), CELLS)
    of_patches = torch.cat(
        [power.sqrt(), _palettes(_patches(pixels, patch), SHADES_PATCH), cells.reshape(pictures, patches, -1)], dim=2
    )
    whole = _palettes(pixels[:, None], SHADES_PICTURE)[:, 0]
    return of_patches, torch.cat([power.sum(dim=1).sqrt(), whole], dim=1)


def _patches(pixels: torch.Tensor, patch: int) -> torch.Tensor:
    """(pictures, patches, channels, patch, patch), row by row as a tower reads them."""
    cut = pixels.unfold(2, patch, patch).unfold(3, patch, patch)
    return cut.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)


def _power(pixels: torch.Tensor, patch: int) -> torch.Tensor:
    """The energy of each patch in brightness and two opposed colours, by wavelength and direction."""
    red, green, blue = pixels.unbind(1)
    opposed = torch.stack([pixels.mean(dim=1), red - green, (red + green) / 2 - blue], dim=1)
    cut = _patches(opposed, patch)
    window = torch.hann_window(patch)
    waves = torch.fft.fft2((cut - cut.mean(dim=(-1, -2), keepdim=True)) * window * window[:, None])
    energy = (waves.real**2 + waves.imag**2).flatten(-2)
    summed: torch.Tensor = energy @ _bins(patch)
    return summed.flatten(2)


def _bins(patch: int) -> torch.Tensor:
    """Which band and direction each wave of a patch belongs to, as a table of ones."""
    down, across = torch.fft.fftfreq(patch)[:, None], torch.fft.fftfreq(patch)[None]
    length = torch.hypot(down, across)
    direction = ((torch.atan2(down, across) % math.pi) / math.pi * DIRECTIONS + 0.5).long() % DIRECTIONS
    band = torch.bucketize(length, torch.tensor(BANDS), right=True) - 1
    kept = (band >= 0) & (band < len(BANDS) - 1)
    place = torch.where(kept, band * DIRECTIONS + direction, (len(BANDS) - 1) * DIRECTIONS).flatten()
    return functional.one_hot(place, (len(BANDS) - 1) * DIRECTIONS + 1)[:, :-1].float()


def _palettes(pieces: torch.Tensor, shades: int) -> torch.Tensor:
    """The roots of the shares of colours in each piece (pictures, pieces, 3, height, width)."""
    steps = (pieces * shades).long().clamp(0, shades - 1)
    colour = ((steps[:, :, 0] * shades + steps[:, :, 1]) * shades + steps[:, :, 2]).flatten(2)
    counted = torch.zeros(*colour.shape[:2], shades**3).scatter_add_(2, colour, torch.ones_like(colour).float())
    return (counted / colour.shape[2]).sqrt()
