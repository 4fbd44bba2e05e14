"""Our pages in a real browser: nothing sticks out on a phone, all pictures and plots are there, nothing is fetched."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from shops import catalogue, interactions, shop

from llmrec.evaluation.looks import Change
from llmrec.evaluation.report import report_folder, write_report
from llmrec.evaluation.run import cases_of, over_seeds, rank_all
from llmrec.example_files import write_examples
from llmrec.examples import ExampleRecipe
from llmrec.preview import write_preview
from llmrec.retrieval import neighbours, popularity
from llmrec.splits import leave_one_out

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NONE = "no chromium, chromium-browser or google-chrome is on the PATH"
pytestmark = pytest.mark.skipif(BROWSER is None, reason=NONE)
PHONE, DESK = 390, 1280
LONG = "Unbroken" * 20
FRAME = """<!doctype html><meta charset="utf-8">
<iframe id="frame" src="PAGE" width="WIDTH" height="844" style="border: 0"></iframe>
<pre id="told"></pre>
<script>
addEventListener("load", () => {
  const view = frame.contentWindow, page = view.document;
  const all = (choice) => [...page.querySelectorAll(choice)];
  const box = (one) => one.getBoundingClientRect();
  const name = (one) => `${one.tagName} ${one.textContent.trim().slice(0, 40)}`;
  const rolls = (one) => one && (view.getComputedStyle(one).overflowX === "auto" || rolls(one.parentElement));
  told.textContent = JSON.stringify({
    inner: view.innerWidth,
    wide: page.documentElement.scrollWidth,
    out: all("body *").filter((one) => box(one).right > view.innerWidth + 0.5 && !rolls(one.parentElement)).map(name),
    pictures: all("img").map((one) => one.naturalWidth),
    shown: all("img").map((one) => box(one).width * box(one).height),
    plots: all("svg, .bar[role=img]").map((one) => [box(one).width, box(one).height]),
    marks: all("svg rect.bar, .bar[role=img] > i").map((one) => box(one).width),
    letters: parseFloat(view.getComputedStyle(page.body).fontSize),
    fetched: view.performance.getEntriesByType("resource").map((one) => one.name),
  });
});
</script>
"""


def browse(page: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Open a page without a window. Names of hosts lead nowhere, so that a test needs no network."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--disable-dev-shm-usage", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=5000"]
    return subprocess.run(
        [*command, *words, page.resolve().as_uri()], capture_output=True, text=True, timeout=60, check=True
    )


def complaints(page: Path, folder: Path) -> list[str]:
    """What the browser says in its console about the page as it is."""
    return [line for line in browse(page, folder, "--dump-dom").stderr.splitlines() if ":CONSOLE" in line]


def measured(page: Path, folder: Path, width: int) -> dict[str, Any]:
    """Figures of the page as it is, in a frame of that width: a browser without a window is never as narrow as that."""
    frame = folder / "frame.html"
    frame.write_text(FRAME.replace("PAGE", page.resolve().as_uri()).replace("WIDTH", str(width)), encoding="utf-8")
    words = ("--allow-file-access-from-files", f"--window-size={max(width, 800)},900", "--dump-dom")
    told = re.search(r'<pre id="told">(.+?)</pre>', browse(frame, folder, *words).stdout, re.DOTALL)
    assert told, "the page let nobody look into it"
    figures = json.loads(html.unescape(told[1]))
    return {**figures, "fetched": [name for name in figures["fetched"] if not name.startswith("data:")]}


@pytest.fixture(scope="module")
def pages(tmp_path_factory, prompts, meter) -> dict[str, Path]:
    """A report, one over three seeds, and a preview, of a shop whose people and items have long names."""
    base = tmp_path_factory.mktemp("pages")
    items = catalogue().with_columns(title=pl.concat_str(pl.lit(LONG), "item"), brand=pl.lit(LONG))
    rows = interactions().with_columns(user=pl.concat_str(pl.lit(LONG), "user"))
    dataset = shop(base / "shop", items=items, interactions=rows, name=f"A shop named {LONG}")
    cases = cases_of(leave_one_out(dataset.log))
    ranked = rank_all([popularity.fit(cases.split), neighbours.fit(cases.split)], cases)
    warnings = [f"Beware of {LONG}."]
    with report_folder(base / "report") as folder:
        changes = [
            Change(ranked[0].name, "pictures", "blank", replace(popularity.fit(cases.split), name=ranked[1].name))
        ]
        write_report(folder, dataset, cases, ranked, warnings=warnings, changes=changes)
    with report_folder(base / "seeds") as folder:
        write_report(folder, dataset, cases, over_seeds([ranked] * 3, (0, 1, 2)), seeds=(0, 1, 2))
    write_examples(base / "ex", [(dataset, 1.0)], prompts, meter, ExampleRecipe(), tokenizer_name="starter")
    write_preview(base / "ex", base / "preview.html", count=16)
    return {
        "report": base / "report" / "report.html",
        "report over seeds": base / "seeds" / "report.html",
        "preview": base / "preview.html",
    }


NAMES = ("report", "report over seeds", "preview")


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_its_screen_and_shows_all_that_it_holds(pages, tmp_path, name, width):
    seen = measured(pages[name], tmp_path, width)
    assert seen["inner"] == width
    assert seen["out"] == []
    assert seen["wide"] <= width
    assert len(seen["pictures"]) > 20
    assert min(seen["pictures"]) > 0, "every picture is decoded"
    assert min(seen["shown"]) > 100, "and has room on the page"
    assert len(seen["plots"]) >= 5
    assert [size for size in seen["plots"] if size[0] < 100 or size[1] < 5] == []
    assert max(seen["marks"]) > 20, "bars are drawn"
    assert seen["letters"] >= 16
    assert seen["fetched"] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_browser_has_nothing_to_complain_about(pages, tmp_path, name):
    text = pages[name].read_text(encoding="utf-8")
    assert complaints(pages[name], tmp_path) == []
    assert not re.findall(r"""\s(?:src|href|srcset|action|data)\s*=\s*["']?(?!["']|data:|#)|url\(|@import""", text)


def test_the_browser_would_have_seen_each_of_these_faults(tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<!doctype html><meta charset="utf-8"><div style="width: 900px">wide</div>'
        '<img src="https://example.org/a.jpg"><svg width="0" height="0"></svg><script>nosuch()</script>'
    )
    seen = measured(bad, tmp_path, PHONE)
    assert seen["wide"] > PHONE
    assert seen["out"] == ["DIV wide"]
    assert seen["pictures"] == [0]
    assert seen["plots"] == [[0, 0]]
    assert seen["fetched"] == ["https://example.org/a.jpg"]
    (said,) = complaints(bad, tmp_path)
    assert "nosuch is not defined" in said
