"""Filters on catalogue fields, given as data: checked against the fields, written as SQL with every value quoted.

    {"price": {"below": 30}, "categories": {"has": "Kitchen"}, "brand": ["Alder", "Marlow"], "in_stock": True}

A plain value means `is`, a list means `any_of`; all conditions have to hold. An item that lacks a field meets none of
its conditions but `missing` and `not`: what is not known to be from Alder is kept when Alder is not wanted.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import polars as pl

from llmrec.errors import InputError
from llmrec.schema import nearest

Kind = Literal["text", "whole", "number", "flag", "day", "time", "texts"]
Where = Mapping[str, Any]

NAMES: Mapping[Kind, str] = {
    "text": "a text",
    "whole": "a number",
    "number": "a number",
    "flag": "true or false",
    "day": "a day such as 2024-05-31",
    "time": "a time such as 2024-05-31T18:00:00",
    "texts": "a list of texts",
}
ORDER: Mapping[str, str] = {"below": "<", "at_most": "<=", "above": ">", "at_least": ">="}
OPERATIONS: Mapping[Kind, tuple[str, ...]] = {
    "text": ("is", "any_of", "not", "contains", "missing", "known"),
    "whole": ("is", "any_of", "not", *ORDER, "missing", "known"),
    "number": ("is", "any_of", "not", *ORDER, "missing", "known"),
    "flag": ("is", "any_of", "not", "missing", "known"),
    "day": ("is", "any_of", "not", *ORDER, "missing", "known"),
    "time": ("is", "any_of", "not", *ORDER, "missing", "known"),
    "texts": ("has", "not", "missing", "known"),
}
EVERY_OPERATION = dict.fromkeys(operation for operations in OPERATIONS.values() for operation in operations)
LARGEST = 2**63


@dataclass(frozen=True)
class Field:
    """A field of the catalogue: the table's column that holds it, and what its values are."""

    column: str
    kind: Kind


def kind_of(dtype: pl.DataType) -> Kind:
    """What the values of a stored column are."""
    if isinstance(dtype, pl.List):
        return "texts"
    if dtype.is_integer():
        return "whole"
    if dtype.is_float():
        return "number"
    if isinstance(dtype, pl.Boolean):
        return "flag"
    if isinstance(dtype, pl.Date):
        return "day"
    return "time" if isinstance(dtype, pl.Datetime) else "text"


def sql(where: Where, fields: Mapping[str, Field]) -> str:
    """The SQL condition of a filter, as LanceDB and Polars both read it; an empty filter gives an empty text."""
    if not isinstance(where, Mapping):
        raise InputError(
            f"A filter maps fields to conditions, but {_shown(where)} was given. Example: {{'price': {{'below': 30}}}}"
        )
    conditions: list[str] = []
    for name, wanted in where.items():
        if not isinstance(name, str) or name not in fields:
            near = nearest(str(name), fields)
            advice = f"Did you mean {near!r}?" if near else f"The fields are {', '.join(fields)}"
            raise InputError(f"There is no field {_shown(name)} to filter by. {advice}")
        field = fields[name]
        if not isinstance(wanted, Mapping):
            wanted = {_plain(field, wanted): wanted}
        if not wanted:
            raise InputError(f"The filter on {name!r} is empty. Leave it out, or give one of {_operations(field)}")
        conditions += [_condition(name, field, operation, value) for operation, value in wanted.items()]
    return " AND ".join(f"({condition})" for condition in conditions)


def _plain(field: Field, wanted: Any) -> str:
    """The operation that a value without one stands for."""
    if field.kind == "texts":
        return "has"
    return "any_of" if _is_list(wanted) else "is"


