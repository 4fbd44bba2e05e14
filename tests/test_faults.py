"""Errors of the gateway: each in OpenAI's form, in words that help, with nothing of the inside."""

import json
import logging
import time
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from live import served
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from llmrec.engines.engine import EngineDown, EngineRefused
from llmrec.errors import DiskFull, InputError, StoreDown
from llmrec.gateway import faults
from llmrec.gateway.faults import EventsDown, Refusal, content


class Words(BaseModel):
    model_config = ConfigDict(extra="forbid")
    role: Literal["user", "system"]
    content: str | list[dict[str, str]]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")
    messages: list[Words]
    temperature: float = Field(default=1.0, ge=0, le=2)


RAISED = {
    "refusal": Refusal(429, "Slow down", param="user", code="slow", headers={"Retry-After": "7"}),
    "input": InputError("k is 0: ask for at least one"),
    "down": EngineDown("vLLM at http://10.0.0.7 does not answer: PROMPT"),
    "refused": EngineRefused("vLLM answered 400: PROMPT"),
    "events": EventsDown("postgresql://db does not take it"),
    "full": DiskFull("PROMPT"),
    "store": StoreDown("PROMPT"),
    "unforeseen": ValueError("PROMPT"),
    "teapot": HTTPException(418, "No coffee here"),
}


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    faults.install(app)

    @app.post("/chat")
    def chat(asked: Asked, k: int = 10) -> dict[str, int]:
        return {"k": k + len(asked.messages)}

    @app.get("/raise/{what}")
    def fail(what: str) -> None:
        raise RAISED[what]

    @app.get("/stream")
    def stream() -> StreamingResponse:
        def pieces():
            yield "first"
            raise RuntimeError("PROMPT")

        return StreamingResponse(pieces())

    return TestClient(app)


@pytest.mark.parametrize(
    ("what", "status", "kind", "said"),
    [
        ("refusal", 429, "rate_limit_error", "Slow down"),
        ("input", 400, "invalid_request_error", "k is 0: ask for at least one"),
        ("down", 503, "server_error", "The model does not answer now"),
        ("refused", 502, "server_error", "The model refused"),
        ("events", 503, "server_error", "The database of events does not answer now"),
        ("full", 507, "server_error", "The server has no room to keep this"),
        ("store", 503, "server_error", "The catalogue cannot be read or written now"),
        ("unforeseen", 500, "server_error", "Something went wrong in the server"),
        ("teapot", 418, "invalid_request_error", "No coffee here"),
    ],
)
def test_every_error_has_its_status_and_the_form_that_clients_know(client, caplog, what, status, kind, said):
    caplog.set_level(logging.INFO)
    answer = client.get(f"/raise/{what}")
    assert answer.status_code == status
    (error,) = answer.json().values()
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == kind
    assert error["message"].startswith(said)
    assert "PROMPT" not in answer.text + caplog.text
    assert ("test_faults.py" in caplog.text) == (status >= 500)


def test_what_goes_by_says_when_to_come_back_and_what_stays_says_not_to(client):
    assert client.get("/raise/refusal").headers["retry-after"] == "7"
    assert client.get("/raise/down").headers["retry-after"] == "5"
    assert client.get("/raise/events").headers["retry-after"] == "5"
    assert client.get("/raise/refused").headers["x-should-retry"] == "false"


def test_what_nobody_foresaw_is_logged_with_its_place_and_only_to_who_debugs_with_its_message(client, caplog):
    caplog.set_level(logging.INFO)
    client.get("/raise/unforeseen")
    (line,) = [one for one in caplog.records if one.name == "llmrec.gateway.faults"]
    told = json.loads(line.getMessage())
    assert told["error"] == ["ValueError"]
    assert told["at"][-1].endswith(" fail")
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    client.get("/raise/unforeseen")
    assert "ValueError: PROMPT" in caplog.text


def test_a_stream_that_breaks_off_is_logged_and_has_no_second_head(client, caplog):
    answer = client.get("/stream")
    assert (answer.status_code, answer.text) == (200, "first")
    assert '"RuntimeError"' in caplog.text
    assert "PROMPT" not in caplog.text


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({}, "messages", "messages is missing"),
        ({"messages": [{"role": "hacker", "content": ""}]}, "messages[0].role",
         "messages[0].role should be 'user' or 'system', not 'hacker'"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content",
         "messages[0].content should be a valid string, not 5 (and 1 more)"),
        ({"messages": [{"role": "user", "content": [{"text": None}]}]}, "messages[0].content", None),
        ({"messages": [], "temprature": 1}, "temprature", "temprature is not known here. Leave it out"),
        ({"messages": [], "temperature": 9}, "temperature",
         "temperature should be less than or equal to 2, not 9"),
        ({"messages": [], "temperature": "x" * 500}, "temperature",
         "temperature should be a valid number, unable to parse string as a number, not '" + "x" * 56 + "…"),
        ([], None, "the body should be a valid dictionary or object to extract fields from"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_by_its_place(client, body, param, said):
    answer = client.post("/chat", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == param
    assert said is None or answer.json()["error"]["message"] == said


def test_what_does_not_fit_elsewhere_is_named_too(client):
    answer = client.post("/chat?k=many", json={"messages": []})
    assert answer.json()["error"]["message"].startswith("k in the query should be a valid integer")
    answer = client.post("/chat", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.json()["error"]["message"].endswith("Send JSON, with the header Content-Type: application/json")


@pytest.mark.parametrize("body", ["{", "[1,]", '{"a": "\n"}', "nonsense", '{"a": \\}'])
def test_what_is_not_json_is_a_400(client, body):
    answer = client.post("/chat", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("The body is not valid JSON: ")


def test_addresses_and_methods_that_are_not_there_are_told(client):
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert "Nothing is served at GET /nowhere" in answer.text
    answer = client.get("/chat")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "this address takes POST" in answer.text


def test_a_name_that_no_text_can_hold_is_still_answered(client):
    body = rb'{"messages": [], "\ud800": 1}'
    answer = client.post("/chat", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert "not '\\ud800'" in answer.json()["error"]["message"]
    assert content(Refusal(400, "\ud800", param="\ud800"))["error"]["param"] == "\\ud800"
    assert len(content(Refusal(400, "x" * 10_000))["error"]["message"]) == 600


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, openai.BadRequestError), (401, openai.AuthenticationError), (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError), (409, openai.ConflictError), (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError), (502, openai.InternalServerError), (503, openai.InternalServerError),
    ],
)  # fmt: skip
def test_openais_client_raises_what_it_should(refusing, status, raised):
    with openai.OpenAI(api_key="x", base_url=refusing, max_retries=0) as asking, pytest.raises(raised) as error:
        asking.chat.completions.create(model=str(status), messages=[])
    assert (error.value.code, error.value.param, error.value.type) == ("why", "user", Refusal(status, "").kind)
    assert "No, in words" in error.value.message


@pytest.mark.alone
def test_openais_client_does_not_ask_again_where_it_would_not_help(refusing):
    began = time.monotonic()
    with openai.OpenAI(api_key="x", base_url=refusing, max_retries=2) as asking, pytest.raises(openai.ConflictError):
        asking.chat.completions.create(model="409", messages=[])
    assert time.monotonic() - began < 0.4


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    app = FastAPI()
    faults.install(app)

    @app.post("/v1/chat/completions")
    def chat(asked: dict[str, Any]) -> None:
        raise Refusal(int(asked["model"]), "No, in words", code="why", param="user", headers=faults.NEVER)

    with served(app) as (host, port):
        yield f"http://{host}:{port}/v1"
