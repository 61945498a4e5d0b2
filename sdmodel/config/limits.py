"""Limits of a config's fields, and how a config that breaks one is refused, however it is made.

A limit stands in the field's annotation, as `Annotated[float, Interval(ge=0, le=1)]`, where pydantic reads it
too: Prefect's form shows it, and its server refuses what breaks it. pydantic itself is not imported
here: commands that only look at a store would wait for it.
"""

import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Literal

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Interval, Le, Lt, MaxLen, MinLen

FORM: Any = {
    "use_attribute_docstrings": True,
    "extra": "forbid",
    "coerce_numbers_to_str": True,
    "allow_inf_nan": False,
}
"""How pydantic reads a config: docstrings are the help texts of Prefect's form."""
NEUTRAL: Any = {"neutral": True}
"""Of fields that cannot change a result: they stay out of fingerprints and of model folders."""


@dataclass(frozen=True)
class Pattern:
    """A text must match a regular expression as a whole."""

    pattern: str
    meaning: str
    """What such a text is, for messages: "a colour like #ffffff"."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """What JSON schema says of the field; Prefect's server checks it."""
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


Count = Annotated[int, Interval(ge=1, le=10**12)]
"""A whole number of things, at least one."""
Amount = Annotated[int, Interval(ge=0, le=10**12)]
"""A whole number of things, or none."""
Side = Annotated[int, Interval(ge=1, le=65_536)]
"""Pixels, tokens or channels: how long an array is."""
Depth = Annotated[int, Interval(ge=1, le=1000)]
"""Layers of a network."""
Workers = Annotated[int, Interval(ge=0, le=4096)]
"""Threads or processes; 0 chooses by the machine."""
Buckets = Annotated[int, Interval(ge=1, le=64)]
"""Aspect ratios that pictures are sorted into."""
Aspect = Annotated[float, Interval(ge=1, le=65_536)]
"""Longer side over shorter side."""
Seed = Annotated[int, Interval(ge=0, le=2**63 - 1)]
"""Seed of random numbers."""
Share = Annotated[float, Interval(ge=0, le=1)]
Dropout = Annotated[float, Interval(ge=0, lt=1)]
"""Part of a whole, or a probability."""
Weight = Annotated[float, Interval(ge=0, le=10**6)]
"""Factor on a loss or a rate; 0 leaves it out."""
Seconds = Annotated[float, Interval(ge=0, le=10**9)]
"""Seconds, some thirty years at most."""
Word = Annotated[str, MinLen(1), MaxLen(4096)]
"""A name, path or pattern, not empty."""
Caption = Annotated[str, MaxLen(10_000)]
"""A caption to draw; the empty one is no caption."""
Device = Literal["auto", "cpu", "cuda"]
"""Where torch computes; auto takes a GPU where there is one."""


@dataclass(frozen=True)
class Mistake:
    """Values of a config that cannot be, alone or together."""

    values: Mapping[str, Any]
    """Key -> value; keys of inner blocks and items of lists are joined by dots, as in "data.colour"."""
    message: str
    """What must be instead, and what to do."""

    def text(self, prefix: str = "") -> str:
        """One line: "train.batch=0 must be at least 1", or "text.width=7, text.heads=2: ..."."""
        values = ", ".join(f"{prefix}{key}={spelled(value)}" for key, value in self.values.items())
        return f"{values}{':' if len(self.values) > 1 else ''} {self.message}"


class ConfigError(ValueError):
    """A config cannot be: all that is wrong with it."""

    def __init__(self, name: str, mistakes: list[Mistake]):
        super().__init__(f"{name}: " + "; ".join(mistake.text() for mistake in mistakes))
        self.mistakes = mistakes


class Config:
    """A block of a config, as a frozen, keyword-only dataclass whose limits hold on every construction."""

    __pydantic_config__: typing.ClassVar[Any] = FORM

    def __post_init__(self) -> None:
        """ConfigError: fields break their limits or, where none does, do not go together; names them all."""
        mistakes = list(_field_mistakes(self)) or list(self.conflicts())
        if mistakes:
            raise ConfigError(type(self).__name__, mistakes)

    def conflicts(self) -> Iterator[Mistake]:
        """Why fields that are within their limits cannot be, alone or together."""
        return iter(())

    def mistake(self, message: str, *keys: str) -> Mistake:
        """Values of some keys, as "size" and "data.buckets", and what is wrong with them."""
        return Mistake({key: attrgetter(key)(self) for key in keys}, message)


