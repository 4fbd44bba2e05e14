"""Which code a result comes from: a fingerprint of each module that its program runs, to tell when these changed since.

Modules are found by their imports, those inside of functions too; what a benchmark runs as commands of the product from
COMMANDS, and builders and recipes by their names in benchmarks. Comments, docstrings and empty lines change no
fingerprint. What a result reads of another's work (a run, an index) is not followed.
"""

import ast
import hashlib
import io
import re
import tokenize
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDERS = (ROOT, ROOT / "data_builders", ROOT / "benchmarks")
"""Where the modules lie that a benchmark may import."""
COMMANDS = (
    "llmrec.dataset", "llmrec.evaluation.retrievers", "llmrec.modeling.assemble", "llmrec.pretraining.stage",
    "llmrec.retrieval.index", "llmrec.sft", "llmrec.tuning.stage",
)  # fmt: skip
"""Where the product's commands begin that benchmarks/chain.py runs one after the other."""
WRITERS = ("benchmarks/record.py", "benchmarks/fingerprints.py")
"""What only writes results down."""
BESIDE = {"chain": ("prompts",), "serving": ("serve", "prompts")}
"""Folders without modules that whoever imports one of these reads."""
RUN = {
    "chain": COMMANDS,
    "serving": ("llmrec.gateway.server", "llmrec.engines.vllm"),
    "suites": ("llmrec.compare.command",),
}
"""What is started as a command by whoever imports one of these, or is one."""
NAMED = re.compile(r"\b(?:data_builders/\w+\.py|train/[\w.-]+\.yaml)\b")
"""What benchmarks and the chain call by its path."""


def sources(program: Path) -> dict[str, str]:
    """The fingerprint of every module and folder that a benchmark runs, by its name from the repository's root."""
    found: dict[str, Path] = {}
    left = [program]
    folders: set[str] = set()
    while left:
        path = left.pop()
        name = path.relative_to(ROOT).as_posix()
        if name in found or name in WRITERS:
            continue
        found[name] = path
        folders |= set(BESIDE.get(path.stem, ()))
        names = _imports(path) if path.suffix == ".py" else frozenset()
        names |= set(RUN.get(path.stem, ()))
        if name.startswith(("benchmarks/", "llmrec/chain/")):
            called = [ROOT / told for told in NAMED.findall(path.read_text(encoding="utf-8"))]
            left += [there for there in called if there.is_file()]
        if path.suffix != ".py":
            continue
        left += [one for imported in names if (one := _module(imported)) is not None]
    told = {name: fingerprint(path) for name, path in found.items()}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                told[path.relative_to(ROOT).as_posix()] = fingerprint(path)
    return dict(sorted(told.items()))


def changed(result: Mapping[str, Any]) -> list[str] | None:
    """What a result was made by and is otherwise now, or gone; None where it does not say what made it."""
    before: dict[str, str] | None = result.get("code")
    if before is None:
        return None
    now = sources(ROOT / "benchmarks" / f"{result['benchmark']}.py")
    told = [ROOT / name for name in before.keys() - now.keys() if name.endswith(".yaml")]
    now |= {path.relative_to(ROOT).as_posix(): fingerprint(path) for path in told if path.is_file()}
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


@cache
def fingerprint(path: Path) -> str:
    """The beginning of a hash of what a file does; two that differ in comments and docstrings alone have the same."""
    content = path.read_bytes()
    if path.suffix == ".py":
        content = _bare(content.decode()).encode()
    elif path.suffix == ".yaml":
        lines = [line for line in content.decode().splitlines() if not line.lstrip().startswith("#")]
        content = "\n".join(lines).encode()
    return hashlib.sha256(content).hexdigest()[:10]


def _bare(code: str) -> str:
    """Code without its docstrings, comments and empty lines."""
    lines = code.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for text in filter(_is_text, node.body):
                lines[text.lineno - 1 : text.end_lineno] = [""] * ((text.end_lineno or text.lineno) - text.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _imports(path: Path) -> frozenset[str]:
    """All names that a file imports, wherever it does so: `from a import b` is both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


@cache
def _module(name: str) -> Path | None:
    """The file of a module of ours; a package is its __init__."""
    for folder in FOLDERS:
        plain = folder.joinpath(*name.split("."))
        for path in (plain.with_suffix(".py"), plain / "__init__.py"):
            if path.is_file():
                return path
    return None
