"""Lets a tuned model speak: answers to prompts, decoded greedily, several at a time."""

from collections.abc import Sequence
from typing import Any

import torch

from llmrec.modeling.ranker import Ranker
from llmrec.modeling.transcript import Line, Transcriber
from llmrec.progress import Progress


@torch.no_grad()
def answers(
    ranker: Ranker,
    write: Transcriber,
    lines: Sequence[Line],
    *,
    longest: int = 96,
    batch_tokens: int = 4096,
    progress: Progress | None = None,
) -> list[str]:
    """What the model says to each prompt. Items are no words of such an answer: it is text alone."""
    training = ranker.training
    ranker.eval()
    device = ranker.words.content.device
    order = sorted(range(len(lines)), key=lambda place: len(lines[place]))
    found = [""] * len(lines)
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and len(lines[order[end]]) * (end + 1 - begin) <= batch_tokens:
            end += 1
        some = [lines[place] for place in order[begin:end]]
        width = max(len(line) for line in some)
        pad = write.end
        tokens = torch.full((len(some), width), pad, dtype=torch.long)
        mask = torch.zeros((len(some), width), dtype=torch.long)
        for row, line in enumerate(some):  # on the left, so that all answers begin at one place
            tokens[row, width - len(line) :] = torch.tensor(line.tokens)
            mask[row, width - len(line) :] = 1
        shown = [code for line in some for code in line.pictures]
        pictures = write.album.visible(shown)["pictures"].to(device) if shown else None
        embedded = ranker.embedded(tokens.to(device), pictures)
        said: Any = ranker.stock.generate(
            inputs_embeds=embedded,
            attention_mask=mask.to(device),
            max_new_tokens=longest,
            do_sample=False,
            pad_token_id=pad,
            eos_token_id=write.end,
        )
        texts = write.base.tokenizer.batch_decode(said, skip_special_tokens=True)
        for place, text in zip(order[begin:end], texts, strict=True):
            found[place] = text.strip()
        begin = end
        if progress:
            progress("answering", begin, len(order))
    ranker.train(training)
    return found
