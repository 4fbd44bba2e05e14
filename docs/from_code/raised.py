"""Every error that the code can raise, read out of its source: what it says, and where it comes from."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("llmrec", "data_builders", "train", "serve")
GAP = "…"
OPEN, CLOSE = "\ue100", "\ue101"  # around the name of what stands at a place of a message

# What is no class of errors and yet is told as one: problems of data, and what argparse and typer say for us.
ALSO = {"Problem", "ArgumentTypeError", "BadParameter"}
# Pydantic turns these into answers with the status 422.
VALIDATORS = "llmrec/gateway/wire.py"
# What an area is called in a page's marker, and how the paths that belong to it begin; the first that fits counts.
AREAS: Mapping[str, Sequence[str]] = {
    "builders": ("data_builders/",),
    "datasets": ("llmrec/dataset", "llmrec/schema", "llmrec/log", "llmrec/pictures", "llmrec/splits", "llmrec/audit"),
    "settings": ("llmrec/config",),
    "folders": ("llmrec/artifact",),
    "examples": ("llmrec/prompts", "llmrec/example", "llmrec/shelf", "llmrec/preview", "llmrec/tokens", "llmrec/tasks"),
    "index": ("llmrec/retrieval/",),
    "pretraining": ("llmrec/pretraining/",),
    "models": ("llmrec/modeling/", "llmrec/lexicon"),
    "tuning": ("llmrec/tuning/", "llmrec/sft", "llmrec/environment"),
    "evaluation": ("llmrec/evaluation/", "llmrec/recommender", "llmrec/significance"),
    "merging": ("llmrec/merge", "llmrec/refresh"),
    "engine": ("llmrec/engines/", "llmrec/modeling/local"),
    "starting": (
        "llmrec/gateway/settings",
        "llmrec/gateway/server",
        "llmrec/gateway/access",
        "llmrec/gateway/model",
        "llmrec/gateway/events",
        "llmrec/gateway/limits",
    ),
    "requests": ("llmrec/gateway/",),
    "elsewhere": ("",),
}


@dataclass(frozen=True)
class Raised:
    """One error: its message with named places, its class, and for the gateway its status and code."""

    path: str
    line: int
    kind: str
    message: str
    status: int | None = None
    code: str | None = None

    @property
    def template(self) -> str:
        """The message with … at each place where something of the moment stands."""
        return re.sub(f"({OPEN}.*?{CLOSE})+", GAP, self.message)

    @property
    def area(self) -> str:
        """The part of the product that it belongs to."""
        if self.status is not None or self.path == VALIDATORS:
            return "requests"
        return next(area for area, paths in AREAS.items() if self.path.startswith(tuple(paths)))

    @property
    def parts(self) -> tuple[str, str]:
        """What was seen, and what the message itself says is to be done; the latter may be empty."""
        for mark in (rf"(?<=[\w…)'\"’{CLOSE}%])\. (?=[A-Z]|{OPEN}remedy)", r": (?=[\w-])", r", (?=give )"):
            cut = re.split(mark, self.message, maxsplit=1)
            if len(cut) == 2:
                return cut[0], cut[1]
        return self.message, ""


def collect(root: Path = ROOT) -> list[Raised]:
    """Every error that the source makes, sorted by area; the same words from several places once."""
    modules = {
        path: ast.parse(path.read_text()) for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))
    }
    classes = _classes(list(modules.values())) | ALSO
    texts = _texts(modules.values())
    found: dict[tuple[str, str, str | None], Raised] = {}
    for path, tree in modules.items():
        for one in _of_module(tree, path.relative_to(root).as_posix(), classes, texts):
            if re.search("[A-Za-z]{3}", one.template):  # else it passes on the words of another
                found.setdefault((one.area, one.template, one.code), one)
    order = list(AREAS)
    return sorted(found.values(), key=lambda one: (order.index(one.area), one.status or 0, one.path, one.line))


def unread(root: Path = ROOT) -> set[str]:
    """Where an error is made of a text that cannot be read out of the source: `path: expression`."""
    modules = _modules(root)
    classes, texts = _classes(list(modules.values())) | ALSO, _texts(modules.values())
    found = set()
    for path, tree in modules.items():
        read = {one.line for one in _of_module(tree, path, classes, texts)}
        found |= {
            f"{path}: {ast.unparse(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[-1] in classes - {"DatasetError"}
            and node.lineno not in read
            and node.args
        }
    return found


def _modules(root: Path) -> dict[str, ast.Module]:
    found = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    return {path.relative_to(root).as_posix(): ast.parse(path.read_text()) for path in found}


def _classes(trees: Iterable[ast.Module]) -> set[str]:
    """The names of LlmrecError and of all classes below it, wherever they are defined."""
    known = {"LlmrecError"}
    defined = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for _ in defined:
        more = {node.name for node in defined if known & {ast.unparse(base).split(".")[-1] for base in node.bases}}
        if more <= known:
            break
        known |= more
    return known


def _texts(trees: Iterable[ast.Module]) -> dict[str, ast.expr]:
    """Texts that messages are made with: those with a name in capitals, and what functions of a text return."""
    found: dict[str, ast.expr] = {}
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns) == "str":
                last = node.body[-1]
                if isinstance(last, ast.Return) and isinstance(last.value, ast.JoinedStr):
                    found.setdefault(f"{node.name}()", last.value)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if name.isupper() and isinstance(node.value, ast.Constant | ast.JoinedStr):
                    found.setdefault(name, node.value)
    return found


def _of_module(tree: ast.Module, path: str, classes: set[str], texts: dict[str, ast.expr]) -> Iterator[Raised]:
    own = {**texts, **_texts([tree])}
    for function in _functions(tree):
        here = list(_inside(function))
        told = _assigned(function)
        for node in here:
            if not isinstance(node, ast.Call):
                continue
            kind = ast.unparse(node.func).split(".")[-1]
            if kind in ("_fault", "append") and path.endswith(("prompts.py", "config.py")):
                yield from _fault(node, kind, path, own)
            elif kind in classes or (kind == "ValueError" and path == VALIDATORS):
                names = told(node.lineno)
                found = list(_made(node, kind, path, {**own, **names}))
                yield from found
                if not found:  # the words are handed to this function by who calls it
                    for handed in _handed(function, tree):
                        yield from _made(node, kind, path, {**own, **names, **handed})


def _assigned(function: ast.AST) -> Callable[[int], dict[str, ast.expr]]:
    """What the names in a function stand for at a line: the last value before it, and that of another branch."""
    branches: list[tuple[int, str, ast.expr, int]] = []
    inside = [function, *_inside(function)]
    for node in inside:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            around = [
                one.lineno for one in inside if isinstance(one, ast.If) and one.lineno <= node.lineno <= _end(one)
            ]
            branches.append((node.lineno, node.targets[0].id, node.value, max(around, default=0)))
    branches.sort(key=lambda one: one[0])

    def at(line: int) -> dict[str, ast.expr]:
        known: dict[str, tuple[ast.expr, int]] = {}
        for where, name, value, branch in branches:
            if where >= line:
                break
            if name in known and branch and known[name][1] == branch:
                value = ast.IfExp(ast.Constant(True), known[name][0], value)
            known[name] = value, branch
        return {name: value for name, (value, _) in known.items()}

    return at


def _end(node: ast.If) -> int:
    return node.end_lineno or node.lineno


def _functions(tree: ast.Module) -> list[ast.Module | ast.FunctionDef]:
    return [tree, *[node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]]


def _handed(function: ast.AST, tree: ast.Module, depth: int = 0) -> Iterator[dict[str, ast.expr]]:
    """What each call in its module gives a function, by the names of its parameters."""
    if not isinstance(function, ast.FunctionDef):
        return
    taken = [one.arg for one in function.args.args if one.arg not in ("self", "cls")]
    for caller in _functions(tree):
        for node in _inside(caller):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == function.name):
                continue
            given = dict(zip(taken, node.args, strict=False)) | {one.arg: one.value for one in node.keywords if one.arg}
            local = _assigned(caller)(node.lineno)
            given = {name: local.get(one.id, one) if isinstance(one, ast.Name) else one for name, one in given.items()}
            own = {one.arg for one in caller.args.args} if isinstance(caller, ast.FunctionDef) else set()
            if depth < 2 and any(isinstance(one, ast.Name) and one.id in own for one in given.values()):
                by_name = {name: one.id for name, one in given.items() if isinstance(one, ast.Name)}
                for outer in list(_handed(caller, tree, depth + 1)) or [{}]:
                    yield {**given, **{name: outer[one] for name, one in by_name.items() if one in outer}}
            else:
                yield given


def _inside(function: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function, but not in those inside it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef):
            yield node
            yield from _inside(node)


def _made(node: ast.Call, kind: str, path: str, names: Mapping[str, ast.expr]) -> Iterator[Raised]:
    """The errors that one call can make: several where the message is one of several."""
    given = list(node.args)
    more = {word.arg: word.value for word in node.keywords}
    status = code = None
    if kind == "Problem":
        if len(given) < 3:
            return
        for what in _messages(given[1], names):
            for remedy in _messages(given[2], names):
                yield Raised(path, node.lineno, kind, _plain(f"{what}. {remedy}"))
        return
    if kind == "Refusal":
        first = given.pop(0) if given else None
        status = first.value if isinstance(first, ast.Constant) else 400
        told = more.get("code")
        code = told.value if isinstance(told, ast.Constant) else None
    if kind == "DatasetError":  # its message is made of its problems
        return
    if given:
        for message in _messages(given[0], names):
            yield Raised(path, node.lineno, kind, _plain(message), status, code)


def _fault(node: ast.Call, kind: str, path: str, names: Mapping[str, ast.expr]) -> Iterator[Raised]:
    """One of the faults that a recipe or a folder of templates gathers, to tell them all at once."""
    owner = ast.unparse(node.func)
    if (kind == "append" and "faults" not in owner) or not node.args:
        return
    for message in _messages(node.args[-1], names):
        yield Raised(path, node.lineno, "ConfigError" if "config" in path else "TemplateError", _plain(message))


def _plain(message: str) -> str:
    """A message on one line."""
    return " ".join(message.split())


def _messages(value: ast.expr, names: Mapping[str, ast.expr], depth: int = 0) -> list[str]:
    """The texts that an expression can be, with marked places; none where it only passes on another's text."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return [value.value]
    if isinstance(value, ast.JoinedStr):
        made = [""]
        for piece in value.values:
            texts = _place(piece, names, depth)
            made = [before + text for before in made for text in texts]
        return made
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        left, right = _messages(value.left, names, depth), _messages(value.right, names, depth)
        left, right = left or [_mark(_called(value.left))], right or [_mark(_called(value.right))]
        return [a + b for a in left for b in right]
    if isinstance(value, ast.IfExp):
        return [*_messages(value.body, names, depth), *_messages(value.orelse, names, depth)]
    if isinstance(value, ast.Name) and value.id in names and depth < 3:
        return _messages(names[value.id], {**names, value.id: ast.Constant(None)}, depth + 1)
    if isinstance(value, ast.Call) and depth < 3:
        if isinstance(value.func, ast.Attribute) and value.func.attr == "format":
            return [text.replace("{}", _mark("seen")) for text in _messages(value.func.value, names, depth + 1)]
        returned = names.get(f"{ast.unparse(value.func).split('.')[-1]}()")
        return _messages(returned, names, depth + 1) if returned else []
    return []


def _place(piece: ast.expr, names: Mapping[str, ast.expr], depth: int) -> list[str]:
    """A piece of an f-string: its words, a named text in full, or a marked place."""
    if isinstance(piece, ast.Constant):
        return [str(piece.value)]
    assert isinstance(piece, ast.FormattedValue)
    inner = piece.value
    texts = isinstance(inner, ast.Name) and (inner.id.isupper() or depth == 0)
    if (texts or isinstance(inner, ast.IfExp)) and (found := _messages(inner, names, depth + 1)) and len(found) < 4:
        return found
    quote = "'" if piece.conversion == ord("r") else ""
    return [f"{quote}{_mark(_called(inner))}{quote}"]


def _mark(name: str) -> str:
    return f"{OPEN}{name}{CLOSE}"


def _called(value: ast.expr) -> str:
    """What stands there, in a word."""
    if isinstance(value, ast.Name | ast.Attribute):
        return (value.id if isinstance(value, ast.Name) else value.attr).strip("_").replace("_", " ").lower()
    if isinstance(value, ast.Subscript):
        return _called(value.value)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div):
        return "file"
    return GAP
