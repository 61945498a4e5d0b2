"""The page of all config keys: type, default, limits and text of each, as the dataclasses have them.

`make docs` writes docs/configuration.md.
"""

import dataclasses
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from flows.config.values import descriptions
from sdmodel.config.limits import annotations, bare, requirement, spelled
from stages.config.run import Run

HEAD = """# Configuration

Every key of a config file, as `sdflow run` reads it; `--set KEY=VALUE` takes the same keys. A value beyond
its limits is refused before anything is fetched, together with all other mistakes of the file. Keys marked
*neutral* cannot change a result, and change no fingerprint. `make docs` writes this page from the dataclasses
in stages/config and sdmodel/config.
"""
NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def page() -> str:
    """The whole page, in Markdown."""
    blocks = list(_blocks(Run, ""))
    contents = [f"* [{path or 'top level'}](#{_anchor(path)})" for path, _ in blocks]
    return "\n".join([HEAD, *contents, "", *(line for path, owner in blocks for line in _block(path, owner))])


def _blocks(owner: type, path: str) -> Iterator[tuple[str, type]]:
    """(path, config) of a config and of all within, the outer ones first; [] marks a list's."""
    yield path, owner
    for name, annotation in annotations(owner).items():
        inner, mark = _inner(annotation)
        if inner is not None:
            yield from _blocks(inner, f"{path}.{name}{mark}".lstrip("."))


def _inner(annotation: Any) -> tuple[type | None, str]:
    """The config in a field, and "[]" where the field is a list of them."""
    kind = bare(annotation)
    mark = ""
    if typing.get_origin(kind) is tuple:
        kind, mark = typing.get_args(kind)[0], "[]"
    return (kind, mark) if isinstance(kind, type) and dataclasses.is_dataclass(kind) else (None, "")


def _block(path: str, owner: type) -> Iterator[str]:
    yield from (f'<a id="{_anchor(path)}"></a>', "", f"## {f'`{path}`' if path else 'Top level'}", "")
    yield " ".join((owner.__doc__ or "").split())
    yield from ("", "| key | type | default | limits | |", "|---|---|---|---|---|")
    texts = descriptions(owner)
    for field in dataclasses.fields(typing.cast(Any, owner)):
        annotation = annotations(owner)[field.name]
        inner, mark = _inner(annotation)
        key = (
            f"[`{field.name}`](#{_anchor(f'{path}.{field.name}{mark}'.lstrip('.'))})"
            if inner
            else f"`{field.name}`"
        )
        neutral = " *neutral*" if field.metadata.get("neutral") else ""
        cells = (key, _type(annotation), _default(field), _limits(annotation), texts[field.name] + neutral)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _type(annotation: Any) -> str:
    kind = bare(annotation)
    parts, origin = typing.get_args(kind), typing.get_origin(kind)
    if origin is Literal:
        name = ", ".join(f"`{spelled(part)}`" for part in parts)
    elif origin is tuple:
        name = f"list of: {_type(parts[0])}"
    elif origin is dict:
        name = f"text to {_type(parts[1])}"
    else:
        name = NAMES.get(kind, "block")
    return f"{name}, or null" if type(None) in typing.get_args(annotation) else name


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{spelled(field.default)}`"
    return "" if field.default_factory is not dataclasses.MISSING else "**needed**"


def _limits(annotation: Any) -> str:
    """Of a value, and of the items of a list."""
    kind = bare(annotation)
    items = ""
    if typing.get_origin(kind) in (tuple, dict):
        part = next(part for part in reversed(typing.get_args(kind)) if part is not Ellipsis)
        items = requirement(part)
    return "; ".join(filter(None, [requirement(annotation), f"each {items}" if items else ""]))


def _anchor(path: str) -> str:
    return path.replace("[]", "").replace(".", "-") or "top"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
