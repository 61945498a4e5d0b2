"""Garbage collection: what no manifest names, and nobody may still be about to name, is deleted.

Manifests count as amended: a file that was replaced is named by none, what replaced it is.

Runs that work at the same time are safe by an order that both sides keep. A run takes its lease before it
looks for parts, and gives it back after its manifest is there. `collect_garbage` first lists what there is,
so that nothing newer is touched; then looks who holds leases, and leaves their stages alone; then reads
manifests; then deletes the records of parts that none of them names; then looks at the leases and for new
manifests and amendments again; and only then deletes files. Of the runs that may have found one of those
parts, one that is still at work is seen by its lease, and one that has ended by its manifest; a run that
begins later finds no record.

What remains: a run that was stopped for longer than its lease stands, at just the moment when gc ran, may go
on with parts that are gone. It checks for that before it publishes (`Stage`), and runs again.
"""

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stages.amendment import all_amendments
from stages.artifact import Manifest, manifest_key
from stages.errors import DamagedError
from stages.lease import held
from stages.seal import unsealed
from stages.store import Listed, Store

GRACE = timedelta(days=7)
"""Younger parts and files may belong to a run that will be continued."""

MOMENTARY = timedelta(hours=1)
"""What lives for a moment only (a record on its way, a probe) is kept at least so long: it has no lease."""


@dataclass(frozen=True)
class Swept:
    """What was deleted, or would be: files and their bytes, part records, ended leases, working folders."""

    files: int
    bytes: int
    parts: int
    leases: int
    folders: int
    busy: tuple[str, ...] = ()
    """Stages that were left alone, because somebody is working on them."""


def collect_garbage(
    store: Store, *, grace: timedelta = GRACE, keep_parts: bool = False, dry_run: bool = False
) -> Swept:
    """Delete files that no manifest and no kept part names, old parts, ended leases, dead attempts' folders.

    Args:
        store: the store to sweep.
        grace: age up to which unfinished work is kept. With zero, everything unfinished goes.
        keep_parts: keep finished parts of whatever age: what was given up can be continued still.
        dry_run: count only.
    """
    now = datetime.now(UTC)
    before = now - grace
    files = _old(store, "files", before) + _old(store, "probe", now - max(grace, MOMENTARY))
    records = list(store.list("parts"))
    leases = list(store.list("leases"))
    scratch = store.scratch()
    folders = sorted(scratch.iterdir())

    active = held(store)
    busy = {_stage(lease) for lease in active}
    finished: set[str] = set()
    published = _named_files(store, finished)
    named = set(published)
    old_records: list[str] = []
    for record in records:
        try:
            entries = unsealed(store.read(record.key), record.key)["files"]
        except FileNotFoundError:  # a run had no more need of it
            continue
        except DamagedError:  # no run takes it for finished
            old_records.append(record.key)
            continue
        keys = {entry["key"] for entry in entries.values()}
        if keep_parts or _stage(record.key) in busy or record.modified > before:
            named |= keys
        elif not keys <= published:
            old_records.append(record.key)
    # Of an unfinished request the lease stays: were it deleted while somebody takes it, two could hold it.
    old_leases = [one.key for one in leases if _finished(one.key, finished)]
    old_folders = [folder for folder in folders if _abandoned(folder, active, grace)]

    if not dry_run:
        store.delete(old_records)
        busy |= {_stage(lease) for lease in held(store)}
        named |= _named_files(store, finished)
    old_files = [one for one in files if one.key not in named and _stage(one.key) not in busy]
    if not dry_run:
        store.delete(one.key for one in old_files)
        store.delete(old_leases)
        _remove(old_folders)
    return Swept(
        files=len(old_files),
        bytes=sum(one.size for one in old_files),
        parts=len(old_records),
        leases=len(old_leases),
        folders=len(old_folders),
        busy=tuple(sorted(busy)),
    )


def _old(store: Store, prefix: str, before: datetime) -> list[Listed]:
    return [one for one in store.list(prefix) if one.modified <= before]


def _named_files(store: Store, seen: set[str]) -> set[str]:
    """Keys of the files that amendments put into place, and that manifests name and no amendment replaced.

    Manifests in `seen` are passed over; the others' keys are added to it.
    """
    new = [listed.key for listed in store.list("manifests") if listed.key not in seen]
    seen.update(new)
    amended = {
        manifest_key(stage, fingerprint): {change.path: change.key for one in found for change in one.changes}
        for (stage, fingerprint), found in all_amendments(store).items()
    }
    named = {key for changes in amended.values() for key in changes.values()}
    for key in new:
        changes = amended.get(key, {})
        files = Manifest.read(store, key).files
        named |= {entry.key for path, entry in files.items() if path not in changes}
    return named


def _stage(key: str) -> str:
    """The stage in "leases/STAGE/...", "parts/STAGE/..." and "files/STAGE/..."."""
    return key.split("/")[1]


def _finished(lease: str, finished: set[str]) -> bool:
    """Whether the request of a lease record, "leases/STAGE/FINGERPRINT/NUMBER.json", has its artifact."""
    _, stage, fingerprint, _ = lease.split("/")
    return manifest_key(stage, fingerprint) in finished


def _abandoned(path: Path, active: list[str], grace: timedelta) -> bool:
    """Whether nobody works in a folder of `scratch`; attempts' begin with 16 digits of the fingerprint."""
    if any(lease.rsplit("/", 1)[1].startswith(path.name[:16]) for lease in active):
        return False
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    # A file is a record on its way; attempts have folders.
    return age >= (grace if path.is_dir() else max(grace, MOMENTARY)).total_seconds()


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
