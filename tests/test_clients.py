"""The clients that people have: OpenAI's, LangChain's, the llm command and curl, each against a running gateway."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml
from gateways import Served, serving
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, SecretStr
from shops import picture

from llmrec.engines.engine import EngineDown, Prompt
from llmrec.gateway.access import Keys, add_key
from llmrec.modeling.local import LocalEngine
from llmrec.retrieval.index import Index

PERSON = "u01"
SUGGEST = "What would you suggest?"
Json = dict[str, Any]


class Breakable(LocalEngine):
    """The engine in the process, which can be down."""

    down = False

    async def logprobs(self, prompt: Prompt, tokens: Sequence[int]) -> list[float]:
        self._check()
        return await super().logprobs(prompt, tokens)

    async def write(self, prompt: Prompt, *, longest: int, temperature: float = 0.0) -> AsyncGenerator[str]:
        self._check()
        async for piece in super().write(prompt, longest=longest, temperature=temperature):
            yield piece

    async def ready(self) -> bool:
        return not self.down

    def _check(self) -> None:
        if self.down:
            raise EngineDown("it is down")


@pytest.fixture(scope="module")
def engine(tuned_model: Path) -> Breakable:
    return Breakable(tuned_model)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, str]:
    return {
        "shop": add_key(folder / "keys.yaml", "shop", ["read", "events"]),
        "other": add_key(folder / "keys.yaml", "other", ["read"], people="other/"),
        "slow": add_key(folder / "keys.yaml", "slow", ["read"], rate=1),
    }


@pytest.fixture(scope="module")
def server(
    tuned_model: Path, tuned_index: Index, folder: Path, engine: Breakable, keys: dict[str, str]
) -> Iterator[Served]:
    assert keys
    opened = Keys.open(folder / "keys.yaml")
    with serving(tuned_model, tuned_index, folder / "gateway", engine=engine, keys=opened) as running:
        yield running


@pytest.fixture(scope="module")
def base(server: Served) -> str:
    return server.address + "/v1"


@pytest.fixture
def down(engine: Breakable) -> Iterator[Breakable]:
    """The engine while it is down."""
    engine.down = True
    yield engine
    engine.down = False
    time.sleep(2.1)  # it rests for a moment before it is asked again


@pytest.fixture(scope="module")
def client(base: str, keys: dict[str, str]) -> Iterator[OpenAI]:
    with OpenAI(base_url=base, api_key=keys["shop"], max_retries=0) as opened:
        yield opened


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def shown(*texts: str, code: int = 7) -> Any:
    """A user's message with a picture."""
    address = f"data:image/png;base64,{base64.b64encode(picture(code)).decode()}"
    parts: list[Json] = [{"type": "text", "text": text} for text in texts]
    return {"role": "user", "content": [*parts, {"type": "image_url", "image_url": {"url": address}}]}


def said(client: OpenAI, *messages: Any, **more: Any) -> Any:
    """The message of an answer."""
    answer = client.chat.completions.create(model="llmrec", user=PERSON, messages=list(messages), **more)
    return answer.choices[0].message


def tool(name: str, **properties: str) -> Any:
    parameters = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [
    tool("explain_item", item="string"),
    tool("recommend", k="integer", where="object"),
    tool("search_items", query="string", where="object"),
]


# --- OpenAI's own ------------------------------------------------------------------------------------------------


