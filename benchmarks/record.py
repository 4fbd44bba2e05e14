"""What every benchmark writes: its figures and targets, and the machine, versions, seed and command behind them."""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

from fingerprints import ROOT, fingerprint, sources

from llmrec.environment import machine, versions
from llmrec.errors import LlmrecError

OPERATORS = {">=": lambda seen, wanted: seen >= wanted, "<=": lambda seen, wanted: seen <= wanted}


BEGUN: dict[str, Any] = {}
"""The code as it was when the program began: it may change while it runs for hours."""


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks share."""
    sys.excepthook = _plainly
    BEGUN.update(commit=_commit(), code=sources(Path(sys.argv[0]).resolve()))
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small run of under a minute, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures with machine and versions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--anew", action=_Anew, nargs=0, help="keep no stage that other code made, nor what reads it")
    return parser


def _plainly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What is wrong with what was given is told as the product tells it; anything else is a fault of the program."""
    if isinstance(error, LlmrecError):
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2)
    sys.__excepthook__(kind, error, trace)


class _Anew(argparse.Action):
    """Says so to whoever keeps stages; the command that a result names is without it."""

    def __call__(self, *_: Any) -> None:
        BEGUN["anew"] = True


def record(
    name: str,
    figures: Mapping[str, float],
    reach: Mapping[str, tuple[str, float]],
    *,
    seed: int,
    packages: Sequence[str],
    file: Path | None,
    data: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> bool:
    """Print what was reached, write the JSON if asked, and say whether all targets were met.

    `data` are the fingerprints of the datasets that were read, by name.
    """
    met = True
    for figure, (operator, wanted) in reach.items():
        good = figure in figures and OPERATORS[operator](figures[figure], wanted)
        met &= good
        print(
            f"{'met   ' if good else 'MISSED'} {figure} {operator} {wanted:g} "
            f"(seen {figures.get(figure, float('nan')):.4g})"
        )
    if file:
        content = {
            "benchmark": name,
            "command": " ".join(["python", *(word for word in sys.argv if word != "--anew")]),
            "date": date.today().isoformat(),
            "commit": BEGUN["commit"],
            "machine": machine(),
            "versions": versions(packages),
            "code": BEGUN["code"] | BEGUN.get("beside", {}) | BEGUN.get("kept", {}),
            **({"data": dict(data)} if data else {}),
            "seed": seed,
            "figures": dict(figures),
            "reach": {figure: list(target) for figure, target in reach.items()},
            "met": met,
            **(more or {}),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(f"written: {file}")
    return met


def also(*paths: Path) -> None:
    """Files beside its own by which this run is told what to do, such as a suite and the recipes of its cells."""
    told = {path.resolve().relative_to(ROOT).as_posix(): fingerprint(path.resolve()) for path in paths}
    BEGUN.setdefault("beside", {}).update(told)


def kept_from(code: Mapping[str, str]) -> None:
    """A stage was not made again: what it was made by counts, where that is otherwise now."""
    BEGUN.setdefault("kept", {}).update({name: told for name, told in code.items() if _now(name) != told})


def kept_by(file: Path, name: str) -> None:
    """The same by the file beside a stage; one that was kept before such files were written is not known."""
    kept_from(json.loads(file.read_text()) if file.exists() else {f"{name}, kept from before": "unknown"})


def of_now(file: Path) -> bool:
    """Whether the file beside a stage names the code that runs, and nothing that is otherwise now."""
    told: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return begun().keys() <= told.keys() and all(_now(name) == code for name, code in told.items())


def anew() -> bool:
    """Whether stages of other code are made again."""
    return bool(BEGUN.get("anew"))


def _now(name: str) -> str | None:
    """The fingerprint of a file as the program began with it; of a recipe that it does not read itself, as it is."""
    known: dict[str, str] = BEGUN.get("code", {}) | BEGUN.get("beside", {})
    if name in known or not name.endswith(".yaml") or not (ROOT / name).is_file():
        return known.get(name)
    return fingerprint(ROOT / name)


def begun() -> dict[str, str]:
    """The code of the program that runs."""
    found: dict[str, str] = BEGUN.get("code", {})
    return found


def _commit() -> str:
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
