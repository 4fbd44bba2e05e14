"""The page at `/` in a real browser, against a running gateway: what a person can do there, and what they are told."""

import base64
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsers import CARD, enter, listed, needs_browser, opened, settled
from gateways import Served, serving, speaking
from PIL import Image

from llmrec.gateway.access import Keys, add_key
from llmrec.gateway.desk import WHY_NOT
from llmrec.retrieval.index import Index

pytestmark = needs_browser
Json = dict[str, Any]
WIDE = 2_000


@pytest.fixture(scope="module")
def server(tuned_model: Path, tuned_index: Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tuned_model, tuned_index, tmp_path_factory.mktemp("page")) as running:
        yield running


def best(client: httpx.Client, **more: Any) -> list[Json]:
    answer = client.post("/v1/recommendations", json={"k": 24, "reasons": True, **more})
    found: list[Json] = answer.raise_for_status().json()["items"]
    return found


def ids(items: list[Json]) -> list[str]:
    return [one["item"] for one in items]


def history(client: httpx.Client, person: str) -> list[str]:
    found: list[str] = client.get(f"/v1/people/{person}/history").json()["taken"]
    return found


def drawn(width: int, height: int, colour: str = "crimson") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


# --- what a person can do ----------------------------------------------------------------------------------------


def test_somebody_of_the_log_is_found_by_their_id_and_sees_ranked_cards(page: Any, client: httpx.Client) -> None:
    page.goto("/")
    page.get_by_label("Find a person by id").fill("u02")
    page.wait_for_function("() => document.querySelectorAll('[data-person]').length === 1")
    page.locator("[data-person=u02]").click()
    settled(page)
    assert page.get_by_role("heading", level=1).inner_text() == "For u02"
    assert page.locator(".past .thumb").count() == min(12, len(history(client, "u02")))
    items = best(client, user="u02")
    assert listed(page) == ids(items)
    for item, card in zip(items[:8], page.locator(CARD).all(), strict=False):
        assert card.locator(".title").inner_text() == item["title"]
        assert card.locator(".reason").text_content() == item["reason"]
        assert card.locator(".score b").inner_text() == f"{item['score']:.2f}"
        assert card.locator(".price").all_inner_texts() == ([f"{item['price']:.2f}"] if item["price"] else [])
        assert card.locator(".brand").all_inner_texts() == ([item["brand"]] if item["brand"] else [])
        if item["picture"]:
            card.scroll_into_view_if_needed()
            assert card.locator("img").evaluate("one => one.decode().then(() => one.naturalWidth)") == 24
        else:
            assert card.locator(".bare").inner_text()


def test_a_guest_builds_a_history_by_clicking_pictures(page: Any, client: httpx.Client) -> None:
    enter(page)
    assert page.get_by_role("heading", level=1).inner_text() == "What do you like?"
    assert listed(page) == ids(best(client, history=[], diversity=0.6))
    chosen: list[str] = []
    for _ in range(2):
        chosen.append(listed(page)[1])
        page.locator(f"{CARD} .picture").nth(1).click()
        page.wait_for_function("taken => !document.querySelector(`[data-item=${taken}]`)", arg=chosen[-1])
        settled(page)
    assert listed(page) == ids(best(client, history=chosen))
    assert page.get_by_role("heading", level=1).inner_text() == "For you"
    assert page.locator(".past .thumb").count() == 2
    page.reload()  # the tab remembers it, and nobody else does
    settled(page)
    assert listed(page) == ids(best(client, history=chosen))
    page.locator(".past .thumb").first.click()
    settled(page)
    assert listed(page) == ids(best(client, history=chosen[:1]))


def test_filters_are_those_of_the_catalogue_and_hold(page: Any, client: httpx.Client) -> None:
    enter(page, "u03")
    names = page.locator(".filters summary b").all_inner_texts()
    assert names == ["Category", "Brand", "Price", "Colour"]

    def panel(name: str) -> Any:
        page.locator(".filters details", has=page.get_by_text(name, exact=True)).locator("summary").click()
        return page.get_by_role("group", name=name)

    category = panel("Category")
    assert {one.strip() for one in category.locator("label span").all_inner_texts()} == {"Kitchen", "Garden", "Study"}
    category.get_by_label("Kitchen").check()
    settled(page)
    panel("Brand").get_by_label("Alder").check()
    settled(page)
    panel("Price").get_by_label("To").fill("30")
    page.keyboard.press("Enter")
    settled(page)
    page.wait_for_function(
        "() => document.querySelector('.filters details[data-field=price]').classList.contains('set')"
    )
    where = {"categories": {"has": ["Kitchen"]}, "brand": {"any_of": ["Alder"]}, "price": {"at_most": 30}}
    expected = best(client, user="u03", where=where)
    assert expected
    assert listed(page) == ids(expected)
    page.get_by_role("button", name="Clear all").click()
    settled(page)
    assert listed(page) == ids(best(client, user="u03"))


