"""How the page at `/` is made: text stays text, a strict policy, axe, the keyboard, phones, themes, the first paint."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsers import CARD, enter, listed, needs_browser, opened, settled
from gateways import Served, serving

from llmrec.gateway.settings import ServeRecipe
from llmrec.retrieval.index import Index

pytestmark = needs_browser
HOSTILE = '<img src=x onerror="document.title=1">\u202e\u2066 & {{ 7 * 7 }} ' + "Unbroken" * 57


@pytest.fixture(scope="module")
def server(tuned_model: Path, tuned_index: Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tuned_model, tuned_index, tmp_path_factory.mktemp("made")) as running:
        yield running


def test_a_hostile_title_stays_text(browser: Any, server: Served, client: httpx.Client) -> None:
    client.put("/v1/items/odd", json={"title": HOSTILE, "brand": HOSTILE[:150]}).raise_for_status()
    try:
        with opened(browser, server.address, width=390, height=844) as page:
            enter(page)
            page.get_by_role("searchbox", name="What are you looking for?").fill("Unbroken onerror")
            page.keyboard.press("Enter")
            card = page.locator(".card[data-item=odd]")
            card.wait_for()
            assert card.locator(".title").text_content() == HOSTILE
            card.locator(".look").click()
            page.wait_for_selector(".line-read")
            assert page.get_by_role("dialog").locator("h2").text_content() == HOSTILE
            page.keyboard.press("Escape")
            page.get_by_role("button", name="Open the conversation").click()
            page.get_by_label("Your message").fill("Unbroken onerror")
            page.keyboard.press("Enter")
            page.wait_for_selector('.theirs[aria-busy="false"]')
            assert HOSTILE in page.locator(".theirs b").all_text_contents()
            assert page.locator("img[src=x]").count() == 0
            assert page.title() == "a small shop"
            assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    finally:
        client.delete("/v1/items/odd")


def test_the_files_of_the_page_go_out_under_a_strict_policy(client: httpx.Client, page: Any) -> None:
    told = client.get("/")
    policy = dict(one.strip().split(" ", 1) for one in told.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data: blob:"
    assert told.headers["x-content-type-options"] == "nosniff"
    assert told.headers["referrer-policy"] == "no-referrer"
    assert told.headers["cache-control"] == "no-cache"
    assert client.get("/", headers={"If-None-Match": told.headers["etag"]}).status_code == 304
    found: dict[str, Any] = {}
    page.on("response", lambda one: found.setdefault(one.url.partition("?")[0], one))
    page.goto("/")
    page.wait_for_load_state("networkidle")
    files = {url: one for url, one in found.items() if "/page/" in url}
    assert len(files) > 10
    for one in files.values():
        assert one.status == 200
        assert "immutable" in one.headers["cache-control"]
        assert one.headers["content-security-policy"] == told.headers["content-security-policy"]
    assert all(url.startswith(str(client.base_url).rstrip("/")) for url in found), "nothing is fetched from elsewhere"
    assert page.locator("script:not([src]), style, [style*=url], [onclick]").count() == 0
    assert client.get("/page/other/app.js").status_code == 404
    packed = httpx.Headers(client.get("/", headers={"Accept-Encoding": "gzip"}).headers)
    assert packed["content-encoding"] == "gzip"


def test_the_policy_forbids_what_it_says(browser: Any, server: Served) -> None:
    with opened(browser, server.address, expected=["Content Security Policy", "TrustedHTML"]) as page:
        enter(page)
        refused = page.evaluate("() => { try { document.body.innerHTML = '' } catch (error) { return error.name } }")
        assert refused == "TypeError"
        page.evaluate(
            "() => document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/'}))"
        )
        page.wait_for_function("() => document.querySelector('body > img').complete")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, server: Served, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    def check(page: Any, where: str) -> None:
        found = Axe().run(page).response["violations"]
        assert not [
            (where, one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")
        ]

    # Axe is put into the page as text, which the policy forbids; only here is it left out.
    with opened(browser, server.address, color_scheme=scheme, bypass_csp=True) as page:
        page.goto("/")
        page.wait_for_selector("[data-person]")
        check(page, "who is looking")
        enter(page, "u13")
        page.locator(f"{CARD} .actions").first.get_by_role("button", name="Why?").click()
        page.locator(f'{CARD} .why[aria-busy="false"]').first.wait_for()
        page.get_by_role("button", name="What would you suggest?").click()
        page.wait_for_selector('.theirs[aria-busy="false"]')
        page.locator(".filters summary").first.click()
        check(page, "the list")
        page.keyboard.press("Escape")
        page.locator(f"{CARD} .look").first.click()
        page.wait_for_selector(".line-read")
        check(page, "what the model saw")


def test_everything_is_reached_by_the_keyboard(page: Any) -> None:
    page.goto("/")
    page.wait_for_selector("[data-person]")
    focused = "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()"

    def tab_to(words: str, presses: int = 40) -> None:
        for _ in range(presses):
            page.keyboard.press("Tab")
            if words in page.evaluate(focused):
                outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", "the focus is seen"
                return
        raise AssertionError(f"{words} was not reached")

    tab_to("A guest")
    page.keyboard.press("Enter")
    settled(page)
    assert page.evaluate("() => document.activeElement.id") == "title"
    tab_to("I like ")
    first = listed(page)[0]
    page.keyboard.press("Enter")
    page.wait_for_function("gone => !document.querySelector(`.card[data-item=${gone}]`)", arg=first)
    settled(page)
    assert page.evaluate("() => document.activeElement.closest('.card') !== null"), "the focus went to the next card"
    tab_to("Why?")
    page.keyboard.press("Enter")
    page.locator(f'{CARD} .why[aria-busy="false"]').first.wait_for()
    tab_to("What the model saw")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.locator(".skip").last.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "message"
    page.keyboard.type("What would you suggest?")
    page.keyboard.press("Enter")
    page.wait_for_selector('.theirs[aria-busy="false"]')
    assert len(page.locator("#said").inner_text()) > 40, "screen readers are told the answer"


def test_on_a_phone_nothing_sticks_out_and_the_conversation_opens(browser: Any, server: Served) -> None:
    with opened(browser, server.address, width=390, height=844, has_touch=True, is_mobile=True) as page:
        enter(page, "u14")
        wide = "() => document.documentElement.scrollWidth"
        assert page.evaluate(wide) == 390
        page.get_by_role("button", name="Open the conversation").click()
        assert page.evaluate("() => document.activeElement.id") == "message"
        page.get_by_label("Your message").fill("What would you suggest?")
        page.keyboard.press("Enter")
        page.wait_for_selector('.theirs[aria-busy="false"]')
        assert page.evaluate(wide) == 390
        page.keyboard.press("Escape")
        page.locator("#ask").wait_for(state="hidden")
        page.locator(f"{CARD} .look").first.click()
        page.wait_for_selector(".line-read")
        assert page.evaluate(wide) == 390


def test_light_and_dark_follow_the_system_until_one_is_chosen(browser: Any, server: Served) -> None:
    paper = "() => getComputedStyle(document.body).backgroundColor"
    with opened(browser, server.address, color_scheme="dark") as page:
        page.goto("/")
        page.wait_for_selector("[data-person]")
        dark = page.evaluate(paper)
        page.get_by_role("button", name="Use light colours").click()
        light = page.evaluate(paper)
        assert light != dark
        page.reload()
        page.wait_for_selector("[data-person]")
        assert page.evaluate(paper) == light
        page.get_by_role("button", name="Use dark colours").click()
        assert page.evaluate(paper) == dark
        assert page.evaluate("() => localStorage.length") == 0, "the system's own needs no memory"


@pytest.mark.alone
def test_the_first_paint_comes_within_300_ms(browser: Any, server: Served) -> None:
    painted: list[float] = []
    while len(painted) < 12 and min(painted, default=300) >= 300:  # what else the machine does only adds to it
        with opened(browser, server.address) as page:
            page.goto("/")
            page.wait_for_selector("[data-person]")
            entry = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
            painted.append(page.evaluate(entry))
            time.sleep(0.1)
    assert min(painted) < 300, painted


def test_the_page_can_be_left_out(tuned_model: Path, tuned_index: Index, tmp_path: Path) -> None:
    recipe = ServeRecipe(port=0, engine="local", device="cpu", page=False)
    with serving(tuned_model, tuned_index, tmp_path, recipe=recipe) as bare:
        assert httpx.get(bare.address, trust_env=False).status_code == 404
        assert httpx.get(f"{bare.address}/v1/catalogue", trust_env=False).status_code == 200
