"""Draws the atelier: a shop with pictures, people with known tastes, and a true reason for every choice.

Nothing is downloaded. What is made is a dataset folder like any other, and beside its tables a folder truth/ for
evaluation only: how each piece is drawn, what each person likes, why each choice was made, and what an oracle reaches.
The same sizes and seed give the same bytes. docs/atelier.md tells the rest.

examples:
  python data_builders/atelier.py --out work/atelier
  python data_builders/atelier.py --out work/tiny --size tiny --overwrite
  python data_builders/atelier.py --out work/big --items 10000 --users 100000 --interactions 1300000 --picture-size 128
"""

import argparse
import io
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrec.errors import InputError, LlmrecError
from llmrec.progress import Progress, shown_progress

if TYPE_CHECKING:
    from drawn.oracle import Verdict
    from drawn.vocabulary import Look
    from drawn.world import World

    from llmrec.dataset import Dataset


@dataclass(frozen=True)
class Size:
    """How much of everything; `picture` is the side of a picture in pixels."""

    items: int
    users: int
    interactions: int
    picture: int


SIZES = {"tiny": Size(120, 60, 900, 64), "small": Size(1_500, 3_000, 40_000, 256)}
FEWEST_ITEMS, SMALLEST_PICTURE, LARGEST_PICTURE = 40, 16, 2048
PICTURES_WORTH_A_PROCESS = 300  # below this, starting processes costs more than it saves
JPEG_QUALITY = 90


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    size = SIZES[options.size]
    size = Size(
        items=size.items if options.items is None else options.items,
        users=size.users if options.users is None else options.users,
        interactions=size.interactions if options.interactions is None else options.interactions,
        picture=size.picture if options.picture_size is None else options.picture_size,
    )
    try:
        dataset, verdict = build(
            options.out, size, seed=options.seed, workers=options.workers, overwrite=options.overwrite
        )
    except LlmrecError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        sys.exit(130)
    print_summary(dataset, verdict)


def build(
    out: Path, size: Size, *, seed: int = 0, workers: int = 0, overwrite: bool = False
) -> "tuple[Dataset, Verdict]":
    """Draw a world, judge it with the oracle, draw its pictures and write it all as a dataset folder."""
    _check(out, size, seed, overwrite)
    from drawn import oracle, world

    from llmrec.dataset import write_dataset

    with shown_progress() as progress:
        shop = world.draw_world(size.items, size.users, size.interactions, seed, progress)
        interactions, truth = world.interactions_tables(shop, progress)
        verdict = oracle.judge(shop.catalogue, shop.people, shop.choices, progress=progress)
        with pictures(shop, size.picture, workers, progress) as drawn:
            dataset = write_dataset(
                out,
                world.items_table(shop),
                interactions,
                name="atelier",
                licence="CC0-1.0",
                source=f"drawn by data_builders/atelier.py with seed {seed}",
                images=drawn,
                rating_scale=(1.0, 5.0),
                overwrite=overwrite,
                notes={
                    "seed": seed,
                    "picture_size": size.picture,
                    "truth": "truth/ holds the hidden truth: for evaluation only, never for training or prompts",
                    "oracle": oracle.figures(verdict),
                },
                truth={
                    "interactions": truth,
                    "items": world.items_truth(shop),
                    "people": world.people_truth(shop),
                    "oracle": oracle.ranks_table(verdict, shop.catalogue, shop.people),
                },
            )
    return dataset, verdict


@contextmanager
def pictures(
    shop: "World", size: int, workers: int, progress: Progress | None = None
) -> Iterator[Iterator[tuple[str, bytes]]]:
    """Yield pairs of item id and JPEG, drawn as they are asked for, by several processes where there are many."""
    import numpy as np

    goods = sorted(shop.catalogue.goods, key=lambda piece: piece.id)
    seeds = np.random.SeedSequence(shop.seed, spawn_key=(4,)).generate_state(len(goods))
    jobs = [(piece.look, int(seed), size) for piece, seed in zip(goods, seeds, strict=True)]
    workers = workers or min(4, os.cpu_count() or 1)

    def counted(drawn: Iterator[bytes]) -> Iterator[tuple[str, bytes]]:
        for done, (piece, content) in enumerate(zip(goods, drawn, strict=True), 1):
            if progress:
                progress("drawing", done, len(goods))
            yield piece.id, content

    if workers == 1 or len(goods) < PICTURES_WORTH_A_PROCESS:
        yield counted(map(_picture, jobs))
        return
    with multiprocessing.get_context("spawn").Pool(workers, initializer=_unmoved) as pool:
        yield counted(pool.imap(_picture, jobs, chunksize=16))


