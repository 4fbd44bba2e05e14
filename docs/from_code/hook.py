"""What MkDocs calls while it builds the site: it fills markers from the code, and takes files of the repository along.

A marker is a comment, so that the Markdown is read as well without the site:
<!-- from code: recipes -->
One in backticks is spoken of, and stays.
"""

import posixpath
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS), str(ROOT)]
sys.path.append(str(ROOT / "benchmarks"))  # last: a builder of the same name goes first

from from_code import commands, errors, recipes, results, routes, wordings  # noqa: E402

MARKER = re.compile(r"(?<!`)<!-- from code: (\w+)(?: (\w[\w-]*))?\s*(.*?)-->", re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(#[^)\s]*)?\)")
DRAWING = re.compile(r'!\[([^\]]*)\]\((?:\.\./)?images/([\w-]+)\.svg(?: "([^"]*)")?\)')
TOLD: set[str] = set()
# What stands at the root of the repository and is a page of the site.
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def _decisions() -> str:
    """The records of what was decided, by their first lines."""
    found = sorted((DOCS / "decisions").glob("0*.md"))
    heads = [(path, path.read_text().splitlines()[0].removeprefix("# ").split(". ", 1)) for path in found]
    return "\n".join(f"{int(number)}. [{told}]({path.name})" for path, (number, told) in heads)


MADE: dict[str, Callable[[str, str], str]] = {
    "commands": lambda _, __: commands.reference(),
    "scripts": lambda _, __: commands.scripts(),
    "recipes": lambda _, __: recipes.reference(),
    "routes": lambda _, __: routes.reference(),
    "wordings": lambda _, __: wordings.reference(),
    "variables": lambda _, __: wordings.variables(),
    "errors": lambda area, _: errors.entries(area),
    "result": lambda name, _: results.whole(name),
    "suite": lambda name, rows: results.suite(name, rows.splitlines()),
    "figures": lambda name, rows: results.chosen(name, rows.splitlines()),
    "said": lambda name, phrase: f" {results.said(name, phrase.strip())}",
    "published": lambda name, rows: results.published(name, rows.splitlines()),
    "results": lambda _, __: results.rest(TOLD),
    "decisions": lambda _, __: _decisions(),
}


def filled(text: str) -> str:
    """A page with all its markers filled."""
    TOLD.update(name for kind, name, _ in MARKER.findall(text) if kind in ("result", "figures", "suite"))
    return MARKER.sub(lambda one: MADE[one[1]](one[2] or "", one[3]), text)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every record of a decision behind the page that lists them."""
    found = [f"decisions/{path.name}" for path in sorted((DOCS / "decisions").glob("0*.md"))]
    for part in config.nav or []:
        for page in part.get("Ideas", []):
            if "Decisions" in page:
                page["Decisions"] = ["decisions/index.md", *found]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository's root, and every file outside docs/ that a page links to."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=_at_the_root((ROOT / source).read_text())))
    for file in list(files.documentation_pages()):
        for target, _ in LINK.findall(file.content_string):
            path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(file.src_uri), target))
            taken = f"files/{path}.txt"
            if not path.startswith("docs/") and (ROOT / path).is_file() and taken not in files.src_uris:
                files.append(File.generated(config, taken, content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill the markers, and lead links out of docs/ to the files that came along."""
    del config, files
    here = posixpath.dirname(page.file.src_uri)

    def led(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", here, link[1]))
        if path.startswith("docs/") or not (ROOT / path).is_file():
            return link[0]
        return f"]({posixpath.relpath(f'files/{path}.txt', here or '.')})"

    return filled(DRAWING.sub(_drawn, LINK.sub(led, markdown)))


def _drawn(picture: re.Match[str]) -> str:
    """A drawing within the page, where it follows the page's light and dark."""
    drawing = (DOCS / "images" / f"{picture[2]}.svg").read_text().strip()
    caption = f"<figcaption>{picture[3]}</figcaption>" if picture[3] else ""
    return f'<figure class="drawn">\n{drawing}\n{caption}</figure>'


def _at_the_root(text: str) -> str:
    """A page of the repository's root, with its links as they are within docs/."""

    def led(link: re.Match[str]) -> str:
        path = link[1].removeprefix("docs/")
        return f"]({path}/index.md)" if (DOCS / path).is_dir() else f"]({path}{link[2] or ''})"

    return LINK.sub(led, text)
