"""The reference of the settings, from the recipes' dataclasses."""

import ast
import dataclasses
import importlib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmrec.config import Setting, settings

ROOT = Path(__file__).parents[2]
RECIPES: Mapping[str, tuple[str, str]] = {
    "ExampleRecipe": ("llmrec.examples", "llmrec examples"),
    "IndexRecipe": ("llmrec.retrieval.index", "llmrec index"),
    "TowerRecipe": ("llmrec.pretraining.recipe", "llmrec pretrain --recipe train/tower.yaml"),
    "CaptionRecipe": ("llmrec.pretraining.recipe", "llmrec pretrain --recipe train/captions.yaml"),
    "TuningRecipe": ("llmrec.tuning.recipe", "python -m llmrec.sft"),
    "ServeRecipe": ("llmrec.gateway.settings", "llmrec serve"),
}
"""Which module has a recipe, and which command reads it."""
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", Any: "anything"}


def recipe(name: str) -> type[Any]:
    """The dataclass of a recipe."""
    found: type[Any] = getattr(importlib.import_module(RECIPES[name][0]), name)
    return found


def named_in_the_code() -> set[str]:
    """The classes whose name ends in Recipe and that a command reads as a whole: none may be missing above."""
    found = set()
    for path in sorted((ROOT / "llmrec").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("load_config", "_lister") and node.args:
                found |= set(ast.unparse(node).replace("'", " ").replace("(", " ").replace(",", " ").split())
    return {word for word in found if word.endswith("Recipe")}


def reference() -> str:
    """Every setting of every recipe."""
    return "\n\n".join(_page(name, command) for name, (_, command) in RECIPES.items())


def _page(name: str, command: str) -> str:
    kind = recipe(name)
    lines = [f"## {command}", "", f"{(kind.__doc__ or '').strip()} `{command} --settings` lists the same.", ""]
    table = ["| setting | takes | unless given | what it does |", "|---|---|---|---|"]
    lines += table
    for one in settings(kind):
        if one.section:
            lines += ["", f"**`{one.name}`** {one.help}", "", *table]
        else:
            lines.append(_row(one))
    return "\n".join(_without_empty_tables(lines, table))


def _without_empty_tables(lines: list[str], table: list[str]) -> list[str]:
    """A section that holds sections alone has no table of its own."""
    kept: list[str] = []
    for place, line in enumerate(lines):
        if line == table[0] and not (place + 2 < len(lines) and lines[place + 2].startswith("| `")):
            continue
        if line == table[1] and not (place + 1 < len(lines) and lines[place + 1].startswith("| `")):
            continue
        kept.append(line)
    return kept


def _row(one: Setting) -> str:
    cells = (f"`{one.name}`", takes(one.hint), _default(one.default), one.help.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def takes(hint: Any) -> str:
    """What a setting takes, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("nothing" if one is type(None) else takes(one) for one in arguments)
    if origin is tuple:
        return "list: " + takes(arguments[0])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "section of keys"
    return WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _default(made: Any) -> str:
    if made is dataclasses.MISSING:
        return "needed"
    if made is None:
        return ""
    if isinstance(made, tuple):
        return f"`[{', '.join(map(str, made))}]`"
    if isinstance(made, Mapping):
        return f"`{{{', '.join(f'{key}: {value}' for key, value in made.items())}}}`"
    return f"`{str(made).lower() if isinstance(made, bool) else made}`"
