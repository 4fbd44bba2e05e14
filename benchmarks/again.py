"""Makes the kept results anew, each by the command that its file names, and says which were made by other code.

A result is stale when a module that its program runs has changed since (comments and docstrings do not count). Results
that need data of others, packages that are not ours or a GPU say so where these are missing. A stage in a work folder
is kept where this code made it (--anew of each benchmark). Without a name all are made, in an order in which one finds
what another leaves; they take hours on two cores, so look first. Of some the smallest run is kept as well
(benchmarks/results/quick, made by --quick): tests/test_results_again.py makes it again and compares.

examples:
  python benchmarks/again.py --list
  python benchmarks/again.py learning explaining
  python benchmarks/again.py --stale
  python benchmarks/again.py --quick
"""

import argparse
import importlib.metadata
import json
import math
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fingerprints import ROOT, changed

RESULTS = ROOT / "benchmarks" / "results"
FIRST = ("learning", "amazon")
"""Whose work folders others start from, in this order."""
MADE_BY = {
    "work/demo": ["-m", "llmrec", "demo", "--no-serve"],
    "work/films/films": ["benchmarks/films.py", "--data", "films", "--until", "dataset"],
}
"""What Python is told to make the folders that results begin with."""
GIVEN = ("data/", "films", "../")
"""How paths of data begin that somebody has to have."""
NAMED = 3


@dataclass(frozen=True)
class Small:
    """The smallest run of a benchmark."""

    cases: int
    """How many people or pictures its shares are of."""
    words: tuple[str, ...] = ()
    """What it is told besides --quick."""
    program: str | None = None
    """The benchmark, where the result has another name."""


QUICK = {
    "ceiling": Small(60),
    "cold": Small(19),
    "learning": Small(60),
    "pretraining": Small(12),
    "suite-adaptation": Small(60, ("adaptation", "--only", "IA3"), "suites"),
    "suite-content": Small(60, ("content", "--only", "two positions"), "suites"),
    "suite-data": Small(60, ("data", "--only", "one in a hundred"), "suites"),
    "suite-letters": Small(20, ("letters", "--only", "letters"), "suites"),
    "suite-pretraining": Small(60, ("pretraining", "--only", "none"), "suites"),
}
"""The results whose smallest run is kept: those that say how well something is done, not how fast."""
STAGED = {"cold": "cold", "learning": "learning", "suites": "compare"}
"""Those that keep their stages in a folder, and its name."""
NEVER_LESS = 0.02
OTHERS = re.compile(r"minutes|seconds|share|minus|per_|gib|_ms|times|parameters|(?:^|_)p$|epochs|particles")
"""Figures that are of the machine, or differences of others."""
ENDS = ("_low", "_high")
"""How the ends of an interval are named."""


