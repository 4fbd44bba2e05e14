"""Answers in the form of a client's JSON schema: it is filled with what an answer holds, and nothing is invented."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmrec.gateway.faults import Refusal

Schema = Mapping[str, Any]
Answer = Mapping[str, Any]

DEEP = 12
MOST_STEPS = 5_000  # of filling a schema, and again of checking what was filled: a short one may unfold without end
OF_ITEM: Mapping[str, Sequence[str]] = {
    "title": ("title", "name", "product", "product_name", "item_title", "item_name"),
    "item": ("item", "id", "item_id", "product_id", "sku", "asin"),
    "reason": ("reason", "why", "because", "explanation", "rationale", "justification"),
    "price": ("price", "cost"),
    "brand": ("brand", "maker", "manufacturer"),
    "category": ("category", "type", "kind"),
    "categories": ("categories", "tags"),
    "score": ("score", "relevance"),
    "rank": ("rank", "position", "place"),
    "picture": ("picture", "image", "image_url", "picture_url"),
}
OF_ANSWER: Mapping[str, Sequence[str]] = {
    "text": ("answer", "message", "text", "reply", "response", "content", "summary", "intro"),
    "count": ("count", "total"),
    "cold": ("cold",),
    "fallback": ("fallback",),
}
NAMED = {name: key for names in (OF_ITEM, OF_ANSWER) for key, some in names.items() for name in some}


@dataclass
class _Root:
    """A whole schema, and how many more steps may be spent on it."""

    schema: Schema
    asking: str
    """Where in the request it stands."""
    left: int = MOST_STEPS

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _refused(f"The schema of {self.asking} unfolds too far. Send a plainer one", self.asking)


class _Lacking(Exception):
    """A part of the schema for which there is nothing."""


def formed(response_format: Mapping[str, Any] | None, told: Mapping[str, Any], text: str) -> str | None:
    """The whole answer as JSON of the form that is asked for; None where plain words are."""
    if response_format is None or response_format.get("type") == "text":
        return None
    if response_format.get("type") == "json_object":
        return json.dumps({"answer": text, "items": _items(told)}, ensure_ascii=False)
    return json.dumps(filled(schema_of(response_format), told, text, "response_format"), ensure_ascii=False)


def filled(schema: Schema, told: Mapping[str, Any], text: str, asking: str) -> Any:
    """What an answer holds, in the form of a schema that `asking` in the request brings."""
    items = _items(told)
    answer = {"text": text, "count": len(items), "cold": told["cold"], "fallback": told["fallback"], "items": items}
    try:
        found = _filled(schema, _Root(schema, asking), answer, "answer", 0)
        _validate(found, schema, asking)
    except _Lacking as error:
        raise Refusal(
            422,
            f"{asking} asks for {error}, which an answer does not hold. It holds an "
            f"answer in words and a list of items with {', '.join(OF_ITEM)}",
            param=asking,
        ) from error
    except Refusal:
        raise
    except Exception as error:  # whatever readers raise where a reference leads to what is no schema
        raise _refused(f"The schema of {asking} cannot be followed", asking) from error
    return found


def check(response_format: Mapping[str, Any]) -> None:
    """Refuse a response format that no answer could have, before one is made."""
    if response_format.get("type") not in ("text", "json_object"):
        schema_of(response_format)


def schema_of(response_format: Mapping[str, Any]) -> Schema:
    """The schema of a response format that has been checked to be one."""
    if response_format.get("type") != "json_schema":
        raise Refusal(422, "response_format.type is text, json_object or json_schema", param="response_format.type")
    inner = response_format.get("json_schema")
    return checked(inner.get("schema") if isinstance(inner, Mapping) else None, "response_format.json_schema.schema")


def checked(schema: Any, where: str) -> Schema:
    """A schema of a client's, if it is one."""
    import jsonschema

    if not isinstance(schema, Mapping):
        raise Refusal(422, f"{where} is missing", param=where)
    if len(json.dumps(schema)) > 50_000:
        raise _refused(f"{where} is longer than 50,000 characters", where, 413)
    if any(not reference.startswith("#") for reference in _references(schema)):
        raise _refused(f"{where} refers to another document. Put what it needs under $defs", where)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except (jsonschema.SchemaError, RecursionError) as error:
        raise _refused(f"{where} is no JSON schema", where) from error
    return schema


def _refused(why: str, where: str, status: int = 422) -> Refusal:
    return Refusal(status, why, param=where)


def _references(schema: Any) -> Iterator[str]:
    left = [schema]
    while left:
        one = left.pop()
        if isinstance(one, Mapping):
            left += one.values()
            yield from (one[name] for name in ("$ref", "$dynamicRef") if isinstance(one.get(name), str))
        elif isinstance(one, list):
            left += one


