"""Records: small objects put create-only, and append-only logs of numbered ones.

References, leases, statuses, take-downs and amendments are logs: ``FOLDER/00000001.json``,
``00000002.json``, each put create-only under the next free number, so that of several writers at once each
gets a number of its own.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from stages.errors import DamagedError
from stages.foreign_text import escape
from stages.store.interface import Store

T = TypeVar("T")

NUMBERED = re.compile(r"(\d{8,})\.json")
"""Name of a numbered record; other objects in the folder of a log are passed over."""


def read_record(store: Store, key: str, noun: str, parse: Callable[[bytes, str], T], remedy: str) -> T:
    """A record, parsed.

    Args:
        store: where it lies.
        key: of the record.
        noun: what it should be, for messages.
        parse: (bytes as they were written, what messages call the record) -> the record.
        remedy: what else than "restore it from a copy" a person can do where it is damaged.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: what lies there is no such record; names key and remedy.
    """
    data, name = store.read(key), f"{key} in {store.url}"
    try:
        return parse(data, name)
    except DamagedError as error:
        raise DamagedError(f"{error}{remedy}") from error
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError) as error:
        words = f"is no {noun} that this version reads ({escape(error, 200)}); restore it from a copy"
        raise DamagedError(f"{name} {words}{remedy}") from error


@dataclass(frozen=True)
class NumberedLog(Generic[T]):
    """An append-only log below one folder of a store."""

    store: Store
    folder: str
    noun: str
    """What one record is called in messages."""
    parse: Callable[[bytes, str], T]
    remedy: str
    """What else a person can do where a record is damaged."""

    def key(self, number: int) -> str:
        """Where record `number` lies."""
        return f"{self.folder}/{number:08d}.json"

    def numbers(self) -> list[int]:
        """Numbers of the records, ascending; gaps are possible where records were deleted."""
        names = [listed.key.removeprefix(f"{self.folder}/") for listed in self.store.list(self.folder)]
        return sorted(int(match[1]) for name in names if (match := NUMBERED.fullmatch(name)))

    def last(self) -> int:
        """The highest number; 0 where there is no record."""
        return max(self.numbers(), default=0)

    def record(self, number: int) -> T:
        """One record; FileNotFoundError, DamagedError as `read_record`."""
        return read_record(self.store, self.key(number), self.noun, self.parse, self.remedy)

    def records(self) -> list[T]:
        """Every record in the order of numbers, without those that are deleted meanwhile; DamagedError names
        the first that is none."""
        records: list[T] = []
        for number in self.numbers():
            with suppress(FileNotFoundError):
                records.append(self.record(number))
        return records

    def append(self, number: int, data: bytes) -> bool:
        """Put a record under a number. False: somebody else's stands there; look again for the next."""
        return self.store.create(self.key(number), data)
