"""Tool calls: of `recommend`, `search_items` and `explain_item`, where a client offers them."""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from llmrec.gateway.asked import Asked
from llmrec.gateway.faults import Refusal

KNOWN = ("recommend", "search_items", "explain_item")
PREFERRED: Mapping[str, Sequence[str]] = {
    "recommend": ("recommend",),
    "wish": ("search_items", "recommend"),
    "similar": ("search_items", "recommend"),
    "follow-up": ("search_items", "recommend"),
    "explain": ("explain_item",),
}


def form(tools: Sequence[Mapping[str, Any]] | None, choice: str | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A function that has to be called and is none of ours: its arguments are a form that the answer fills."""
    functions = [_function(tool, place) for place, tool in enumerate(tools or ())]
    named = _name(choice)
    if named is None and choice == "required" and not any(one["name"] in KNOWN for one in functions):
        named = next((one["name"] for one in functions), None)
    if named is None or named in KNOWN:
        return None
    return next((one for one in functions if one["name"] == named), None)


def calls(
    tools: Sequence[Mapping[str, Any]] | None,
    choice: str | Mapping[str, Any] | None,
    asked: Asked,
    *,
    several: bool = True,
) -> list[dict[str, Any]] | None:
    """The calls that a turn leads to, in OpenAI's form; None where it is answered in words."""
    offered = _offered(tools)
    if not offered or choice == "none":
        if isinstance(choice, Mapping) or choice == "required":
            raise Refusal(422, "tool_choice wants a call, but tools offers none that is known", param="tool_choice")
        return None
    forced = _forced(choice, offered)
    wanted = [forced] if forced else [name for name in PREFERRED.get(asked.kind, ()) if name in offered]
    if not asked.items and not forced:
        wanted = [name for name in wanted if name != "explain_item"]
    if not forced and not _query(asked):
        wanted.sort(key=lambda name: name == "search_items")  # nothing to search for but a price, or no more than that
    if not wanted and choice == "required":
        wanted = [name for name in KNOWN if name in offered]
    if not wanted:
        return None
    name = wanted[0]
    if name == "explain_item":
        if not asked.items:
            raise Refusal(422, "explain_item needs an item, and the messages name none", param="tool_choice")
        made = [{"item": item} for item in asked.items[: None if several else 1]]
    else:
        made = [_arguments(name, asked)]
    return [call(name, {key: value for key, value in one.items() if key in offered[name]}) for one in made]


def _arguments(name: str, asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {}
    query = asked.words if name == "recommend" else _query(asked)
    if query:
        found["query"] = query
    if asked.where:
        found["where"] = dict(asked.where)
    if asked.kind == "similar" and asked.items:
        found["like"] = list(asked.items)
    if name == "recommend" and asked.leave_out:
        found["exclude"] = list(asked.leave_out)
    if asked.count:
        found["k"] = asked.count
    return found


def _query(asked: Asked) -> str:
    """What to search for: words beside the filters, else those that became filters."""
    named = [value for one in asked.where.values() for wanted in ("any_of", "has") for value in one.get(wanted, ())]
    return asked.words or " ".join(str(value) for value in named)


def _offered(tools: Sequence[Mapping[str, Any]] | None) -> dict[str, set[str]]:
    """The known tools among those that a client offers, each with the arguments that it takes."""
    found = {}
    for place, tool in enumerate(tools or ()):
        function = _function(tool, place)
        if function["name"] in KNOWN:
            parameters = function.get("parameters")
            properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
            known = {"query", "where", "like", "exclude", "k", "item"}
            found[str(function["name"])] = set(properties) if isinstance(properties, Mapping) else known
    return found


def _forced(choice: str | Mapping[str, Any] | None, offered: Mapping[str, set[str]]) -> str | None:
    if not isinstance(choice, Mapping):
        return None
    name = _name(choice)
    if name not in offered:
        raise Refusal(
            422,
            f"tool_choice names {str(name)[:60]!r}. The tools that are known here are {', '.join(KNOWN)}",
            param="tool_choice",
        )
    return name


def _name(choice: str | Mapping[str, Any] | None) -> str | None:
    """The function that a client wants called."""
    function = choice.get("function") if isinstance(choice, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None


def _function(tool: Mapping[str, Any], place: int) -> Mapping[str, Any]:
    function = tool.get("function")
    named = isinstance(function, Mapping) and isinstance(function.get("name"), str) and function["name"]
    if tool.get("type") != "function" or not isinstance(function, Mapping) or not named:
        raise Refusal(422, f"tools.{place} is not of the form {{type: function, function: {{name: …}}}}", param="tools")
    return function


def call(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A call in OpenAI's form."""
    return {
        "id": f"call_{secrets.token_hex(12)}",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
    }
