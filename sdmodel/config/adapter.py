"""pydantic's validators of config classes, each made once, and one at a time.

To make one, pydantic parses the source of the class for its fields' docstrings, and that is not safe in
threads before Python 3.11.8 (https://github.com/python/cpython/issues/106905): two trainings side by side
ended each other by "AST constructor recursion depth mismatch".
"""

from threading import RLock
from typing import Any

from pydantic import TypeAdapter

_adapters: dict[Any, TypeAdapter[Any]] = {}
_lock = RLock()


def adapter_of(kind: Any) -> TypeAdapter[Any]:
    """What validates and dumps values of a dataclass, or of another type that may be a key."""
    with _lock:
        if kind not in _adapters:
            _adapters[kind] = TypeAdapter(kind)
        return _adapters[kind]