def _unmoved() -> None:
    """Ctrl-C reaches every process of a terminal: the first one ends the others, which would only leave it waiting."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _picture(job: "tuple[Look, int, int]") -> bytes:
    from drawn.pictures import draw

    look, seed, size = job
    file = io.BytesIO()
    draw(look, seed, size).convert("RGB").save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def print_summary(dataset: "Dataset", verdict: "Verdict") -> None:
    """What was made, and what an oracle and simple methods reach on it."""
    from drawn import oracle
    from rich.console import Console
    from rich.table import Table

    console = Console()
    counts = dataset.info["counts"]
    console.print(
        f"{dataset.folder}: {counts['items']:,} items with {counts['pictures']:,} pictures, "
        f"{counts['users']:,} people, {counts['interactions']:,} interactions, {counts['reviews']:,} reviews"
    )
    table = Table(title="Leave-one-out, all released and not yet owned pieces ranked")
    table.add_column("who ranks")
    for column in ("HR@10", "NDCG@10"):
        table.add_column(column, justify="right")
        table.add_column("95 %", justify="right")
    for variant, what in oracle.VARIANTS.items():
        score = verdict.score(variant)
        cells = []
        for value, (low, high) in ((score.hit_rate, score.hit_rate_interval), (score.ndcg, score.ndcg_interval)):
            cells += [f"{value:.3f}", f"{low:.3f} to {high:.3f}"]
        table.add_row(what, *cells)
    console.print(table)
    console.print(f"Sight is worth {verdict.worth_of_sight():.0%} of the oracle's NDCG@10.")
    console.print(f"Next: llmrec validate {dataset.folder}", highlight=False)


def _check(out: Path, size: Size, seed: int, overwrite: bool) -> None:
    """Say what is wrong before any work is done."""
    from drawn.people import FEWEST

    if size.items < FEWEST_ITEMS:
        raise InputError(f"{size.items} items are too few for a shop. Ask for --items {FEWEST_ITEMS} or more")
    if size.users < 1:
        raise InputError(f"{size.users} people are too few. Ask for --users 1 or more")
    if size.interactions < FEWEST * size.users:
        needed = FEWEST * size.users
        raise InputError(
            f"{size.interactions:,} interactions are too few for {size.users:,} people, who have {FEWEST} at least. "
            f"Ask for --interactions {needed} or more, or for fewer --users"
        )
    if not SMALLEST_PICTURE <= size.picture <= LARGEST_PICTURE:
        raise InputError(
            f"a picture of {size.picture} pixels cannot be drawn. Ask for {SMALLEST_PICTURE} to {LARGEST_PICTURE}"
        )
    if seed < 0:
        raise InputError(f"the seed is {seed}. Take 0 or a positive number")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists already. Take another --out, or add --overwrite to replace a dataset")


def _parser() -> argparse.ArgumentParser:
    summary, _, examples = (__doc__ or "").partition("\nexamples:")
    parser = argparse.ArgumentParser(
        prog="python data_builders/atelier.py",
        description=summary,
        epilog=f"examples:{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(name: str, help: str, **more: Any) -> None:
        parser.add_argument(name, help=help, **more)

    sizes = "; ".join(
        f"{name}: {size.items:,} items, {size.users:,} people, {size.interactions:,} interactions"
        for name, size in SIZES.items()
    )
    add("--out", "the dataset folder to write", type=Path, required=True, metavar="FOLDER")
    add("--size", f"{sizes} (default: small)", choices=sorted(SIZES), default="small")
    add("--items", "pieces in the catalogue, instead of the size's", type=int, metavar="N")
    add("--users", "people, instead of the size's", type=int, metavar="N")
    add("--interactions", "choices that the people make in all, instead of the size's", type=int, metavar="N")
    add("--seed", "another seed draws another shop (default: 0)", type=int, default=0, metavar="N")
    add("--picture-size", "side of a picture in pixels (default: 256; tiny: 64)", type=int, metavar="PIXELS")
    add(
        "--workers",
        "processes that draw pictures (default: the cores, 4 at most); the result is the same",
        type=int,
        default=0,
        metavar="N",
    )
    add("--overwrite", "replace a dataset that stands there", action="store_true")
    return parser


if __name__ == "__main__":
    main()
