"""Runs stages one after the other, each as a process of its own; what is made stays, what was stopped goes on."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from llmrec.artifact import read_json, write_json
from llmrec.chain.stages import ROOT, Stage
from llmrec.environment import LOOK, ended, ending_with_us
from llmrec.errors import InputError, LlmrecError
from llmrec.progress import OFTEN

JOURNAL, LOGS, LOCK = "stages.json", "logs", "stages.lock"
ENDING = 20.0  # seconds that a stage has to end when it is stopped
LAST = 4_096  # bytes of a log that tell how far it is
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")
STEPS = re.compile(r"(\d+)/(\d+) \[")
COUNTED = re.compile(r"^([^:]{3,60}): ([\d,]+)(?: of ([\d,]+))?$")


@dataclass
class Doing:
    """A stage as somebody who looks on sees it."""

    stage: Stage
    state: str = "waits"
    """waits, kept, runs, done or failed"""
    minutes: float = 0.0
    said: str = ""
    """How far it is, and once it is done what it has found."""
    peak: float = 0.0
    """The most memory that its process held, in MiB; 0 where that is not known."""


@dataclass
class Journal:
    """What was run in a folder, with which settings, and how long it took."""

    folder: Path
    name: str
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, name: str) -> "Journal":
        """Read it, or begin one."""
        if not (folder / name).is_file():
            return cls(folder, name)
        told = read_json(folder, name, kind="a folder of stages", remedy=f"Remove {folder} and begin anew")
        return cls(folder, name, told["stages"])

    def kept(self, stage: Stage) -> bool:
        """Whether a stage is done; an error where it was done with other settings than these."""
        before = self.stages.get(stage.name)
        if before is not None and before["command"] != list(stage.command):
            raise InputError(
                f"{self.folder} was begun with other settings: {stage.name} was `{' '.join(before['command'])}` and is "
                f"now `{' '.join(stage.command)}`. Give another --work, or remove that folder"
            )
        return stage.made.exists()

    def note(self, stage: Stage, minutes: float | None, peak: float = 0.0) -> None:
        """Note that a stage was begun, and once it is done how long it took and how much it held."""
        spent = self.minutes(stage)
        self.stages[stage.name] = {
            "command": list(stage.command),
            "minutes": round(spent + (minutes or 0.0), 3),
            "peak_mib": round(max(self.peak(stage), peak)),
        }
        write_json(self.folder / self.name, {"stages": self.stages})

    def forget(self, stage: Stage) -> None:
        """What was noted of a stage that is to be made from the beginning."""
        if self.stages.pop(stage.name, None) is not None:
            write_json(self.folder / self.name, {"stages": self.stages})

    def minutes(self, stage: Stage) -> float:
        """How long a stage took, all attempts together."""
        return float(self.stages.get(stage.name, {}).get("minutes", 0.0))

    def peak(self, stage: Stage) -> float:
        """The most memory that a stage held, in MiB."""
        return float(self.stages.get(stage.name, {}).get("peak_mib", 0.0))


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Nobody else runs stages in that folder meanwhile."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        held = FileLock(work / LOCK).acquire(timeout=0)
    except Timeout:
        raise InputError(f"Stages are already being run in {work}. Wait for them, or give another --work") from None
    except OSError as error:
        raise InputError(f"{work} cannot be written to ({error.strerror}). Give another --work") from error
    with held:
        yield


def run_all(
    stages: Sequence[Stage],
    work: Path,
    show: Callable[[Sequence[Doing]], None],
    *,
    journal: str = JOURNAL,
    finding: Callable[[str, Path], str] = lambda *_: "",
) -> list[Doing]:
    """Run what is not there yet, and note it in the file `journal`.

    `show` is called whenever something is to be seen; `finding` tells what a stage that is done has found.
    """
    book = Journal.open(work, journal)
    doing = [
        Doing(stage, "kept" if book.kept(stage) else "waits", book.minutes(stage), peak=book.peak(stage))
        for stage in stages
    ]
    for one in doing:
        if one.state == "kept":
            one.said = finding(one.stage.name, work)
    for one in doing:
        if one.state == "waits":
            _run(one, work, book, lambda: show(doing))
            one.said = finding(one.stage.name, work)
        show(doing)
    return doing


def as_noted(stages: Sequence[Stage], work: Path, *, journal: str = JOURNAL) -> list[Doing]:
    """Stages that are made, with what was noted of them; none is run."""
    book = Journal.open(work, journal)
    return [Doing(stage, "kept", book.minutes(stage), peak=book.peak(stage)) for stage in stages]


def _run(one: Doing, work: Path, journal: Journal, show: Callable[[], None]) -> None:
    log = work / LOGS / f"{one.stage.name}.log"
    log.parent.mkdir(exist_ok=True)
    journal.note(one.stage, None)
    began, before = time.monotonic(), one.minutes
    environment = {**os.environ, OFTEN: "1", "PYTHONUNBUFFERED": "1", "TERM": "dumb"}
    with log.open("ab") as said:
        start = log.stat().st_size
        process = subprocess.Popen(
            ending_with_us(*one.stage.command),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # a Ctrl-C is for us, who end it
        )
    one.state = "runs"
    try:
        while process.poll() is None:
            one.minutes, one.said = before + (time.monotonic() - began) / 60, far(log, start)
            one.peak = max(one.peak, held_at_most(process.pid))
            show()
            time.sleep(LOOK)
    finally:
        ended(process, ENDING)
        journal.note(one.stage, (time.monotonic() - began) / 60, one.peak)
    one.minutes, one.said = journal.minutes(one.stage), ""
    if process.returncode or not one.stage.made.exists():
        one.state = "failed"
        show()
        raise LlmrecError(
            f"{one.stage.says} failed with {process.returncode}. The last of {log}:\n\n{ending(log, start)}\n\n"
            "Once that is mended, the same command goes on from here"
        )
    one.state = "done"


def held_at_most(process: int) -> float:
    """The most memory that a process has held so far, in MiB; 0 where the system does not tell."""
    try:
        told = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    found = PEAK.search(told)
    return int(found[1]) / 1024 if found else 0.0


def far(log: Path, start: int = 0) -> str:
    """How far a stage is, of the last line that says so."""
    for line in reversed(_lines(log, start)):
        if steps := STEPS.search(line):
            return f"step {int(steps[1]):,} of {int(steps[2]):,}"
        if counted := COUNTED.match(line):
            what, done, total = counted.groups()
            return f"{what}: {done}" + (f" of {total}" if total else "")
    return ""


def ending(log: Path, start: int = 0, lines: int = 12) -> str:
    """The last lines of a log."""
    return "\n".join(_lines(log, start)[-lines:])


def _lines(log: Path, start: int) -> list[str]:
    size = log.stat().st_size
    with log.open("rb") as file:
        file.seek(max(start, size - LAST))
        text = file.read().decode(errors="replace")
    return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
