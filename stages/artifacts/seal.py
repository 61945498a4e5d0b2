"""Seals: a record's own SHA-256 inside it, so that a bit that flips in it is noticed when it is read.

Result files are hashed in the record that names them; nothing names the records themselves (manifests, parts,
references, leases, amendments, take-downs). So each is one JSON object in one spelling, whose field `seal` is
the SHA-256 (hex) of the same object without that field, in that spelling.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from stages.errors import DamagedError

FIELD = "seal"


def sealed(record: Mapping[str, Any]) -> bytes:
    """A record as it is stored: JSON with sorted keys, and its seal among them.

    Args:
        record: plain values, mappings and sequences of such; without a field `seal`.
    """
    assert FIELD not in record, record
    seal = hashlib.sha256(_spelled(record)).hexdigest()
    return _spelled({**record, FIELD: seal})


def unsealed(data: bytes, name: str) -> dict[str, Any]:
    """A record without its seal, as it was given to `sealed`.

    Args:
        data: what is stored.
        name: of the record, for messages: its key, and where.

    Raises:
        DamagedError: it is not what was written, or was written by a version that sealed nothing.
    """
    try:
        record = json.loads(data)
    except ValueError as error:
        raise DamagedError(f"{name} is damaged: it is no JSON ({error}); {_REMEDY}") from error
    if not isinstance(record, dict) or FIELD not in record:
        raise DamagedError(
            f"{name} has no seal: it is damaged, or of a version before seals; {_REMEDY}, or begin a "
            "new store"
        )
    fields: dict[str, Any] = dict(record)  # pyright: ignore[reportUnknownArgumentType] -- JSON's keys are texts
    del fields[FIELD]
    if sealed(fields) != data:
        raise DamagedError(f"{name} is damaged: its seal does not fit what it says; {_REMEDY}")
    return fields


_REMEDY = "restore it from a copy"


def _spelled(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, indent=1, sort_keys=True, default=dict).encode()
