"""Lets a tuned model speak: answers to prompts, several at a time, and explanations held against what is known."""

from collections.abc import Sequence
from typing import Any

import torch

from llmrec.features import SENTENCE, Features
from llmrec.modeling.ranker import Ranker
from llmrec.modeling.transcript import Transcriber, batch
from llmrec.progress import Progress
from llmrec.script import Line, of_like_length

TRIES = 4
WARMTH = 0.8  # temperature of what is asked again


def mute(ranker: Ranker, write: Transcriber) -> str | None:
    """Why a model cannot be let speak in this process, which would not be as it learnt to; None where it can."""
    if len(ranker.soft.weight):
        return "a soft prompt stands before its lines, which an answer written word by word does not have here"
    if write.album.has_pictures and hasattr(ranker.stock.model, "get_rope_index"):
        return (
            "it counts pictures by rows and columns, which answers written word by word do not here: serve it by vLLM"
        )
    return None


@torch.no_grad()
def answers(
    ranker: Ranker,
    write: Transcriber,
    lines: Sequence[Line],
    *,
    longest: int = 96,
    batch_tokens: int = 4096,
    temperature: float = 0.0,
    progress: Progress | None = None,
) -> list[str]:
    """What the model says to each prompt, the likeliest words or drawn ones. Items are no words of such an answer."""
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
            do_sample=temperature > 0,
            temperature=temperature or None,
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


@torch.no_grad()
def next_words(
    ranker: Ranker,
    write: Transcriber,
    lines: Sequence[Line],
    tokens: torch.Tensor,
    *,
    batch_tokens: int = 4096,
    progress: Progress | None = None,
) -> torch.Tensor:
    """How the model rates each of some tokens as the next one behind each prompt: one row of logits a line."""
    training = ranker.training
    ranker.eval()
    device = ranker.words.content.device
    head = ranker.stock.get_output_embeddings()
    asked = tokens.to(head.weight.device)
    bias = None if getattr(head, "bias", None) is None else head.bias[asked].float()
    rows = head.weight[asked].float()  # in full: half precision ties too many
    found = torch.empty((len(lines), len(tokens)))
    done = 0
    for some in of_like_length([len(line) for line in lines], batch_tokens):
        made = batch([lines[place] for place in some], pad=write.end, album=write.album)
        del made["labels"]
        last = ranker.last(**{name: value.to(device) for name, value in made.items()})
        found[torch.as_tensor(some)] = torch.nn.functional.linear(last.float(), rows, bias).cpu()
        done += len(some)
        if progress:
            progress("asking for labels", done, len(lines))
    ranker.train(training)
    return found


def explanations(
    ranker: Ranker,
    write: Transcriber,
    lines: Sequence[Line],
    items: Sequence[int],
    features: Features,
    *,
    own: Sequence[str],
    first: Sequence[str] | None = None,
    longest: int = 96,
    batch_tokens: int = 4096,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[list[str], list[int]]:
    """Explanations of items that name no feature which nobody knows of them, and how often each was asked for.

    An answer loses the sentences that may not be said. Where none is left the model is asked again, with chance in it,
    and after TRIES nothing is said. `own` are the items' own texts; `first` what it was heard to say already.
    """
    known = [features.known(item, own[item]) for item in items]
    found, asked = [""] * len(lines), [0] * len(lines)
    torch.manual_seed(seed)
    for attempt in range(TRIES):
        left = [place for place, text in enumerate(found) if not text]
        if not left:
            break
        texts = (
            first
            if first is not None and not attempt
            else answers(
                ranker,
                write,
                [lines[place] for place in left],
                longest=longest,
                batch_tokens=batch_tokens,
                temperature=WARMTH if attempt else 0.0,
                progress=progress,
            )
        )
        for place, text in zip(left, texts, strict=True):
            said = [sentence for sentence in SENTENCE.split(text) if features.sayable(sentence, known[place])]
            found[place], asked[place] = " ".join(said), attempt + 1
    return found, asked