def _items(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_item(one, rank) for rank, one in enumerate(told["items"], 1)]


def _item(one: Mapping[str, Any], rank: int) -> dict[str, Any]:
    return {**one, "rank": rank, "category": one["categories"][-1] if one["categories"] else None}


def _filled(schema: Any, root: _Root, context: Answer, name: str, depth: int) -> Any:
    """A value of a schema, from an answer or from one item of it."""
    schema = _resolved(schema, root)
    if depth > DEEP:
        raise _Lacking(f"{name!r} so deep inside")
    if "const" in schema:
        return schema["const"]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _first_of(schema[several], root, context, name, depth)
    types = schema.get("type", "object" if "properties" in schema else None)
    types = types if isinstance(types, list) else [types]
    if "object" in types and "properties" in schema:
        return _object(schema, root, context, depth)
    if "array" in types and "items" in context:
        return _array(schema, root, context, name, depth)
    key = NAMED.get(name.lower())
    if key not in context and "items" in context and context["items"]:
        context = context["items"][0]  # a single item is asked for
    if key is None or key not in context:
        raise _Lacking(repr(name))
    return _typed(context[key], types, schema, name)


def _object(schema: Schema, root: _Root, context: Answer, depth: int) -> dict[str, Any]:
    needed = set(schema.get("required", ()))
    found = {}
    for name, inner in schema["properties"].items():
        try:
            found[name] = _filled(inner, root, context, name, depth + 1)
        except _Lacking:
            if name in needed:
                raise
    return found


def _array(schema: Schema, root: _Root, context: Answer, name: str, depth: int) -> list[Any]:
    """The answer's items, as objects or by one of their fields; their titles where the name tells nothing."""
    inner = _resolved(schema.get("items", {}), root)
    items = context["items"][: int(schema.get("maxItems", len(context["items"])))]
    if len(items) < schema.get("minItems", 0):
        raise _Lacking(f"{schema['minItems']} of {name!r}")
    if "properties" in inner or inner.get("type") == "object":
        return [_filled(inner, root, one, name, depth + 1) for one in items]
    singular = name.lower().removesuffix("s")
    return [_typed(one[NAMED.get(singular, "title")], [inner.get("type")], inner, name) for one in items]


def _first_of(options: Sequence[Any], root: _Root, context: Answer, name: str, depth: int) -> Any:
    lacking = _Lacking(repr(name))
    for option in options:
        try:
            return _filled(option, root, context, name, depth + 1)
        except _Lacking as error:
            lacking = error
    if any(_resolved(option, root).get("type") == "null" for option in options):
        return None
    raise lacking


def _typed(value: Any, types: Sequence[Any], schema: Schema, name: str) -> Any:
    if value is None:
        if "null" in types or types == [None]:
            return None
        raise _Lacking(f"{name!r}, which this item has not,")
    if "enum" in schema and value not in schema["enum"]:
        raise _Lacking(f"{name!r} among {schema['enum'][:5]}")
    if isinstance(value, list):
        return value if "array" in types or types == [None] else ", ".join(map(str, value))
    if "string" in types and not isinstance(value, str):
        return str(value)
    if "integer" in types and "number" not in types and isinstance(value, float):
        return round(value)
    return value


def _without_patterns(schema: Any) -> Any:
    """A schema without regular expressions: a client's own could take for ever."""
    if isinstance(schema, Mapping):
        left_out = ("pattern", "patternProperties")
        return {key: _without_patterns(value) for key, value in schema.items() if key not in left_out}
    return [_without_patterns(one) for one in schema] if isinstance(schema, list) else schema


def _resolved(schema: Any, root: _Root) -> Schema:
    """A schema behind a reference into its own root."""
    for _ in range(DEEP):
        root.step()
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = root.schema
        for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            schema = schema.get(step, {}) if isinstance(schema, Mapping) else {}
    raise _Lacking("a reference that leads nowhere")


def _validate(found: Any, schema: Schema, asking: str) -> None:
    import jsonschema
    from referencing import Registry

    root = _Root(schema, asking)

    def counted(keyword: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*arguments: Any) -> Any:
            root.step()
            return keyword(*arguments)

        return checked

    plain = jsonschema.Draft202012Validator
    bounded = jsonschema.validators.extend(plain, {name: counted(one) for name, one in plain.VALIDATORS.items()})
    try:  # in a registry of its own: no reference is ever fetched
        bounded(_without_patterns(schema), registry=Registry()).validate(found)
    except jsonschema.ValidationError as error:
        place = ".".join(map(str, error.absolute_path)) or "the whole"
        raise Refusal(
            422,
            f"No answer meets the schema of {asking}: {place} {error.message[:200]}. Ask for less",
            param=asking,
        ) from error
