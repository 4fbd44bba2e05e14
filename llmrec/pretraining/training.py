"""The training of a picture tower: batches of pictures that belong together, three kinds of losses, one optimizer."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from llmrec.errors import LlmrecError
from llmrec.pretraining import losses, tower
from llmrec.pretraining.catalogue import Catalogue
from llmrec.pretraining.gallery import Places, normalised
from llmrec.pretraining.looks import looks
from llmrec.pretraining.recipe import TowerRecipe
from llmrec.progress import Progress
from llmrec.said import Said

SAMPLE = 512  # pictures whose measures tell what is usual
SLOW = 0.3  # rate of the first layer, of that of the others
WARM = 0.05  # share of the steps in which the rate rises


def train(
    model: Any, lessons: Catalogue, recipe: TowerRecipe, *, progress: Progress | None = None
) -> list[dict[str, float]]:
    """Train in place; returns the mean of each loss by epoch."""
    device = next(model.parameters()).device
    rng = np.random.default_rng(recipe.seed)
    random = torch.Generator().manual_seed(recipe.seed)
    heads = _Heads(lessons, recipe).to(device)
    groups = _groups(model, heads, recipe)
    weights = [weight for group in groups for weight in group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.decay, betas=(0.9, 0.98))
    an_epoch = math.ceil(len(lessons.taught) / recipe.batch)
    steps = max(1, round(recipe.epochs * an_epoch))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    batches = _batches(lessons, recipe, rng)
    course: list[dict[str, float]] = []
    seen: list[dict[str, float]] = []
    model.train()
    for step in range(steps):
        parts = _losses(model, heads, lessons, recipe, next(batches), rng, random)
        loss = sum(
            (getattr(recipe.losses, name) * part for name, part in parts.items()), torch.zeros((), device=device)
        )
        values = {name: float(part.detach()) for name, part in parts.items()}
        if not math.isfinite(sum(values.values())):
            told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            raise LlmrecError(
                f"The loss is not a number at step {step + 1} of {steps} ({told}). Nothing was written. Lower rate "
                f"(it is {recipe.rate:g}), or change seed"
            )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        seen.append(values)
        if len(seen) == an_epoch or step == steps - 1:
            course.append({name: float(np.mean([one[name] for one in seen])) for name in seen[0]})
            seen = []
        if progress:
            progress("pretraining", step + 1, steps)
    model.eval()
    return course


def _groups(model: Any, heads: nn.Module, recipe: TowerRecipe) -> list[dict[str, Any]]:
    """What is trained, and how fast: first filters stay as they are and the layer that takes their strengths is slow.

    Steps of the common rate are as large as those weights themselves: within a few hundred steps patterns would be
    forgotten that the tower can tell from the start.
    """
    vision = model.vision_model
    kept = {id(weight) for weight in vision.embeddings.patch_embedding.parameters()}
    slow = list(vision.encoder.layers[0].mlp.parameters())
    apart = kept | {id(weight) for weight in slow}
    for weight in vision.embeddings.patch_embedding.parameters():
        weight.requires_grad_(False)
    rest = [weight for weight in model.parameters() if id(weight) not in apart]
    return [{"params": [*rest, *heads.parameters()]}, {"params": slow, "lr": SLOW * recipe.rate}]


class _Heads(nn.Module):
    """Lines that tell measures from states and vectors; used while training only."""

    mean_patch: torch.Tensor
    spread_patch: torch.Tensor
    mean_picture: torch.Tensor
    spread_picture: torch.Tensor

    def __init__(self, lessons: Catalogue, recipe: TowerRecipe) -> None:
        super().__init__()
        some = np.random.default_rng(recipe.seed).permutation(lessons.taught)[:SAMPLE]
        of_patches, of_pictures = looks(lessons.gallery.plain(some), recipe.shape.patch_size)
        for name, found in (("patch", of_patches.flatten(0, 1)), ("picture", of_pictures)):
            spread = found.std(dim=0)
            self.register_buffer(f"mean_{name}", found.mean(dim=0))
            # A colour that is hardly ever there would be a loud riddle if its spread were made one.
            self.register_buffer(f"spread_{name}", spread + 0.1 * spread.mean())
        self.settle = nn.LayerNorm(recipe.shape.width)
        self.patch = nn.Linear(recipe.shape.width, of_patches.shape[2])
        self.picture = nn.Linear(recipe.shape.vector, of_pictures.shape[1])
        words = len(lessons.said.words) if lessons.said else 0
        self.words_of_picture = nn.Linear(recipe.shape.vector, words)
        self.words_of_patches = nn.Linear(recipe.shape.width, words)

    def patches(self, states: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return losses.told(self.patch(self.settle(states)), wanted, self.mean_patch, self.spread_patch)

    def pictures(self, vectors: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        heard = self.picture(vectors * vectors.shape[1] ** 0.5)
        return losses.told(heard, wanted, self.mean_picture, self.spread_picture)

    def words(self, said: Said, vectors: torch.Tensor, states: torch.Tensor, items: Places) -> torch.Tensor:
        """Both the picture's vector and the mean of what its patches hold tell what is said of the item."""
        one = self.words_of_picture(vectors * vectors.shape[1] ** 0.5)
        other = self.words_of_patches(self.settle(states).mean(dim=1))
        return (losses.in_words(one, said, items) + losses.in_words(other, said, items)) / 2


