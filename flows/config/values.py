"""Nested plain values in, a config out; each mistake is one line that names the key, the value and what is
allowed, and all of them come at once."""

import dataclasses
import difflib
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from flows.config.renamed import RENAMED
from sdmodel.config.adapter import adapter_of
from sdmodel.config.limits import Config, ConfigError, Mistake, annotations, bare, breach, remedy, spelled
from stages.config.colour import WHITE
from stages.config.run import ON_BACKGROUND, OWN_BACKGROUND, Run

Path: TypeAlias = tuple[str | int, ...]
"""Keys and positions in lists that lead to a value."""
C = TypeVar("C", bound=Config)

KINDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text (quote it if it looks like a number)",
    "dict_type": "a block of keys",
    "invalid_key": "a text as key (quote it if it looks like a number)",
    "tuple_type": "a list",
    "list_type": "a list",
    "dataclass_type": "a block of keys",
    "dataclass_exact_type": "a block of keys",
    "finite_number": "a finite number",
}
"""pydantic's word for what is wrong -> what is allowed."""
LIMITS = (
    *("greater_than", "greater_than_equal", "less_than", "less_than_equal"),
    *("too_short", "too_long", "string_too_short", "string_too_long"),
)
"""pydantic's words for a value beyond what its field's annotation allows."""


def run_of(values: Mapping[str, Any], origin: str) -> Run:
    """The run that nested plain values describe.

    Mistaken values are taken out and the rest is looked at again, so that one mistake hides no other.

    Raises:
        ValueError: one line for each mistake, of keys by themselves and of keys together; `origin` says where
            the values came from.
    """
    plain, lines = _with_tuples(values), _own_backgrounds(values)
    for stage in ON_BACKGROUND if lines else ():
        if isinstance(plain.get(stage), dict):
            plain[stage].pop("background", None)
    return _read(Run, plain, origin, lines)


def config_of(kind: type[C], values: Any, origin: str) -> C:
    """The config of a kind that nested plain values describe.

    Raises:
        ValueError: one line for each mistake; of keys together where those that must be there can be read.
            `origin` says where the values came from.
    """
    return _read(kind, _with_tuples(values), origin, [])


def _read(kind: type[C], plain: Any, origin: str, lines: list[str]) -> C:
    """ValueError: there are lines of mistakes, or more are found. Takes what is mistaken out of `plain`."""
    mistaken: list[Path] = []
    wrong = _booleans(kind, plain)
    while True:
        lines += [line for paths, line in wrong if not any(_overlap(a, b) for a in paths for b in mistaken)]
        removed = [_remove(plain, path) for paths, _ in wrong for path in paths]
        mistaken += [path for path in removed if path]
        mistaken += [path for paths, _ in wrong for path in paths]
        if wrong and not any(removed):
            assert lines, f"defaults make no config: {wrong}"
            raise ValueError(_joined(origin, lines))
        try:
            config = adapter_of(kind).validate_python(plain)
        except ValidationError as error:
            wrong = [mistake for part in error.errors() for mistake in _mistakes(kind, part)]
        else:
            if lines:
                raise ValueError(_joined(origin, lines))
            return config


def _joined(origin: str, mistakes: Sequence[str]) -> str:
    lines = list(dict.fromkeys(mistakes))
    if len(lines) == 1:
        return f"{origin}: {lines[0]}"
    return f"{origin} has {len(lines)} mistakes:\n  " + "\n  ".join(lines)


