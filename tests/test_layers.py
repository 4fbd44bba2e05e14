"""A module imports from its own line of the design or from below, heavy packages stay inside functions, no circles."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "llmrec"

# From the top: a module may import what stands on its own line or below. A new module gets its place here.
LINES = (
    {"__main__"},
    {"cli", "sft"},
    {"demo", "compare"},
    {"chain"},
    {"gateway"},
    {"tables", "doctor", "terminal", "gateway_child"},
    {"evaluation"},
    {"merge", "refresh", "recommender"},
    {"tuning", "pretraining"},
    {"modeling"},
    {"retrieval", "engines"},
    {"example_files", "preview", "audit"},
    {"examples"},
    {
        "tasks",
        "script",
        "shelf",
        "wishes",
        "features",
        "said",
        "tokens",
        "prompts",
        "cleaning",
        "splits",
        "metrics",
        "significance",
    },
    {
        "dataset",
        "schema",
        "log",
        "pictures",
        "likeness",
        "artifact",
        "config",
        "progress",
        "page",
        "environment",
        "lexicon",
        "telling",
    },
    {"errors"},
)
LINE_OF = {name: number for number, line in enumerate(LINES) for name in line}  # a package stands on one line
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "vllm", "accelerate", "bitsandbytes"}
LEARN = {
    "modeling",
    "pretraining",
    "tuning",
    "merge",
    "refresh",
    "recommender",
}  # imported only where a network is needed
BESIDE = {"data_builders", "drawn", "prompts", "train", "serve", "benchmarks", "tests"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def imported(tree: ast.AST) -> set[str]:
    """The full names of all modules that a tree imports, wherever it does so."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            base = node.module or ""
            names |= {f"{base}.{alias.name}" for alias in node.names} if base == "llmrec" else {base}
    return names


def ours(tree: ast.AST) -> set[str]:
    """The modules and packages on the lines that a tree imports from."""
    return {name.split(".")[1] for name in imported(tree) if name.startswith("llmrec.")} & set(LINE_OF)


def place(path: Path) -> str:
    """The module's name, or that of the package that it is in."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def dotted(path: Path) -> str:
    return ".".join(("llmrec", *path.relative_to(PACKAGE).with_suffix("").parts))


def name_of(path: Path) -> str:
    return dotted(path).removeprefix("llmrec.")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_from_its_own_line_or_below(path):
    own = place(path)
    assert own in LINE_OF, f"llmrec/{own} is new: give it its place in LINES of tests/test_layers.py"
    above = {name for name in ours(ast.parse(path.read_text())) if LINE_OF[name] < LINE_OF[own]}
    assert not above, f"{name_of(path)} imports {', '.join(above)} from above itself"


@pytest.mark.parametrize("path", [path for path in MODULES if place(path) not in LEARN], ids=name_of)
def test_heavy_packages_are_imported_inside_functions(path):
    tree = ast.parse(path.read_text())
    at_once = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
    assert not {name.split(".")[0] for name in imported(at_once)} & HEAVY


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_library_imports_no_folder_beside_it(path):
    assert not {name.split(".")[0] for name in imported(ast.parse(path.read_text()))} & BESIDE


def test_no_imports_go_in_a_circle():
    names = {dotted(path) for path in MODULES}
    graph = {dotted(path): modules(ast.parse(path.read_text())) & names for path in MODULES}

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a circle: {' > '.join((*way, name))}"
        for next_one in graph.get(name, ()):
            visit(next_one, (*way, name))

    for name in graph:
        visit(name, ())


def modules(tree: ast.AST) -> set[str]:
    """The full names of our modules that a tree imports, also where it imports a name out of one."""
    names = {name for name in imported(tree) if name.startswith("llmrec")}
    return names | {name.rpartition(".")[0] for name in names}


def test_every_place_has_a_module():
    assert set(LINE_OF) == {place(path) for path in MODULES}
