"""Prompts: a folder of Jinja templates, each wording compiled once and rendered into the turns of a chat."""

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, TemplateSyntaxError, UndefinedError, nodes
from jinja2.meta import find_referenced_templates, find_undeclared_variables
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmrec.cleaning import clean
from llmrec.errors import TemplateError

__all__ = ["PICTURE", "VARIABLES", "Chat", "Prompts", "Template", "Turn", "clean", "parts"]

PICTURE = "\ue000"
"""Stands where a picture stands. It is a private-use character, which no cleaned text can hold."""

SHORT = 100
BASE, ITEM, HELD_OUT = "base.jinja", "item.jinja", "unseen-"
TURNS = ("system", "user")
BLOCKS = (*TURNS, "answer")
FIELDS = ("title", "description", "categories", "brand", "price", "attributes")

VARIABLES: Mapping[str, str] = {
    "domain": "what the catalogue is, in a few words",
    "history": "the lines of the items that the person took, oldest first; may be empty",
    "candidates": "the items to choose from, each with `label` and `line`",
    "item": "the line of the item in question",
    "shown": "the picture that the person sends",
    "wish": "what the person wishes for, in words",
    "review": "the text of a review",
    "hint": "one word that names a feature",
    "agreed": "words that several reviewers say of the item, the surest first; may be empty",
    "taste": "words that are said of several items of the history, the surest first; may be empty",
    "low": "the lowest rating of the scale",
    "high": "the highest rating of the scale",
    "rating": "the rating that the person gave, to be answered",
    "liked": "whether the person took the item in question, to be answered",
    "label": "the label of the right candidate, to be answered",
    "target": "the right item with `label`, `line` and `title`, to be answered",
    "word": "the right item as one word of the model's vocabulary, to be answered",
    "reason": "why the right item fits the wish, or an empty text, to be answered",
    "explanation": "what the person said of the item, to be answered",
    "summary": "the headline of the review, to be answered",
}
"""The names that a template may use. Examples are made with these; a new one is made known here."""


@dataclass(frozen=True)
class Turn:
    """What one side of a conversation says; `text` may hold picture marks."""

    role: str
    text: str


@dataclass(frozen=True)
class Chat:
    """A prompt and the answer that is right for it."""

    prompt: tuple[Turn, ...]
    answer: str

    @property
    def pictures(self) -> int:
        """How many pictures the prompt shows."""
        return sum(turn.text.count(PICTURE) for turn in self.prompt)


@dataclass(frozen=True)
class Template:
    """One wording of one task."""

    task: str
    name: str
    unseen: bool
    """Whether the wording is held out of training, to see how well a model takes one that it has not met."""
    needs: frozenset[str]
    """The variables that it uses."""
    path: Path
    _page: "_Page" = field(repr=False, compare=False)

    def render(self, context: Mapping[str, object], *, pictures: int | None = None) -> Chat:
        """Fill the template. Text in `context` has been cleaned by the caller; a name that is missing is an error.

        `pictures` is how many picture marks the caller has put into the context: that many are then in the prompt, or
        there is an error, so that no picture is lost and none is forged.
        """
        blocks = self._page.blocks(context)
        turns = tuple(Turn(role, text) for role in TURNS if (text := blocks[role]))
        chat = Chat(turns, blocks["answer"])
        if PICTURE in chat.answer:
            raise TemplateError(f"{self.path} puts a picture into the answer. Pictures can stand in the prompt only")
        if pictures is not None and chat.pictures != pictures:
            raise TemplateError(
                f"{self.path}: pictures in the prompt: {chat.pictures}, given: {pictures}. Let the template show each "
                "item once, and clean all text that goes into it"
            )
        return chat


