"""Nested values as one level: what configs, statistics and reports say by paths, and how two differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

MOST = 2_000
"""Paths of one value; what lies beyond them is left out."""
ABSENT = "—"
"""Shown where one of two sides says nothing."""


@dataclass(frozen=True)
class Difference:
    """A path at which two values differ."""

    path: str
    old: str
    new: str
    change: float | None = None
    """new - old, where both are numbers."""


def flattened(value: Any, path: str = "") -> dict[str, Any]:
    """Path -> value, in the order of the mappings: {"unet": {"channels": [8, 16]}} has "unet.channels".

    Lists of plain values stay whole; of mappings in lists each has its number in the path.
    """
    leaves: dict[str, Any] = {}
    for name, leaf in _leaves(value, path):
        if len(leaves) == MOST:
            break
        leaves[name] = leaf
    return leaves


def numbers(value: Any) -> dict[str, float]:
    """Path -> number of every number that is no part of a list."""
    return {
        path: float(leaf)
        for path, leaf in flattened(value).items()
        if isinstance(leaf, int | float) and not isinstance(leaf, bool) and "[" not in path
    }


def differences(old: Any, new: Any) -> list[Difference]:
    """Every path at which two values differ, in the order of the new one, then of the old."""
    before, after = flattened(old), flattened(new)
    paths = dict.fromkeys([*after, *before])
    return [
        Difference(
            path,
            shown(before[path]) if path in before else ABSENT,
            shown(after[path]) if path in after else ABSENT,
            change(before.get(path), after.get(path)),
        )
        for path in paths
        if path not in before or path not in after or before[path] != after[path]
    ]


def change(old: Any, new: Any) -> float | None:
    """new - old of two numbers; None of anything else."""
    if any(isinstance(side, bool) or not isinstance(side, int | float) for side in (old, new)):
        return None
    return new - old


def shown(value: Any) -> str:
    """A value as people read it; foreign text is still to be escaped."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) < 1e5 else f"{value:,.0f}"
    if isinstance(value, Mapping | list | tuple):
        whole = cast("Mapping[str, Any] | Sequence[Any]", value)
        if not whole:
            return "none"
        if isinstance(whole, Mapping):
            return ", ".join(f"{key}: {shown(leaf)}" for key, leaf in whole.items())
        return ", ".join(map(shown, whole[:50])) + (f", {len(whole) - 50:,} more" if len(whole) > 50 else "")
    return str(value)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in cast("Mapping[str, Any]", value).items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif has_mappings(value):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{place}]")
    elif path:
        yield path, value


def has_mappings(value: Any) -> bool:
    """Whether it is a list with a mapping in it."""
    return isinstance(value, list | tuple) and any(
        isinstance(each, Mapping) for each in cast("Sequence[Any]", value)
    )
