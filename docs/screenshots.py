"""Pictures of the page for the documentation: a served model, the system's Chromium, some scenes.

python docs/screenshots.py work/model --index work/index     or: make screenshots
"""

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from llmrec.gateway_child import own_gateway

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from browsers import browsing, opened  # noqa: E402  the tests' own browser

LARGEST = 200_000  # bytes of a picture
MANY = 20  # things in the history of whoever is shown
WISH = "A teapot under 40, please"


@contextmanager
def served(model: Path, index: Path) -> Iterator[str]:
    """The address of a gateway, on a copy of the index: it writes beside it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(index, Path(folder) / "index")
        with own_gateway(model, Path(folder) / "index", ["patience=30"]) as running:
            yield running.address


def somebody(address: str) -> str:
    """A person with a long history."""
    people = httpx.get(f"{address}/v1/people?limit=100", trust_env=False).raise_for_status().json()["data"]
    return str(min(people, key=lambda one: abs(one["taken"] - MANY))["user"])


def settled(page: Any) -> None:
    """Wait for the list and its pictures."""
    page.wait_for_selector('#list[aria-busy="false"] .card:not(.skeleton)')
    page.wait_for_load_state("networkidle")
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)


def enter(page: Any, person: str | None) -> None:
    """Be somebody, or a guest."""
    page.goto("/")
    if person:
        page.fill("#person", person)
        page.press("#person", "Enter")
    else:
        page.click(".guest")
    settled(page)


def ask(page: Any, words: str) -> None:
    """Say something and wait for the whole answer."""
    page.fill("#message", words)
    page.press("#message", "Enter")
    page.wait_for_selector('.theirs[aria-busy="false"]', timeout=120_000)
    page.evaluate("() => document.activeElement.blur()")
    settled(page)


def asked(page: Any, person: str) -> None:
    """The list, and an answer beside it."""
    enter(page, person)
    ask(page, WISH)


def talked(page: Any, person: str) -> None:
    """An answer on a phone."""
    enter(page, person)
    page.click("#talk")
    ask(page, WISH)


def looked(page: Any, person: str) -> None:
    """What the model saw of the second item."""
    enter(page, person)
    page.locator(".card .look").nth(1).click()
    page.wait_for_selector(".line-read")
    page.click(".told .text")
    page.wait_for_selector('.told .why[aria-busy="false"]', timeout=120_000)
    settled(page)
    page.evaluate("() => document.activeElement.blur()")


def greeted(page: Any, _: str) -> None:
    """Who is looking."""
    page.goto("/")
    page.wait_for_selector("[data-person]")
    page.wait_for_load_state("networkidle")


def begun(page: Any, _: str) -> None:
    """The first list of a guest."""
    enter(page, None)


DESK, TABLET = {"width": 1440, "height": 900}, {"width": 768, "height": 1024}
PHONE = {"width": 390, "height": 844, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
DARK = {"color_scheme": "dark"}
SCENES: dict[str, tuple[dict[str, Any], Callable[[Any, str], None]]] = {
    "page-people": (DESK, greeted),
    "page-list": (DESK, asked),
    "page-seen": (DESK | DARK, looked),
    "page-guest": (TABLET, begun),
    "page-phone": (PHONE | DARK, enter),
    "page-phone-chat": (PHONE, talked),
}


def kept(shot: bytes, out: Path) -> int:
    """Write a picture as a JPEG that is small enough; its size."""
    with Image.open(io.BytesIO(shot)) as image:
        for quality in (88, 82, 76, 70, 60):
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
            if len(buffer.getvalue()) < LARGEST:
                break
    out.write_bytes(buffer.getvalue())
    return len(buffer.getvalue())


def main() -> None:
    """Serve, look, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a merged model")
    parser.add_argument("--index", type=Path, required=True, help="its index")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="where pictures go")
    parser.add_argument("--only", nargs="*", choices=sorted(SCENES), help="some of them")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with served(given.model, given.index) as address, browsing() as browser:
        person = somebody(address)
        for name in given.only or SCENES:
            how, scene = SCENES[name]
            with opened(browser, address, **how) as page:
                scene(page, person)
                size = kept(page.screenshot(), given.out / f"{name}.jpg")
                print(f"{given.out / name}.jpg: {size // 1024} KB")


if __name__ == "__main__":
    main()
