"""The record of a finished part: what a part's files are, written create-only once they are in the store."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from stages.artifacts.artifact import Funnel
from stages.artifacts.files import FileEntry
from stages.artifacts.seal import sealed, unsealed
from stages.fingerprint import JSON
from stages.store import Store, read_record


@dataclass(frozen=True)
class PartRecord:
    """One part: its name for people, its files, its funnel where it has one, and its maker's statistics."""

    key: str
    files: Mapping[str, FileEntry]
    funnel: Funnel | None
    statistics: Mapping[str, JSON]

    def to_json(self) -> bytes:
        return sealed(asdict(self))

    @classmethod
    def parse(cls, data: bytes, name: str = "a part's record") -> "PartRecord":
        """A record as it was written. DamagedError: it is another; `name` is what the message calls it."""
        raw = unsealed(data, name)
        files = {name: FileEntry(**entry) for name, entry in raw["files"].items()}
        funnel = Funnel(**raw["funnel"]) if raw["funnel"] else None
        return cls(str(raw["key"]), files, funnel, dict(raw["statistics"]))


def part_key(stage: str, fingerprint: str) -> str:
    """Where the record of a part lies, once it is finished."""
    return f"parts/{stage}/{fingerprint}.json"


def read_part(store: Store, key: str) -> PartRecord:
    """A part's record.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: what lies there is no such record.
    """
    remedy = ", or delete it: then the part is made again"
    return read_record(store, key, "part's record", PartRecord.parse, remedy)