def _own_backgrounds(values: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for stage in ON_BACKGROUND:
        block = values.get(stage)
        own = block.get("background") if isinstance(block, Mapping) else None
        if own is not None and own != values.get("background"):  # a whole run written down has both
            both = {f"{stage}.background": own, "background": values.get("background", WHITE)}
            lines.append(Mistake(both, OWN_BACKGROUND).text())
    return lines


def _with_tuples(value: Any) -> Any:
    """A copy in the shape that pydantic wants: YAML knows lists, the config tuples."""
    if isinstance(value, Mapping):
        return {key: _with_tuples(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return tuple(_with_tuples(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return value


def _booleans(root: type[Config], plain: Any) -> list[tuple[list[Path], str]]:
    """(where, what is wrong) of true and false in the place of numbers, which pydantic takes for 1 and 0."""

    def paths(value: Any, annotation: Any, path: Path) -> Iterator[tuple[Path, Any]]:
        kind = bare(annotation)
        parts = typing.get_args(kind)
        if isinstance(value, bool) and kind in (int, float):
            yield path, {"loc": path, "input": value, "type": f"{kind.__name__}_type"}
        elif isinstance(value, dict) and dataclasses.is_dataclass(kind):
            known = annotations(typing.cast(type, kind))
            for key in (key for key in value if key in known):
                yield from paths(value[key], known[key], (*path, key))
        elif isinstance(value, dict) and typing.get_origin(kind) is dict:
            for key, item in value.items():
                yield from paths(item, parts[1], (*path, key))
        elif isinstance(value, tuple) and typing.get_origin(kind) is tuple:
            for n, item in enumerate(value):
                yield from paths(item, parts[0], (*path, n))

    return [([path], _line(root, error)) for path, error in paths(plain, root, ())]


def _overlap(path: Path, other: Path) -> bool:
    """Whether one lies within the other."""
    return all(str(a) == str(b) for a, b in zip(path, other, strict=False))


def _remove(plain: Any, path: Path) -> Path | None:
    """Take a value out, or the list around it where that cannot be without it; None: it is not there.

    A run must have a name: another takes its place."""
    if not isinstance(plain, dict):
        return None
    if path[:1] == ("name",):
        renamed = plain.get("name") != "unnamed"
        plain["name"] = "unnamed"
        return ("name",) if renamed else None
    block: Any = plain
    around: Path | None = None
    for depth, key in enumerate(path):
        if isinstance(block, tuple):
            around = path[:depth]
            if depth == len(path) - 1:  # the positions of its other items must stay what they are
                break
            block = block[int(key)]
        elif not isinstance(block, dict) or key not in block:
            break
        elif depth == len(path) - 1:
            del block[key]
            return path
        else:
            block = block[key]
    return _remove(plain, around) if around else None


def _mistakes(root: type[Config], error: Any) -> list[tuple[list[Path], str]]:
    """(where, what pydantic says of it for people) of each mistake that one of its errors tells of."""
    location: Path = error["loc"]
    if error["type"] == "value_error":  # our own words
        wrong: ConfigError = error["ctx"]["error"]
        prefix = "".join(f"{part}." for part in location)
        return [
            ([(*location, *key.split(".")) for key in mistake.values], mistake.text(prefix))
            for mistake in wrong.mistakes
        ]
    if error["type"] == "missing" and isinstance(location[-1], int):  # of a list of so many values
        error, location = {**error, "type": "too_short", "loc": location[:-1]}, location[:-1]
    if error["type"] == "too_short" and not _length(root, error):
        return []  # it counts the items that are no mistakes, and those have lines of their own
    return [([location[:-1] if error["type"] == "missing" else location], _line(root, error))]


def _line(root: type[Config], error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    path, value, kind = ".".join(location) or "config", error["input"], error["type"]
    if kind == "unexpected_keyword_argument":
        if present := RENAMED.get(".".join(part for part in location if not part.isdigit())):
            return f"{path} is called {present} now"
        known = _fields_at(root, location[:-1])
        near = difflib.get_close_matches(location[-1], known, 3, 0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
        return f"unknown key {path}: {hint}"
    if kind == "missing":
        return f"{path} is missing: {_description(root, location)}"
    if kind == "literal_error":
        return f"{path} is {spelled(value)}; allowed: {error['ctx']['expected']}"
    if kind in LIMITS:
        owner, name = _owner(root, location)
        demand = breach(_annotation_at(root, location), value) or _length(root, error)
        demand = f"must be {demand}{remedy(owner, name)}"
        return Mistake({path: value}, demand).text()
    allowed = KINDS.get(kind) or error["msg"]
    if type(None) in typing.get_args(_annotation_at(root, location)):
        allowed += ", or null"
    return f"{path} is {spelled(value)}; allowed: {allowed}. {_description(root, location)}".rstrip()


def _length(root: type[Config], error: Any) -> str:
    """What a list's length must be that is another; empty: it is no other."""
    annotation = _annotation_at(root, [str(part) for part in error["loc"]])
    parts = typing.get_args(bare(annotation))
    if typing.get_origin(bare(annotation)) is tuple and parts[-1] is not Ellipsis:
        return "" if len(error["input"]) == len(parts) else f"{len(parts)} values"
    return breach(annotation, error["input"])


def _annotation_at(root: type[Config], location: Sequence[str]) -> Any:
    """The annotation at a path of keys and list positions."""
    annotation: Any = root
    for key in location:
        annotation = bare(annotation)
        parts = typing.get_args(annotation)
        if dataclasses.is_dataclass(annotation):
            annotation = annotations(typing.cast(type, annotation)).get(key)
        elif typing.get_origin(annotation) is tuple:
            annotation = parts[0] if parts[-1] is Ellipsis else parts[int(key)]
        elif typing.get_origin(annotation) is dict:
            annotation = parts[1]
        else:
            return None
    return annotation


def _owner(root: type[Config], location: Sequence[str]) -> tuple[type, str]:
    """The innermost config that a path leads through, and its field."""
    for depth in range(len(location) - 1, -1, -1):
        owner = bare(_annotation_at(root, location[:depth]))
        if dataclasses.is_dataclass(owner):
            return typing.cast(type, owner), location[depth]
    raise AssertionError(location)


def _fields_at(root: type[Config], location: Sequence[str]) -> list[str]:
    owner = bare(_annotation_at(root, location))
    return [field.name for field in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []


def _description(root: type[Config], location: Sequence[str]) -> str:
    """The docstring of the field at a path, as the form shows it."""
    owner: Any = bare(_annotation_at(root, location[:-1]))
    if not location or not dataclasses.is_dataclass(owner):
        return ""
    return descriptions(typing.cast(type, owner)).get(location[-1], "")


@cache
def descriptions(owner: type) -> dict[str, str]:
    """Field -> its docstring in one line, as Prefect's form shows it."""
    schema: Any = adapter_of(owner).json_schema()  # pydantic reads the docstrings
    properties: Any = schema.get("properties") or schema["$defs"][owner.__name__]["properties"]
    return {key: " ".join(str(field.get("description", "")).split()) for key, field in properties.items()}
