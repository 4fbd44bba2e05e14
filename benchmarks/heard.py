"""What `llmrec evaluate --speech` told of one model, as figures by one name each, with the ends of their intervals."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ENDS = ("low", "high")


def heard(report: Path) -> dict[str, Any]:
    """What the model of a report said; the program ends where it says nothing."""
    (told,) = json.loads((report / "report.json").read_text(encoding="utf-8"))["speech"]
    if told["missing"]:
        raise SystemExit(f"{report} says nothing: {told['missing']}")
    found: dict[str, Any] = told
    return found


def figures_of(task: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The figures of one task by who and what, and how many rows they are of; none where it was not measured."""
    found = {f"{prefix}cases": float(task["cases"])}
    for row in () if task["missing"] else task["rows"]:
        for what, figure in row["figures"].items():
            found |= with_ends(f"{prefix}{named(row['name'])}_{named(what)}", figure)
    return found


def evidence_of(told: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """How much items lose without what their reasons rest on, where that was measured, and the cases of each."""
    found: dict[str, float] = {}
    for row in told["evidence"]:
        name = f"{prefix}{named(row['name'])}_against_{named(row['against'])}"
        found[f"{name}_cases"] = float(row["cases"])
        if not row["missing"]:
            found |= with_ends(f"{name}_fall", row["fall"]) | with_ends(f"{name}_fall_of_others", row["fall_of_others"])
            found |= with_ends(f"{name}_gap", row["gap"]) | {f"{name}_p": row["corrected"]}
    return found


def unmeasured(told: Mapping[str, Any]) -> dict[str, str]:
    """Why what was not measured was not."""
    why = {task["task"]: task["missing"] for task in told["tasks"] if task["missing"]}
    rows = {f"{row['name']}, against {row['against']}": row["missing"] for row in told["evidence"] if row["missing"]}
    return why | rows


def with_ends(name: str, figure: Mapping[str, Any]) -> dict[str, float]:
    """A mean and the ends of its interval, by one name; what is not known is left out."""
    ends = {f"{name}_{end}": value for end in ENDS if (value := figure[end]) is not None}
    mean = figure["mean"]
    return {} if mean is None else {name: mean, **ends}


def named(text: str) -> str:
    """A title as a part of a figure's name."""
    return "".join("_" if letter == " " else letter for letter in text.lower() if letter not in ",':")
