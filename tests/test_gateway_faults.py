"""What goes wrong around a running gateway, and what is sent to it on purpose: each is told, and the next is served."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from broken import Vllm, broken_vllm
from gateways import Served, serving
from live import Line

from llmrec.engines.served import OpenAIEngine
from llmrec.gateway.settings import ServeRecipe
from llmrec.retrieval.index import Index

PERSON = "u01"
PATIENCE, WRITING = 0.4, 2.5
Json = dict[str, Any]


@pytest.fixture(scope="module")
def vllm() -> Iterator[Vllm]:
    with broken_vllm() as running:
        yield running


@pytest.fixture(scope="module")
def server(
    vllm: Vllm, tuned_model: Path, tuned_index: Index, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    recipe = ServeRecipe(port=0, patience=PATIENCE)
    engine = OpenAIEngine(vllm.address, seconds=WRITING)
    folder = tmp_path_factory.mktemp("gateway")
    with serving(tuned_model, tuned_index, folder, recipe=recipe, engine=engine) as running:
        yield running


@pytest.fixture(autouse=True)
def _well_before_and_after(vllm: Vllm, server: Served) -> Iterator[None]:
    vllm.how = "well"
    server.gateway.desk._resting = 0.0
    yield
    vllm.how = "well"


@pytest.fixture
def client(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=60, trust_env=False) as opened:
        yield opened


def recommended(client: httpx.Client, **more: object) -> Json:
    answer = client.post("/v1/recommendations", json=more or {"user": PERSON, "k": 5})
    assert answer.status_code == 200, answer.text
    return answer.json()


def chat(*turns: object, **more: object) -> Json:
    messages = [turn if isinstance(turn, dict) else {"role": "user", "content": turn} for turn in turns]
    return {"model": "llmrec", "user": PERSON, "messages": messages, **more}


def refused(answer: httpx.Response, *statuses: int) -> Json:
    """The error of an answer, which has one of these statuses and OpenAI's form."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "PROMPT" not in answer.text
    return error


