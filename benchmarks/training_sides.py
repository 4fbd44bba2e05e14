"""The sides of benchmarks/training.py: plain TRL, our tuner with plain letters, and our tuner with walks."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

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
from llmrec.modeling.transcript import Transcriber  # noqa: E402
from llmrec.prompts import Prompts, Turn  # noqa: E402
from llmrec.retrieval.index import Index  # noqa: E402
from llmrec.script import Line, of_like_length  # noqa: E402
from llmrec.tasks import Example  # noqa: E402
from llmrec.tuning.material import Batch, Material, Plan, picture_paths, written  # noqa: E402
from llmrec.tuning.recipe import TuningRecipe  # noqa: E402
from llmrec.tuning.run import new_ranker  # noqa: E402
from llmrec.tuning.trainer import Tuner  # noqa: E402

HISTORY, CANDIDATES = 8, 5  # items of an example, each with its picture
PLAIN, BARE, KEPT, WALKS = "plain", "letters_bare", "letters_kept", "walks"
GROUPED, BY_CHANCE = "letters_grouped", "letters_by_chance"


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

    recipe = ExampleRecipe(
        tasks={"sequential": 1.0},
        per_person=1,
        seed=seed,
        history=HISTORY,
        history_pictures=HISTORY,
        candidates=CANDIDATES,
        budget=1 << 16,
    )
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
    rows: Any = Rows(Plan([*[warm] * lab.scale.warm, *batches, batches[0]], 0, 0.0, 0.0), lines)
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