class Prompts:
    """A folder of templates: `base.jinja`, `item.jinja`, and a folder of wordings for each task."""

    def __init__(self, folder: Path, sources: Mapping[str, bytes], templates: Sequence[Template], item: "_Page"):
        self.folder = folder
        self._sources = dict(sources)
        self._templates = {(template.task, template.name): template for template in templates}
        self._item = item

    @classmethod
    def load(cls, folder: Path) -> "Prompts":
        """Compile all templates of a folder; an error tells what is wrong with any of them, all at once."""
        folder = Path(folder)
        sources = _read(folder)
        environment = _environment()
        texts: dict[str, str] = {}
        faults: list[str] = []
        for name, content in sources.items():
            try:
                texts[name] = content.decode("utf-8")
            except UnicodeDecodeError as error:
                texts[name] = content.decode("utf-8", errors="replace")
                line = content.count(b"\n", 0, error.start) + 1
                faults.append(f"{folder / name}, line {line}: is not UTF-8. Save the file in that encoding")
        environment.loader = FunctionLoader(
            lambda name: (texts[name], str(folder / name), None) if name in texts else None
        )
        pages = {name: _Page(environment, name, folder / name, text) for name, text in texts.items()}
        for page in pages.values():
            page.link(pages)
            faults += page.faults
        if not any("/" in name for name in sources):
            faults.append(f"{folder}: has no wording. Add one as TASK/NAME.jinja")
        if faults:
            found = "\n".join(f"  - {fault}" for fault in faults)
            raise TemplateError(f"{folder} has {len(faults)} problem{'s' if len(faults) != 1 else ''}:\n{found}")
        templates = []
        for name, page in pages.items():
            task, _, wording = name.removesuffix(".jinja").rpartition("/")
            if task:
                templates.append(Template(task, wording, wording.startswith(HELD_OUT), page.needs, page.path, page))
        return cls(folder, sources, templates, pages[ITEM])

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that have a template, in alphabetical order."""
        return tuple(sorted({task for task, _ in self._templates}))

    def seen(self, task: str) -> tuple[Template, ...]:
        """The wordings of a task that a model is trained with."""
        return tuple(template for template in self._of(task) if not template.unseen)

    def unseen(self, task: str) -> tuple[Template, ...]:
        """The wordings of a task that are held out of training."""
        return tuple(template for template in self._of(task) if template.unseen)

    def template(self, task: str, name: str) -> Template:
        """One wording by its name, which is the name of its file without `.jinja`."""
        found = {template.name: template for template in self._of(task)}
        if name not in found:
            raise TemplateError(
                f"{self.folder / task} has no template {name!r}{_nearest(name, found)}. It has {', '.join(found)}"
            )
        return found[name]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all names and contents: two folders with the same fingerprint make the same prompts."""
        digest = hashlib.sha256()
        for name, content in self._sources.items():
            digest.update(f"{len(name.encode())} {name} {len(content)}\n".encode() + content)
        return digest.hexdigest()

    def copy_to(self, folder: Path) -> None:
        """Write the templates, as they were when they were loaded, into a folder that travels with a model."""
        for name, content in self._sources.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def item_line(self, item: Mapping[str, object], picture: bool) -> str:
        """One line that shows an item: its picture if wanted, and those of its fields that are filled. Never its id."""
        return self._item.whole({"picture": picture, **{name: item.get(name) for name in FIELDS}})

    def _of(self, task: str) -> list[Template]:
        found = [template for (owner, _), template in self._templates.items() if owner == task]
        if not found:
            raise TemplateError(
                f"{self.folder} has no task {task!r}{_nearest(task, self.tasks)}. It has {', '.join(self.tasks)}"
            )
        return found


def parts(text: str) -> list[dict[str, str | None]]:
    """Split a turn at its picture marks into the content parts of a chat message."""
    content: list[dict[str, str | None]] = []
    for place, piece in enumerate(text.split(PICTURE)):
        if place:
            content.append({"type": "image", "text": None})
        if piece:
            content.append({"type": "text", "text": piece})
    return content


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja for templates that came with somebody's model: no attributes of Python's, no files, no chance."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        # A mapping's own fields come first: an item may have a field called `items`, and it is faster.
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


