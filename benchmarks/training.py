"""How many people-targets are learnt a second, ours beside plain TRL SFT: same model, data and machine in one run.

Plain: one example a person, its pictures opened and encoded by the tower at every step, one letter learnt. Ours: item
words, every position of a history a target. Between the two stand our tuner with the plain side's prompts and letters,
pictures kept or not, batches of like length or not, so that the gain is told apart in its parts. Sides alternate, and
ratios are taken within a round, since machines are noisy. The tower has the shape of CLIP-L and random weights, the
language model is the starter's or a small random one. A share of the chip's peak is measured where there is a GPU.

examples:
  python benchmarks/training.py --quick
  python benchmarks/training.py --work work/training --json benchmarks/results/training.json
  python benchmarks/training.py --layers 24 --side 224 --examples 2
"""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from llmrec.environment import keep_few_products  # noqa: E402  # the product lies beside this folder

keep_few_products()  # as `python -m llmrec.sft` does, before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from chain import stage  # noqa: E402
from record import arguments, record  # noqa: E402
from training_sides import (  # noqa: E402
    BARE,
    BY_CHANCE,
    CPU,
    GPU,
    GROUPED,
    KEPT,
    PLAIN,
    QUICK,
    WALKS,
    Clock,
    Forgetful,
    Lab,
    Pace,
    check_same,
    draw_parts,
    open_lab,
    run_letters,
    run_plain,
    run_walks,
)
from transformers import PrinterCallback  # noqa: E402

from llmrec.config import load_config  # noqa: E402
from llmrec.modeling.transcript import batch  # noqa: E402
from llmrec.script import Line, of_like_length  # noqa: E402
from llmrec.tuning.recipe import TuningRecipe  # noqa: E402
from llmrec.tuning.trainer import Tuner  # noqa: E402

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "numpy")
FILLED = 4  # the fewest lines of a batch where padding is looked at: a batch of one has none
PEAKS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121}  # TFLOP/s in dense bfloat16, as published


def padding(batches: Sequence[Sequence[int]]) -> float:
    """The share of filling in batches of lines of these lengths."""
    real = sum(sum(lengths) for lengths in batches)
    return 1 - real / sum(max(lengths) * len(lengths) for lengths in batches)


def paddings(lab: Lab, size: int) -> dict[str, float]:
    """Of all batches of our plan as they really are, and of letters in the order of chance and by length."""
    walks = [[len(line) for line in lab.material.lines(one)] for one in lab.material.plan.batches]
    lengths = [len(line) for line in lab.lines]
    cut = of_like_length(lengths, size * max(lengths), np.random.default_rng(0))
    by_chance = [lengths[begin : begin + size] for begin in range(0, len(lengths), size)]
    return {
        "padding": padding(walks),
        "padding_as_planned": lab.material.plan.padding,
        "padding_letters": padding([[lengths[place] for place in some] for some in cut]),
        "padding_letters_by_chance": padding(by_chance),
    }


def losses_apart(lab: Lab, lines: Sequence[Line]) -> float:
    """The biggest difference between a line's loss in a batch and alone."""
    ranker = lab.ranker.eval()

    @torch.no_grad()
    def each(some: Sequence[Line]) -> list[float]:
        made = batch(some, pad=0, album=lab.album)
        made = {name: value.to(ranker.words.content.device) for name, value in made.items()}
        labels = made.pop("labels")[:, 1:]
        hidden = ranker.hidden(**made)[:, :-1]
        found = []
        for row in range(len(some)):
            torch.manual_seed(0)  # items that stand against a text are drawn
            loss = ranker.losses(hidden[row : row + 1], labels[row : row + 1])
            found.append(float(loss.item + loss.text) / (loss.items + loss.texts))
        return found

    together = each(lines)
    alone = [each([line])[0] for line in lines]
    ranker.train()
    return float(np.abs(np.array(together) - np.array(alone)).max())


