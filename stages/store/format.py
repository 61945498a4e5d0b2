"""The format of a store: by which names its records, files and fields go.

A store says its format in one record, put when the store is new. What another format holds is not read: its
names mean something else, or nothing, and results would be made again beside those that are there.
"""

import json

from stages.errors import DamagedError
from stages.foreign_text import escape
from stages.store.interface import Store

FORMAT = 2
"""Raised whenever a recorded name changes. 1 had no record of its format."""
KEY = "format.json"
_FILLED = ("manifests", "parts")
"""Below one of these lies something in every store that was ever worked in."""


def check_format(store: Store, *, writable: bool) -> None:
    """Refuse a store of another format; record the format of a new one.

    Args:
        store: to look at.
        writable: whether the format of a new store may be recorded.

    Raises:
        ValueError: the store is of another format; says which, and what to do.
        DamagedError: the record cannot be read.
    """
    number = _recorded(store)
    if number is None and any(_has_objects(store, folder) for folder in _FILLED):
        number = _recorded(store) or 1  # another process may have made it meanwhile
    if number is None and writable and not store.create(KEY, json.dumps({"format": FORMAT}).encode()):
        number = _recorded(store)  # another version was first
    if number not in (None, FORMAT):
        remedy = "update sdflow" if number > FORMAT else "name a new store and run the configs again"
        raise ValueError(
            f"store {store.url} is of format {number}, and this version reads and writes format {FORMAT}: "
            f"{remedy}, or use the version that wrote it"
        )


def _recorded(store: Store) -> int | None:
    """The format that a store's record names; None where it has no record."""
    try:
        data = store.read(KEY)
    except FileNotFoundError:
        return None
    try:
        number = json.loads(data)["format"]
        if type(number) is not int or number < 1:
            raise ValueError(f"format {number!r}")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise DamagedError(
            f"{KEY} in {store.url} names no format ({escape(error, 200)}); restore it from a copy, or write "
            f'{{"format": N}} with the number of the version that made the store, {FORMAT} of this one'
        ) from error
    return number


def _has_objects(store: Store, folder: str) -> bool:
    return next(iter(store.list(folder)), None) is not None