def events(answer: httpx.Response) -> list[Any]:
    lines = [line[6:] for line in answer.iter_lines() if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


LIST = "What would you suggest?"
WHY = (LIST, {"role": "assistant", "content": "", "llmrec": {"items": [{"item": "i010"}]}}, "Why the first?")
BROKEN = ["hangs", "unwell", "resets", "drips", "nonsense"]


# --- the engine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [*BROKEN, "refuses"])
def test_without_a_sound_engine_the_retriever_answers_in_time_and_says_so(client, vllm, how):
    vllm.how = how
    began = time.monotonic()
    told = recommended(client)
    assert time.monotonic() - began < PATIENCE + 0.6
    assert "retriever's own order" in told["fallback"]
    assert len(told["items"]) == 5
    assert {one["parts"]["model"] for one in told["items"]} == {None}
    message = client.post("/v1/chat/completions", json=chat(LIST)).json()["choices"][0]["message"]
    assert message["llmrec"]["fallback"] in message["content"]


def test_an_engine_that_did_not_answer_is_left_alone_for_a_while_and_then_asked_again(client, vllm, server):
    vllm.how = "hangs"
    recommended(client)
    asked = vllm.rankings
    began = time.monotonic()
    for _ in range(5):
        assert recommended(client)["fallback"]
    assert time.monotonic() - began < 1
    assert vllm.rankings == asked
    vllm.how = "well"
    server.gateway.desk._resting = time.monotonic()
    assert recommended(client)["fallback"] is None


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("how", BROKEN)
def test_what_needs_the_model_is_a_503_before_the_first_word(client, vllm, how, streamed):
    vllm.how = how
    began = time.monotonic()
    answer = client.post("/v1/chat/completions", json=chat(*WHY, stream=streamed))
    assert time.monotonic() - began < 4
    assert refused(answer, 503)["code"] == "engine_down"
    assert answer.headers["retry-after"] == "5"
    began = time.monotonic()
    answer = client.post("/v1/explanations", json={"user": PERSON, "item": "i010"})
    assert refused(answer, 503)["code"] == "engine_down"
    assert time.monotonic() - began < WRITING + 1
    vllm.how = "well"
    answer = client.post("/v1/explanations", json={"user": PERSON, "item": "i010"})
    assert answer.json()["text"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/explanations", "/v1/completions"])
def test_an_engine_that_dies_in_a_stream_ends_it_with_an_error_event(client, vllm, path):
    body = {
        "/v1/chat/completions": chat(*WHY, stream=True),
        "/v1/explanations": {"user": PERSON, "item": "i010", "stream": True},
        "/v1/completions": {"model": "llmrec", "prompt": "a person", "stream": True},
    }[path]
    vllm.how = "dies"
    with client.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        told = events(answer)
    assert told[-1]["error"]["code"] == "engine_down"
    assert "suits" in json.dumps(told[:-1])
    vllm.how = "well"
    with client.stream("POST", path, json=body) as answer:
        assert events(answer)[-1] == "[DONE]"


def test_an_engine_that_falls_silent_in_a_stream_ends_it_too(client, vllm):
    vllm.how = "stalls"
    began = time.monotonic()
    body = {"model": "llmrec", "prompt": "a person", "stream": True}
    with client.stream("POST", "/v1/completions", json=body) as answer:
        told = events(answer)
    assert told[-1]["error"]["code"] == "engine_down"
    assert WRITING < time.monotonic() - began < WRITING + 1
    until(lambda: vllm.writing == 0)


def test_a_list_stands_though_the_model_cannot_explain_its_first_item(client, vllm):
    vllm.how = "dies"
    message = client.post("/v1/chat/completions", json=chat(LIST)).json()["choices"][0]["message"]
    assert len(message["llmrec"]["items"]) == 5
    assert message["llmrec"]["fallback"] is None
    assert "not answering just now" in message["content"]
    assert message["content"].count("“") == message["content"].count("”")


# --- clients that go away -------------------------------------------------------------------------------------------


GOING: dict[str, tuple[str, Json]] = {
    "a ranking": ("/v1/recommendations", {"user": PERSON}),
    "an explanation": ("/v1/explanations", {"user": PERSON, "item": "i010"}),
    "an explanation as it comes": ("/v1/explanations", {"user": PERSON, "item": "i010", "stream": True}),
    "a conversation": ("/v1/chat/completions", chat(LIST)),
    "a conversation as it comes": ("/v1/chat/completions", chat(LIST, stream=True)),
    "a text": ("/v1/completions", {"model": "llmrec", "prompt": "a person"}),
    "a text as it comes": ("/v1/completions", {"model": "llmrec", "prompt": "a person", "stream": True}),
}


@pytest.mark.parametrize("asked", GOING)
def test_for_a_client_that_goes_away_the_engine_stops_within_a_second(client, server, vllm, asked):
    path, body = GOING[asked]
    vllm.how, server.gateway.desk.patience = ("hangs", 30.0) if asked == "a ranking" else ("slow", PATIENCE)
    left = vllm.left
    line = posted(server, path, body)
    until(lambda: vllm.writing == 1)
    time.sleep(0.2)
    line.close()
    began = time.monotonic()
    until(lambda: vllm.writing == 0)
    assert time.monotonic() - began < 1
    assert vllm.left == left + 1
    server.gateway.desk.patience = PATIENCE
    vllm.how = "well"
    until(lambda: server.gateway.load.at_work == 0)
    assert recommended(client)["items"]


def posted(server: Served, path: str, body: Json) -> Line:
    """A request on a connection of its own."""
    sent = json.dumps(body).encode()
    line = Line(where(server), f"POST {path}", content_type="application/json", content_length=str(len(sent)))
    line.send(sent)
    return line


def where(server: Served) -> tuple[str, int]:
    found = httpx.URL(server.address)
    return found.host, found.port or 80


def until(what: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)
