"""The gateway as clients meet it: a real server on loopback, a real model behind it, real requests."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import Served, serving, speaking
from shops import picture

from llmrec.features import Features
from llmrec.retrieval.index import Index

PERSON = "u01"


@pytest.fixture(scope="module")
def server(tuned_model: Path, tuned_index: Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tuned_model, tuned_index, tmp_path_factory.mktemp("gateway")) as running:
        yield running


Json = dict[str, Any]


def asked(client: httpx.Client, **more: object) -> Json:
    answer = client.post("/v1/recommendations", json=more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def said(client: httpx.Client, *turns: str | Json, **more: object) -> Json:
    messages = [{"role": "user", "content": turn} if isinstance(turn, str) else turn for turn in turns]
    answer = client.post("/v1/chat/completions", json={"model": "llmrec", "messages": messages, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]


def uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def test_it_is_ready_once_everything_was_asked_once(client: httpx.Client) -> None:
    assert client.get("/healthz").json()["status"] == "alive"
    told = client.get("/readyz")
    assert told.status_code == 200
    assert told.json() == {"ready": True, "engine": True, "events": True}


def test_recommendations_are_new_to_the_person_and_in_order(client: httpx.Client) -> None:
    taken = client.get(f"/v1/people/{PERSON}/history").json()["taken"]
    answer = client.post("/v1/recommendations", json={"user": PERSON, "k": 10, "reasons": True})
    assert "score;dur=" in answer.headers["server-timing"]
    told = answer.json()
    items = [one["item"] for one in told["items"]]
    assert len(items) == 10
    assert not set(items) & set(taken)
    scores = [one["score"] for one in told["items"]]
    assert scores == sorted(scores, reverse=True)
    assert not told["cold"]
    assert told["fallback"] is None
    for one in told["items"]:
        assert one["score"] == pytest.approx(one["parts"]["retriever"] + one["parts"]["model"])
        assert one["reason"]


def test_the_same_history_in_words_of_the_request_gives_the_same_list(client: httpx.Client) -> None:
    taken = client.get(f"/v1/people/{PERSON}/history").json()["taken"]
    by_person = [one["item"] for one in asked(client, user=PERSON)["items"]]
    assert [one["item"] for one in asked(client, history=taken)["items"]] == by_person


def test_nobody_is_known_by_a_flagged_answer(client: httpx.Client) -> None:
    told = asked(client, user="nobody that we know", k=5)
    assert told["cold"]
    assert len(told["items"]) == 5


def test_filters_exclusions_and_numbers_hold(client: httpx.Client) -> None:
    told = asked(client, user=PERSON, where={"price": {"below": 20}}, k=100)
    assert told["items"]
    assert all(one["price"] < 20 for one in told["items"])
    first = told["items"][0]["item"]
    again = asked(client, user=PERSON, where={"price": {"below": 20}}, exclude=[first], k=100)
    assert first not in [one["item"] for one in again["items"]]
    nothing = asked(client, user=PERSON, where={"price": {"below": 1}})
    assert nothing["items"] == []
    assert "filters" in nothing["empty"]


@pytest.mark.parametrize(
    "body",
    [
        {"user": PERSON, "k": 0},
        {"user": PERSON, "k": 1_000_000},
        {"user": PERSON, "diversity": 2},
        {"user": ""},
        {"user": "x" * 300},
        {"usr": PERSON},
        {"user": PERSON, "where": {"colr": "red"}},
        {"user": PERSON, "where": {"price": {"below": "cheap"}}},
        {"user": PERSON, "picture": "http://127.0.0.1:1/secret.png"},
        {"user": PERSON, "picture": "data:image/png;base64,!!!"},
        {"user": PERSON, "picture": "data:image/svg+xml;base64,PHN2Zy8+"},
        {"user": PERSON, "history": [1, 2]},
        {"user": PERSON, "history": ["i001"] * 10_001},
        [],
        "words",
    ],
)
def test_bad_requests_are_told_in_openais_form_and_the_next_one_is_served(client: httpx.Client, body: object) -> None:
    answer = client.post("/v1/recommendations", json=body)
    assert 400 <= answer.status_code < 500
    error = answer.json()["error"]
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    assert asked(client, user=PERSON, k=1)["items"]


def test_long_and_odd_histories_are_ranked(client: httpx.Client) -> None:
    assert asked(client, history=[f"i{code % 40:03d}" for code in range(10_000)], k=3)["items"] == []  # all are taken
    assert len(asked(client, history=["i001", "i001", "no such item"], k=3)["items"]) == 3
    assert asked(client, history=[], k=3)["cold"]


def test_likeness_by_item_picture_and_words(client: httpx.Client) -> None:
    like = asked(client, like=["i001"], k=5)
    assert "i001" not in [one["item"] for one in like["items"]]
    shown = asked(client, picture=uri(picture(7)), k=5)
    assert "i007" in [one["item"] for one in shown["items"]]
    found = client.post("/v1/search", json={"picture": uri(picture(7)), "k": 3}).json()["items"]
    assert found[0]["item"] == "i007"
    named = client.post("/v1/search", json={"query": "thing number 12", "k": 3}).json()["items"]
    assert "i012" in [one["item"] for one in named]
    assert client.post("/v1/search", json={}).status_code == 422


def test_what_reviewers_agree_on_is_found_and_is_a_reason(client: httpx.Client, server: Served) -> None:
    desk = server.gateway.desk
    before, codes = desk.served, desk.served.codes
    said = {codes[item]: {"zigzag": 3.0, "alder": 4.0} for item in ("i005", "i011", "i012")}
    desk.served = replace(before, features=Features({"zigzag": 30, "alder": 30}, said))
    try:
        found = client.post("/v1/search", json={"query": "something with zigzags", "k": 3}).json()["items"]
        assert {one["item"] for one in found} == {"i005", "i011", "i012"}
        told = asked(client, history=["i011", "i012"], query="a zigzag thing", k=3, reasons=True)["items"]
        assert told[0]["item"] == "i005"
        assert "zigzag" in told[0]["reason"]
        assert "you took" in told[0]["reason"]
        within = {"query": "zigzag", "where": {"price": {"below": 15}}, "k": 5}
        assert all(one["price"] < 15 for one in client.post("/v1/search", json=within).json()["items"])
    finally:
        desk.served = before


def test_what_looks_like_something_taken_is_a_reason_and_what_does_not_is_none(server: Served) -> None:
    desk = server.gateway.desk
    entries = desk.book.get([f"i{code:03d}" for code in range(40)])
    pictured = [item for item, entry in entries.items() if entry.image and entry.fields["title"]]
    vectors = dict(zip(pictured, desk.index.graphs.now().vectors(pictured, "picture"), strict=True))
    one = pictured[0]
    order = sorted(pictured[1:], key=lambda item: float(vectors[item] @ vectors[one]))
    before, desk._alike = desk._alike, float(vectors[order[-1]] @ vectors[one]) - 1e-6
    try:
        nearest, farthest = entries[order[-1]], entries[order[0]]
        assert desk.because([order[0], one, order[1]], nearest) == f"it looks like {entries[one].title}, which you took"
        assert "looks like" not in desk.because([one], farthest)
        assert "looks like" not in desk.because([one], entries["i003"]), "an item without a picture"
        assert "looks like" not in desk.because([nearest.item], nearest), "itself"
    finally:
        desk._alike = before


def test_a_model_that_read_no_reviews_explains_nothing(client: httpx.Client, server: Served) -> None:
    desk = server.gateway.desk
    desk._explains = False
    try:
        told = client.post("/v1/explanations", json={"user": PERSON, "item": "i010"}).json()
        assert told["text"] == ""
        assert told["because"]
        answer = said(client, "Why Thing number 10?", user=PERSON)["content"]
        assert told["because"].rstrip(".") in answer
        assert "might put it" not in answer
    finally:
        del desk._explains


def test_diversity_changes_the_list_and_keeps_the_best(client: httpx.Client) -> None:
    plain = [one["item"] for one in asked(client, user=PERSON, k=8)["items"]]
    mixed = [one["item"] for one in asked(client, user=PERSON, k=8, diversity=0.7)["items"]]
    assert plain[0] == mixed[0]
    assert plain != mixed


def test_a_purchase_counts_in_the_next_request_and_only_once(client: httpx.Client) -> None:
    person = "buyer"
    first = asked(client, user=person, k=3)["items"][0]["item"]
    event = {"key": "order-1", "user": person, "item": first}
    assert client.post("/v1/events", json={"events": [event]}).json()["stored"] == 1
    assert client.post("/v1/events", json={"events": [event]}).json() == {
        "object": "llmrec.events",
        "stored": 0,
        "known_before": 1,
    }
    assert client.post("/v1/events", json={"events": [{**event, "item": "i009"}]}).status_code == 409
    told = asked(client, user=person, k=40)
    assert first not in [one["item"] for one in told["items"]]
    assert not told["cold"]
    assert client.get(f"/v1/people/{person}/history").json()["taken"] == [first]


def test_what_is_dismissed_is_not_shown_again_and_a_person_can_be_forgotten(client: httpx.Client) -> None:
    first = asked(client, user="u02", k=1)["items"][0]["item"]
    client.post("/v1/events", json={"events": [{"key": "no-1", "user": "u02", "item": first, "kind": "dismiss"}]})
    assert asked(client, user="u02", k=1)["items"][0]["item"] != first
    assert client.delete("/v1/people/u02/history").json()["deleted"]
    known = client.get("/v1/people/u02/history").json()
    assert (known["taken"], known["dismissed"]) == ([], [])
    assert asked(client, user="u02", k=1)["cold"]


def test_explanations_are_sentences_whole_or_streamed(client: httpx.Client, server: Served) -> None:
    with speaking(server, "I like the ", "handle of this one."):
        told = client.post("/v1/explanations", json={"user": PERSON, "item": "i010"}).json()
    assert told["text"] == "I like the handle of this one."
    assert told["because"]
    assert told["item"]["item"] == "i010"
    with client.stream("POST", "/v1/explanations", json={"user": PERSON, "item": "i010", "stream": True}) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[0][6:])["item"] == "i010"
    assert client.post("/v1/explanations", json={"item": "nothing"}).status_code == 404


def test_items_are_shown_and_their_pictures_too(client: httpx.Client) -> None:
    one = client.get("/v1/items/i001").json()
    assert one["title"] == "Thing number 1"
    assert client.get(one["picture"]).content == picture(1)
    assert client.get("/v1/items", params={"item": ["i001", "none", "i002"]}).json()["data"][1]["item"] == "i002"
    assert client.get("/v1/items/none").status_code == 404
    assert client.get("/v1/items/i003/picture").status_code in (200, 404)


def test_an_item_that_is_put_is_found_at_once_and_its_picture_soon(client: httpx.Client) -> None:
    new = {"title": "Zanzibar lantern", "categories": ["Shop", "Garden"], "price": 12.5, "picture": uri(picture(200))}
    told = client.put("/v1/items/new-1", json=new).json()
    assert told["added"]
    assert not told["word"]
    found = client.post("/v1/search", json={"query": "zanzibar lantern", "k": 3}).json()["items"]
    assert found[0]["item"] == "new-1"
    assert client.get("/v1/items/new-1/picture").content == picture(200)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        near = client.post("/v1/search", json={"picture": uri(picture(200)), "k": 1}).json()["items"]
        if near[0]["item"] == "new-1":
            break
        time.sleep(0.2)
    assert near[0]["item"] == "new-1"
    ranked = asked(client, user=PERSON, query="zanzibar lantern", k=3)["items"]
    assert ranked[0]["item"] == "new-1" or "new-1" in [one["item"] for one in ranked]
    message = said(client, "a zanzibar lantern", user=PERSON)
    assert "Zanzibar lantern" in message["content"]
    assert client.put("/v1/items/new-1", json={"title": "x", "colr": "red"}).status_code == 422
    assert client.delete("/v1/items/new-1").json()["deleted"]
    assert client.get("/v1/items/new-1").status_code == 404
    assert client.delete("/v1/items/new-1").status_code == 404


def test_chat_answers_with_items_in_text_and_as_data(client: httpx.Client) -> None:
    message = said(client, "What would you suggest?", user=PERSON)
    items = message["llmrec"]["items"]
    assert len(items) == 5
    for number, item in enumerate(items, 1):
        assert f"{number}. **" in message["content"]
        assert (item["title"] or "an item without a title") in message["content"]
    assert [one["item"] for one in items] == [one["item"] for one in asked(client, user=PERSON, k=5)["items"]]


def test_why_the_second_is_answered_from_the_messages_alone(client: httpx.Client) -> None:
    first = said(client, "What would you suggest?", user=PERSON)
    plain = {"role": "assistant", "content": first["content"]}  # as a client that knows nothing of our field sends it
    why = said(client, "What would you suggest?", plain, "Why the second?", user=PERSON)
    assert [one["item"] for one in why["llmrec"]["items"]] == [first["llmrec"]["items"][1]["item"]]
    assert why["llmrec"]["kind"] == "explain"
    both = said(client, "What would you suggest?", plain, "Which is better, the first or the third?", user=PERSON)
    assert both["llmrec"]["kind"] == "compare"
    assert len(both["llmrec"]["items"]) == 2
    more = said(client, "What would you suggest?", plain, "Something else, please", user=PERSON)
    shown = {one["item"] for one in first["llmrec"]["items"]}
    assert not shown & {one["item"] for one in more["llmrec"]["items"]}


def test_a_picture_in_a_message_finds_what_looks_like_it(client: httpx.Client) -> None:
    parts = [
        {"type": "text", "text": "something like this"},
        {"type": "image_url", "image_url": {"url": uri(picture(7))}},
    ]
    message = said(client, {"role": "user", "content": parts}, user=PERSON)
    assert message["llmrec"]["kind"] == "similar"
    assert "i007" in [one["item"] for one in message["llmrec"]["items"]]


def test_small_talk_is_answered_without_items(client: httpx.Client) -> None:
    message = said(client, "Hello!")
    assert message["llmrec"]["items"] == []
    assert message["content"].startswith("Hello")


def test_a_stream_says_what_the_whole_answer_says(client: httpx.Client) -> None:
    body = {
        "model": "llmrec",
        "user": PERSON,
        "messages": [{"role": "user", "content": "What would you suggest?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line[6:] for line in answer.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    text = "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks if one["choices"])
    whole = said(client, "What would you suggest?", user=PERSON)["content"]
    assert text.split("“")[0] == whole.split("“")[0]  # what the model writes may be asked for again, with chance
    assert "5. **" in text
    assert chunks[0]["choices"][0]["delta"]["llmrec"]["items"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_lengths_and_stops_are_kept(client: httpx.Client) -> None:
    body = {"model": "llmrec", "user": PERSON, "messages": [{"role": "user", "content": "What would you suggest?"}]}
    short = client.post("/v1/chat/completions", json={**body, "max_tokens": 5}).json()
    assert short["choices"][0]["finish_reason"] == "length"
    assert short["usage"]["completion_tokens"] <= 5
    stopped = client.post("/v1/chat/completions", json={**body, "stop": "2."}).json()
    assert "2." not in stopped["choices"][0]["message"]["content"]
    assert stopped["choices"][0]["finish_reason"] == "stop"


def test_an_answer_fills_a_schema_and_invents_nothing(client: httpx.Client) -> None:
    item = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "reason": {"type": "string"},
            "price": {"type": ["number", "null"]},
        },
        "required": ["title", "reason", "price"],
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "items": {"type": "array", "items": item, "maxItems": 3}},
        "required": ["answer", "items"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "list", "strict": True, "schema": schema}}
    told = json.loads(said(client, "a thing for the garden", user=PERSON, response_format=form)["content"])
    assert len(told["items"]) == 3
    assert set(told["items"][0]) == {"title", "reason", "price"}
    schema["properties"]["weather"] = {"type": "string"}
    schema["required"].append("weather")
    body = {"model": "llmrec", "messages": [{"role": "user", "content": "a thing"}], "response_format": form}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 422
    assert "weather" in answer.json()["error"]["message"]


def test_tools_are_called_by_name_and_their_results_are_told(client: httpx.Client) -> None:
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": arguments}}}
        for name, arguments in (
            ("recommend", {"k": {"type": "integer"}}),
            ("search_items", {"query": {"type": "string"}, "where": {"type": "object"}}),
            ("explain_item", {"item": {"type": "string"}}),
        )
    ]
    message = said(client, "a thing for the garden under 20", user=PERSON, tools=tools)
    (call,) = message["tool_calls"]
    assert call["function"]["name"] == "search_items"
    arguments = json.loads(call["function"]["arguments"])
    found = client.post(
        "/v1/search", json={"query": arguments.get("query") or "thing", "where": arguments.get("where", {})}
    )
    result = {"role": "tool", "tool_call_id": call["id"], "content": found.text}
    answer = said(client, "a thing for the garden under 20", message, result, user=PERSON, tools=tools)
    assert answer["content"]
    assert (
        said(client, "three suggestions", user=PERSON, tools=tools)["tool_calls"][0]["function"]["name"] == "recommend"
    )
    assert "tool_calls" not in said(client, "a thing", user=PERSON, tools=tools, tool_choice="none")


def test_metrics_tell_stages_routes_and_fallbacks(client: httpx.Client) -> None:
    asked(client, user=PERSON, k=1)
    text = client.get("/metrics").text
    for name in ("llmrec_stage_seconds", "llmrec_requests_total", "llmrec_engine_up 1.0"):
        assert name in text
    assert 'stage="score"' in text
    assert PERSON not in text


def test_the_bare_model_goes_on_with_a_text(client: httpx.Client) -> None:
    told = client.post("/v1/completions", json={"model": "llmrec", "prompt": "a person took", "max_tokens": 4}).json()
    assert told["object"] == "text_completion"
    assert told["usage"]["prompt_tokens"] > 0
    long = {"model": "llmrec", "prompt": "word " * 3_900, "max_tokens": 4_000}
    assert client.post("/v1/completions", json=long).json()["error"]["code"] == "context_length_exceeded"