class _Page:
    """One template file: what is wrong with it, what it needs, and its compiled blocks."""

    def __init__(self, environment: _Environment, name: str, path: Path, text: str):
        self.name, self.path = name, path
        self.faults: list[str] = []
        self.variables: frozenset[str] = frozenset()
        self.uses: frozenset[str] = frozenset()
        self.needs: frozenset[str] = frozenset()
        self._environment = environment
        self._lines: dict[str, int] = {}
        self._blocks: dict[str, list[Callable[[Context], Iterator[str]]]] = {}
        try:
            tree = environment.parse(text, name, str(path))
            self._check(tree, text)
            self.variables = frozenset(find_undeclared_variables(tree))
            self.uses = frozenset(used for used in find_referenced_templates(tree) if used)
            code = environment.compile(tree, name, str(path))
        except TemplateSyntaxError as error:
            self._fault(error.lineno, f"{str(error.message).rstrip('.')}. Mend the template")
        else:
            self._compiled = environment.template_class.from_code(environment, code, environment.globals)

    def _fault(self, line: int, message: str) -> None:
        fault = f"{self.path}, line {line}: {message}"
        if fault not in self.faults:
            self.faults.append(fault)

    def _check(self, tree: nodes.Template, text: str) -> None:
        """Look for what Jinja would only find out when the template is rendered, or never."""
        if not re.match(r"\{#-? .+ -?#\}\r?\n", text):
            self._fault(1, "does not open with a comment. Say in one line what it asks: {# Which item comes next. #}")
        for variable in tree.find_all(nodes.Name):
            self._lines.setdefault(variable.name, variable.lineno)
        filters = self._environment.filters
        for call in tree.find_all(nodes.Filter):
            if call.name not in filters:
                self._fault(call.lineno, f"there is no filter {call.name!r}{_nearest(call.name, filters)}")
        for access in tree.find_all(nodes.Getattr):
            if access.attr.startswith("_"):
                self._fault(access.lineno, f"{access.attr!r} is Python's own. Read only the fields that are given")
        links: Iterable[Any] = tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport))
        for link in links:
            linked = getattr(link.template, "value", None)
            if isinstance(linked, str):
                self._lines[linked] = link.lineno
            else:
                self._fault(link.lineno, "the name of another template has to be written out, in quotation marks")
        blocks = {block.name: block.lineno for block in tree.find_all(nodes.Block)}
        if "/" in self.name:
            if [getattr(link.template, "value", None) for link in tree.find_all(nodes.Extends)] != [BASE]:
                self._fault(2, f'does not extend the base. Begin with {{% extends "{BASE}" %}}')
            for part in tree.body:
                if not isinstance(part, nodes.Extends | nodes.Block) and not _is_blank(part):
                    self._fault(
                        part.lineno, "what stands outside of the blocks is never shown. Move it into one of them"
                    )
            for name, line in blocks.items():
                if name not in BLOCKS:
                    self._fault(
                        line, f"the block {name!r} is never shown{_nearest(name, BLOCKS)}. Use {', '.join(BLOCKS)}"
                    )
        required = BLOCKS if self.name == BASE else ("user", "answer") if "/" in self.name else ()
        for name in required:
            if name not in blocks:
                self._fault(1, f"has no block {name!r}. Add {{% block {name} %}} … {{% endblock %}}")

    def link(self, pages: Mapping[str, "_Page"]) -> None:
        """Join this file's blocks to those of the base, and look for what it takes from elsewhere in vain."""
        if self.faults:
            return
        for used in sorted(self.uses - pages.keys()):
            what = f"there is no template {used!r}{_nearest(used, pages)}. Name it by its path inside the prompts"
            self._fault(self._lines[used], what)
        known = VARIABLES if self.name != ITEM else (*FIELDS, "picture")
        for name in sorted(self.variables - set(known)):
            what = f"nothing is known as {name!r}{_nearest(name, known)}. A template may use {', '.join(known)}"
            self._fault(self._lines[name], what)
        if not self.faults and not pages[BASE].faults:
            for page in (self, pages[BASE]) if "/" in self.name else (self,):
                for name, block in page._compiled.blocks.items():
                    self._blocks.setdefault(name, []).append(block)
        reached, ahead = {self.name: self}, [self]
        while ahead:
            for used in ahead.pop().uses & pages.keys() - reached.keys():
                reached[used] = pages[used]
                ahead.append(pages[used])
        self.needs = frozenset().union(*(page.variables for page in reached.values()))

    def blocks(self, context: Mapping[str, object]) -> dict[str, str]:
        """The text of each block. They are run directly: going by way of the base takes half as long again."""
        frame = self._frame(context)
        frame.blocks = self._blocks
        try:
            return {name: "".join(self._blocks[name][0](frame)).strip() for name in BLOCKS}
        except Exception as error:
            raise self._explained(error, context) from error

    def whole(self, context: Mapping[str, object]) -> str:
        """The text of a file without blocks."""
        try:
            return "".join(self._compiled.root_render_func(self._frame(context))).strip()
        except Exception as error:
            raise self._explained(error, context) from error

    def _frame(self, context: Mapping[str, object]) -> Context:
        return Context(self._environment, {**self._environment.globals, **context}, self.name, {})

    def _explained(self, error: Exception, context: Mapping[str, object]) -> TemplateError:
        place, step = str(self.path), error.__traceback__
        while step:
            page = step.tb_frame.f_globals.get("__jinja_template__")
            if page is not None:
                place = f"{page.filename}, line {page.get_corresponding_lineno(step.tb_lineno)}"
            step = step.tb_next
        missing = sorted(self.needs - context.keys())
        if isinstance(error, UndefinedError) and missing:
            given = ", ".join(context) or "nothing"
            return TemplateError(f"{place}: needs {', '.join(missing)}, which it was not given. It was given {given}")
        return TemplateError(f"{place}: {error} ({type(error).__name__}). Mend the template, or what is put into it")


