"""Tool calls: of `recommend`, `search_items` and `explain_item`, where a client offers them."""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from llmrec.gateway.faults import Refusal
from llmrec.gateway.turns import Asked

KNOWN = ("recommend", "search_items", "explain_item")
PREFERRED: Mapping[str, Sequence[str]] = {
    "recommend": ("recommend",),
    "wish": ("search_items", "recommend"),
    "similar": ("search_items", "recommend"),
    "follow-up": ("search_items", "recommend"),
    "explain": ("explain_item",),
}


def calls(
    tools: Sequence[Mapping[str, Any]] | None, choice: str | Mapping[str, Any] | None, asked: Asked
) -> list[dict[str, Any]] | None:
    """The calls that a turn leads to, in OpenAI's form; None where it is answered in words."""
    offered = _offered(tools)
    if not offered or choice == "none":
        if isinstance(choice, Mapping) or choice == "required":
            raise Refusal(422, "tool_choice names a tool, but tools offers none that is known", param="tool_choice")
        return None
    forced = _forced(choice, offered)
    wanted = [forced] if forced else [name for name in PREFERRED.get(asked.kind, ()) if name in offered]
    if not wanted and choice == "required":
        wanted = [next(iter(offered))]
    if not wanted:
        return None
    name = wanted[0]
    if name == "explain_item":
        if not asked.items:
            if forced:
                raise Refusal(422, "explain_item needs an item, and the messages name none", param="tool_choice")
            return None
        made = [{"item": item} for item in asked.items]
    else:
        made = [_arguments(name, asked)]
    return [_call(name, {key: value for key, value in one.items() if key in offered[name]}) for one in made]


def _arguments(name: str, asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if asked.words:
        found["query"] = asked.words
    if asked.where:
        found["where"] = dict(asked.where)
    if asked.kind == "similar" and asked.items:
        found["like"] = list(asked.items)
    if name == "recommend" and asked.leave_out:
        found["exclude"] = list(asked.leave_out)
    if asked.count:
        found["k"] = asked.count
    return found


def _offered(tools: Sequence[Mapping[str, Any]] | None) -> dict[str, set[str]]:
    """The known tools among those that a client offers, each with the arguments that it takes."""
    found = {}
    for place, tool in enumerate(tools or ()):
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, Mapping) or not function.get("name"):
            raise Refusal(
                422, f"tools.{place} is not of the form {{type: function, function: {{name: …}}}}", param="tools"
            )
        if function["name"] in KNOWN:
            parameters = function.get("parameters")
            properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
            known = {"query", "where", "like", "exclude", "k", "item"}
            found[str(function["name"])] = set(properties) if isinstance(properties, Mapping) else known
    return found


def _forced(choice: str | Mapping[str, Any] | None, offered: Mapping[str, set[str]]) -> str | None:
    if not isinstance(choice, Mapping):
        return None
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str) or name not in offered:
        raise Refusal(
            422,
            f"tool_choice names {str(name)[:60]!r}. The tools that are known here are {', '.join(KNOWN)}",
            param="tool_choice",
        )
    return name


def _call(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"call_{secrets.token_hex(12)}",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
    }