def results() -> dict[str, dict[str, Any]]:
    """The kept results by name, those first that others start from."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}
    return {
        name: found[name]
        for name in sorted(found, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    }


def state(result: dict[str, Any]) -> str:
    """Whether a result is of this code."""
    told = changed(result)
    if told is None:
        return "made before fingerprints were kept"
    more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return f"STALE: {', '.join(told[:NAMED])}{more}" if told else "fresh"


def hindrance(result: dict[str, Any], root: Path = ROOT) -> str | None:
    """Why a result cannot be made here; None where it can."""
    words = shlex.split(result["command"])
    words += [word for made in _to_make(words, root) for word in made]
    missing = [word for word in words if word.startswith(GIVEN) and not (root / word).exists()]
    if missing:
        return f"needs {', '.join(missing)}, which is not here (docs/datasets.md says where such data come from)"
    versions = result.get("versions", {})
    without = [f"{name}=={version.partition('+')[0]}" for name, version in versions.items() if not installed(name)]
    if without:
        return (
            f"needs {', '.join(one.partition('==')[0] for one in without)}, which is not installed. Type "
            f"pip install {' '.join(without)} (benchmarks/{result['benchmark']}.py may say more at its beginning)"
        )
    if "gpu" in result["machine"]:
        import torch

        if not torch.cuda.is_available():
            return f"was made on {result['machine']['gpu']} and needs a GPU"
    return None


def _to_make(words: Sequence[str], root: Path = ROOT) -> list[list[str]]:
    """What Python is told first, for folders that a command names and that are not there."""
    return [
        made
        for folder, made in MADE_BY.items()
        if any(word.startswith(folder) for word in words) and not (root / folder).exists()
    ]


def installed(package: str) -> bool:
    """Whether a package is there whose version a result names, Python itself among them; for CPUs alone or not."""
    plain = package.removesuffix("-cpu")
    found = importlib.metadata.distributions
    return package == "python" or any(any(found(name=name)) for name in (plain, f"{plain}-cpu"))


def quick_words(name: str, work: str = "work") -> list[str]:
    """What Python is given for the smallest run of a benchmark, with all that it keeps in a folder."""
    small = QUICK[name]
    program = small.program or name
    words = [f"benchmarks/{program}.py", *small.words]
    words += ["--work", f"{work}/{STAGED[program]}"] if program in STAGED else []
    return [*words, "--quick"]


def quick_run(name: str, file: Path, work: Path) -> subprocess.CompletedProcess[str]:
    """The smallest run of a benchmark, with its figures in a file."""
    words = [sys.executable, *quick_words(name, str(work)), "--json", str(file)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def apart(kept: Mapping[str, float], now: Mapping[str, float], cases: int) -> dict[str, tuple[float, float]]:
    """The shares that lie outside of what was kept and its 95 % interval over so many cases: both values.

    Where a result has intervals of its own (_low and _high), these have to overlap instead.
    """
    found = {}
    for name, value in kept.items():
        if OTHERS.search(name) or not 0 <= value <= 1 or name.endswith(ENDS):
            continue
        seen = now.get(name, math.nan)
        low, high = (f"{name}{end}" for end in ENDS)
        if low in kept:
            if not (now.get(low, math.nan) <= kept[high] and kept[low] <= now.get(high, math.nan)):
                found[name] = (value, seen)
            continue
        likely = (value * cases + 1) / (cases + 2)  # of none or all nothing is certain either
        allowed = max(NEVER_LESS, 1.96 * math.sqrt(likely * (1 - likely) / cases))
        if not abs(seen - value) <= allowed:
            found[name] = (value, seen)
    return found


def make_quick(chosen: Sequence[str]) -> None:
    """Keep the smallest runs anew: these, or all of them."""
    with tempfile.TemporaryDirectory() as work:
        for name in chosen or QUICK:
            made = Path(work) / f"{name}-made.json"
            done = quick_run(name, made, Path(work))
            if not made.exists():
                sys.exit(f"{name} --quick wrote nothing:\n{done.stdout}{done.stderr}")
            content = json.loads(made.read_text(encoding="utf-8"))
            content["command"] = shlex.join(["python", *quick_words(name)])
            del content["code"]  # a test makes it again: that says more
            file = RESULTS / "quick" / f"{name}.json"
            file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            print(f"{name}: {file.relative_to(ROOT)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help="a result, or several; all without")
    parser.add_argument("--list", action="store_true", help="say which there are and how they stand; make none")
    parser.add_argument("--stale", action="store_true", help="only those that are not of this code")
    parser.add_argument("--quick", action="store_true", help="keep the smallest runs anew instead, all or some")
    asked = parser.parse_args()
    if asked.quick:
        unknown = [name for name in asked.name if name not in QUICK]
        if unknown:
            parser.error(f"there is no smallest run of {unknown[0]!r}. There are {', '.join(QUICK)}")
        make_quick(asked.name)
        return
    found = results()
    unknown = [name for name in asked.name if name not in found]
    if unknown:
        parser.error(f"there is no result {unknown[0]!r}. There are {', '.join(found)}")
    chosen = {name: result for name, result in found.items() if not asked.name or name in asked.name}
    if asked.stale:
        chosen = {name: result for name, result in chosen.items() if changed(result) != []}
    if asked.list:
        wide = max(map(len, chosen), default=0) + 2
        for name, result in chosen.items():
            print(f"{name:{wide}}{result.get('date', 'undated'):12}{state(result)}")
            print(f"{'':{wide}}{result['command']}")
        return
    failed = []
    for name, result in chosen.items():
        why = hindrance(result)
        if why:
            print(f"{name}: left as it is: it {why}")
            continue
        words = shlex.split(result["command"])
        for made in _to_make(words):
            subprocess.run([sys.executable, *made], cwd=ROOT, check=True)
        print(f"{name}: {result['command']}", flush=True)
        began, before = time.perf_counter(), (RESULTS / f"{name}.json").stat().st_mtime
        done = subprocess.run([sys.executable, *words[1:], "--anew"], cwd=ROOT, check=False)
        # A benchmark whose targets are missed ends with 1 as well, but has written what it saw.
        wrote = (RESULTS / f"{name}.json").stat().st_mtime > before
        print(f"{name}: {'made anew' if wrote else 'FAILED'} in {(time.perf_counter() - began) / 60:.1f} minutes")
        if done.returncode and not wrote:
            failed.append(name)
    if failed:
        sys.exit(f"not made: {', '.join(failed)}")


if __name__ == "__main__":
    main()
