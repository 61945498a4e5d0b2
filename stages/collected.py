"""The bytes of a collected picture, checked against the table that names it whenever they are read."""

import hashlib
from typing import BinaryIO

from stages.errors import DamagedError


def read_collected(file: BinaryIO, uid: str, offset: int, length: int, sha256: str) -> bytes:
    """A picture's bytes from the tar that holds them.

    Args:
        file: the tar, open; its name goes into messages.
        uid: of the picture.
        offset: of its first byte.
        length: in bytes.
        sha256: of these bytes, 64 hex digits, as record.IMAGES says.

    Raises:
        DamagedError: there are other bytes.
    """
    file.seek(offset)
    data = file.read(length)
    check_collected(data, getattr(file, "name", "a tar"), uid, offset, length, sha256)
    return data


def check_collected(data: bytes, tar: str, uid: str, offset: int, length: int, sha256: str) -> None:
    """DamagedError: bytes that were read from a tar are not the picture that its table names."""
    actual = hashlib.sha256(data).hexdigest()
    if actual == sha256:
        return
    if len(data) == length and data.count(0) == length:  # purging writes zeros
        raise DamagedError(
            f"{tar}: picture {uid} at offset {offset} was purged after a take-down; collect the next "
            "edition, which leaves it out"
        )
    raise DamagedError(
        f"{tar}: picture {uid} at offset {offset} should hash to {sha256} and its {len(data)} bytes hash to "
        f"{actual}: the tar is damaged; `sdflow verify` names what is: restore it from a copy"
    )