def test_a_chat_streams_and_shows_its_items_as_cards(page: Any, server: Served) -> None:
    enter(page, "u04")
    sent: list[Json] = []
    page.on("request", lambda one: sent.append(one.post_data_json) if "/chat/" in one.url else None)
    page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => {
          const one = document.querySelector('.theirs');
          if (one) seen.push([one.textContent.length, document.querySelectorAll('.theirs .row').length]);
        }).observe(document.querySelector('.log'), {childList: true, subtree: true, characterData: true}); }"""
    )
    page.get_by_label("Your message").fill("Things for the kitchen, please")
    with speaking(server, "I like the ", "handle of this one. ", "It pours well."):
        page.keyboard.press("Enter")
        page.wait_for_selector('.theirs[aria-busy="false"]')
    shown = page.eval_on_selector_all(".theirs .row", "all => all.map((one) => one.dataset.item)")
    assert len(shown) == 5
    lengths = [length for length, rows in page.evaluate("() => seen") if rows == 5]
    assert len(set(lengths)) > 1, "the words grew while the cards were there"
    said = page.locator(".theirs").inner_text()
    assert "**" not in said
    assert not re.search(r"^\d\. ", said, re.MULTILINE), "a line of the list stands there as its card"
    page.get_by_role("button", name="Why the first?").click()
    page.wait_for_function("() => document.querySelectorAll('.theirs[aria-busy=false]').length === 2")
    first, second = sent
    assert first["user"] == "u04"
    assert [one["role"] for one in second["messages"]] == ["user", "assistant", "user"]
    assert ids(second["messages"][1]["llmrec"]["items"]) == shown, "messages go back as they came"
    assert page.locator(".theirs").nth(1).locator(".row").get_attribute("data-item") == shown[0]
    page.locator(".theirs .row").first.click()
    assert page.get_by_role("dialog").is_visible()


DROP = """async ([kind, data]) => {
  const file = new File([await (await fetch(data)).blob()], "a.png", {type: "image/png"});
  const transfer = new DataTransfer();
  transfer.items.add(file);
  const target = document.querySelector("#list");
  if (kind === "paste") target.dispatchEvent(new ClipboardEvent(kind, {bubbles: true, clipboardData: transfer}));
  else for (const one of ["dragenter", "dragover", "drop"])
    target.dispatchEvent(new DragEvent(one, {bubbles: true, cancelable: true, dataTransfer: transfer}));
}"""


@pytest.mark.parametrize("way", ["drop", "paste", "choose"])
def test_a_picture_is_searched_by_and_made_small_first(
    browser: Any, server: Served, client: httpx.Client, way: str
) -> None:
    picture = drawn(WIDE, WIDE // 2)
    with opened(browser, server.address, bypass_csp=way != "choose") as page:  # the test reads its file by fetch
        enter(page, "u05")
        with page.expect_request("**/v1/recommendations") as asked:
            if way == "choose":
                with page.expect_file_chooser() as chooser:
                    page.get_by_role("button", name="Search by a picture").click()
                chooser.value.set_files({"name": "a.png", "mimeType": "image/png", "buffer": picture})
            else:
                page.evaluate(DROP, [way, f"data:image/png;base64,{base64.b64encode(picture).decode()}"])
        sent = asked.value.post_data_json["picture"]
        settled(page)
        assert page.get_by_role("heading", level=1).inner_text() == "Like your picture"
        assert sent.startswith("data:image/jpeg;base64,")
        assert Image.open(io.BytesIO(base64.b64decode(sent.partition(",")[2]))).size == (1024, 512)
        assert listed(page) == ids(best(client, user="u05", picture=sent))
        page.get_by_role("button", name="Search without your picture").click()
        settled(page)
        assert listed(page) == ids(best(client, user="u05"))


def test_a_picture_goes_with_a_message(page: Any) -> None:
    enter(page)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Send a picture").click()
    chooser.value.set_files({"name": "a.png", "mimeType": "image/png", "buffer": drawn(30, 30)})
    page.get_by_alt_text("The picture that goes with your message").wait_for()
    with page.expect_request("**/v1/chat/completions") as asked:
        page.get_by_role("button", name="Send", exact=True).click()
    (part,) = asked.value.post_data_json["messages"][0]["content"]
    assert part["image_url"]["url"].startswith("data:image/jpeg;base64,")
    page.wait_for_selector('.theirs[aria-busy="false"]')
    assert page.locator(".theirs").inner_text().startswith("Most like your picture")
    assert page.locator(".theirs .row").count() == 5


def test_what_is_no_picture_is_said_to_be_none(page: Any) -> None:
    enter(page)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Search by a picture").click()
    chooser.value.set_files({"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.get_by_text("This file is no picture that can be read").first.wait_for()


def test_every_card_says_why(page: Any) -> None:
    enter(page, "u06")
    assert page.get_by_role("button", name="Why?").count() == len(listed(page))
    why = page.locator(f"{CARD} .actions").first.get_by_role("button", name="Why?")
    with page.expect_request("**/v1/explanations") as asked:
        why.click()
    assert asked.value.post_data_json == {"user": "u06", "item": listed(page)[0], "stream": True}
    place = page.locator(f'{CARD} .why[aria-busy="false"]').first
    place.wait_for()
    assert len(place.inner_text()) > 20
    assert why.get_attribute("aria-expanded") == "true"
    why.click()
    assert why.get_attribute("aria-expanded") == "false"
    assert not place.is_visible()


def test_what_the_model_saw_is_told_in_the_order_of_the_prompt(page: Any, client: httpx.Client, server: Served) -> None:
    longest, items = server.gateway.desk.served.longest, [f"i{code:03d}" for code in range(40)]
    events = [{"key": f"long-{place}", "user": "long", "item": item} for place, item in enumerate(items[: longest + 2])]
    client.post("/v1/events", json={"events": events}).raise_for_status()
    enter(page, "long")
    pictured = next(one for one in best(client, user="long") if one["picture"])
    page.locator(f"[data-item={pictured['item']}] .look").click()
    page.wait_for_selector(".line-read")
    sheet = page.get_by_role("dialog")
    told = client.post("/v1/seen", json={"user": "long", "item": pictured["item"]}).json()
    titles = [one["item"]["title"] for one in told["prompt"] if one["item"]]
    assert sheet.locator(".seen-item:not(.next) .hidden").all_text_contents() == titles
    assert sheet.locator(".seen-text").inner_text() == told["prompt"][0]["text"].strip()
    assert "2 oldest were trimmed" in sheet.inner_text()
    grid, picture = sheet.locator(".grid"), sheet.locator(".cut img")
    assert grid.locator("i").count() == told["grid"]["tokens"]
    assert grid.bounding_box() == picture.bounding_box()
    shares = [int(one.rstrip(" %")) for one in sheet.locator(".share b").all_inner_texts()]
    parts = pictured["parts"]
    both = max(0, parts["retriever"]) + max(0, parts["model"])
    assert shares == [math.floor(100 * max(0, parts[name]) / both + 0.5) for name in ("retriever", "model")]
    sheet.get_by_role("button", name="Show the parts").click()
    assert not grid.is_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.className") == "icon look", "the focus is where it was"


def test_buying_changes_the_list_at_once(page: Any, client: httpx.Client) -> None:
    enter(page, "u07")
    first, second, *_ = listed(page)
    held: list[Any] = []
    page.route("**/v1/events", lambda route: held.append(route))
    page.locator(f"{CARD} .take").first.click()
    page.wait_for_function("gone => !document.querySelector(`.card[data-item=${gone}]`)", arg=first)
    assert held, "the gateway has not answered yet"
    assert listed(page)[0] == second
    assert first not in history(client, "u07")
    with page.expect_response("**/v1/recommendations"):
        held[0].continue_()
    settled(page)
    assert history(client, "u07")[-1] == first
    assert listed(page) == ids(best(client, user="u07"))
    assert first not in listed(page)


def test_what_the_gateway_will_not_keep_comes_back(browser: Any, server: Served, client: httpx.Client) -> None:
    with opened(browser, server.address, expected=["507"]) as page:
        enter(page, "u08")
        before = listed(page)
        full = {"error": {"message": "The server has no room to keep this.", "code": "disk_full"}}
        page.route("**/v1/events", lambda route: route.fulfill(status=507, json=full))
        page.locator(f"{CARD} .take").first.click()
        page.locator("#notices").get_by_text("no room to keep this").wait_for()
        settled(page)
        assert listed(page) == before
        assert page.locator(".past .thumb").count() == min(12, len(history(client, "u08")))


def test_what_is_dismissed_is_not_shown_again(page: Any, client: httpx.Client) -> None:
    enter(page, "u09")
    first = listed(page)[0]
    page.locator(CARD).first.hover()
    with page.expect_response("**/v1/recommendations"):
        page.locator(f"{CARD} .dismiss").first.click()
    settled(page)
    assert first not in listed(page)
    assert client.get("/v1/people/u09/history").json()["dismissed"] == [first]
    page.reload()
    settled(page)
    assert first not in listed(page)


# --- what a person is told ---------------------------------------------------------------------------------------


def test_a_gateway_that_is_not_ready_is_waited_for(browser: Any, server: Served) -> None:
    server.gateway.ready = False
    try:
        with opened(browser, server.address, expected=["503"]) as page:
            page.goto("/")
            page.locator("#notices").get_by_text("getting ready").wait_for()
            assert page.locator(".skeleton").first.is_visible()
            server.gateway.ready = True
            page.get_by_role("heading", name="Who is looking?").wait_for()
            assert page.locator("#notices").inner_text() == ""
    finally:
        server.gateway.ready = True


def test_that_the_model_had_no_part_is_said_plainly(page: Any, server: Served) -> None:
    server.gateway.desk._resting = math.inf
    try:
        enter(page, "u10")
        assert page.locator("#notices").inner_text() == WHY_NOT
        page.locator(f"{CARD} .look").first.click()
        assert "The model had no part in it" in page.get_by_role("dialog").inner_text()
        page.keyboard.press("Escape")
    finally:
        server.gateway.desk._resting = 0.0


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_told_to_come_back_later_does(browser: Any, server: Served, status: int) -> None:
    busy = {"error": {"message": "The model does not answer now. Ask again in some seconds", "code": "busy"}}
    with opened(browser, server.address, expected=[str(status)]) as page:
        answer = {"status": status, "json": busy, "headers": {"Retry-After": "1"}}
        page.route("**/v1/recommendations", lambda route: route.fulfill(**answer), times=1)
        page.goto("/")
        page.get_by_role("button", name="A guest").click()
        page.locator("#notices").get_by_text("Trying again in 1 s").wait_for()
        settled(page)
        assert page.locator("#notices").inner_text() == ""
        page.route("**/v1/chat/completions", lambda route: route.fulfill(**answer), times=1)
        page.get_by_role("button", name="What would you suggest?").click()
        page.locator(".theirs .bad").get_by_text("Try again in 1 s").wait_for()
        page.locator(".theirs").get_by_role("button", name="Try again").click()
        page.wait_for_selector(".theirs .row")


def test_it_goes_on_by_itself_when_the_network_is_back(browser: Any, server: Served) -> None:
    with opened(browser, server.address, expected=["ERR_INTERNET_DISCONNECTED"]) as page:
        enter(page, "u11")
        page.context.set_offline(True)
        page.get_by_role("searchbox", name="What are you looking for?").fill("kitchen")
        page.keyboard.press("Enter")
        page.locator("#notices").get_by_text("Waiting for the network").wait_for()
        page.context.set_offline(False)
        settled(page)
        assert page.locator("#notices").inner_text() == ""


def test_where_nothing_is_found_there_is_a_way_back(page: Any) -> None:
    enter(page, "u12")
    page.locator(".filters details[data-field=price] summary").click()
    page.get_by_label("To").fill("0.5")
    page.keyboard.press("Enter")
    page.locator(".empty").get_by_text("No item meets these filters.").wait_for()
    page.get_by_role("button", name="Show everything again").click()
    settled(page)
    assert len(listed(page)) == 24


def test_a_key_is_asked_for_kept_in_the_tab_and_opens_pictures_too(
    browser: Any, tuned_model: Path, tuned_index: Index, tmp_path: Path
) -> None:
    key = add_key(tmp_path / "keys.yaml", "reader", ["read"])
    with (
        serving(tuned_model, tuned_index, tmp_path / "gateway", keys=Keys.open(tmp_path / "keys.yaml")) as guarded,
        opened(browser, guarded.address, expected=["401", "403"]) as page,
    ):
        page.goto("/")
        for given, said in (("wrong", "This shop asks for a key."), (key, "This key does not open the shop.")):
            page.locator("#notices").get_by_text(said).wait_for()
            page.get_by_label("Key", exact=True).fill(given)
            page.keyboard.press("Enter")
        page.get_by_label("Find a person by id").fill("u01")
        assert page.locator("[data-person]").count() == 0, "a key that reads may not list people"
        page.get_by_role("button", name="Go on as").click()
        settled(page)
        image = page.locator(f"{CARD} img").first
        image.scroll_into_view_if_needed()
        assert image.evaluate("one => one.decode().then(() => one.src.split(':')[0] + one.naturalWidth)") == "blob24"
        assert (
            page.evaluate("() => [Object.values(sessionStorage).includes(localStorage.key), localStorage.length]")[1]
            == 0
        )
        assert key in page.evaluate("() => Object.values(sessionStorage)")
        page.locator(f"{CARD} .take").first.click()
        page.locator("#notices").get_by_text("has not the role 'events'").wait_for()