def requirement(annotation: Any) -> str:
    """What an annotation asks of a value beyond its type: "at least 0 and at most 1"; empty: nothing."""
    return " and ".join(filter(None, (_words(limit) for limit in limits(annotation))))


def breach(annotation: Any, value: Any) -> str:
    """What an annotation asks of a value that it does not keep: "at most 1"; empty: it keeps all."""
    return " and ".join(_words(limit) for limit in limits(annotation) if not _holds(limit, value))


def spelled(value: Any) -> str:
    """A value as messages show it, as YAML spells it, cut after 80 characters."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else text[:80] + "..."


def remedy(owner: type, name: str) -> str:
    """How to do without a field: "; leave it out for 0.1". Empty: it has no default that a line can hold."""
    default = next(field.default for field in fields(owner) if field.name == name)
    return "" if default is MISSING or is_dataclass(default) else f"; leave it out for {spelled(default)}"


def bare(annotation: Any) -> Any:
    """The type within Annotated and X | None."""
    if typing.get_origin(annotation) is Annotated:
        return bare(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return bare(next(part for part in typing.get_args(annotation) if part is not type(None)))
    return annotation


@cache
def annotations(owner: type) -> dict[str, Any]:
    """Field -> its annotation with limits."""
    hints = typing.get_type_hints(owner, include_extras=True)
    return {field.name: hints[field.name] for field in fields(owner)}


def _field_mistakes(config: Any) -> Iterator[Mistake]:
    for name, annotation in annotations(type(config)).items():
        for key, value, demand in _breaches(name, getattr(config, name), annotation):
            yield Mistake({key: value}, f"must be {demand}{remedy(type(config), name)}")


def _breaches(key: str, value: Any, annotation: Any) -> Iterator[tuple[str, Any, str]]:
    """(key, value, what it must be) of each value in a field that breaks its limits."""
    kind = bare(annotation)
    if value is None:
        if type(None) not in typing.get_args(annotation):
            yield key, value, "a value, not null"
        return
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value not in parts:
            yield key, value, f"one of {', '.join(map(spelled, parts))}"
        return
    if type_name := _other_type(value, origin or kind):
        yield key, value, type_name
        return
    if broken := breach(annotation, value):
        yield key, value, broken
    if origin is tuple:
        kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        if len(value) != len(kinds):
            yield key, value, f"{len(kinds)} values"
        for n, (item, of) in enumerate(zip(value, kinds, strict=False)):
            yield from _breaches(f"{key}.{n}", item, of)
    elif origin is dict:
        for name, item in value.items():
            yield from _breaches(f"{key}.{name}", item, parts[1])


def _other_type(value: Any, kind: Any) -> str:
    """What a value must be that is of another type; empty: it is of this one."""
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if number and math.isfinite(value) else "a finite number"
    if kind is int:
        return "" if isinstance(value, int) and not isinstance(value, bool) else "a whole number"
    return "" if isinstance(value, kind) else f"of type {kind.__name__}"


@cache
def limits(annotation: Any) -> tuple[Any, ...]:
    """Bounds, lengths and patterns of an annotation."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return limits(next(part for part in typing.get_args(annotation) if part is not type(None)))
    if typing.get_origin(annotation) is not Annotated:
        return ()
    inner, *metadata = typing.get_args(annotation)
    flat = [part for item in metadata for part in (item if isinstance(item, GroupedMetadata) else [item])]
    return (*limits(inner), *(limit for limit in flat if isinstance(limit, BaseMetadata | Pattern)))


def _holds(limit: Any, value: Any) -> bool:
    match limit:
        case Ge(ge=bound):
            return value >= bound
        case Gt(gt=bound):
            return value > bound
        case Le(le=bound):
            return value <= bound
        case Lt(lt=bound):
            return value < bound
        case MinLen(min_length=bound):
            return len(value) >= bound
        case MaxLen(max_length=bound):
            return len(value) <= bound
        case Pattern(pattern=pattern):
            return re.fullmatch(pattern, value) is not None
        case _:
            raise TypeError(f"{limit} is a limit that nobody checks")


def _words(limit: Any) -> str:
    match limit:
        case Ge(ge=bound):
            return f"at least {_number(bound)}"
        case Gt(gt=bound):
            return f"above {_number(bound)}"
        case Le(le=bound):
            return f"at most {_number(bound)}"
        case Lt(lt=bound):
            return f"below {_number(bound)}"
        case MinLen(min_length=bound):
            return f"at least {bound} long"
        case MaxLen(max_length=bound):
            return f"at most {bound} long"
        case _:
            return limit.meaning


def _number(bound: Any) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
