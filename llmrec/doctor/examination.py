"""The whole look at a machine, in the order in which it is told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from llmrec.doctor import around, machine, packages
from llmrec.doctor.findings import Finding, looked
from llmrec.doctor.fits import Fit, best, fits
from llmrec.doctor.probing import ALONE, LONGEST, TOGETHER, probed
from llmrec.environment import PORT


@dataclass
class Examination:
    """What was found so far; `findings` goes on while the look does."""

    work: Path
    recipes: Path
    quick: bool = False
    findings: list[Finding] = field(default_factory=list)
    fits: list[Fit] = field(default_factory=list)
    torch: dict[str, Any] | None = None

    @property
    def failed(self) -> bool:
        """Whether something is broken that is needed."""
        return any(finding.verdict == "fault" for finding in self.findings)

    def go(
        self, began: Callable[[str], None] = lambda _: None, *, port: int = PORT, longest: float = LONGEST
    ) -> Iterator[Finding]:
        """Look at everything; each finding is told as soon as it is there, and `began` of what takes a while."""
        for finding in self._all(began, port, longest):
            self.findings.append(finding)
            yield finding

    def _all(self, began: Callable[[str], None], port: int, longest: float) -> Iterator[Finding]:
        yield from looked(machine.AREA, "Python", machine.python)
        answers: list[dict[str, Any]] = []
        if not self.quick:
            answers = list(self._answers(TOGETHER[:1], began, longest))  # torch: it knows of processor and GPU
            self.torch = next((one for one in answers if "error" not in one), None)
        speed = self.torch["speed"] if self.torch else None
        yield from looked(machine.AREA, "processor", lambda: machine.processor(speed))
        yield from looked(machine.AREA, "memory", machine.memory)
        yield from looked(machine.AREA, "disk", lambda: machine.disk(self.work))
        if self.quick or self.torch:
            yield from looked(machine.AREA, "GPU", lambda: machine.gpus(self.torch))
        yield from looked(packages.AREA, "versions", lambda: packages.ranges(packages.requirements()))
        if not self.quick:
            yield from looked(packages.AREA, "torch", lambda: [one for told in answers for one in packages.works(told)])
            for names in (TOGETHER[1:], ALONE):
                for answer in self._answers(names, began, longest):
                    yield from looked(packages.AREA, answer["name"], partial(packages.works, answer))
        yield from looked(
            packages.AREA, "flash-attn", lambda: packages.flash_attention(bool(self.torch and self.torch["devices"]))
        )
        yield from looked(around.AREA, "starter model", around.starter)
        began("the model hub")
        yield from looked(around.AREA, "model hub", around.hub)
        yield from looked(around.AREA, f"port {port}", lambda: around.port(port))
        yield from looked(around.AREA, "Chromium", around.browser)
        yield from looked("What fits", "recipes", self._recipes)

    def _answers(self, names: Sequence[str], began: Callable[[str], None], longest: float) -> Iterator[dict[str, Any]]:
        yield from probed(names, longest=longest, began=lambda name: began(f"whether {name} works"))

    def _recipes(self) -> Iterator[Finding]:
        """Fills `fits`; only what cannot be told is a finding."""
        if not self.recipes.is_dir():
            yield Finding(
                "What fits", "recipes", "note", f"there is no folder {self.recipes}",
                "Stand in a checkout of llmrec, or name its recipes: llmrec doctor --recipes FOLDER",
            )  # fmt: skip
            return
        free = machine.usable_memory()[0]
        self.fits = list(fits(self.recipes, self.torch, free))
        for fit in self.fits:
            if fit.verdict == "broken":
                yield Finding("What fits", fit.recipe, "warning", fit.why, "Mend the recipe")

    def next_step(self) -> str:
        """What to type next."""
        if self.failed:
            remedies = [finding.remedy for finding in self.findings if finding.verdict == "fault" and finding.remedy]
            return remedies[0] if remedies else "Mend the faults above, then llmrec doctor again"
        chosen = best(self.fits)
        if chosen is None:
            return "make demo (in a checkout), or llmrec serve MODEL --index INDEX"
        return chosen.command if chosen.made else "make demo"

    def as_dict(self) -> dict[str, Any]:
        """All of it for programs."""
        chosen = best(self.fits)
        return {
            "works": not self.failed,
            "findings": [asdict(finding) for finding in self.findings],
            "recipes": [{**asdict(fit), "command": fit.command} for fit in self.fits],
            "recommended": chosen.recipe if chosen else None,
            "next": self.next_step(),
        }
