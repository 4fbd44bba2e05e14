"""First weights of a picture tower that already tell textures and colours: waves in pairs, and mean colours.

A tower with random weights and nine patches of a thousand pixels hardly ever learns a pattern from a thousand pictures:
its filters see brightness, and it would have to find by itself that a wave and the same wave moved a quarter of its
length are the two halves of one thing. Here the patch filters start as such pairs of waves (in brightness and in two
opposed colours, by length and direction) and as colours of spots; the first layer's inner units start in pairs of
opposite sign, whose sum is even, so that they tell how strong a wave is wherever it stands. All of it is trained on.
"""

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from llmrec.pretraining.gallery import Gallery, Places, normalised

SPOTS = 5  # colours of spots on a grid of so many a side
BANDS, DIRECTIONS = 7, 8
LONG, SHORT = 0.045, 0.4  # cycles a pixel
WIDE = 0.7  # a wave's window, in wavelengths
OPPOSED = ((1 / 3, 1 / 3, 1 / 3), (1.0, -1.0, 0.0), (0.5, 0.5, -1.0))  # brightness and two opposed colours
SOME = 600  # pictures that tell how strong each filter answers
GAIN = 1.5  # of an answer before it meets the bend of the activation
SHARP = 4.0  # the same of colours
WEAKEST = 0.01  # of the strongest: a wave that the catalogue hardly has is not blown up to noise
WAVES = 2 * BANDS * DIRECTIONS * len(OPPOSED)
COLOURS = 3 * SPOTS * SPOTS


def take_filters(model: Any, gallery: Gallery, places: Places, seed: int) -> None:
    """Give an untrained tower its first filters, each as strong as the others on the catalogue's own pictures."""
    vision = model.vision_model
    weight, place = vision.embeddings.patch_embedding.weight, vision.embeddings.position_embedding.weight
    width, _, patch, _ = weight.shape
    filters = functional.normalize(torch.cat([spots(patch), waves(patch)])[:width].flatten(1))
    some = np.random.default_rng(seed).permutation(places)[:SOME]
    cut = normalised(gallery.plain(some)).unfold(2, patch, patch).unfold(3, patch, patch)
    flat = cut.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * patch * patch)
    answers = flat @ filters.T
    strength = answers.std(dim=0)
    strength = strength + WEAKEST * strength.max()
    usual = answers.mean(dim=0) / strength
    with torch.no_grad():
        weight[: len(filters)] = (filters / strength[:, None]).view(-1, 3, patch, patch).to(weight)
        place[1:, : len(filters)] -= usual.to(place)  # filters of a stock CLIP have no bias: it is taken off here
        _even(vision.encoder.layers[0], answers / strength - usual, seed)
        for layer in vision.encoder.layers[1:]:
            _gather(layer.self_attn)
        _spread(model, normalised(gallery.plain(some)))


def _gather(attention: Any) -> None:
    """Start a layer so that every token, the picture's own first of all, is given the mean of what the others hold."""
    width = attention.embed_dim
    attention.v_proj.weight.copy_(torch.eye(width))
    attention.out_proj.weight.copy_(torch.eye(width))


def _spread(model: Any, pixels: torch.Tensor) -> None:
    """Start vectors in the directions in which the catalogue's pictures differ; as they are they all point one way."""
    vision = model.vision_model
    model.eval()
    held = torch.cat([vision(pixel_values=part).pooler_output for part in torch.split(pixels, 128)])
    mean = held.mean(dim=0)
    vision.post_layernorm.bias -= mean
    count = min(model.visual_projection.out_features, *held.shape)
    _, strength, axes = torch.linalg.svd(held - mean, full_matrices=False)
    scale = 1 / (strength[:count] * strength[0]).sqrt()  # the root of the lead of the strongest, as in plain sights
    model.visual_projection.weight[:count] = axes[:count] * scale[:, None] * len(held) ** 0.5


