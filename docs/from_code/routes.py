"""The reference of the HTTP API, from the gateway's own OpenAPI document."""

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from fastapi.routing import APIRoute

from llmrec.gateway.access import Keys
from llmrec.gateway.api import Gateway, make_app
from llmrec.gateway.faults import EVERYWHERE, SAID

AREAS = {
    "openai": "What OpenAI's clients ask",
    "llmrec": "Rankings, reasons, search",
    "items": "The catalogue",
    "people": "People and what they do",
    "health": "For who runs it",
}


@cache
def _app() -> Any:
    # The document depends on no model, so nothing stands behind the routes here.
    nothing = cast(Any, SimpleNamespace())
    return make_app(Gateway(desk=nothing, people=nothing, events=nothing, keys=Keys.none(), names=nothing))


@cache
def document() -> Mapping[str, Any]:
    """The OpenAPI document as /openapi.json gives it."""
    found: dict[str, Any] = _app().openapi()
    return found


def operations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every method and path, with what the document says of it."""
    for path, methods in document()["paths"].items():
        for method, told in methods.items():
            yield method.upper(), path, told


def roles() -> dict[tuple[str, str], str]:
    """Which role each route asks of a key, read from the check that stands before it."""
    found = {}
    for route in _app().routes:
        if isinstance(route, APIRoute):
            told = [
                inspect.getclosurevars(one.call).nonlocals.get("role")
                for one in route.dependant.dependencies
                if one.call
            ]
            for method in route.methods:
                found[method, route.path_format] = next((role for role in told if role), "none")
    return found


def reference() -> str:
    """Every route, then every form of what is sent and answered."""
    asked, lines = roles(), []
    areas: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for method, path, told in operations():
        areas.setdefault(told.get("tags", ["other"])[0], []).append((method, path, told))
    for area in sorted(areas, key=lambda one: ([*list(AREAS), one]).index(one)):
        lines += [f"## {AREAS.get(area, area.capitalize())}", ""]
        for method, path, told in areas[area]:
            lines += [*_route(method, path, told, asked.get((method, path), "none")), ""]
    lines += ["## Faults that any address may answer", "", *[f"- **{one}** {SAID[one]}" for one in EVERYWHERE], ""]
    lines += ["## Forms", "", "What is sent and answered, field by field.", ""]
    for name, schema in document()["components"]["schemas"].items():
        lines += [*_form(name, schema), ""]
    return "\n".join(lines)


def _route(method: str, path: str, told: Mapping[str, Any], role: str) -> list[str]:
    lines = [f"### {method} {path} {{ #{_anchor(method, path)} }}", "", f"{told['summary']}."]
    if told.get("description"):
        lines += ["", told["description"]]
    lines += ["", f"Role: **{role}**." if role != "none" else "Needs no key."]
    rows = [
        f"| `{one['name']}` | {one['in']} | {_kind(one['schema'])} | {_needed(one.get('required', False))} "
        f"| {_told(one)} |"
        for one in told.get("parameters", [])
    ]
    if rows:
        lines += ["", "| parameter | stands in | takes | | what it is |", "|---|---|---|---|---|", *rows]
    if body := told.get("requestBody"):
        (schema,) = {_kind(content["schema"]) for content in body["content"].values()}
        lines += ["", f"Sent: {schema}."]
    good = told["responses"]["200"]
    forms = [
        "server-sent events" if kind == "text/event-stream" else f"{_kind(content['schema'])} (`{kind}`)"
        for kind, content in good.get("content", {}).items()
    ]
    lines += ["", f"Answered: {', '.join(forms)}."]
    own = sorted(status for status in told["responses"] if status >= "400" and int(status) not in EVERYWHERE)
    if own:
        lines += [
            "",
            "Faults of its own:",
            "",
            *[f"- **{one}** {told['responses'][one]['description']}" for one in own],
        ]
    return lines


def _form(name: str, schema: Mapping[str, Any]) -> list[str]:
    lines = [f"### {name} {{ #form-{name.lower()} }}", ""]
    if schema.get("description"):
        lines += [" ".join(schema["description"].split()), ""]
    fields = schema.get("properties", {})
    if not fields:
        return [*lines, _kind(schema)]
    lines += ["| field | takes | unless given | what it is |", "|---|---|---|---|"]
    for field, told in fields.items():
        default = "needed" if field in schema.get("required", []) else _default(told)
        lines.append(f"| `{field}` | {_kind(told)} | {default} | {_told(told)} |")
    return lines


def _kind(schema: Mapping[str, Any]) -> str:
    """What a value is, with links to the forms."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#form-{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_kind(one) for one in schema[several]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}{_bounds(schema, 'minItems', 'maxItems')}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping) and schema["additionalProperties"]:
        return f"object of {_kind(schema['additionalProperties'])}"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "null", None: "anything"}
    low_high = ("minLength", "maxLength") if kind == "string" else ("minimum", "maximum")
    return words.get(kind, str(kind)) + _bounds(schema, *low_high)


def _bounds(schema: Mapping[str, Any], low: str, high: str) -> str:
    has = [f"{schema[name]:,}" if name in schema else None for name in (low, high)]
    if has == [None, None]:
        return ""
    if None in has:
        return f", {has[0]} or more" if has[0] else f", up to {has[1]}"
    return f", {has[0]} to {has[1]}"


def _default(told: Mapping[str, Any]) -> str:
    made = told.get("default")
    return "" if made is None or made in ("", [], {}) else f"`{str(made).lower() if isinstance(made, bool) else made}`"


def _needed(needed: bool) -> str:
    return "needed" if needed else ""


def _told(one: Mapping[str, Any]) -> str:
    return " ".join((one.get("description") or "").split()).replace("|", "\\|")


def _anchor(method: str, path: str) -> str:
    words = "".join(letter if letter.isalnum() else "-" for letter in f"{method}-{path}".lower())
    return "-".join(filter(None, words.split("-")))
