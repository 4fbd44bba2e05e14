"""What a model tells of pictures that taught it nothing: captions, values of columns, words of reviewers."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from llmrec.modeling.projector import BLANK
from llmrec.pretraining.captions import SAID, Captions
from llmrec.pretraining.recipe import CaptionRecipe
from llmrec.pretraining.speaker import Speaker
from llmrec.progress import Progress


def retold(
    speaker: Speaker, captions: Captions, recipe: CaptionRecipe, progress: Progress | None = None
) -> dict[str, Any]:
    """Losses with the right picture, another item's and a blank one; answers to questions; captions found."""
    rng = np.random.default_rng(recipe.seed)
    asked = [code for code in rng.permutation(captions.held_out).tolist() if captions.caption(code)][: recipe.asked]
    questions = [*captions.columns, *([SAID] if captions.words else [])]

    def done(count: int) -> None:
        if progress:
            progress("asking about held-out pictures", count, len(questions) + 2)

    found: dict[str, Any] = {"asked": len(asked), "caption_loss": _losses(speaker, captions, asked)}
    done(1)
    found["answers"] = {}
    for number, name in enumerate(questions):
        told = _words(speaker, captions, asked) if name == SAID else _column(speaker, captions, asked, name)
        found["answers"] |= {name: told} if told else {}
        done(number + 2)
    found["picture_to_caption"] = _found(speaker, captions, asked[: recipe.among])
    done(len(questions) + 2)
    return found


def _losses(speaker: Speaker, captions: Captions, asked: Sequence[int]) -> dict[str, float]:
    """Nats a token of the captions after their own picture, after that of the next item, and after a blank one."""
    others = [*asked[1:], asked[0]] if asked else []
    found = {}
    for name, shown in (("right", asked), ("other", others), ("blank", [BLANK] * len(asked))):
        lines = [speaker.line(picture, captions.caption(code)) for picture, code in zip(shown, asked, strict=True)]
        costs, counts = speaker.each(lines)
        found[name] = float(costs.sum() / counts.sum().clamp(min=1))
    return found


def _column(speaker: Speaker, captions: Captions, asked: Sequence[int], name: str) -> dict[str, float] | None:
    """How often the model names the right value of a column, plainly and as the mean over values."""
    values = captions.columns[name]
    common = Counter(value for code in captions.taught.tolist() if (value := values[code]) is not None)
    codes = [code for code in asked if values[code] in common]
    if not codes:
        return None
    told = speaker.answers(codes, name, sorted(common))
    right = np.array([one == values[code] for one, code in zip(told, codes, strict=True)])
    kinds = np.array([str(values[code]) for code in codes])
    return {
        "accuracy": float(right.mean()),
        "balanced": float(np.mean([right[kinds == kind].mean() for kind in np.unique(kinds)])),
        "commonest": float((kinds == min(common, key=lambda value: (-common[value], value))).mean()),
        "values": len(common),
        "asked": len(codes),
    }


def _words(speaker: Speaker, captions: Captions, asked: Sequence[int]) -> dict[str, float] | None:
    """How often the first word that the model names is one that reviewers say of the item."""
    codes = [code for code in asked if captions.said[code]]
    if not codes:
        return None
    common = Counter(word for code in captions.taught.tolist() for word in captions.said[code])
    usual = min(common, key=lambda word: (-common[word], word))
    told = speaker.answers(codes, SAID, captions.words, end=",")
    return {
        "accuracy": float(np.mean([word in captions.said[code] for word, code in zip(told, codes, strict=True)])),
        "commonest": float(np.mean([usual in captions.said[code] for code in codes])),
        "values": len(captions.words),
        "asked": len(codes),
    }


def _found(speaker: Speaker, captions: Captions, asked: Sequence[int]) -> dict[str, float]:
    """How often a picture's own caption gains the most by it, over a blank picture, or is among ten that do."""
    if not asked:
        return {"recall@1": 0.0, "recall@10": 0.0, "among": 0}
    told = [captions.caption(code) for code in asked]
    gains = speaker.table([BLANK], told) - speaker.table(asked, told)
    rank = (gains >= torch.diagonal(gains)[:, None]).sum(dim=1)
    return {
        "recall@1": float((rank <= 1).float().mean()),
        "recall@10": float((rank <= 10).float().mean()),
        "among": len(asked),
    }
