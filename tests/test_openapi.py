"""The OpenAPI document is true: what it allows and what it does not is sent, and every answer is read by it."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from gateways import Served, serving
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from llmrec.retrieval.index import Index

TRUE = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def server(tuned_model: Path, tuned_index: Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tuned_model, tuned_index, tmp_path_factory.mktemp("openapi")) as running:
        yield running


@pytest.fixture(scope="module")
def document(server: Served) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.address}/openapi.json", trust_env=False).json()
    return found


def nearer(case: Case) -> Case:
    """A request nearer to what clients send: names that there are, and texts that do not take the model minutes."""
    known: dict[str, Any] = {"item": "i001", "user": "u01", "model": "llmrec", "max_tokens": 8}
    for some in (case.path_parameters, case.body):
        if isinstance(some, dict):
            some |= {name: known[name] for name in known if name in some and len(str(some[name])) % 4}
    return case


def ask_everything(address: str, *, examples: int, mode: GenerationMode) -> int:
    """Ask each operation for so many things; how many operations there are."""
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:

        @settings(max_examples=examples, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Case) -> None:
            nearer(case).call_and_validate(checks=TRUE, timeout=60)

        with suppress(Unsatisfiable):  # there is nothing to get wrong where nothing is asked
            check()
    return len(operations)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_as_the_document_says(server: Served, mode: GenerationMode) -> None:
    assert ask_everything(server.address, examples=30, mode=mode) > 15


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_as_the_document_says_for_long(server: Served, mode: GenerationMode) -> None:
    assert ask_everything(server.address, examples=200, mode=mode) > 15


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield f"{method.upper()} {path}", told


def test_the_document_tells_of_every_fault_and_of_its_form(document: dict[str, Any]) -> None:
    for name, told in operations(document):
        statuses = set(told["responses"])
        assert {"200", "400", "413", "422", "429"} <= statuses, name
        assert ({"401", "403"} <= statuses) == ("security" in told) == ("/v1/" in name), name
        for status, answer in told["responses"].items():
            if status >= "400" and (status, name) != ("503", "GET /readyz"):
                form = answer["content"]["application/json"]["schema"]["$ref"]
                assert form.endswith("/Failure"), (name, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_document_describes_every_field_that_is_answered(document: dict[str, Any]) -> None:
    for name, told in operations(document):
        content = told["responses"]["200"]["content"]
        if "application/json" in content:
            assert "$ref" in content["application/json"]["schema"], name
        else:
            assert set(content) & {"text/plain", "image/png"}, name
    shown = document["components"]["schemas"]["Shown"]["properties"]
    assert {"item", "title", "brand", "price", "categories", "picture", "score", "parts", "reason"} == set(shown)


def test_ids_with_a_slash_in_them_have_addresses_too(server: Served) -> None:
    with httpx.Client(base_url=server.address, trust_env=False) as client:
        event = {"key": "slash-1", "user": "shop1/u1", "item": "i003"}
        assert client.post("/v1/events", json={"events": [event]}).status_code == 200
        for person in ("shop1/u1", "shop1%2Fu1"):
            assert client.get(f"/v1/people/{person}/history").json()["taken"] == ["i003"]
        assert client.put("/v1/items/a%2Fb", json={"title": "A slash"}).json()["item"] == "a/b"
        assert client.get("/v1/items/a%2Fb").json()["title"] == "A slash"
        assert client.get("/v1/items/a%2Fb/picture").json()["error"]["code"] == "no_picture"
        assert client.delete("/v1/items/a%2Fb").json()["deleted"]


def test_an_item_may_lack_everything_but_a_title_and_its_attributes_are_plain_values(server: Served) -> None:
    with httpx.Client(base_url=server.address, trust_env=False) as client:
        assert client.put("/v1/items/bare", json={"title": "Bare"}).json()["categories"] == []
        for odd in ({"a": 1}, [["a"]], 10**400, "\ud800"):
            answer = client.put("/v1/items/bare", content=json.dumps({"title": "Bare", "colour": odd}).encode())
            assert 400 <= answer.status_code < 500, odd
        assert client.put("/v1/items/bare", json={"title": "Bare", "colour": "red"}).json()["colour"] == "red"
        assert client.put("/v1/items/bare", json={"title": "Bare", "colour": 5}).status_code in (200, 400)
        client.delete("/v1/items/bare")
