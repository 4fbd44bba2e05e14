"""The commands that stand in README and docs, read out of their fenced blocks, and looked at without running them."""

import argparse
import contextlib
import io
import re
import runpy
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import typer.main

from llmrec.cli import app
from llmrec.config import load_config
from llmrec.pretraining.recipe import load_recipe
from llmrec.tuning.recipe import TuningRecipe

ROOT = Path(__file__).parent.parent
SHELLS = {"sh", "bash", "shell", "console"}
PROGRAMS = (
    "llmrec",
    "python",
    ".venv/bin/",
    "make",
    "accelerate",
    "curl",
    "source",
    "docker",
    "llm",
    "tensorboard",
    "pip",
)
STARTS = tuple(name if name.endswith("/") else f"{name} " for name in PROGRAMS)
SETTING = re.compile(r"[a-z_][\w.]*=", re.ASCII)


@dataclass(frozen=True)
class Command:
    """One command of a page, as the shell would split it."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)

    def begins(self, *words: str) -> bool:
        """Whether its first words are these."""
        return self.words[: len(words)] == words


def pages() -> list[Path]:
    """Every page whose commands people copy."""
    docs = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "from_code"]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *docs]


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The language and the text of each fenced or indented block."""
    fence, language, held = "", "", []
    for line in text.splitlines():
        bare = line.strip()
        if fence:
            if bare == fence:
                yield language, "\n".join(held)
                fence, held = "", []
            else:
                held.append(bare)
        elif bare.startswith("```"):
            fence, language = "```", bare.removeprefix("```").split()[0] if bare != "```" else ""
        elif line.startswith("    ") and bare.startswith(STARTS):
            yield "", bare


def commands(path: Path) -> Iterator[Command]:
    """The commands of a page, in its order; output that is shown with them is left out."""
    name = path.relative_to(ROOT).as_posix()
    for language, text in blocks(path.read_text()):
        lines = text.replace("\\\n", " ").splitlines()
        if language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        elif language not in SHELLS and (language or not text.strip().startswith(STARTS)):
            continue
        for line in lines:
            if words := words_of(line):
                yield Command(name, words)


def words_of(line: str) -> tuple[str, ...]:
    """A line as the shell splits it, without a comment and without where its output goes."""
    words = shlex.split(line, comments=True)
    ends = [place for place, word in enumerate(words) if word in (">", ">>", "|", "<")]
    return tuple(words[: min(ends, default=len(words))])


def inline(path: Path) -> Iterator[Command]:
    """Commands between backticks in a sentence; some stand for more, with words in capitals or …."""
    prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for text in re.findall(r"`([^`\n]+)`", prose):
        if text.startswith(("llmrec ", "python -m llmrec.", "python data_builders/", "python benchmarks/")):
            yield Command(path.relative_to(ROOT).as_posix(), tuple(shlex.split(text.replace("…", " "))))


def settings_of(words: Sequence[str]) -> list[str]:
    """The key=value settings among the words."""
    return [word for word in words if SETTING.match(word)]


def recipe_of(words: Sequence[str]) -> Path | None:
    """The file behind --recipe."""
    return ROOT / words[words.index("--recipe") + 1] if "--recipe" in words else None


def check(command: Command) -> None:
    """Raise an error where the real command line would not take it, or where a key or a file of ours is not there."""
    words = list(command.words)
    if words[0] == "accelerate":
        _check_launch(words)
    elif command.begins("python", "-m", "llmrec.sft"):
        _check_tuning(words[3:])
    elif command.begins("python", "-m", "pytest"):
        assert all((ROOT / word).exists() for word in words[3:] if word.startswith("tests/")), command
    elif words[0] == "llmrec":
        _check_llmrec(words[1:])
    elif words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert set(words[1:]) <= set(targets), command
    elif words[0] == "python":
        _check_script(ROOT / words[1], words[2:])
    else:
        raise AssertionError(f"{command.page}: nothing is known of {command}")


def _check_llmrec(words: list[str]) -> None:
    found = typer.main.get_command(app)
    while hasattr(found, "commands"):
        assert words[0] in found.commands, f"there is no command {words[0]}"
        found = found.commands[words.pop(0)]
    with contextlib.redirect_stdout(io.StringIO()):
        context = found.make_context(str(found.name), list(words))
    given = settings_of(words)
    if found.name == "pretrain":
        load_recipe(recipe_of(words), given)
    elif given:
        from llmrec.examples import ExampleRecipe
        from llmrec.gateway.settings import ServeRecipe
        from llmrec.retrieval.index import IndexRecipe

        kinds = {"examples": ExampleRecipe, "index": IndexRecipe, "serve": ServeRecipe}
        load_config(kinds[str(found.name)], recipe_of(words), given)
    assert context.params is not None


def _check_tuning(words: list[str]) -> None:
    recipe, options = ROOT / words[0], [word for word in words[1:] if word.startswith("--")]
    assert set(options) <= {"--dry-run", "--overwrite", "--settings"}, options
    load_config(TuningRecipe, recipe, settings_of(words[1:]))


def _check_launch(words: list[str]) -> None:
    assert words[:3] == ["accelerate", "launch", "--config_file"], words
    assert (ROOT / words[3]).is_file(), words[3]
    assert words[4:6] == ["-m", "llmrec.sft"], words
    _check_tuning(words[6:])


def _check_script(path: Path, words: list[str]) -> None:
    """Start the script up to where its parser has read the words, and no further."""

    class Parsed(Exception):
        pass

    reads = argparse.ArgumentParser.parse_args

    def parsed(self: argparse.ArgumentParser, args: Sequence[str] | None = None) -> None:
        reads(self, args)
        raise Parsed

    assert path.is_file(), path
    stop = mock.patch.object(argparse.ArgumentParser, "parse_args", parsed)
    given = mock.patch.object(sys, "argv", [str(path), *words])
    paths = mock.patch.object(sys, "path", [str(path.parent), *sys.path])
    with stop, given, paths, contextlib.suppress(Parsed):
        runpy.run_path(str(path), run_name="__main__")
        raise AssertionError(f"{path} has not read its words")


def check_inline(command: Command) -> None:
    """The same for a command in a sentence, as far as it is said: its name, its options and its keys exist."""
    words = list(command.words)
    if words[0] == "python":
        target = words[2] if words[1] == "-m" else words[1]
        assert target == "llmrec.sft" or (ROOT / target).is_file(), command
        return
    found = typer.main.get_command(app)
    words.pop(0)
    while hasattr(found, "commands") and words and words[0] in found.commands:
        found = found.commands[words.pop(0)]
    assert not hasattr(found, "commands") or not words or words[0].startswith("-"), f"{command.page}: {command}"
    known = {option for one in found.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    for word in words:
        assert not word.startswith("--") or word.split("=")[0] in known, f"{command.page}: {command}"
