"""A YAML file and changes to it, read into plain values and those into a `Run`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from flows.config.values import run_of
from sdmodel.config.limits import spelled
from stages.config.run import Run


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
    values = read_values(path)
    for change in changes:
        set_value(values, change)
    if store is not None:
        values["store"] = store
    elif default_store is not None:
        values.setdefault("store", default_store)
    return run_of(values, str(path))


def read_values(path: Path) -> dict[str, Any]:
    """The plain values of a YAML file. ValueError: it cannot be read, or is no block of keys."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"config {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"config {path} is no UTF-8 text ({error.reason} at byte {error.start})") from error
    values = _parsed(text, str(path))
    if not isinstance(values, dict):
        raise ValueError(f"config {path} must be a block of keys such as `name: demo`, not {spelled(values)}")
    return cast("dict[str, Any]", values)


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
            raise ValueError(f"--set {change!r}: {here} is {spelled(place)}, which holds no keys")
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
        # Safe: `_Loader` is a SafeLoader, of plain values alone; `yaml.safe_load` takes none of ours.
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{origin} is no valid YAML: {error.problem}{where}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{origin} is no valid YAML: {str(error).splitlines()[0]}") from None