def _losses(
    model: Any, heads: _Heads, lessons: Catalogue, recipe: TowerRecipe, places: Places,
    rng: np.random.Generator, random: torch.Generator,
) -> dict[str, torch.Tensor]:  # fmt: skip
    weights, device = recipe.losses, next(model.parameters()).device
    pixels = lessons.gallery.varied(places, recipe.shift, random)
    vectors, states = tower.see(model, _blanked(normalised(pixels), recipe, random).to(device))
    items = lessons.gallery.items[places]
    found: dict[str, torch.Tensor] = {}
    if weights.text:
        own = _own(recipe, len(items))  # to read the partners' texts too would cost as much as looking at all pictures
        ids, mask = lessons.texts.batch(items[:own], rng, forget=recipe.forget)
        texts = tower.text_vectors(model, ids.to(device), mask.to(device))
        found["text"] = losses.contrast(vectors[:own], texts, model.logit_scale.exp())
    if weights.items:
        near = torch.from_numpy(lessons.pairs.among(items)).to(device)
        found["items"] = losses.together(vectors, near, recipe.temperature)
    if weights.words and lessons.said:
        found["words"] = heads.words(lessons.said, vectors, states, items)
    if weights.patches or weights.picture:
        of_patches, of_pictures = (one.to(device) for one in looks(pixels, recipe.shape.patch_size))
        if weights.patches:
            found["patches"] = heads.patches(states, of_patches)
        if weights.picture:
            found["picture"] = heads.pictures(vectors, of_pictures)
    return found


def _blanked(pixels: torch.Tensor, recipe: TowerRecipe, random: torch.Generator) -> torch.Tensor:
    """Every other picture with a share of its patches blank: the tower is a stock one and knows no mask of its own."""
    patch, pictures = recipe.shape.patch_size, len(pixels)
    side = pixels.shape[-1] // patch
    kept = torch.rand(pictures, 1, side, side, generator=random) >= recipe.hidden
    kept |= torch.rand(pictures, 1, 1, 1, generator=random) < 0.5
    return pixels * kept.float().repeat_interleave(patch, dim=2).repeat_interleave(patch, dim=3)


def _batches(lessons: Catalogue, recipe: TowerRecipe, rng: np.random.Generator) -> Iterator[Places]:
    """Places of pictures without end: every picture in turn, and for half of a batch what goes with the other half."""
    pairs = lessons.pairs
    place_of = {item: place for place, item in enumerate(lessons.gallery.items.tolist())}
    drawn = min(_own(recipe, recipe.batch), len(lessons.taught))
    while True:
        order = rng.permutation(lessons.taught)
        for begin in range(0, len(order) - drawn + 1, drawn):
            chosen = order[begin : begin + drawn]
            if recipe.losses.items:
                partners = pairs.partners(lessons.gallery.items[chosen], rng)
                chosen = np.concatenate([chosen, [place_of[item] for item in partners.tolist()]])
            yield chosen


def _own(recipe: TowerRecipe, batch: int) -> int:
    """How many of a batch are there in their turn; the rest are partners."""
    return batch // 2 if recipe.losses.items else batch


def _rate(step: int, steps: int) -> float:
    warm = max(1, round(WARM * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
