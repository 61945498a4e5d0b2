"""A three-way merge of settings: what the file changed arrives, what people changed on the server stays.

Settings are trees of plain JSON. Blocks (dictionaries with something in them) merge key by key; a list, a
text, a number and an empty block are values, of which one stands. For each value there are three: what was
deployed last, what the server has now, and what the file makes of it (as in diff3, Khanna et al. 2007).
Where the server no longer has what was deployed, somebody changed it there, and it stays.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, TypeAlias, cast

Tree: TypeAlias = dict[str, Any]
"""A block of plain JSON."""


class Absence(Enum):
    """Its one member stands for a value that is not there, which null is not."""

    ABSENT = "absent"


ABSENT = Absence.ABSENT


@dataclass(frozen=True)
class Change:
    """One value in which the server and the file differ."""

    path: tuple[str, ...]
    """Keys that lead to it."""
    server: Any
    """What the server has; ABSENT where nothing."""
    file: Any
    """What the file makes of it; ABSENT where nothing."""
    by_hand: bool
    """Whether somebody changed it on the server, so that it stays."""


class Merge(NamedTuple):
    """What a merge comes to."""

    tree: Tree
    """What the server should have."""
    changes: tuple[Change, ...]
    """Every value in which server and file differ, in the server's order, then the file's."""

    @property
    def updates(self) -> tuple[Change, ...]:
        """The changes that the server gets."""
        return tuple(change for change in self.changes if not change.by_hand)


def merge(deployed: Tree, server: Tree, file: Tree) -> Merge:
    """The tree that a server should have.

    Args:
        deployed: what the file made of it when it was deployed last; empty where nobody knows, so that all in
            which the two others differ counts as changed by hand, and what the server lacks is added.
        server: what the server has.
        file: what the file makes of it now.
    """
    changes: list[Change] = []
    tree = _merged_block((), deployed, server, file, changes)
    return Merge(tree, tuple(changes))


def is_same(a: Any, b: Any) -> bool:
    """Whether two values are the same JSON: true is not 1, and keys have no order."""
    if a is ABSENT or b is ABSENT:
        return a is b
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def _merged_block(
    path: tuple[str, ...], deployed: Tree, server: Tree, file: Tree, changes: list[Change]
) -> Tree:
    merged: Tree = {}
    for key in _keys(server, file):
        values = (block.get(key, ABSENT) for block in (deployed, server, file))
        value = _merged((*path, key), *values, changes=changes)
        if value is not ABSENT:
            merged[key] = value
    return merged


def _merged(path: tuple[str, ...], deployed: Any, server: Any, file: Any, changes: list[Change]) -> Any:
    if is_same(server, file):
        return server
    if all(value is ABSENT or _is_block(value) for value in (server, file)):
        blocks = [cast(Tree, value) if _is_block(value) else {} for value in (deployed, server, file)]
        return _merged_block(path, *blocks, changes=changes) or ABSENT
    by_hand = not is_same(server, deployed)
    changes.append(Change(path, server, file, by_hand))
    return server if by_hand else file


def _is_block(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)  # pyright: ignore[reportUnknownArgumentType]


def _keys(*blocks: Tree) -> Iterable[str]:
    return dict.fromkeys(key for block in blocks for key in block)
