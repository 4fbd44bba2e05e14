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
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from learning import stage
from record import arguments, record
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from llmrec.config import load_config  # noqa: E402  # the product lies beside this folder
from llmrec.dataset import Dataset  # noqa: E402
from llmrec.environment import device_for  # noqa: E402
from llmrec.examples import ExampleRecipe, ExampleSource  # noqa: E402
from llmrec.modeling.adapters import adapted  # noqa: E402
from llmrec.modeling.album import Album  # noqa: E402
from llmrec.modeling.assemble import assemble  # noqa: E402
from llmrec.modeling.bank import make_bank  # noqa: E402
from llmrec.modeling.base import Base, load_base  # noqa: E402
from llmrec.modeling.ranker import Ranker  # noqa: E402
from llmrec.modeling.transcript import Line, Transcriber, batch, of_like_length  # noqa: E402
from llmrec.prompts import Prompts, Turn  # noqa: E402
from llmrec.retrieval.index import Index  # noqa: E402
from llmrec.tasks import Example  # noqa: E402
from llmrec.tuning.material import Batch, Material, Plan, picture_paths, written  # noqa: E402
from llmrec.tuning.recipe import TuningRecipe  # noqa: E402
from llmrec.tuning.run import new_ranker  # noqa: E402
from llmrec.tuning.trainer import Tuner  # noqa: E402

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "numpy")
HISTORY, CANDIDATES = 8, 5  # items of an example, each with its picture
FILLED = 4  # the fewest lines of a batch where padding is looked at: a batch of one has none
PLAIN, BARE, KEPT, WALKS = "plain", "letters_bare", "letters_kept", "walks"
GROUPED, BY_CHANCE = "letters_grouped", "letters_by_chance"
PEAKS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121}  # TFLOP/s in dense bfloat16, as published


@dataclass(frozen=True)
class Scale:
    """How much is measured: what fits the machine."""

    layers: int
    """Layers of the tower; CLIP-L has 24."""
    side: int
    """Pixels of a picture's edge; CLIP-L reads 224."""
    examples: int
    """Examples a round, of every side that learns letters."""
    walks: int
    """Batches of walks a round."""
    rounds: int
    tried: tuple[int, ...]
    """Batch sizes that the plain side may choose from."""
    budget: int
    """Tokens of a batch of walks."""
    warm: int = 1
    """Steps before each measurement."""
    workers: int = 0
    """Processes that open the plain side's pictures ahead; without a GPU they take the cores that compute."""


QUICK = Scale(layers=1, side=42, examples=4, walks=3, rounds=2, tried=(1, 2), budget=256)
CPU = Scale(layers=12, side=56, examples=8, walks=5, rounds=3, tried=(1, 2, 4), budget=768)
GPU = Scale(
    layers=24, side=224, examples=512, walks=64, rounds=5, tried=(4, 8, 16, 32), budget=16_384, warm=3, workers=8
)


class Clock(TrainerCallback):
    """When each step ended and how much memory the process then held; stops after `steps`."""

    def __init__(self, steps: int | None = None):
        self.steps, self.ends, self.resident = steps, list[float](), list[float]()

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:  # noqa: ARG002
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.resident.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        control.should_training_stop |= self.steps is not None and len(self.ends) >= self.steps


class Forgetful(Album):
    """An album that keeps nothing from one batch to the next."""

    def visible(self, codes: Sequence[int]) -> dict[str, torch.Tensor]:
        found = super().visible(codes)
        self._kept.clear()
        self._bytes = 0
        return found


class Lean(SFTTrainer):
    """TRL's trainer that asks for the vocabulary at the answer alone.

    So does TRL itself on a GPU. Where there is no Triton it scores every position of the prompt, which can take longer
    than the model: beside a side that wastes this, ours would be flattered.
    """

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """The mean over the answers' tokens."""
        labels = inputs.pop("labels")[:, 1:]
        places = (labels >= 0).any(dim=0).nonzero()[:, 0]
        logits = model(**inputs, use_cache=False, logits_to_keep=places).logits
        return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels[:, places].flatten())


@dataclass(frozen=True)
class Rows:
    """Some batches in the shape in which the tuner asks for its material."""

    plan: Plan
    lines: Callable[[Batch], list[Line]]


@dataclass(frozen=True)
class Pace:
    """What one side did in one round."""

    targets: int
    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        """Targets a second."""
        return self.targets / self.seconds


@dataclass(frozen=True)
class Lab:
    """All that the sides share, and one model for each of the two."""

    recipe: TuningRecipe
    scale: Scale
    base: Base
    plain_base: Base
    plain_model: Any
    ranker: Ranker
    material: Material
    album: Album
    paths: list[Path | None]
    examples: list[Example]
    lines: list[Line]
    """The same examples as our tuner reads them."""

    def some(self, turn: int, count: int) -> list[int]:
        """The examples of one round by number; where there are too few, some come again."""
        return list(islice(cycle(range(len(self.examples))), turn * count, (turn + 1) * count))


