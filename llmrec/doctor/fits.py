"""Which tuning recipes this machine can run, what they need, and how long they take."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from llmrec.doctor.findings import named
from llmrec.errors import LlmrecError

USED: Mapping[str, float] = {"cpu": 0.7, "cuda": 0.35}
"""The share of the speed at which matrices are multiplied that a run reaches: on a CPU measured with the starter
(docs/doctor.md), on GPUs what is usual with short batches."""
ROOM = 0.95  # of what is free; above that it is tight
TIMES = ((20, "minutes"), (45, "about half an hour"), (90, "about an hour"), (480, "hours"), (2_000, "a day"))


Verdict = Literal["fits", "tight", "too large", "needs a GPU", "not known", "broken"]


@dataclass(frozen=True)
class Fit:
    """A recipe on this machine."""

    recipe: str
    verdict: Verdict
    needs: float | None = None
    """GiB of memory, of the GPU where it runs on one."""
    device: str = "cpu"
    time: str = ""
    """How long it takes on the drawn shop, in words."""
    model: str = ""
    parameters: float = 0.0
    why: str = ""
    made: bool = False
    """Whether the index and the model that it reads are there."""

    @property
    def command(self) -> str:
        """What runs it."""
        return f"python -m llmrec.sft {self.recipe}"


def fits(folder: Path, torch: Mapping[str, Any] | None, free: float) -> Iterator[Fit]:
    """Every tuning recipe of a folder; `torch` is what its probe measured, `free` the GiB of memory that are left."""
    from llmrec.config import read_yaml

    for path in sorted(folder.rglob("*.yaml")):
        try:
            if "index" not in read_yaml(path):
                continue  # it pretrains a tower or starts processes
            yield _fit(path, torch, free)
        except LlmrecError as error:
            yield Fit(str(path), "broken", why=str(error))
        except Exception as error:
            yield Fit(str(path), "broken", why=named(error))


def _fit(path: Path, torch: Mapping[str, Any] | None, free: float) -> Fit:
    from llmrec.config import load_config
    from llmrec.tuning.needs import arithmetic, memory, shape_of
    from llmrec.tuning.recipe import TuningRecipe

    recipe = load_config(TuningRecipe, path)
    gpus: Sequence[Mapping[str, Any]] = torch["devices"] if torch else ()
    gpu = max(gpus, key=lambda one: float(one["free"])) if gpus else None
    device = "cuda" if recipe.device.startswith("cuda") or (recipe.device == "auto" and gpu) else "cpu"
    made = recipe.index.is_dir() and (Path(recipe.model).is_dir() or recipe.model.count("/") == 1)
    shape = shape_of(recipe.model)
    if shape is None:
        return Fit(str(path), "not known", device=device, model=recipe.model, why="its size is not known here")
    computes = torch["computes_in"] if torch else "float32"
    wide = 2 if device == "cuda" or computes == "bfloat16" else 4
    needs = memory(recipe, shape, device=device, wide=wide)
    fit = Fit(str(path), "needs a GPU", needs, device, model=recipe.model, parameters=shape.parameters, made=made)
    if device == "cuda" and gpu is None:
        return fit
    room = float(gpu["free"]) if device == "cuda" and gpu else free
    verdict: Verdict = "fits" if needs <= ROOM * room else "tight" if needs <= room else "too large"
    speed = gpu["speed"] if device == "cuda" and gpu else torch["speed"][computes] if torch else None
    told = ""
    if speed and verdict != "too large":
        minutes = arithmetic(recipe, shape) * 1_000 / (speed * USED[device]) / 60
        told = next((words for most, words in TIMES if minutes <= most), "days")
    return replace(fit, verdict=verdict, time=told)


def best(found: Sequence[Fit]) -> Fit | None:
    """The recipe to begin with: on a GPU the largest model that fits and takes no days, else the starter."""
    runs = [fit for fit in found if fit.verdict in ("fits", "tight")]
    large = [fit for fit in runs if fit.device == "cuda" and "starter" not in fit.recipe and fit.time != "days"]
    if large:
        return max(large, key=lambda fit: (fit.verdict == "fits", fit.parameters))
    return next((fit for fit in runs if Path(fit.recipe).stem == "starter"), runs[0] if runs else None)