def test_openais_client_reads_the_list_as_words_and_as_data(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="llmrec", user=PERSON, messages=[user(SUGGEST)])
    message = answer.choices[0].message
    assert message.content.count("**") >= 10
    assert [one["item"] for one in message.llmrec["items"]]
    assert message.llmrec["fallback"] is None
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_openais_client_streams_items_first_then_words_then_usage(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="llmrec",
        user=PERSON,
        messages=[user(SUGGEST)],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    items = chunks[0].choices[0].delta.llmrec["items"]
    words = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert all(item["title"] in words for item in items)
    assert len(items) == 5
    assert len(chunks) > 8
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_stream_helper_puts_the_answer_together(client: OpenAI) -> None:
    with client.chat.completions.stream(model="llmrec", user=PERSON, messages=[user(SUGGEST)]) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        message = stream.get_final_completion().choices[0].message
    assert message.content == "".join(pieces)
    assert len(message.llmrec["items"]) == 5


def test_why_the_second_is_answered_when_messages_are_sent_back_as_they_came(client: OpenAI) -> None:
    messages: list[Any] = [user(SUGGEST)]
    messages.append(said(client, *messages))
    second = messages[1].llmrec["items"][1]
    messages.append(user("Why the second?"))
    messages.append(said(client, *messages))
    assert [one["item"] for one in messages[-1].llmrec["items"]] == [second["item"]]
    assert second["title"] in messages[-1].content
    more = said(client, *messages, user("Show me something else"))
    assert not {one["item"] for one in messages[1].llmrec["items"]} & {one["item"] for one in more.llmrec["items"]}


def test_an_asynchronous_client_asks_many_things_at_once(base: str, keys: dict[str, str]) -> None:
    async def main() -> None:
        async with AsyncOpenAI(base_url=base, api_key=keys["shop"], max_retries=0) as client:

            async def one(person: str) -> Any:
                answer = await client.chat.completions.create(model="llmrec", user=person, messages=[user(SUGGEST)])
                return answer.choices[0].message.llmrec["items"]

            lists = await asyncio.gather(*(one(f"u0{number}") for number in range(4)))
            assert all(len(items) == 5 for items in lists)
            assert len({str([item["item"] for item in items]) for items in lists}) > 1
            words = ""
            async for chunk in await client.chat.completions.create(
                model="llmrec", user=PERSON, messages=[user(SUGGEST)], stream=True
            ):
                words += chunk.choices[0].delta.content or ""
            assert "5. **" in words
            models = [model.id async for model in client.models.list()]
            assert models == ["llmrec"]

    asyncio.run(main())


def test_a_stream_that_is_closed_early_leaves_the_server_free(client: OpenAI) -> None:
    stream = client.chat.completions.create(model="llmrec", user=PERSON, messages=[user(SUGGEST)], stream=True)
    assert next(iter(stream)).choices[0].delta.llmrec["items"]
    stream.close()
    assert said(client, user("Hello")).content.startswith("Hello")


def test_pictures_find_what_looks_like_them(client: OpenAI) -> None:
    message = said(client, shown("something like this"))
    assert message.llmrec["kind"] == "similar"
    assert "i007" in [one["item"] for one in message.llmrec["items"]]
    assert "i007" in [one["item"] for one in said(client, shown()).llmrec["items"]]  # the picture alone
    far = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    with pytest.raises(openai.BadRequestError, match="addresses are never fetched"):
        said(client, {"role": "user", "content": [far]})


class Suggestion(BaseModel):
    """An item, as a program wants it."""

    title: str
    reason: str
    price: float | None
    brand: str | None = None


class Suggestions(BaseModel):
    """An answer, as a program wants it."""

    message: str
    suggestions: list[Suggestion]


class Weather(BaseModel):
    """What no shop knows."""

    degrees: float


def test_an_answer_comes_as_the_object_that_is_asked_for(client: OpenAI) -> None:
    asked: Any = {"model": "llmrec", "user": PERSON, "messages": [user("a thing for the garden")]}
    message = client.chat.completions.parse(**asked, response_format=Suggestions).choices[0].message
    titles = [one["title"] for one in message.llmrec["items"]]
    assert [one.title for one in message.parsed.suggestions] == titles
    assert all(one.reason for one in message.parsed.suggestions)
    with client.chat.completions.stream(**asked, response_format=Suggestions) as stream:
        streamed = stream.get_final_completion().choices[0].message.parsed
    assert [one.title for one in streamed.suggestions] == titles
    loose = json.loads(said(client, user("a thing"), response_format={"type": "json_object"}).content)
    assert loose["items"]
    with pytest.raises(openai.UnprocessableEntityError, match="degrees"):
        client.chat.completions.parse(**asked, response_format=Weather)


def test_tools_are_called_and_their_results_are_told(client: OpenAI, base: str) -> None:
    messages: list[Any] = [user("a thing for the garden under 20")]
    answer = client.chat.completions.create(model="llmrec", user=PERSON, messages=messages, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    messages.append(answer.choices[0].message)
    (call,) = messages[-1].tool_calls
    assert call.function.name == "search_items"
    arguments = json.loads(call.function.arguments)
    assert "garden" in json.dumps(arguments).lower()
    found = httpx.post(
        f"{base}/search", json=arguments, headers={"Authorization": f"Bearer {client.api_key}"}, trust_env=False
    )
    assert found.status_code == 200
    messages.append({"role": "tool", "tool_call_id": call.id, "content": found.text})
    told = said(client, *messages, tools=TOOLS)
    first = found.json()["items"][0]
    assert first["title"] in told.content
    assert told.llmrec["items"][0]["item"] == first["item"]
    assert told.tool_calls is None
    (why,) = said(client, *messages, told, user("Why the first?"), tools=TOOLS).tool_calls
    assert why.function.name == "explain_item"
    assert json.loads(why.function.arguments) == {"item": first["item"]}


def test_calls_are_streamed_in_a_form_that_clients_put_together(client: OpenAI) -> None:
    asked: Any = {"model": "llmrec", "user": PERSON, "messages": [user("three suggestions")], "tools": TOOLS}
    chunks = list(client.chat.completions.create(**asked, stream=True))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert calls[0].function.name == "recommend"
    assert json.loads("".join(call.function.arguments for call in calls)) == {"k": 3}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    with client.chat.completions.stream(**asked) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("recommend", '{"k": 3}')


def test_several_calls_are_made_at_once_only_where_the_client_takes_them(client: OpenAI) -> None:
    first = said(client, user(SUGGEST))
    turns = (user(SUGGEST), first, user("tell me about the first and the third"))
    ids = [first.llmrec["items"][place]["item"] for place in (0, 2)]
    calls = said(client, *turns, tools=TOOLS).tool_calls
    assert [json.loads(call.function.arguments)["item"] for call in calls] == ids
    assert len({call.id for call in calls}) == 2
    (call,) = said(client, *turns, tools=TOOLS, parallel_tool_calls=False).tool_calls
    assert json.loads(call.function.arguments) == {"item": ids[0]}


def test_the_choice_of_a_tool_is_kept(client: OpenAI) -> None:
    talk = user("Hello")
    assert said(client, talk, tools=TOOLS).tool_calls is None
    assert said(client, user(SUGGEST), tools=TOOLS, tool_choice="none").tool_calls is None
    (call,) = said(client, talk, tools=TOOLS, tool_choice="required").tool_calls
    assert call.function.name == "recommend"
    named: Any = {"type": "function", "function": {"name": "search_items"}}
    (call,) = said(client, user("three red things"), tools=TOOLS, tool_choice=named).tool_calls
    assert call.function.name == "search_items"
    (call,) = said(client, user("something under 20"), tools=TOOLS).tool_calls
    assert call.function.name == "recommend"  # a price alone is nothing to search for
    named["function"]["name"] = "order_pizza"
    with pytest.raises(openai.UnprocessableEntityError, match="order_pizza"):
        said(client, talk, tools=TOOLS, tool_choice=named)
    with pytest.raises(openai.UnprocessableEntityError, match="tool_choice"):
        said(client, talk, tools=TOOLS, tool_choice="sometimes")


def test_a_function_of_the_clients_own_that_must_be_called_is_filled_as_a_form(client: OpenAI) -> None:
    own = openai.pydantic_function_tool(Suggestions)
    choices: tuple[Any, ...] = ({"type": "function", "function": {"name": "Suggestions"}}, "required")
    for choice in choices:
        (call,) = said(client, user("a thing for the garden"), tools=[own], tool_choice=choice).tool_calls
        assert call.function.name == "Suggestions"
        assert Suggestions.model_validate_json(call.function.arguments).suggestions
    assert said(client, user("a thing"), tools=[own]).tool_calls is None  # it need not be called, and so is not
    weather = openai.pydantic_function_tool(Weather)
    with pytest.raises(openai.UnprocessableEntityError, match="degrees"):
        said(client, user("a thing"), tools=[weather], tool_choice="required")


def test_models_are_listed_and_one_is_found_by_its_name(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["llmrec"]
    assert client.models.retrieve("llmrec").owned_by == "llmrec"
    for name in ("gpt-4o", "somebody/else"):
        with pytest.raises(openai.NotFoundError, match="The model is 'llmrec'"):
            client.models.retrieve(name)


def test_the_bare_model_writes_through_the_older_route(client: OpenAI) -> None:
    asked: Any = {"model": "llmrec", "prompt": "a person took", "max_tokens": 6}
    answer = client.completions.create(**asked)
    assert answer.usage.prompt_tokens > 0
    assert answer.choices[0].finish_reason in ("stop", "length")
    chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert text == answer.choices[0].text
    assert chunks[-1].usage == answer.usage
    assert client.completions.create(**{**asked, "prompt": ["a person took"]}).choices[0].text == text


def test_each_fault_raises_the_error_that_clients_expect(client: OpenAI, keys: dict[str, str]) -> None:
    hello = user("Hello")
    with pytest.raises(openai.AuthenticationError) as unknown:
        said(client.with_options(api_key="sk-shop-wrong"), hello)
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.PermissionDeniedError, match="'other/'"):
        said(client.with_options(api_key=keys["other"]), hello)
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-4o", messages=[hello])
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.UnprocessableEntityError) as wrong:
        said(client, hello, temperature=9)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.UnprocessableEntityError, match="chat_template"):
        said(client, hello, extra_body={"chat_template": "x"})
    with pytest.raises(openai.BadRequestError, match="data URI"):
        said(client, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]})
    with pytest.raises(openai.NotFoundError, match="/v1/responses"):
        client.responses.create(model="llmrec", input="Hello")
    slow = client.with_options(api_key=keys["slow"])
    assert slow.models.list().data
    with pytest.raises(openai.RateLimitError) as busy:
        slow.models.list()
    assert int(busy.value.response.headers["retry-after"]) > 0
    assert busy.value.request_id