def draw_parts(folder: Path, scale: Scale, language: str, seed: int) -> None:
    """A tower in the shape of CLIP-L, a language model, and the two as one model; kept once they are there."""
    import transformers

    hf: Any = transformers
    if (folder / "model" / "manifest.json").exists():
        return
    torch.manual_seed(seed)
    shape = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "patch_size": 14}
    config = hf.CLIPVisionConfig(num_hidden_layers=scale.layers, image_size=scale.side, **shape)
    hf.CLIPVisionModel(config).save_pretrained(folder / "tower")
    square = {"height": scale.side, "width": scale.side}
    pictures = hf.CLIPImageProcessorPil(size={"shortest_edge": scale.side}, crop_size=square)
    pictures.save_pretrained(folder / "tower")
    name = language
    if language == "random":
        from llmrec.tokens import load_tokenizer

        tokenizer = load_tokenizer("starter")
        small = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 4}
        ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        config = hf.LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **small, **ends)
        hf.LlamaForCausalLM(config).save_pretrained(folder / "language")
        tokenizer.save_pretrained(folder / "language")
        name = str(folder / "language")
    assemble(folder / "tower", folder / "model", language=name, seed=seed, overwrite=True)


def open_lab(index_folder: Path, model: Path, scale: Scale, seed: int, **changes: Any) -> Lab:
    """Load everything as `llmrec.sft` does, and the model once more for the plain side."""
    device = device_for("auto")
    given = [f"model={model}", f"index={index_folder}", f"out={model.parent / 'out'}", f"seed={seed}"]
    recipe = load_config(TuningRecipe, ROOT / "train" / "starter.yaml", [*given, "talks.count=0", "watch=0"])
    quiet = {"save_strategy": "no", "logging_steps": 1_000_000, "disable_tqdm": True}
    trainer = {**recipe.trainer, **quiet}
    recipe = replace(recipe, prompts=ROOT / "prompts", trainer=trainer, batch_tokens=scale.budget, **changes)
    index = Index.open(recipe.index)
    dataset = index.dataset(None)
    split, prompts = index.split(dataset), Prompts.load(recipe.prompts)
    options: dict[str, Any] = {"dtype": recipe.dtype, "device": device, "train": True}
    base, plain_base = load_base(recipe.model, **options), load_base(recipe.model, **options)
    one = recipe.adapter
    shape: dict[str, Any] = {"targets": one.targets, "rank": one.rank, "alpha": one.alpha, "dropout": one.dropout}
    plain_model = adapted(plain_base, one.kind, **shape)
    paths = picture_paths(dataset)
    write = Transcriber(base, Album(base, paths))
    ranker = new_ranker(recipe, base, make_bank(index, split, kinds=recipe.words.content))
    material = Material(recipe, dataset, split, prompts, write)
    examples = letter_examples(dataset, prompts, write, seed)
    lines = [write.talk([Turn(role, written(said)) for role, said in one.prompt], one.answer) for one in examples]
    return Lab(recipe, scale, base, plain_base, plain_model, ranker, material, write.album, paths, examples, lines)


def letter_examples(dataset: Dataset, prompts: Prompts, write: Transcriber, seed: int) -> list[Example]:
    """One example a person: which of the candidates comes next, answered by its letter alone."""
    from llmrec.tokens import TokenMeter

    shown = {"history": HISTORY, "history_pictures": HISTORY, "candidates": CANDIDATES, "budget": 1 << 16}
    recipe = ExampleRecipe(tasks={"sequential": 1.0}, per_person=1, seed=seed, **shown)
    source = ExampleSource(dataset, prompts, TokenMeter(write.base.tokenizer, write.album.usual), recipe)
    rows = source.rows("train")
    return [
        one for one in source.examples(rows, source.said(rows), "train") if one.answer == one.label in source.labels
    ]


def timed(trainer: Any, warm: int, steps: int) -> float:
    """Seconds of so many steps after the warm ones, the next batch's preparation in each of them.

    The loader prepares one batch ahead. So the batches end with the first measured one once more: it is prepared, not
    learnt, and exactly the measured batches' preparation lies within the time.
    """
    clock = Clock(warm + steps)
    trainer.add_callback(clock)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    assert len(clock.ends) == warm + steps, "the trainer stopped early"
    return clock.ends[-1] - clock.ends[warm - 1]


