"""Teaches a projector to tell what is known of a picture's item: first the words alone, then through a frozen model.

Through the language model a picture costs half a second on one core, and at first its answers say little of what
should change: nobody has told the projector yet what words are. So visual tokens are first drawn towards the input
vectors of the words that are said of an item, which takes the projector alone and is a hundred times cheaper.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llmrec.errors import LlmrecError
from llmrec.pretraining import probes
from llmrec.pretraining.captions import Captions
from llmrec.pretraining.recipe import CaptionRecipe
from llmrec.pretraining.speaker import Speaker
from llmrec.progress import Progress
from llmrec.script import Line, of_like_length

TOGETHER = 64  # pictures in a step of the projector alone
WARM = 0.1  # share of the steps in which the rate rises
TOLD = 10  # how many figures of the course are kept
PADDING = 0.1


def acquaint(
    speaker: Speaker, captions: Captions, recipe: CaptionRecipe, progress: Progress | None = None
) -> list[float]:
    """Draw visual tokens towards the words of what is known; returns what is left of the distance after each pass."""
    if not recipe.acquaint:
        return []
    projection, taught = speaker.projection, captions.taught.tolist()
    wanted = _wanted(speaker, captions)
    rng = np.random.default_rng(recipe.seed)
    steps = recipe.acquaint * math.ceil(len(taught) / TOGETHER)
    optimizer, schedule = _optimizer(projection.weights, recipe.acquaint_rate, steps)
    usual = float((wanted - wanted.mean(dim=0)).pow(2).mean())
    course: list[float] = []
    for turn in range(recipe.acquaint):
        order = rng.permutation(len(taught))
        away = []
        for begin in range(0, len(order), TOGETHER):
            some = order[begin : begin + TOGETHER]
            made = projection.visual([taught[place] for place in some.tolist()])
            loss = (made.reshape(len(some), -1, made.shape[-1]) - wanted[some][:, None]).pow(2).mean() / usual
            _step(loss, optimizer, schedule, projection.weights, f"pass {turn + 1} of acquaint", "acquaint_rate")
            away.append(float(loss.detach()))
        course.append(float(np.mean(away)))
        if progress:
            progress("showing the projector words", turn + 1, recipe.acquaint)
    return course


def visible(speaker: Speaker, captions: Captions) -> dict[str, float]:
    """How much oftener a line on what the tower sees reads a column than a guess would, on a fifth of what teaches.

    Steps through the language model are dear: they go to what can be seen.
    """
    codes = captions.taught.tolist()
    seen = speaker.projection.means(codes).numpy()
    later = np.arange(len(codes)) % 5 == 0
    found = {
        name: probes.reads(seen, [values[code] for code in codes], np.flatnonzero(~later), np.flatnonzero(later))
        for name, values in captions.columns.items()
    }
    return {name: max(0.0, one["accuracy"] - one["commonest"]) if one else 0.0 for name, one in found.items()}


def speak(
    speaker: Speaker,
    captions: Captions,
    recipe: CaptionRecipe,
    weight: Mapping[str, float],
    progress: Progress | None = None,
) -> list[float]:
    """Learn through the language model; returns the loss a token, from the first steps to the last."""
    batches = _batches(speaker, captions, recipe, weight)
    if not batches:
        return []
    optimizer, schedule = _optimizer(speaker.projection.weights, recipe.rate, len(batches))
    seen: list[float] = []
    for number, lines in enumerate(batches):
        costs, counts = speaker.losses(lines)
        loss = costs.sum() / counts.sum()
        _step(loss, optimizer, schedule, speaker.projection.weights, f"step {number + 1} of {len(batches)}", "rate")
        seen.append(float(loss.detach()))
        if progress:
            progress("telling pictures", number + 1, len(batches))
    return [float(np.mean(some)) for some in np.array_split(seen, min(TOLD, len(seen)))]


def _batches(
    speaker: Speaker, captions: Captions, recipe: CaptionRecipe, weight: Mapping[str, float]
) -> list[list[Line]]:
    """Every picture once a pass with facts drawn anew; lines of like length stand together, batches in any order."""
    rng = np.random.default_rng(recipe.seed)
    found: list[list[Line]] = []
    for turn in range(math.ceil(recipe.passes)):
        share = min(1.0, recipe.passes - turn)
        codes = rng.permutation(captions.taught)[: max(1, round(share * len(captions.taught)))].tolist()
        facts = [captions.drawn(code, recipe.facts, rng, weight) for code in codes]
        lines = [speaker.line(code, some) for code, some in zip(codes, facts, strict=True) if some]
        own = list(of_like_length([len(line) for line in lines], recipe.batch_tokens, rng, padding=PADDING))
        found += [[lines[place] for place in own[number].tolist()] for number in rng.permutation(len(own)).tolist()]
    return found


@torch.no_grad()
def _wanted(speaker: Speaker, captions: Captions) -> Tensor:
    """For each item that teaches the mean of the words that are said of it, as far as they differ between items."""
    taught = captions.taught.tolist()
    base = speaker.write.base
    total = torch.zeros(len(taught), base.hidden, device=base.model.device)
    said: list[Tensor] = []
    if captions.words:
        words = _vectors(speaker, captions.words)
        strength = torch.from_numpy(captions.strength[captions.taught]).to(words)
        total += strength @ (words - words.mean(dim=0))
        said.append(words)
    for values in captions.columns.values():
        known = sorted({value for code in taught if (value := values[code]) is not None})
        words = _vectors(speaker, known)
        rows = torch.tensor([known.index(value) if (value := values[code]) else -1 for code in taught])
        there = (rows >= 0).to(words.device)
        own = words[rows.to(words.device)]
        total += torch.where(there[:, None], own - own[there].mean(dim=0), 0.0)
        said.append(words)
    if not said:
        words = _vectors(speaker, [captions.texts[code] for code in taught])
        total, said = words - words.mean(dim=0), [words]
    every = torch.cat(said)
    centre = every.mean(dim=0)
    total = total - total.mean(dim=0)
    return centre + total * ((every - centre).pow(2).mean() / total.pow(2).mean().clamp(min=1e-12)).sqrt()


def _vectors(speaker: Speaker, texts: Sequence[str]) -> Tensor:
    """The mean input vector of each text's tokens."""
    table = speaker.write.base.model.get_input_embeddings()
    found = []
    for text in texts:
        tokens = speaker.write.words(f" {text}")[: speaker.length]
        found.append(table(torch.tensor(tokens, device=table.weight.device)).float().mean(dim=0))
    return torch.stack(found)


def _optimizer(weights: Sequence[Any], rate: float, steps: int) -> tuple[Any, Any]:
    """AdamW whose rate rises shortly and falls as a cosine."""
    warm = max(1, round(WARM * steps))

    def share(step: int) -> float:
        return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm + 1)))

    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def _step(loss: Tensor, optimizer: Any, schedule: Any, weights: Sequence[Any], where: str, setting: str) -> None:
    if not bool(torch.isfinite(loss)):
        raise LlmrecError(f"The loss is not a number at {where}. Nothing was written. Lower {setting}, or change seed")
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    schedule.step()