def test_without_the_engine_lists_say_so_and_explanations_are_a_503(client: OpenAI, down: Breakable) -> None:
    assert down.down
    message = said(client, user(SUGGEST))
    assert len(message.llmrec["items"]) == 5
    assert message.llmrec["fallback"] in message.content
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError) as none:
            said(client, user(SUGGEST), message, user("Why the second?"), stream=stream)
        assert none.value.status_code == 503
        assert none.value.code == "engine_down"
        assert none.value.response.headers["retry-after"] == "5"


def test_openais_client_waits_as_it_is_told_and_gets_its_explanation(client: OpenAI, engine: Breakable) -> None:
    message = said(client, user(SUGGEST))
    engine.down = True
    threading.Timer(1.0, lambda: setattr(engine, "down", False)).start()
    began = time.monotonic()
    patient = client.with_options(max_retries=1)
    why = said(patient, user(SUGGEST), message, user("Why the second?"))
    assert why.llmrec["kind"] == "explain"
    assert 4.5 < time.monotonic() - began < 15  # the 5 seconds of Retry-After, not the client's own half second


# --- LangChain ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chain(base: str, keys: dict[str, str]) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=base, api_key=SecretStr(keys["shop"]), model="llmrec", max_retries=0, model_kwargs={"user": PERSON}
    )


