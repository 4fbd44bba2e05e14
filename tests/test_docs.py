"""The site: it is built with warnings as errors, fetches nothing, and its reference names all that there is."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from from_code import commands, errors, hook, raised, recipes, results, routes, wordings

from llmrec.config import settings
from llmrec.errors import InputError

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@dataclasses.dataclass(frozen=True)
class Told:
    """A recipe of one key."""

    how: int = 3
    """How it is."""


class Page(HTMLParser):
    """What a built page loads, links to and can be linked at, and the text of it."""

    def __init__(self, path: Path):
        super().__init__()
        self.loaded: set[str] = set()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.words: list[str] = []
        self.feed(path.read_text())
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if name := given.get("id"):
            self.anchors.add(name)
        if tag in ("script", "img", "iframe") and given.get("src"):
            self.loaded.add(str(given["src"]))
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.loaded.add(str(given["href"]))
        if tag == "a" and given.get("href"):
            self.links.add(str(given["href"]))

    def handle_data(self, data: str) -> None:
        if self.lasttag not in ("script", "style"):
            self.words.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}


def test_every_page_is_there_and_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[str, Page]) -> None:
    assert len(pages) > len(list(DOCS.glob("*.md")))
    for name, page in pages.items():
        for source in page.loaded:
            assert "//" not in source, f"{name} loads {source}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import\s*)[\"']?https?:", style.read_text()), style


def test_links_within_the_site_lead_to_pages_and_places_that_are_there(site: Path, pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        for link in page.links:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link) or name == "404.html":
                continue
            target = os.path.normpath(Path(name).parent / path) if path else name
            assert (site / target).exists(), f"{name} links to {link}"
            if anchor and target in pages:
                assert anchor in pages[target].anchors, f"{name} links to {link}"


def test_no_marker_is_left_and_none_is_unknown(site: Path) -> None:
    assert not [page.name for page in site.rglob("*.html") if "<!-- from code:" in page.read_text()]
    used = {kind for path in DOCS.rglob("*.md") for kind, *_ in hook.MARKER.findall(path.read_text())}
    assert used == set(hook.MADE)


def test_drawings_stand_within_the_page_and_read_well_without_it(pages: dict[str, Page]) -> None:
    drawings = [path for path in (DOCS / "images").glob("*.svg") if path.name != "mark.svg"]
    shown = "".join(path.read_text() for path in DOCS.rglob("*.md"))
    assert len(drawings) >= 5
    for path in drawings:
        text = path.read_text()
        assert f"images/{path.name}" in shown
        assert "prefers-color-scheme: dark" in text
        assert 'role="img" aria-label="' in text
    assert "one multimodal" in pages["index.html"].text
    assert not any("images/overview.svg" in source for source in pages["index.html"].loaded)


def test_the_reference_names_every_command_and_every_option(pages: dict[str, Page]) -> None:
    told = pages["reference/commands.html"].text
    for name in (*commands.command_names(), "python -m llmrec.sft"):
        assert f" {name} " in told, name
    listed = subprocess.run(
        [sys.executable, "-m", "llmrec", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for name in re.findall(r"^│ ([a-z][a-z-]*) ", listed, flags=re.MULTILINE):
        assert f"llmrec {name}" in told, name
    for builder in commands.builder_names():
        assert f"data_builders/{builder}.py" in told
    for option in ("--picture-size", "--min-rating", "--vision-layer", "--dry-run", "--rate"):
        assert option in told


def test_the_reference_names_every_setting(pages: dict[str, Page]) -> None:
    told = pages["reference/settings.html"].text
    assert recipes.named_in_the_code() <= set(recipes.RECIPES)
    for name in recipes.RECIPES:
        for one in settings(recipes.recipe(name)):
            assert f" {one.name} " in told, f"{name}: {one.name}"
            assert one.help, f"{name}: {one.name} has no sentence"
            assert one.section or one.help.split("`")[0].strip() in told, one.name


def test_the_reference_names_every_route_field_and_role(pages: dict[str, Page]) -> None:
    page = pages["reference/http.html"]
    asked = routes.roles()
    for method, path, _ in routes.operations():
        assert f"{method} {path}" in page.text
        assert asked[method, path] in ("read", "events", "admin", "none")
        assert (asked[method, path] == "none") == (not path.startswith("/v1/")), path
    assert asked["PUT", "/v1/items/{item}"] == "admin"
    assert asked["POST", "/v1/events"] == "events"
    for name, schema in routes.document()["components"]["schemas"].items():
        assert f"form-{name.lower()}" in page.anchors
        for field in schema.get("properties", {}):
            assert f" {field} " in page.text, f"{name}.{field}"


def test_the_reference_names_every_wording(pages: dict[str, Page]) -> None:
    told = pages["reference/tasks.html"].text
    for path in (ROOT / "prompts").glob("*/*.jinja"):
        assert f" {path.stem} " in told
    assert "Held out:" not in wordings.reference()


def test_every_kept_result_stands_on_its_page_with_its_command_and_verdict(pages: dict[str, Page]) -> None:
    told = pages["results.html"].text
    for name in results.names():
        content = results.result(name)
        assert content["command"] in told, name
        for figure in content["reach"]:
            assert f" {figure} " in told
    missed = sum(table.count(">missed<") for table in map(results.reaches, results.names()))
    assert told.count(" missed ") >= missed > 0


def test_a_result_that_the_page_does_not_name_comes_at_its_end() -> None:
    assert "## data\n\n" in results.rest(set(results.names()) - {"data"})
    assert results.rest(set(results.names())) == ""


def test_figures_are_read_from_the_file_and_not_written_by_hand() -> None:
    figures = results.result("learning")["figures"]
    table = results.chosen("learning", ["what | NDCG@10", "model | model_ndcg@10"])
    assert f"{figures['model_ndcg@10']:.4f}" in table
    with pytest.raises(KeyError):
        results.chosen("learning", ["what | it", "model | no_such_figure"])


def test_sentences_about_results_take_their_figures_from_the_files() -> None:
    figures = results.result("learning")["figures"]
    wanted = f"+{figures['fused_minus_retriever']:.4f}, or {figures['model_ndcg@10']:.4f}"
    assert results.said("learning", "{+fused_minus_retriever}, or {model_ndcg@10}") == wanted
    prose = hook.MARKER.sub("", (ROOT / "docs" / "results.md").read_text())
    by_hand = re.findall(r"[^.\n]*(?:\d*\.\d+|\d %)[^.\n]*", prose)
    assert not by_hand, "write <!-- from code: said RESULT ({figure}) --> in docs/results.md, since these go stale"
    assert hook.filled("`<!-- from code: recipes -->`") == "`<!-- from code: recipes -->`", "it is only spoken of"
    assert hook.filled("so<!-- from code: said learning (p {fused_p}) -->.").startswith("so (p 0.")


def test_a_suite_is_drawn_by_its_costs_with_the_numbers_of_its_table() -> None:
    found = results.result("suite-adaptation")["suite"]["found"]
    plain, drawn = results.suite("suite-adaptation", []), results.suite("suite-adaptation", ["minutes", "memory"])
    assert "<svg" not in plain
    assert drawn.count("<svg") == 2
    assert drawn.count("<circle") == 2 * len(found)
    for number, one in enumerate(found, 1):
        assert f"\n| {number}. **{one['name']}**" in drawn
        assert drawn.count(f"<title>{one['name']}: {one['interval']['mean']:.4f}</title>") == 2
        assert drawn.count('class="number" x="') == 2 * len(found)
    of_people = results.suite("suite-data", ["along"])
    smallest = results.result("suite-data")["suite"]["found"][-1]
    line = f"| 4. {smallest['name']} | {smallest['interval']['mean']:.4f} | {smallest['beside']['light reader']:.4f} |"
    assert line in of_people, "what others reach, in a table of its own"
    assert of_people.count("not in all reports") == list(smallest["beside"].values()).count(None)


def test_every_error_says_what_to_do_by_itself_or_by_a_remedy() -> None:
    told = [f"{one.path}:{one.line}: {one.template}" for one in errors.unanswered()]
    assert not told, "write in docs/from_code/remedies.md what to do about:\n" + "\n".join(told)


def test_no_remedy_outlives_its_error() -> None:
    assert not errors.stale(), "nobody raises these of docs/from_code/remedies.md any more"


def test_the_message_of_every_error_can_be_read_out_of_the_source() -> None:
    passed_on = {
        "data_builders/tabular.py: InputError('\\n  - '.join(['both files:', *map(str, faults)]))",
        "llmrec/gateway/faults.py: Refusal(400, str(error))",
    }
    assert raised.unread() == passed_on


def test_every_error_stands_on_the_page(pages: dict[str, Page]) -> None:
    page = pages["troubleshooting.html"]
    areas = {one.area for one in errors.found()}
    markers = {
        area for kind, area, _ in hook.MARKER.findall((DOCS / "troubleshooting.md").read_text()) if kind == "errors"
    }
    assert areas <= markers == set(raised.AREAS)
    squeezed = re.sub(r"\W+", "", page.text)
    for one in errors.found():
        for piece in re.split(f"{raised.OPEN}.*?{raised.CLOSE}", one.parts[0]):
            assert re.sub(r"\W+", "", piece) in squeezed, one.template


def test_errors_that_are_really_raised_are_among_those_that_were_read(small_shop, tmp_path: Path) -> None:
    from llmrec.artifact import read_json
    from llmrec.config import build
    from llmrec.retrieval.index import IndexRecipe
    from llmrec.splits import split_by_name

    def known(error: Exception) -> bool:
        patterns = (re.escape(one.template).replace("…", ".+") for one in errors.found())
        return any(re.fullmatch(pattern, " ".join(str(error).split())) for pattern in patterns)

    seen = []
    for wrong in (
        lambda: read_json(tmp_path, "manifest.json", kind="a run", remedy="Tune one"),
        lambda: build(IndexRecipe, {"parts": ["sound"], "txt_width": 3}),
        lambda: split_by_name(small_shop.log, "by-moonlight"),
    ):
        with pytest.raises(InputError) as caught:
            wrong()
        seen.append(caught.value)
    assert [known(error) for error in seen] == [True] * len(seen), seen


def test_a_setting_is_told_with_its_type_its_default_and_its_sentence() -> None:
    (one,) = settings(Told)
    assert (one.name, one.default, one.help) == ("how", 3, "How it is.")
    assert recipes.takes(one.hint) == "whole number"


def test_the_search_knows_the_pages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"tutorial.html", "troubleshooting.html", "reference/http.html", "contributing.html"} <= found
