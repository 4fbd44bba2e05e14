"""Lets a tuned model speak: answers to prompts, decoded greedily, several at a time."""

from collections.abc import Sequence
from typing import Any

import torch

from llmrec.modeling.ranker import Ranker
from llmrec.modeling.transcript import Line, Transcriber, of_like_length
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
    found = [""] * len(lines)
    done = 0
    for places in of_like_length([len(line) for line in lines], batch_tokens):
        some = [lines[place] for place in places]
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
        for place, text in zip(places, texts, strict=True):
            found[place] = text.strip()
        done += len(places)
        if progress:
            progress("answering", done, len(lines))
    ranker.train(training)
    return found