def _condition(name: str, field: Field, operation: Any, value: Any) -> str:
    if operation not in OPERATIONS[field.kind]:
        if operation in EVERY_OPERATION:
            raise InputError(
                f"{operation!r} cannot be asked of {name!r}, which is {NAMES[field.kind]}: give one of "
                f"{_operations(field)}"
            )
        near = nearest(str(operation), EVERY_OPERATION)
        advice = f"Did you mean {near!r}?" if near else f"Give one of {_operations(field)}"
        raise InputError(f"There is no filter operation {_shown(operation)} (on {name!r}). {advice}")
    column = f"`{field.column}`"
    if operation in ("missing", "known"):
        if not isinstance(value, bool):
            raise InputError(f"{operation!r} on {name!r} takes true or false, not {_shown(value)}")
        return f"{column} IS {'' if value == (operation == 'missing') else 'NOT '}NULL"
    if field.kind == "whole" and any(isinstance(one, float) for one in (value if _is_list(value) else [value])):
        field, column = Field(field.column, "number"), f"CAST({column} AS DOUBLE)"  # LanceDB compares like with like
    if operation in ORDER:
        return f"{column} {ORDER[operation]} {_literal(name, field, value)}"
    if operation == "contains":
        if value == "":
            return f"{column} IS NOT NULL"
        lower = f"lower({column})"  # a text holds what can be taken out of it: the one way that both readers know
        return f"replace({lower}, lower({_literal(name, field, value)}), '') <> {lower}"
    one_of = _one_of(name, field, column, _values(name, operation, value))
    return f"{column} IS NULL OR NOT ({one_of})" if operation == "not" else one_of


def _one_of(name: str, field: Field, column: str, values: Sequence[Any]) -> str:
    literals = [_literal(name, field, value) for value in values]
    if not literals:
        return "false"
    if field.kind == "texts":
        return " OR ".join(f"array_contains({column}, {literal})" for literal in literals)
    return f"{column} IN ({', '.join(literals)})"


def _values(name: str, operation: str, value: Any) -> Sequence[Any]:
    if operation in ("has", "not"):
        return value if _is_list(value) else [value]
    if operation == "is":
        return [value]
    if not _is_list(value):
        raise InputError(f"{operation!r} on {name!r} takes a list, not {_shown(value)}")
    return list(value)


def _literal(name: str, field: Field, value: Any) -> str:
    """A value as SQL: what is not of the field's kind is refused, and no character of a text ends its quotes."""
    if value is None:
        raise InputError(
            f"{name!r} cannot be compared with nothing. Ask for {{'missing': true}} to find items without it"
        )
    literal = LITERALS[field.kind](value)
    if literal is None:
        wanted = NAMES["text" if field.kind == "texts" else field.kind]
        raise InputError(f"{name!r} cannot be compared with {_shown(value)}. Give {wanted}")
    return literal


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: no stored text holds one
        return None
    return "'" + value.replace("'", "''") + "'"


def _whole(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int) or not -LARGEST <= value < LARGEST:
        return None
    return str(value)


def _number(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        return None
    return None if math.isnan(value) else repr(float(value))


def _flag(value: Any) -> str | None:
    return str(value).lower() if isinstance(value, bool) else None


def _day(value: Any) -> str | None:
    if isinstance(value, str):
        value = _parsed(value, date.fromisoformat)
    if not isinstance(value, date) or isinstance(value, datetime):
        return None
    return f"date '{value.isoformat()}'"


def _time(value: Any) -> str | None:
    if isinstance(value, str):
        value = _parsed(value, datetime.fromisoformat)
    if not isinstance(value, datetime):
        return None
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return f"timestamp '{value.isoformat(sep=' ')}'"


def _parsed(value: str, parse: Callable[[str], date]) -> date | None:
    try:
        return parse(value)
    except ValueError:
        return None


LITERALS: Mapping[Kind, Callable[[Any], str | None]] = {
    "text": _text,
    "whole": _whole,
    "number": _number,
    "flag": _flag,
    "day": _day,
    "time": _time,
    "texts": _text,
}


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes)


def _operations(field: Field) -> str:
    return ", ".join(OPERATIONS[field.kind])


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
