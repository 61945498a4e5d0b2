"""Garbage collection: what no manifest names, and nobody may still be about to name, is deleted."""

import json
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from stages.artifact import artifacts
from stages.lease import held
from stages.store import Store

GRACE = timedelta(days=7)
"""Younger parts and files may belong to a run that will be continued."""


@dataclass(frozen=True)
class Swept:
    """What was deleted, or would be: files and their bytes, part records, ended leases, working folders."""

    files: int
    bytes: int
    parts: int
    leases: int
    folders: int


def collect_garbage(store: Store, *, grace: timedelta = GRACE, dry_run: bool = False) -> Swept:
    """Delete files that no manifest and no kept part names, old parts, ended leases, dead attempts' folders.

    While somebody holds a lease nothing of parts or files is deleted: the run may be reusing them.

    Args:
        store: the store to sweep.
        grace: age up to which unfinished work is kept. With zero, everything unfinished goes.
        dry_run: count only.
    """
    before = datetime.now(UTC) - grace
    active = set(held(store))
    leases = [
        one.key
        for one in store.list("leases")
        if one.key.rsplit("/", 1)[0] not in active and one.modified <= before
    ]
    part_keys: list[str] = []
    file_keys: list[tuple[str, int]] = []
    if not active:
        named = {entry.key for artifact in artifacts(store) for entry in artifact.files.values()}
        for record in store.list("parts"):
            keys = [entry["key"] for entry in json.loads(store.read(record.key))["files"].values()]
            if record.modified > before:
                named.update(keys)
            elif not set(keys) <= named:
                part_keys.append(record.key)
        file_keys = [
            (one.key, one.size)
            for one in store.list("files")
            if one.key not in named and one.modified <= before
        ]
    folders = [
        folder
        for folder in (store.scratch().iterdir() if store.scratch().is_dir() and not active else ())
        if folder.stat().st_mtime <= time.time() - grace.total_seconds()
    ]
    if not dry_run:
        store.delete(part_keys)  # before their files, so that no record names what is gone
        store.delete(key for key, _ in file_keys)
        store.delete(leases)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True) if folder.is_dir() else folder.unlink(missing_ok=True)
    return Swept(
        files=len(file_keys),
        bytes=sum(size for _, size in file_keys),
        parts=len(part_keys),
        leases=len(leases),
        folders=len(folders),
    )
