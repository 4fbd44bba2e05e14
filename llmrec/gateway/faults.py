"""What goes wrong in the gateway, in OpenAI's form: their clients know what to raise and when to ask again."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmrec.engines.engine import EngineDown, EngineRefused
from llmrec.errors import DiskFull, InputError, LlmrecError, StoreDown

log = logging.getLogger(__name__)

Kind = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "rate_limit_error",
    "server_error",
]
KIND_OF: Mapping[int, Kind] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
LONGEST = 600  # characters of a message: it may quote what was sent
COME_BACK = 5  # seconds after which to ask again for an engine or a database that does not answer
NEVER = {"x-should-retry": "false"}  # OpenAI's clients would ask again after a 409 or any 5xx


class Fault(BaseModel):
    """What went wrong."""

    message: str = Field(description="What was seen, and what to do.")
    type: Kind
    param: str | None = Field(description="The part of the request that cannot be used.")
    code: str | None


class Failure(BaseModel):
    """An answer that tells of a fault, in OpenAI's form."""

    error: Fault


SAID: Mapping[int, str] = {
    400: "The request cannot be used as it is.",
    401: "The key is missing or unknown.",
    403: "The key does not allow this.",
    404: "It is not here: the model, the item, its picture, or the address.",
    408: "The body did not arrive in time.",
    409: "The key of an event was used for another event.",
    413: "The body is too long.",
    422: "A part of the request cannot be used; `param` names it.",
    429: "Too much at one time. Ask again after Retry-After.",
    500: "Something went wrong in the server.",
    502: "The model refused what the gateway asked of it.",
    503: "The model or the database does not answer now. Ask again after Retry-After.",
}
EVERYWHERE = (400, 408, 413, 422, 429, 500)
"""What any address may answer."""


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How answers that tell of a fault stand in the OpenAPI document."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {"model": Failure, "description": SAID[status]}
        if status in (429, 503):
            wait = {"description": "Seconds after which to ask again.", "schema": {"type": "integer"}}
            found[status]["headers"] = {"Retry-After": wait}
    return found


class Refusal(LlmrecError):
    """A request that is not served: the status, and in plain words what was seen and what to do."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: Kind | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.kind: Kind = kind or KIND_OF.get(status, "server_error" if status >= 500 else "invalid_request_error")
        self.headers = dict(headers or {})


class EventsDown(LlmrecError):
    """The database of events does not answer, or not in time; what was being added may or may not have been kept."""


def content(refusal: Refusal) -> dict[str, Any]:
    """The JSON that says it; an event of a stream that breaks off carries the same."""
    return {
        "error": {
            "message": _sendable(refusal.message),
            "type": refusal.kind,
            "param": None if refusal.param is None else _sendable(refusal.param),
            "code": refusal.code,
        }
    }


def response(refusal: Refusal) -> JSONResponse:
    """The answer that carries it."""
    return JSONResponse(content(refusal), status_code=refusal.status, headers=refusal.headers)


def as_refusal(error: Exception, asked: str = "what was asked for") -> Refusal:
    """What to tell a client of any error; `asked` is the method and the path."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _http(error, asked)
    if isinstance(error, StoreDown):
        return _later("The catalogue cannot be read or written now. Ask again in some seconds", "store_down")
    if isinstance(error, DiskFull):
        return Refusal(507, "The server has no room to keep this. Nothing was changed", code="disk_full", headers=NEVER)
    if isinstance(error, InputError):
        return Refusal(400, str(error))
    if isinstance(error, EngineDown):
        return _later("The model does not answer now. Ask again in some seconds", "engine_down")
    if isinstance(error, EventsDown):
        return _later("The database of events does not answer now. Ask again in some seconds", "events_down")
    if isinstance(error, EngineRefused):
        # 502: the client asked for nothing wrong, or it would have been told so before; the gateway asked the engine
        # for something that it will not do. What the engine said may quote the prompt, so it is not passed on.
        return Refusal(
            502, "The model refused what the gateway asked of it. Asking again would not help", code="engine_refused",
            headers=NEVER,
        )  # fmt: skip
    return Refusal(500, "Something went wrong in the server, not in your request", code="internal_error")


def in_stream(error: Exception) -> dict[str, Any]:
    """The JSON that ends a stream which broke off, after the status was out."""
    told = as_refusal(error)
    if told.status >= 500:
        note({}, error)
    return content(told)


def install(app: FastAPI) -> None:
    """Answer every error of an app in OpenAI's form."""
    for kind in (Refusal, LlmrecError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _answer)
    # Not a handler of Exception: Starlette raises the error again behind such a one, and the server would log it with
    # its message, in which the words of a person may stand.
    app.add_middleware(_Unforeseen)


