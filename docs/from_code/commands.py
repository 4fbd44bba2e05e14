"""The reference of the command line, from the parsers themselves."""

import contextlib
import importlib
import io
import os
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from llmrec.cli import app

ROOT = Path(__file__).parents[2]
BUILDERS = ROOT / "data_builders"
WIDTH = "100"


def command_names() -> list[str]:
    """Every command, with the words that lead to it: `llmrec keys add`."""
    return [name for name, _ in _commands(typer.main.get_command(app), "llmrec")]


def builder_names() -> list[str]:
    """The scripts that make datasets: those that have a command line."""
    return [path.stem for path in sorted(BUILDERS.glob("*.py")) if '__name__ == "__main__"' in path.read_text()]


def reference() -> str:
    """All commands of `llmrec`."""
    return "\n\n".join(_page(name, command) for name, command in _commands(typer.main.get_command(app), "llmrec"))


def scripts() -> str:
    """The programs beside `llmrec`, by their own --help."""
    told = [("python -m llmrec.sft", _help("llmrec.sft"))]
    told += [(f"python data_builders/{name}.py", _help(name)) for name in builder_names()]
    return "\n\n".join(f"### {name}\n\n```text\n{text}\n```" for name, text in told)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, one in inner.items():
        yield from _commands(one, f"{name} {word}")


def _page(name: str, command: Any) -> str:
    parameters = [one for one in command.params if one.name != "help"]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    options = [one for one in parameters if one.param_type_name == "option"]
    usage = " ".join([name, *map(_word, arguments), *(_flag(one) for one in options if one.required), "[options]"])
    lines = [f"## {name}", "", _plain(command.help), "", "```text", usage, "```", ""]
    lines += [*_table(("argument", "what it is"), [(f"`{_word(one)}`", _meaning(one)) for one in arguments]), ""]
    rows = [(_names(one), _default(one), _meaning(one)) for one in options]
    lines += _table(("option", "unless given", "what it does"), rows)
    if examples := _examples(command.epilog):
        lines += ["", "```sh", *examples, "```"]
    return "\n".join(lines)


def _word(one: Any) -> str:
    """An argument as it stands in the usage."""
    name = str(one.name).upper()
    return (name if one.required else f"[{name}]") + ("…" if one.nargs == -1 else "")


def _flag(one: Any) -> str:
    return f"{one.opts[0]} {one.name.upper()}"


def _names(one: Any) -> str:
    """The names of an option, with what it takes."""
    names = "`, `".join([*one.opts, *one.secondary_opts])
    takes = "" if one.is_flag else f" {_kind(one)}"
    return f"`{names}`{takes}" + (", several times" if one.multiple else "")


def _kind(one: Any) -> str:
    """What an option takes, in a word."""
    hint = one.type_descriptor.annotation
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(f"`{choice}`" for choice in typing.get_args(hint))
    return {int: "NUMBER", float: "NUMBER", Path: "PATH"}.get(hint, "TEXT")


def _default(one: Any) -> str:
    if one.required:
        return "needed"
    made = one.default() if callable(one.default) else one.default
    if made is None or made is False or made in ((), []):
        return ""
    return f"`{'yes' if made is True else made}`"


def _meaning(one: Any) -> str:
    return _plain(one.help or "").replace("|", "\\|")


def _plain(text: str) -> str:
    """Help without the marks of the terminal's formatting."""
    text = re.sub(r"(?<!\\)\[/?(?:b|i|bold|italic|red|green|yellow|dim)\]", "", text).replace("\\[", "[")
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _examples(epilog: str | None) -> list[str]:
    """The commands among the lines under a command's help."""
    lines = re.sub(r"^Examples?:\s*", "", (epilog or "").replace("\\[", "[")).splitlines()
    return [line.strip() for line in lines if line.strip().startswith(("llmrec ", "python "))]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    return [f"| {' | '.join(one)} |" for one in (head, ("---",) * len(head), *rows)]


def _help(module: str) -> str:
    """What a program says when it is asked for --help."""
    if str(BUILDERS) not in sys.path:
        sys.path.insert(0, str(BUILDERS))
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
            importlib.import_module(module).main(["--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return told.getvalue().strip()
