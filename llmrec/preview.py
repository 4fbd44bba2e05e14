"""A page of examples as the model will read them: pictures in place, and what each part costs in tokens."""

import functools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmrec.artifact import read_json, staged_file
from llmrec.errors import InputError
from llmrec.example_files import MARKER, open_examples
from llmrec.page import page_template, thumbnail
from llmrec.progress import Progress
from llmrec.splits import PARTS
from llmrec.tokens import TokenMeter, load_tokenizer

THUMBNAIL = 160


@dataclass(frozen=True)
class Share:
    """One part of an example's tokens, for the bar above it."""

    name: str
    tokens: int


def write_preview(
    folder: Path, out: Path, *, part: str = "train", count: int = 32, seed: int = 0, progress: Progress | None = None
) -> int:
    """Draw examples evenly over the tasks and write the page; returns how many it shows."""
    if part not in PARTS:
        raise InputError(f"{part!r} is not a part. The parts are {', '.join(PARTS)}")
    info = read_json(folder, MARKER, kind="a folder of examples", remedy="Run: llmrec examples DATASET --out FOLDER")
    examples = open_examples(folder, part)
    chosen = _evenly_drawn(examples["task"], count, seed)
    if not chosen:
        raise InputError(f"The part {part!r} of {folder} has no examples. Choose another --part")
    meter = TokenMeter(load_tokenizer(info["tokenizer"]), info["recipe"]["picture_tokens"])
    undecoded = examples.with_format("arrow").select(chosen)[:].to_pylist()  # pictures stay paths
    small = functools.cache(functools.partial(thumbnail, side=THUMBNAIL))
    cards: dict[str, list[Mapping[str, Any]]] = {}
    for done, example in enumerate(undecoded, 1):
        cards.setdefault(example["task"], []).append(_card(example, meter, small))
        if progress:
            progress("preview", done, len(chosen))
    page = page_template("preview.html").render(info=info, part=part, tasks=cards, budget=info["recipe"]["budget"])
    with staged_file(out, mark="llmrec preview") as partial:
        partial.write_text(page, encoding="utf-8")
    return len(chosen)


def _evenly_drawn(tasks: Sequence[str], count: int, seed: int) -> list[int]:
    """Places of examples: as many of each task as there are, up to an equal share, ordered by task."""
    rng = random.Random(seed)
    places: dict[str, list[int]] = {}
    for place, task in enumerate(tasks):
        places.setdefault(task, []).append(place)
    for group in places.values():
        rng.shuffle(group)
    drawn: list[tuple[str, int]] = []
    while len(drawn) < count and any(places.values()):
        for task, group in places.items():
            if group and len(drawn) < count:
                drawn.append((task, group.pop()))
    order = list(places)
    return [place for task, place in sorted(drawn, key=lambda pair: order.index(pair[0]))]


def _card(example: Mapping[str, Any], meter: TokenMeter, small: Callable[[str], str | None]) -> Mapping[str, Any]:
    paths = [image["path"] for image in example["images"]]
    waiting = iter(paths)
    turns = []
    shares = []
    for turn in [*example["prompt"], *example["completion"]]:
        pieces = []
        for piece in turn["content"]:
            if piece["type"] == "image":
                pieces.append({"picture": small(next(waiting))})
            else:
                pieces.append({"text": piece["text"]})
        texts = [piece["text"] for piece in turn["content"] if piece["type"] == "text"]
        name = "answer" if turn["role"] == "assistant" else f"{turn['role']}'s words"
        shares.append(Share(name, int(meter.texts(texts).sum())))
        turns.append({"role": turn["role"], "pieces": pieces})
    shares.insert(-1, Share(f"{len(paths)} picture{'s' if len(paths) != 1 else ''}", len(paths) * meter.picture_tokens))
    return {**example, "turns": turns, "shares": shares, "total": sum(share.tokens for share in shares)}
