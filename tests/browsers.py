"""A real Chromium for tests: the system's own, driven by Playwright; what goes wrong in a page fails its test."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CARD = ".card:not(.skeleton)"
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome is on the PATH"
)


@contextmanager
def browsing() -> Iterator[Any]:
    """A browser while the block lasts."""
    from playwright.sync_api import sync_playwright

    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *as_root])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Any, address: str, *, width: int = 1280, height: int = 900, expected: Sequence[str] = (), **more: Any
) -> Iterator[Any]:
    """A fresh page of an own profile. What it says in its console, raises or is forbidden fails the test.

    `expected` are words of the complaints that a test brings about on purpose.
    """
    viewport = {"width": width, "height": height}
    context = browser.new_context(base_url=address, viewport=viewport, reduced_motion="reduce", **more)
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
        assert not [one for one in complaints if not any(word in one for word in expected)]
    finally:
        context.close()


def settled(page: Any) -> None:
    """Wait until the list is there."""
    page.wait_for_selector(f'#list[aria-busy="false"] {CARD}')
    page.wait_for_load_state("networkidle")


def enter(page: Any, person: str | None = None) -> None:
    """Open the page and be somebody, or a guest."""
    page.goto("/")
    if person:
        page.get_by_label("Find a person by id").fill(person)
        page.keyboard.press("Enter")
    else:
        page.get_by_role("button", name="A guest").click()
    settled(page)


def listed(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(CARD, "all => all.map((one) => one.dataset.item)")
    return found
