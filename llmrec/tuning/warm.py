"""Item words before the language model: a light reader of histories teaches the projectors what goes with what.

That costs a hundredth of a pass through a language model, and afterwards the answers already lie so that items that are
taken by the same people are near each other; the language model has only to learn to ask. Then the reader, standing
still, is its teacher.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from llmrec.log import Codes
from llmrec.modeling.light import LightReader, Teacher
from llmrec.modeling.ranker import Ranker
from llmrec.progress import Progress

PEOPLE = 96  # histories in a step
RATE = 3e-3
BEGINNING = 30  # steps in which the rate rises


def warm_up(
    ranker: Ranker,
    histories: Sequence[Codes],
    *,
    passes: int,
    longest: int,
    seed: int,
    masked: float = 0.0,
    progress: Progress | None = None,
) -> tuple[Teacher, float]:
    """Teach the words of a ranker, in place; returns the teacher, and its loss in the last pass in nats an item."""
    words = ranker.words
    device = words.content.device
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    people = [history for history in histories if len(history) > 1]
    reader = LightReader(words.hidden, words.rank).to(device)
    taught = [value for name, value in words.named_parameters() if not name.startswith("ask.")]
    optimizer = torch.optim.AdamW([*taught, *reader.parameters()], lr=RATE, weight_decay=0.05)
    steps = passes * math.ceil(len(people) / PEOPLE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    ranker.train()
    lost, step = math.nan, 0
    for _ in range(passes):
        total, targets = 0.0, 0
        for some in np.array_split(rng.permutation(len(people)), math.ceil(len(people) / PEOPLE)):
            tokens = _window([people[place] for place in some.tolist()], longest, rng).to(device)
            read = tokens if masked else tokens[:, :-1]
            known, place = torch.unique(read.clamp(min=0), return_inverse=True)
            made = words.as_one(known)
            wanted = tokens[:, 1:]
            vectors = nn.functional.embedding(place, made)  # an index would add its gradients up in an order of chance
            asked = reader(vectors[:, : wanted.shape[1]], tokens[:, :-1] >= 0)
            questions, answers = asked[wanted >= 0], wanted[wanted >= 0]
            if masked:
                more, left_out = _masked(reader, vectors, tokens, masked)
                questions, answers = torch.cat([questions, more]), torch.cat([answers, left_out])
            loss, count = ranker.item_loss(questions, answers), len(answers)
            optimizer.zero_grad()
            torch.autograd.backward(loss / count)
            nn.utils.clip_grad_norm_([*taught, *reader.parameters()], 1.0)
            optimizer.step()
            schedule.step()
            total, targets, step = total + float(loss.detach()), targets + count, step + 1
            if progress:
                progress("teaching item words", step, steps)
        lost = total / max(1, targets)
    ranker.zero_grad()
    ranker.eval()
    with torch.no_grad():
        read, write = words.as_one(torch.arange(len(words.content), device=device)), words.outputs()
    return Teacher(reader.eval().requires_grad_(False), read, write, ranker.vocabulary), lost


def _masked(reader: LightReader, vectors: Tensor, tokens: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Items left out of histories at random, and what is asked for in their place by all others, before and after."""
    there = tokens >= 0
    hidden = there & (torch.rand(tokens.shape, device=tokens.device) < share)
    hidden &= (there & ~hidden).any(dim=1, keepdim=True)  # from nothing there is nothing to guess
    asked = reader(vectors, there & ~hidden)[:, -1]
    return nn.functional.embedding(hidden.nonzero()[:, 0], asked), tokens[hidden]


def _window(histories: Sequence[Codes], longest: int, rng: np.random.Generator) -> Tensor:
    """Histories side by side, a random stretch of those that are too long; -1 where one has ended."""
    cut = []
    for history in histories:
        begin = int(rng.integers(len(history) - longest + 1)) if len(history) > longest else 0
        cut.append(history[begin : begin + longest])
    found = np.full((len(cut), max(map(len, cut))), -1, dtype=np.int64)
    for row, items in zip(found, cut, strict=True):
        row[: len(items)] = items
    return torch.from_numpy(found)


def _rate(step: int, steps: int) -> float:
    """Rises over the first steps and falls as a cosine."""
    return min(1.0, (step + 1) / BEGINNING) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))