def run_plain(lab: Lab, places: Sequence[int], size: int, *, lean: bool = True) -> Pace:
    """TRL's trainer on examples with their pictures as files, in batches of this size."""
    from datasets import Dataset as Table
    from datasets import Image, List

    warm = lab.scale.warm * size
    ordered = [*islice(cycle(places), warm), *places, *places[:size]]
    rows = [plain_row(lab.examples[place], lab.paths) for place in ordered]
    model = lab.plain_base.model
    config = SFTConfig(
        output_dir=str(lab.recipe.out / "plain"),
        per_device_train_batch_size=size,
        num_train_epochs=1,
        max_length=None,
        train_sampling_strategy="sequential",  # the same people in the same order as the other sides
        gradient_checkpointing=False,
        bf16=model.dtype is torch.bfloat16,
        use_cpu=model.device.type == "cpu",
        dataloader_num_workers=lab.scale.workers,
        dataloader_pin_memory=model.device.type == "cuda",
        learning_rate=lab.recipe.trainer["learning_rate"],
        lr_scheduler_type="cosine",
        report_to="none",
        save_strategy="no",
        logging_steps=1_000_000,
        disable_tqdm=True,
        seed=lab.recipe.seed,
    )
    trainer = (Lean if lean else SFTTrainer)(
        model=lab.plain_model,
        args=config,
        train_dataset=Table.from_list(rows).cast_column("images", List(Image())),
        processing_class=lab.plain_base.processor,
    )
    seconds = timed(trainer, lab.scale.warm, len(places) // size)
    return Pace(len(places), sum(len(lab.lines[place]) for place in places), seconds)


def plain_row(example: Example, paths: Sequence[Path | None]) -> dict[str, Any]:
    """An example as TRL's documentation shows one with pictures."""
    said = [
        {
            "role": role,
            "content": [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "text": None}
                for part in parts
            ],
        }
        for role, parts in example.prompt
    ]
    shown = [str(paths[part]) for _, parts in example.prompt for part in parts if isinstance(part, int)]
    answer = [{"role": "assistant", "content": [{"type": "text", "text": example.answer}]}]
    return {"images": shown, "prompt": said, "completion": answer}


def check_same(lab: Lab) -> None:
    """Both sides must read the same tokens and learn the same letter."""
    from PIL import Image
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    row = plain_row(lab.examples[0], lab.paths)
    row["images"] = [Image.open(path) for path in row["images"]]
    for turn in row["prompt"]:
        turn["content"] = [{name: one[name] for name in one if one[name] is not None} for one in turn["content"]]
    collate = DataCollatorForVisionLanguageModeling(lab.plain_base.processor, completion_only_loss=True)
    made = collate([row])
    own = lab.lines[0]
    read, learnt = made["input_ids"][0].tolist(), made["labels"][0].tolist()
    if read[: len(own)] != own.tokens or learnt[: len(own)] != own.labels:
        raise SystemExit("The two sides do not read the same example, so their speeds cannot be compared")


def run_ours(
    lab: Lab, warm: Batch, batches: Sequence[Batch], lines: Callable[[Batch], list[Line]], album: Album
) -> float:
    """Seconds of our tuner for these batches."""
    rows: Any = Rows(Plan([*[warm] * lab.scale.warm, *batches, batches[0]], 0, 0.0), lines)
    return timed(Tuner(lab.recipe, lab.base, lab.ranker, rows, album, dict), lab.scale.warm, len(batches))


def run_letters(lab: Lab, places: Sequence[int], size: int, album: Album, *, grouped: bool) -> Pace:
    """Our tuner on the plain side's examples: `size` a batch, or grouped by length up to as many tokens."""
    lines = [lab.lines[place] for place in places]
    lengths = [len(line) for line in lines]
    by_chance = [list(range(begin, min(begin + size, len(lines)))) for begin in range(0, len(lines), size)]
    cut = list(of_like_length(lengths, size * max(lengths))) if grouped else by_chance
    batches = [Batch(False, tuple(int(place) for place in some)) for some in cut]
    seconds = run_ours(lab, Batch(False, (0,)), batches, lambda one: [lines[key] for key in one.keys], album)
    return Pace(len(lines), sum(lengths), seconds)


def run_walks(lab: Lab, turn: int) -> Pace:
    """Our tuner as it is: the next batches of its own plan."""
    batches = list(islice(cycle(lab.material.plan.batches), turn * lab.scale.walks, (turn + 1) * lab.scale.walks))
    lines = [line for some in batches for line in lab.material.lines(some)]
    # The first item of a walk is learnt too, but nothing of the person is known there: it is not counted.
    targets = sum(sum(label >= 0 for label in line.labels) - 1 for line in lines)
    seconds = run_ours(lab, batches[0], batches, lab.material.lines, lab.album)
    return Pace(targets, sum(len(line) for line in lines), seconds)


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