def memory_growth(index: Path, model: Path, seed: int, *, quick: bool) -> dict[str, float]:
    """How the process grows over a run of walks and talks: the last third of its steps against the first."""
    scale = replace(QUICK, budget=128)
    changed = load_config(TuningRecipe, ROOT / "train" / "starter.yaml", [])
    talks, walks = replace(changed.talks, count=8), replace(changed.walks, passes=4 if quick else 8)
    lab = open_lab(index, model, scale, seed, talks=talks, walks=walks)
    clock = Clock()
    tuner = Tuner(lab.recipe, lab.base, lab.ranker, lab.material, lab.album, dict)
    tuner.add_callback(clock)
    tuner.remove_callback(PrinterCallback)
    tuner.train()
    held = clock.resident[len(clock.resident) // 10 :]
    third = len(held) // 3
    first, last = median(held[:third]), median(held[-third:])
    return {"memory_steps": len(clock.resident), "memory_mib": last, "memory_growth": last / first - 1}


def of_the_chip(lab: Lab, tokens_a_second: float, peak: float | None) -> dict[str, float]:
    """The operations of a step of walks, as counted, against a large product of matrices and the published peak."""
    from torch.utils.flop_counter import FlopCounterMode

    device = lab.ranker.words.content.device
    lines = lab.material.lines(lab.material.plan.batches[0])
    made = {name: value.to(device) for name, value in batch(lines, pad=0).items()}
    with FlopCounterMode(display=False) as counter:
        with torch.autocast(device.type, torch.bfloat16, enabled=lab.base.model.dtype is torch.bfloat16):
            loss = lab.ranker(**made)["loss"]
        loss.backward()
    lab.ranker.zero_grad()
    achieved = counter.get_total_flops() / sum(len(line) for line in lines) * tokens_a_second
    edge = 8192 if device.type == "cuda" else 1024
    left = torch.ones(edge, edge, device=device, dtype=lab.base.model.dtype)
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        _ = left @ left
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    figures = {"tflops": achieved / 1e12, "share_of_large_product": achieved / (2 * edge**3 / min(seconds))}
    if device.type == "cuda":
        name = torch.cuda.get_device_name()
        published = peak or next((tera for chip, tera in PEAKS.items() if chip in name), None)
        if published:
            figures["share_of_peak"] = achieved / (published * 1e12)
    return figures


def best_batch(lab: Lab) -> tuple[int, bool, dict[str, float]]:
    """The batch size at which the plain side learns most a second, and whether it should be lean."""
    rates: dict[tuple[int, bool], float] = {}
    places = lab.some(0, max(lab.scale.tried))
    for size in lab.scale.tried:
        for lean in (True, False) if size == lab.scale.tried[0] or torch.cuda.is_available() else (True,):
            try:
                rates[size, lean] = run_plain(lab, places, size, lean=lean).rate
            except torch.OutOfMemoryError:
                continue
    print("plain:", {f"{size}{' lean' * lean}": round(rate, 3) for (size, lean), rate in rates.items()}, flush=True)
    told = {f"plain_batch_{size}_{'lean' if lean else 'stock'}": rate for (size, lean), rate in rates.items()}
    return *max(rates, key=lambda one: rates[one]), told


def race(lab: Lab, size: int, lean: bool) -> dict[str, list[Pace]]:
    """Every side in every round, each second round in the other direction."""
    many = max(FILLED, size)
    bare = Forgetful(lab.base, lab.paths)
    sides: dict[str, Callable[[int, list[int]], Pace]] = {
        PLAIN: lambda _, places: run_plain(lab, places, size, lean=lean),
        BARE: lambda _, places: run_letters(lab, places, size, bare, grouped=False),
        KEPT: lambda _, places: run_letters(lab, places, size, lab.album, grouped=False),
        BY_CHANCE: lambda _, places: run_letters(lab, places, many, lab.album, grouped=False),
        GROUPED: lambda _, places: run_letters(lab, places, many, lab.album, grouped=True),
        WALKS: lambda turn, _: run_walks(lab, turn),
    }
    paces: dict[str, list[Pace]] = {name: [] for name in sides}
    for turn in range(lab.scale.rounds):
        places = lab.some(turn, lab.scale.examples)
        lab.album.visible([code for place in places for code in lab.lines[place].pictures])  # kept from here on
        for name in list(sides)[:: -1 if turn % 2 else 1]:
            paces[name].append(sides[name](turn, places))
            pace = paces[name][-1]
            print(
                f"round {turn + 1}: {name:16}{pace.rate:>10.3f} targets/s{pace.tokens / pace.seconds:>10.1f} tokens/s",
                flush=True,
            )
    return paces


def gain(figures: dict[str, float], name: str, above: list[float], below: list[float]) -> None:
    """The middle ratio of the rounds, with the least and the most."""
    ratios = [one / other for one, other in zip(above, below, strict=True)]
    figures[f"{name}_gain"] = median(ratios)
    figures[f"{name}_gain_least"], figures[f"{name}_gain_most"] = min(ratios), max(ratios)


def main() -> None:
    """Draw, measure, record."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--work", type=Path, default=Path("work/training"), metavar="DIR", help="where stages are kept")
    parser.add_argument("--language", choices=("starter", "random"), help="starter, and random where it is --quick")
    parser.add_argument("--layers", type=int, help="layers of the tower; CLIP-L has 24")
    parser.add_argument("--side", type=int, help="pixels of a picture's edge; CLIP-L reads 224")
    parser.add_argument("--examples", type=int, help="examples a round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--peak", type=float, metavar="TFLOPS", help="what the GPU's maker promises in bfloat16")
    asked = parser.parse_args()
    logging.getLogger("llmrec").setLevel(logging.ERROR)
    scale = QUICK if asked.quick else GPU if torch.cuda.is_available() else CPU
    chosen = {name: getattr(asked, name) for name in ("layers", "side", "examples", "rounds")}
    scale = replace(scale, **{name: value for name, value in chosen.items() if value})
    scale = replace(scale, tried=tuple(size for size in scale.tried if scale.examples % size == 0) or (1,))
    language = asked.language or ("random" if asked.quick else "starter")
    began = time.perf_counter()
    work = asked.work.absolute()
    parts = work / f"{language}-{scale.layers}x{scale.side}-{asked.seed}"
    parts.mkdir(parents=True, exist_ok=True)
    draw_parts(parts, scale, language, asked.seed)
    minutes: dict[str, float] = {}
    for size in ("tiny",) if asked.quick else ("tiny", "small"):
        shop = [sys.executable, "data_builders/atelier.py", "--size", size, "--out", str(work / size)]
        stage(f"shop_{size}", work / size / "dataset.json", shop, minutes)
        index = [sys.executable, "-m", "llmrec", "index", str(work / size), "--out", str(parts / f"index-{size}")]
        index += ["parts=[neighbours, text, pictures]", f"picture_encoder={parts / 'tower'}", f"seed={asked.seed}"]
        stage(f"index_{size}", parts / f"index-{size}" / "index.json", index, minutes)
    figures: dict[str, float] = dict(minutes)
    figures |= memory_growth(parts / "index-tiny", parts / "model", asked.seed, quick=asked.quick)

    lab = open_lab(parts / f"index-{size}", parts / "model", scale, asked.seed)
    check_same(lab)
    tower = sum(value.numel() for value in lab.base.model.model.vision_tower.parameters())
    figures |= {"tower_layers": scale.layers, "tower_side": scale.side, "tower_parameters": tower}
    figures |= {"visual_tokens": lab.album.usual, "language_layers": len(lab.base.model.model.language_model.layers)}
    figures |= {"threads": torch.get_num_threads(), "letter_tokens": float(np.mean([len(one) for one in lab.lines]))}
    best, lean, tried = best_batch(lab)
    figures |= {"plain_batch": best, "plain_lean": lean, **tried}
    pictures = sorted({code for line in lab.lines[:64] for code in line.pictures})[:32]
    opened = time.perf_counter()
    Forgetful(lab.base, lab.paths).visible(pictures)
    a_picture = (time.perf_counter() - opened) / len(pictures)
    figures["picture_seconds"] = a_picture

    paces = race(lab, best, lean)
    rates = {name: [pace.rate for pace in some] for name, some in paces.items()}
    for name, some in paces.items():
        figures[f"{name}_targets_a_second"] = median(rates[name])
        figures[f"{name}_tokens_a_second"] = median(pace.tokens / pace.seconds for pace in some)
    # Ours reads picture vectors that the index holds. Here one pass through the histories pays for making all of them.
    a_pass = sum(min(len(lab.material.histories[one]), lab.recipe.walks.longest) - 1 for one in lab.material.people)
    once = a_picture * len(lab.paths) / a_pass
    figures["walk_targets_a_pass"] = a_pass
    paid = [1 / (1 / rate + once) for rate in rates[WALKS]]
    gain(figures, "people_targets", rates[WALKS], rates[PLAIN])
    gain(figures, "people_targets_with_pictures", paid, rates[PLAIN])
    gain(figures, "equal_losses", rates[KEPT], rates[PLAIN])
    gain(figures, "equal_losses_bare", rates[BARE], rates[PLAIN])
    gain(figures, "pictures_once", rates[KEPT], rates[BARE])
    gain(figures, "like_length", rates[GROUPED], rates[BY_CHANCE])
    gain(figures, "many_targets", rates[WALKS], rates[KEPT])
    figures |= paddings(lab, max(FILLED, best))
    walks = lab.material.lines(lab.material.plan.batches[0])[:16]
    by_length = sorted(lab.lines[:64], key=len)
    figures["walks_losses_apart"] = losses_apart(lab, walks)
    figures["letters_losses_apart"] = losses_apart(lab, [by_length[0], by_length[len(by_length) // 2], by_length[-1]])
    if torch.cuda.is_available():
        figures |= of_the_chip(lab, figures[f"{WALKS}_tokens_a_second"], asked.peak)
    figures["minutes"] = (time.perf_counter() - began) / 60
    print()
    for name, value in figures.items():
        print(f"  {name:40}{value:>14.6g}")
    near = 1e-4 if lab.base.model.dtype is torch.float32 else 5e-2
    reach = {
        "people_targets_with_pictures_gain_least": (">=", 5.0),
        "padding": ("<=", 0.1),
        "walks_losses_apart": ("<=", near),
        "letters_losses_apart": ("<=", near),
        "memory_growth": ("<=", 0.02),
        "minutes": ("<=", 15.0),
    }
    if not record("training", figures, reach, seed=asked.seed, packages=PACKAGES, file=asked.json):
        sys.exit(1)


if __name__ == "__main__":
    main()