def test_langchain_invokes_streams_and_asks_in_a_batch(chain: ChatOpenAI) -> None:
    first = chain.invoke(SUGGEST)
    assert "5. **" in first.text
    assert first.usage_metadata["total_tokens"] > 0
    pieces = list(chain.stream(SUGGEST))
    assert len(pieces) > 8
    assert "5. **" in "".join(piece.text for piece in pieces)
    both = chain.batch([SUGGEST, "Hello"])
    assert "1. **" in both[0].text
    assert both[1].text.startswith("Hello")
    why = chain.invoke([HumanMessage(SUGGEST), first, HumanMessage("Why the second?")])
    second = first.text.split("2. **")[1].split("**")[0]
    assert why.text.startswith(f"**{second}**")


def test_langchain_sends_pictures(chain: ChatOpenAI) -> None:
    seen = {"type": "image", "base64": base64.b64encode(picture(7)).decode(), "mime_type": "image/png"}
    told = chain.invoke([HumanMessage(content=[{"type": "text", "text": "something like this"}, seen])])
    assert "Thing number 7**" in told.text


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_gets_an_object(chain: ChatOpenAI, method: Any) -> None:
    found = chain.with_structured_output(Suggestions, method=method).invoke("a thing for the garden")
    assert isinstance(found, Suggestions)
    assert found.suggestions


