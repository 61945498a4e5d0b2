"""Local files are hashed before their first use, once a process: disks give back other bytes in silence."""

from pathlib import Path

from stages.fingerprint import sha256_of

CHECKED_BY_READERS = ".tar"
"""Files that are not: of these each picture is checked when it is read, and they are most of a store."""

_HASHES: dict[tuple[str, int, int, int], str] = {}


def hash_once(path: Path) -> str:
    """SHA-256 of a local file, 64 hex digits: computed on first use, and again where the file has changed.

    1.2 s a GB, measured; for what follows, the file is in memory then.
    """
    status = path.stat()
    key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _HASHES:
        _HASHES[key] = sha256_of(path)
    return _HASHES[key]