def spots(patch: int) -> torch.Tensor:
    """Filters that give each colour of small spots on a grid, (filters, 3, patch, patch).

    Spots, not means of cells: the mean of a patterned cell is a colour that is nowhere in the picture.
    """
    cell, side = patch / SPOTS, max(1, patch // 16)
    starts = [round((step + 0.5) * cell - side / 2) for step in range(SPOTS)]
    found = torch.zeros(SPOTS, SPOTS, 3, 3, patch, patch)
    for row, down in enumerate(starts):
        for column, across in enumerate(starts):
            for colour in range(3):
                found[row, column, colour, colour, down : down + side, across : across + side] = 1
    return found.flatten(0, 2)


def waves(patch: int) -> torch.Tensor:
    """Pairs of waves that differ by a quarter of their length, (filters, 3, patch, patch)."""
    steps = torch.arange(patch) + 0.5 - patch / 2
    down, across = torch.meshgrid(steps, steps, indexing="ij")
    found = []
    for band in range(BANDS):
        rate = LONG * (SHORT / LONG) ** (band / (BANDS - 1))
        window = torch.exp(-(down**2 + across**2) / (2 * min(WIDE / rate, patch / 4) ** 2))
        for turn in range(DIRECTIONS):
            angle = math.pi * turn / DIRECTIONS
            along = 2 * math.pi * rate * (across * math.cos(angle) + down * math.sin(angle))
            for phase in (0.0, math.pi / 2):
                wave = window * torch.cos(along + phase)
                found.append(wave - window * (wave.sum() / window.sum()))
    grey = torch.stack(found)
    return torch.cat([torch.tensor(mix)[None, :, None, None] * grey[:, None] for mix in OPPOSED])


def _even(layer: Any, answers: torch.Tensor, seed: int) -> None:
    """Start a layer's inner units so that waves come out as strengths and spots as shares of colours."""
    first, second = layer.mlp.fc1, layer.mlp.fc2
    random = torch.Generator().manual_seed(seed)
    pairs = max(0, (answers.shape[1] - COLOURS) // 2)
    pairs = min(pairs, first.out_features // 4)
    units = 4 * pairs
    with torch.no_grad():
        layer.self_attn.out_proj.weight.zero_()  # answers stay unmixed until strengths have been taken
        for pair in range(pairs):
            for half in (0, 1):
                dim, unit = COLOURS + 2 * pair + half, 4 * pair + 2 * half
                first.weight[unit : unit + 2] = 0
                first.weight[unit, dim], first.weight[unit + 1, dim] = GAIN, -GAIN
                second.weight[:, unit : unit + 2] = 0
                # The difference of the two units is the answer itself, which is taken off; their sum is its strength.
                second.weight[dim, unit], second.weight[dim, unit + 1] = -1 / GAIN, 1 / GAIN
                second.weight[COLOURS + 2 * pair, unit : unit + 2] += 1 / GAIN
        free = torch.arange(units, first.out_features)
        count = min(len(free) // SPOTS**2, pairs)
        if not count:
            return
        colours = _different(answers, count, random)
        mixes = SHARP * functional.normalize(torch.randn(count, 3, generator=random))
        for shade, (mix, colour) in enumerate(zip(mixes, colours, strict=True)):
            rows = free[shade * SPOTS**2 : (shade + 1) * SPOTS**2]
            first.weight[rows] = 0
            second.weight[:, rows] = 0
            first.bias[rows] = -(mix @ colour)
            second.weight[COLOURS + 2 * shade + 1, rows] = 1 / SPOTS
            for cell, unit in enumerate(rows.tolist()):
                first.weight[unit, 3 * cell : 3 * cell + 3] = mix


def _different(answers: torch.Tensor, count: int, random: torch.Generator) -> torch.Tensor:
    """So many colours of the catalogue's spots, each as far as can be from those before it: rare ones too."""
    spots_seen = answers[:, :COLOURS].reshape(-1, 3)
    some = spots_seen[torch.randperm(len(spots_seen), generator=random)[:4_000]]
    chosen = [0]
    far = torch.full((len(some),), torch.inf)
    while len(chosen) < count:
        far = torch.minimum(far, (some - some[chosen[-1]]).norm(dim=1))
        chosen.append(int(far.argmax()))
    return some[chosen]
