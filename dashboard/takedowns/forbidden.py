"""Which pictures were taken down: by any of their names, no page, download or export may show them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stages.takedown.matches import HOST_PATTERN
from stages.takedown.records import KINDS, Takedown

_HOST = re.compile(HOST_PATTERN)


@dataclass(frozen=True)
class Forbidden:
    """Names that no picture may be shown under, each with the number of the first take-down that has it."""

    numbers: Mapping[str, Mapping[str, int]]
    """By kind of name: "url", "uid", "sha256", "host"."""

    @classmethod
    def of(cls, records: Iterable[Takedown]) -> "Forbidden":
        """What take-downs forbid."""
        numbers: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        for record in records:
            for kind, field in KINDS.items():
                for value in getattr(record, field):
                    numbers[kind].setdefault(value, record.number)
        return cls(numbers)

    def takedown(self, *, uid: str = "", sha256: str = "", location: str = "") -> int | None:
        """The number of the first take-down that names a picture by any of the names given; None: it may be
        shown.

        Args:
            uid: of its row.
            sha256: of its bytes as collected.
            location: its address, as tables have it.
        """
        matching = [
            self.numbers["uid"].get(uid),
            self.numbers["sha256"].get(sha256),
            self.numbers["url"].get(location),
            *(self.numbers["host"].get(host) for host in _hosts(location)),
        ]
        return min((number for number in matching if number is not None), default=None)


def _hosts(location: str) -> Iterable[str]:
    """The host of an address, and those above it, which stand for it."""
    match = _HOST.match(location)
    labels = match[1].split(".") if match else []
    return [".".join(labels[start:]) for start in range(len(labels))]