def _environment() -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False, cache_size=-1
    )
    # What is left out: globals such as lipsum and the filter random, for a prompt is the same for the same context.
    environment.globals = {"PICTURE": PICTURE}
    del environment.filters["random"]
    environment.filters["clean"] = _cleaned
    return environment


def _read(folder: Path) -> dict[str, bytes]:
    """The files of a folder of prompts by their path in it, sorted."""
    if not (folder / BASE).is_file() or not (folder / ITEM).is_file():
        seen = f"has no {ITEM if (folder / BASE).is_file() else BASE}" if folder.is_dir() else "does not exist"
        raise TemplateError(
            f"{folder} {seen}, so it is not a folder of prompts. Give the one that holds {BASE} and {ITEM}"
        )
    sources = {}
    for path in folder.rglob("*.jinja"):
        name = path.relative_to(folder).as_posix()
        if name.startswith(".") or "/." in name:
            continue  # what editors and notebooks keep for themselves
        try:
            sources[name] = path.read_bytes()
        except OSError as error:
            raise TemplateError(
                f"{path} cannot be read: {error.strerror}. Check the file and its permissions"
            ) from error
    return dict(sorted(sources.items()))


def _is_blank(part: nodes.Node) -> bool:
    return isinstance(part, nodes.Output) and all(
        isinstance(x, nodes.TemplateData) and not x.data.strip() for x in part.nodes
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (is it {near[0]!r}?)" if near else ""


def _cleaned(value: object, limit: int | None = None) -> str:
    """The filter `clean`: any field of an item as safe text."""
    if value is None:
        return ""
    text = ("no", "yes")[value] if isinstance(value, bool) else str(value)
    return _cleaned_before(text, limit) if len(text) < SHORT else clean(text, limit)


_cleaned_before = lru_cache(maxsize=4096)(clean)  # the catalogue's name and the like are met in every prompt
