"""Recipes and mappings: YAML into frozen dataclasses; an unknown key names the nearest known one."""

import ast
import dataclasses
import difflib
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from llmrec.errors import ConfigError

Config = TypeVar("Config")


class _Loader(yaml.SafeLoader):
    """YAML that takes 3e-4 for a number, as people write it; YAML 1.1 wants 3.0e-4 and would call it a text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_config(kind: type[Config], path: Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file (or start from the defaults), apply `key=value` overrides, and check every key and type.

    Keys of nested sections are written with dots: `trainer.max_steps=100`.
    """
    where = f"{path} with the settings given" if path and overrides else str(path or "What was given")
    return build(kind, _content(path, overrides), where)


def one_setting(path: Path | None, overrides: Sequence[str], key: str) -> Any:
    """What a YAML file, or an override, says of one key, before it is known which dataclass the whole is for."""
    return _content(path, overrides).get(key)


def _content(path: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    content = read_yaml(path) if path else {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"{override!r} is not of the form key=value. Example: history=20")
        _set(content, key.strip().split("."), _parsed(value), override)
    return content


def build(kind: type[Config], content: Mapping[str, Any], where: str = "configuration") -> Config:
    """Make a dataclass from a mapping; all its faults are told at once."""
    faults: list[str] = []
    made = _build(kind, content, "", faults)
    if faults:
        raise ConfigError(f"{where} cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return typing.cast(Config, made)


def field_help(kind: type[Any]) -> dict[str, str]:
    """The sentence that stands under each field of a config dataclass."""
    (definition,) = ast.parse(inspect.getsource(kind).lstrip()).body
    assert isinstance(definition, ast.ClassDef)
    helps: dict[str, str] = {}
    for line, after in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            value = after.value if isinstance(after, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                helps[line.target.id] = " ".join(value.value.split())
    return helps


@dataclasses.dataclass(frozen=True)
class Setting:
    """One key of a recipe: its name with dots, its type, what it is unless given, and its help."""

    name: str
    hint: Any
    default: Any
    help: str
    section: bool = False


def settings(kind: type[Any], prefix: str = "", usual: Any = None) -> Iterator[Setting]:
    """Every setting of a config dataclass, those of nested sections behind the section's own line."""
    hints, helps = typing.get_type_hints(kind), field_help(kind)
    for field in dataclasses.fields(kind):
        name, hint, made = f"{prefix}{field.name}", hints[field.name], _usual(field, usual)
        inner = next((one for one in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(one)), None)
        yield Setting(name, hint, made, helps.get(field.name, ""), section=inner is not None)
        if inner is not None:
            yield from settings(typing.cast(type[Any], inner), f"{name}.", made)


def settings_text(kind: type[Any]) -> str:
    """Every setting of a config dataclass with its default and its help, as `--settings` prints it."""
    lines = []
    for one in settings(kind):
        made = one.default
        default = list(made) if isinstance(made, tuple) else "REQUIRED" if made is dataclasses.MISSING else made
        lines.append(f"{one.name}: {one.help}" if one.section else f"{one.name}={default}\n    {one.help}")
    return "\n".join(lines)


def _usual(field: dataclasses.Field[Any], section: Any) -> Any:
    """What a field is unless it is given: what the section around it says of it, else its own default."""
    if dataclasses.is_dataclass(section):
        return getattr(section, field.name)
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _build(kind: Any, content: Any, prefix: str, faults: list[str], usual: Any = None) -> Any:
    if not isinstance(content, Mapping):
        faults.append(f"{prefix.rstrip('.') or 'the file'} should be a section of keys, not {content!r}")
        return None
    known = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), list(known), n=1, cutoff=0.5)
            advice = f"did you mean {prefix}{near[0]}?" if near else f"the keys here are {', '.join(known)}"
            faults.append(f"unknown key {prefix}{key}: {advice}")
            continue
        values[key] = _fit(hints[key], value, f"{prefix}{key}", faults, _usual(known[key], usual))
    required = [
        name
        for name, field in known.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if dataclasses.is_dataclass(usual):  # a section may have other defaults here than its class has
        values = {name: getattr(usual, name) for name in known} | values
        required = []
    missing = [name for name in required if name not in content]
    faults.extend(f"{prefix}{name} is missing: {field_help(kind).get(name, 'it is required')}" for name in missing)
    if faults:
        return None
    try:
        return kind(**values)
    except ConfigError as error:  # a dataclass may check its values in __post_init__
        faults.append(f"{prefix}{error}")
        return None


def _fit(hint: Any, value: Any, key: str, faults: list[str], usual: Any = None) -> Any:
    """Bring a YAML value to a field's type, or note why it does not fit."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, f"{key}.", faults, usual if dataclasses.is_dataclass(usual) else None)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _fit(next(kind for kind in arguments if kind is not type(None)), value, key, faults, usual)
    if origin is typing.Literal:
        if value not in arguments:
            faults.append(f"{key} is {value!r}: it can be {', '.join(map(str, arguments))}")
        return value
    if origin is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(value):
            faults.append(f"{key} has {len(value)} values where {len(kinds)} are wanted")
            return None
        return tuple(
            _fit(kind, one, f"{key}[{place}]", faults)
            for place, (kind, one) in enumerate(zip(kinds, value, strict=True))
        )
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {str(name): _fit(arguments[1], one, f"{key}.{name}", faults) for name, one in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    plain = origin or hint
    if plain is Any or (isinstance(value, plain) and not (plain is int and isinstance(value, bool))):
        return value
    wanted = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    faults.append(
        f"{key} is {value!r}: it should be {wanted.get(plain, 'a list' if plain is tuple else 'a section of keys')}"
    )
    return None


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. Check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}). It should be a YAML file in UTF-8") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path} holds {type(content).__name__}, where keys and values are expected. Write key: value"
        )
    return content


def _parsed(value: str) -> Any:
    try:
        return yaml.load(value, _Loader)
    except yaml.YAMLError:
        return value


def _set(content: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        inner = content.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{override!r}: {key} is {inner!r}, not a section of keys")
        content = inner
    content[keys[-1]] = value
