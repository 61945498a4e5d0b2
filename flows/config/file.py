"""YAML in, a `Run` out; a mistake is one line that names the key, the value and what is allowed."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from stages.config.run import ON_BACKGROUND, Run, own_background

KINDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text (quote it if it looks like a number)",
    "tuple_type": "a list",
    "list_type": "a list",
    "dataclass_type": "a block of keys",
    "dataclass_exact_type": "a block of keys",
    "finite_number": "a finite number",
}
"""pydantic's word for what is wrong -> what is allowed."""


def read_run(
    path: Path, changes: Sequence[str] = (), store: str | None = None, default_store: str | None = None
) -> Run:
    """The run that a YAML file describes.

    Args:
        path: of the file.
        changes: "a.b=value" each, applied in order; the value is YAML. List items go by number, as in
            "collect.folders.0.name".
        store: stands above both, where given.
        default_store: for a config that names none, where given.

    Raises:
        ValueError: the file, a key or a value is no good; names it and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"config {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"config {path} is no UTF-8 text ({error.reason} at byte {error.start})") from error
    values = _parsed(text, str(path))
    if not isinstance(values, dict):
        raise ValueError(
            f"config {path} must be a block of keys such as `name: demo`, not {_spelled(values)}"
        )
    for change in changes:
        set_value(values, change)
    if store is not None:
        values["store"] = store
    elif default_store is not None:
        values.setdefault("store", default_store)
    return run_of(values, str(path))


def run_of(values: Mapping[str, Any], origin: str) -> Run:
    """The run that nested plain values describe.

    Raises:
        ValueError: one line for each mistake; `origin` says where the values came from.
    """
    for stage in ON_BACKGROUND:
        block = values.get(stage)
        if (
            isinstance(block, Mapping)
            and "background" in block
            and block["background"] != values.get("background")  # a whole run written down has both
        ):
            raise ValueError(f"{origin}: {own_background(stage, block['background'])}")  # pyright: ignore[reportUnknownArgumentType]
    try:
        return _adapter().validate_python(_with_tuples(values))
    except ValidationError as error:
        lines = [_line(one) for one in error.errors()]
        if len(lines) == 1:
            raise ValueError(f"{origin}: {lines[0]}") from None
        raise ValueError(f"{origin} has {len(lines)} mistakes:\n  " + "\n  ".join(lines)) from None


@cache
def _adapter() -> TypeAdapter[Run]:
    """Made once: it takes a quarter of a second."""
    return TypeAdapter(Run)


def set_value(values: dict[str, Any], change: str) -> None:
    """Apply one "a.b=value" to nested values, in place.

    Raises:
        ValueError: there is no "=", or the path runs through something that is neither block nor list.
    """
    path, equals, text = change.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ValueError(f"--set {change!r} must be KEY=VALUE, such as filter.min_similarity=0.28")
    place: Any = values
    for depth, key in enumerate(keys):
        here = ".".join(keys[:depth])
        position: Any = key
        if isinstance(place, list):
            items = cast("list[Any]", place)
            if not key.isdigit() or int(key) >= len(items):
                raise ValueError(
                    f"--set {change!r}: {here} is a list of {len(items)}; {key!r} is no number of it"
                )
            position = int(key)
        elif not isinstance(place, dict):
            raise ValueError(f"--set {change!r}: {here} is {_spelled(place)}, which holds no keys")
        elif depth < len(keys) - 1 and cast("dict[str, Any]", place).get(key) is None:
            place[key] = {}
        if depth == len(keys) - 1:
            place[position] = _parsed(text, f"--set {change!r}")
        else:
            place = place[position]


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key that comes twice is an error instead of a silent choice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} comes twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# No key is a date, and an edition that looks like one is a text.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _parsed(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{origin} is no valid YAML: {error.problem}{where}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{origin} is no valid YAML: {str(error).splitlines()[0]}") from None


def _with_tuples(value: Any) -> Any:
    """Nothing but the shape that pydantic wants: YAML knows lists, the config tuples."""
    if isinstance(value, Mapping):
        return {key: _with_tuples(one) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return tuple(_with_tuples(one) for one in value)  # pyright: ignore[reportUnknownVariableType]
    return value


def _line(error: Any) -> str:
    """What pydantic says of one mistake, for people."""
    location = [str(part) for part in error["loc"]]
    path, value, kind = ".".join(location) or "config", error["input"], error["type"]
    if kind == "unexpected_keyword_argument":
        known = _fields_at(location[:-1])
        near = difflib.get_close_matches(location[-1], known, 3, 0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
        return f"unknown key {path}: {hint}"
    if kind == "value_error":  # our own words
        told = str(error["ctx"]["error"])
        return told if path == "config" else f"{path}: {told}"
    if kind == "missing":
        return f"{path} is missing: {_said_of(location)}"
    if kind == "literal_error":
        return f"{path} is {_spelled(value)}; allowed: {error['ctx']['expected']}"
    allowed = KINDS.get(kind) or error["msg"]
    if _optional(location):
        allowed += ", or null"
    return f"{path} is {_spelled(value)}; allowed: {allowed}. {_said_of(location)}".rstrip()


def _spelled(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)  # pyright: ignore[reportUnknownArgumentType]
    return text if len(text) <= 80 else text[:80] + "..."


def _type_at(location: Sequence[str]) -> Any:
    """The declared type at a path of keys and list positions."""
    found: Any = Run
    for key in location:
        found = _bare(found)
        if dataclasses.is_dataclass(found):
            found = typing.get_type_hints(found).get(key)
        elif typing.get_origin(found) is tuple:
            found = typing.get_args(found)[0]
        else:
            return None
    return found


def _bare(found: Any) -> Any:
    """X of X | None."""
    if typing.get_origin(found) in (typing.Union, types.UnionType):
        return next(one for one in typing.get_args(found) if one is not type(None))
    return found


def _optional(location: Sequence[str]) -> bool:
    return type(None) in typing.get_args(_type_at(location))


def _fields_at(location: Sequence[str]) -> list[str]:
    found = _bare(_type_at(location))
    return [field.name for field in dataclasses.fields(found)] if dataclasses.is_dataclass(found) else []


def _said_of(location: Sequence[str]) -> str:
    """The docstring of the field at a path, as the form shows it."""
    owner: Any = _bare(_type_at(location[:-1]))
    if not location or not dataclasses.is_dataclass(owner):
        return ""
    adapter: Any = TypeAdapter  # whose stub wants a literal type
    schema = adapter(owner).json_schema()  # pydantic reads the docstrings
    described: Any = schema.get("properties") or schema["$defs"][getattr(owner, "__name__", "")]["properties"]
    return " ".join(str(described.get(location[-1], {}).get("description", "")).split())  # in one line