def test_langchain_calls_tools_and_sends_their_results(chain: ChatOpenAI) -> None:
    bound = chain.bind_tools(TOOLS)
    asked = HumanMessage("a thing for the garden")
    message = bound.invoke([asked])
    assert isinstance(message, AIMessage)
    (call,) = message.tool_calls
    assert call["name"] == "search_items"
    result = ToolMessage(json.dumps({"items": [{"item": "i010"}]}), tool_call_id=call["id"])
    assert "Thing number 10" in bound.invoke([asked, message, result]).text
    must = chain.bind_tools(TOOLS, tool_choice="any").invoke("Hello")
    assert [one["name"] for one in must.tool_calls] == ["recommend"]
    pieces = list(bound.stream([asked]))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert [one["name"] for one in whole.tool_calls] == ["search_items"]


# --- on the command line -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llm(base: str, folder: Path, keys: dict[str, str]) -> Any:
    """The llm command with a home of its own, where this server is the model `shop`."""
    home = folder / "llm"
    home.mkdir()
    known = {
        "model_id": "shop",
        "model_name": "llmrec",
        "api_base": base,
        "api_key_name": "shop",
        "vision": True,
        "supports_schema": True,
        "supports_tools": True,
    }
    (home / "extra-openai-models.yaml").write_text(yaml.safe_dump([known]))
    (home / "keys.json").write_text(json.dumps({"shop": keys["shop"]}))
    environment = {**os.environ, "LLM_USER_PATH": str(home), "LLM_LOAD_PLUGINS": "", "NO_PROXY": "127.0.0.1"}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "llm", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_llm_command_streams_waits_and_goes_on(llm: Any) -> None:
    assert "5. **" in llm("-m", "shop", SUGGEST)
    told = llm("-m", "shop", "--no-stream", SUGGEST)
    second = told.split("2. **")[1].split("**")[0]
    assert llm("-c", "why the second?").startswith(f"**{second}**")


def test_the_llm_command_sends_a_picture_and_asks_for_a_schema(llm: Any, folder: Path) -> None:
    (folder / "picture.png").write_bytes(picture(7))
    assert "Thing number 7**" in llm("-m", "shop", "something like this", "-a", str(folder / "picture.png"))
    told = json.loads(llm("-m", "shop", "--schema-multi", "title, price float", "a thing for the garden under 20"))
    assert all(one["title"] and one["price"] < 20 for one in told["items"])


def curl(*arguments: str) -> tuple[int, str]:
    """The status and what came."""
    command = ["curl", "--silent", "--noproxy", "*", "--write-out", "\n%{http_code}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_curl_asks_streams_and_is_told_what_is_wrong(base: str, keys: dict[str, str]) -> None:
    head = ("-H", f"Authorization: Bearer {keys['shop']}", "-H", "Content-Type: application/json")
    body = {"model": "llmrec", "user": PERSON, "messages": [user(SUGGEST)]}
    chat = f"{base}/chat/completions"
    status, answer = curl(chat, *head, "-d", json.dumps(body))
    assert status == 200
    assert json.loads(answer)["choices"][0]["message"]["llmrec"]["items"]
    status, answer = curl("-N", chat, *head, "-d", json.dumps({**body, "stream": True}))
    assert status == 200
    assert answer.startswith("data: {")
    assert answer.endswith("data: [DONE]\n\n")
    status, answer = curl(f"{base}/recommendations", *head, "-d", json.dumps({"user": PERSON, "k": 3}))
    assert len(json.loads(answer)["items"]) == 3
    status, answer = curl(chat, *head, "-d", '{"model": "llmrec", "messages": [}')
    assert (status, json.loads(answer)["error"]["code"]) == (400, "invalid_json")
    status, answer = curl(chat, "-H", "Content-Type: application/json", "-d", json.dumps(body))
    assert (status, json.loads(answer)["error"]["type"]) == (401, "authentication_error")
    status, answer = curl(chat, *head[:2], "-d", json.dumps(body))  # curl's own content type is a form's
    assert status == 422
    assert "Content-Type: application/json" in json.loads(answer)["error"]["message"]