def request_id(scope: Scope | dict[str, Any]) -> str | None:
    """The id that the request has, if it came through `limits`."""
    found: str | None = scope.get("state", {}).get("request_id")
    return found


async def _answer(request: Request, error: Exception) -> JSONResponse:
    told = as_refusal(error, f"{request.method} {request.url.path[:200]}")
    if told.status >= 500:
        note(request.scope, error)
    if told.code == "internal_error":
        told = _unforeseen(request.scope)
    return response(told)


class _Unforeseen:
    """The last net: what nobody foresaw becomes a 500 that tells nothing of the inside."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except Exception as error:
            if scope["type"] != "http":
                raise
            note(scope, error)
            # Behind a begun answer nothing can be said any more: the server sees it unfinished and cuts the connection.
            if not started:
                await response(_unforeseen(scope))(scope, receive, send)


def note(scope: Scope | dict[str, Any], error: BaseException) -> None:
    """Log an error as one line of JSON: its kinds and the places in the code that it went through.

    Messages of errors quote what they choke on, which may be a prompt: they are told at the level of debugging alone.
    """
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    frames = []
    step = chain[-1].__traceback__
    while step is not None:
        frames.append(f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno} {step.tb_frame.f_code.co_name}")
        step = step.tb_next
    told: dict[str, Any] = {"id": request_id(scope), "error": [type(one).__name__ for one in chain], "at": frames[-12:]}
    if isinstance(error, EventsDown):  # it quotes nobody, and says what has to be done
        told["said"] = str(error)
    log.error("%s", json.dumps(told))
    log.debug("request %s", request_id(scope), exc_info=error)


def _unforeseen(scope: Scope) -> Refusal:
    known = request_id(scope)
    noted = f" It is in the server's log as request {known}" if known else ""
    told = as_refusal(Exception())
    return Refusal(told.status, f"{told.message}.{noted}", code=told.code)


def _later(message: str, code: str) -> Refusal:
    return Refusal(503, message, code=code, headers={"Retry-After": str(COME_BACK)})


def _http(error: HTTPException, asked: str) -> Refusal:
    said = str(error.detail)
    if said == HTTPStatus(error.status_code).phrase:  # nobody has written anything: routing alone refused it
        if error.status_code == 404:
            said = f"Nothing is served at {asked}. Check the address: those that are known stand in /openapi.json"
        elif error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            said = f"{asked} is not possible" + (f": this address takes {allowed}" if allowed else "")
    return Refusal(error.status_code, said, headers=error.headers)


def _invalid(error: RequestValidationError) -> Refusal:
    faults = error.errors()
    first = faults[0]
    if first["type"] == "json_invalid":
        why = first.get("ctx", {}).get("error", "it ends too early")
        return Refusal(400, f"The body is not valid JSON: {why}, at character {first['loc'][-1]}", code="invalid_json")
    where, param = _place(first["loc"], error.body)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Refusal(422, f"{where} {_words(first)}{more}", param=param)


def _place(location: Sequence[str | int], body: Any) -> tuple[str, str | None]:
    """Where a fault is, in words and as OpenAI writes it: messages[0].role."""
    part, *steps = location
    if part != "body":
        name = ".".join(map(str, steps))
        return f"{name} in the {part}", name
    path, here = "", body
    for step in steps:
        if isinstance(here, list) and isinstance(step, int) and step < len(here):
            path, here = f"{path}[{step}]", here[step]
        elif isinstance(here, dict) and isinstance(step, str) and (step in here or step is steps[-1]):
            path, here = f"{path}.{step}" if path else step, here.get(step)
        # Else it is a name that Pydantic gives to one of several types, and stands nowhere in what was sent.
    return (path, path) if path else ("the body", None)


def _words(fault: Mapping[str, Any]) -> str:
    """What is wrong with a value, as the end of a sentence."""
    if fault["type"] == "missing":
        return "is missing"
    if fault["type"] == "extra_forbidden":
        return "is not known here. Leave it out"
    said = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if said.startswith("Input should"):
        said = said.removeprefix("Input ")
    else:
        said = f"cannot be used: {said}"
    seen = fault.get("input")
    if isinstance(seen, bytes):
        return f"{said}. Send JSON, with the header Content-Type: application/json"
    if isinstance(seen, str | int | float | None):
        shown = repr(seen)
        said += f", not {shown if len(shown) <= 60 else shown[:57] + '…'}"
    return said


def _sendable(text: str) -> str:
    """A text that quotes anything, as one that UTF-8 can carry and that stays short."""
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode()
