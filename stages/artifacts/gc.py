"""Garbage collection: what no manifest names, and nobody may still be about to name, is deleted.

Manifests count as amended: a file that was replaced is named by none, what replaced it is.

Runs that work at the same time are safe by an order that both sides keep. A run takes its lease before it
looks for parts, and gives it back after its manifest is there. `collect_garbage` first lists what there is,
so that nothing newer is touched; then looks who holds leases, and leaves their stages alone; then reads
manifests; then deletes the records of parts that none of them names; then looks at the leases and for new
manifests and amendments again; and only then deletes files. Of the runs that may have found one of those
parts, one that is still at work is seen by its lease, and one that has ended by its manifest; a run that
begins later finds no record.

A run that was stopped for longer than its lease stands may go on with parts that are gone: its lease is ended
first, so that it learns of it, checks for what is gone before it publishes (`Stage`), and runs again.

What is damaged is named, and nothing is deleted that it might name: with a part's record, up to the age to
which parts are kept, the files of its stage; with a manifest or an amendment all files and parts.
"""

import shutil
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stages.artifacts.activity import activity, leases_in_use, release_abandoned
from stages.artifacts.amendment import Amendment, amended_artifacts, amended_files, amendments
from stages.artifacts.lease import CLOCK, SECONDS, Clock
from stages.artifacts.manifest import Manifest, manifest_key
from stages.artifacts.part import read_part
from stages.errors import DamagedError
from stages.store import Listed, Store

GRACE = timedelta(days=7)
"""Younger parts and files may belong to a run that will be continued."""

MOMENTARY = timedelta(hours=1)
"""What lives for a moment only (a record on its way, a probe) is kept at least so long: it has no lease."""


@dataclass(frozen=True)
class Swept:
    """What was deleted, or would be: files and their bytes, part records, ended leases, working folders,
    records of the statuses of attempts that died."""

    files: int
    bytes: int
    parts: int
    leases: int
    folders: int
    statuses: int = 0
    busy: tuple[str, ...] = ()
    """Stages that were left alone, because somebody is working on them."""
    damaged: tuple[str, ...] = ()
    """For each record that cannot be read: its key and what to do. What it might name was kept."""


def collect_garbage(
    store: Store,
    *,
    grace: timedelta = GRACE,
    keep_parts: bool = False,
    dry_run: bool = False,
    watch: float = SECONDS,
    clock: Clock = CLOCK,
) -> Swept:
    """Delete files that no manifest and no kept part names, old parts, ended leases, and what dead attempts
    left: folders and statuses.

    Args:
        store: the store to sweep.
        grace: age up to which unfinished work is kept. With zero, everything unfinished goes.
        keep_parts: keep finished parts of whatever age: what was given up can be continued still.
        dry_run: count only.
        watch: seconds for which another host's lease is watched, before it counts as abandoned.
        clock: what these seconds are measured by.
    """
    there = _Listing.of(store, grace)
    work = activity(store, watch, clock)
    active = [*work.in_use, *([] if dry_run else release_abandoned(store, work.abandoned))]
    busy = {_stage(lease) for lease in active}
    names = _Names(store)
    published = set(names.read())

    def stays(part: Listed) -> bool:
        return keep_parts or _stage(part.key) in busy or part.modified > there.before

    parts = _sort_parts(store, there.parts, published, names, stays)
    named = published | parts.named
    old_folders = [folder for folder in there.folders if _abandoned(folder, active, grace)]

    if not dry_run:
        if not names.unclear:
            store.delete(parts.old)
        busy |= {_stage(lease) for lease in leases_in_use(store)}
        named |= names.read()
    if names.unclear:
        parts.old.clear()
    old_files = [
        listed
        for listed in there.probes + ([] if names.unclear else there.files)
        if listed.key not in named and _stage(listed.key) not in busy | parts.unclear
    ]
    old_statuses = [listed.key for listed in there.statuses if _lease_of(listed.key) not in active]
    # Of an unfinished request the lease stays: were it deleted while somebody takes it, two could hold it.
    old_leases = [listed.key for listed in there.leases if _finished(listed.key, names.manifests)]
    if not dry_run:
        store.delete(listed.key for listed in old_files)
        store.delete(old_leases)
        store.delete(old_statuses)
        _remove(old_folders)
    return Swept(
        files=len(old_files),
        bytes=sum(listed.size for listed in old_files),
        parts=len(parts.old),
        leases=len(old_leases),
        folders=len(old_folders),
        statuses=len(old_statuses),
        busy=tuple(sorted(busy)),
        damaged=tuple(dict.fromkeys([*work.damaged, *names.damaged])),
    )


@dataclass(frozen=True)
class _Listing:
    """What there was when the sweep began; whatever came later is left alone."""

    before: datetime
    """What is younger may belong to a run that will be continued."""
    files: list[Listed]
    """Old enough to go."""
    probes: list[Listed]
    """Of stores that were opened, likewise."""
    parts: list[Listed]
    leases: list[Listed]
    statuses: list[Listed]
    folders: list[Path]
    """In `scratch`."""

    @classmethod
    def of(cls, store: Store, grace: timedelta) -> "_Listing":
        """What is there now."""
        now = datetime.now(UTC)
        files, probes = (_old(store, "files", now - grace), _old(store, "probe", now - max(grace, MOMENTARY)))
        parts, leases, statuses = (list(store.list(prefix)) for prefix in ("parts", "leases", "status"))
        return cls(now - grace, files, probes, parts, leases, statuses, sorted(store.scratch().iterdir()))


@dataclass(frozen=True)
class _Parts:
    """The parts of a store, sorted."""

    named: set[str]
    """Keys of the files of parts that stay."""
    old: list[str]
    """Keys of the records that go."""
    unclear: set[str]
    """Stages with a part that stays and cannot be read: nobody knows which files are its."""


def _sort_parts(
    store: Store,
    records: Iterable[Listed],
    published: AbstractSet[str],
    names: "_Names",
    stays: Callable[[Listed], bool],
) -> _Parts:
    """Which part records go: those that need not stay, but for those all of whose files are an artifact's."""
    parts = _Parts(set(), [], set())
    for record in records:
        try:
            keys = {entry.key for entry in read_part(store, record.key).files.values()}
        except FileNotFoundError:  # a run had no more need of it
            continue
        except DamagedError as error:
            names.damaged.append(str(error))
            if stays(record):
                parts.unclear.add(_stage(record.key))
            else:  # no run takes it for finished
                parts.old.append(record.key)
            continue
        if stays(record):
            parts.named.update(keys)
        elif not keys <= published:
            parts.old.append(record.key)
    return parts


def _old(store: Store, prefix: str, before: datetime) -> list[Listed]:
    return [listed for listed in store.list(prefix) if listed.modified <= before]


class _Names:
    """Which files manifests and amendments name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.manifests: set[str] = set()
        self.damaged: list[str] = []
        self.unclear = False
        """A manifest, or an amendment, could not be read: nobody knows what it names."""

    def read(self) -> set[str]:
        """Keys of files that amendments put into place, and that manifests name and no amendment replaced.

        Manifests that an earlier call has read are passed over.
        """
        new = [listed.key for listed in self._store.list("manifests") if listed.key not in self.manifests]
        self.manifests.update(new)
        amended: dict[str, list[Amendment]] = {}
        for stage, fingerprint in amended_artifacts(self._store):
            try:
                amended[manifest_key(stage, fingerprint)] = amendments(self._store, stage, fingerprint)
            except DamagedError as error:
                self._complain(error)
        records = (record for of_artifact in amended.values() for record in of_artifact)
        named = {change.key for record in records for change in record.changes}
        for key in new:
            try:
                files = Manifest.read(self._store, key).files
            except FileNotFoundError:  # dropped meanwhile
                continue
            except DamagedError as error:
                self._complain(error)
                continue
            named |= {entry.key for entry in amended_files(files, amended.get(key, ())).values()}
        return named

    def _complain(self, error: DamagedError) -> None:
        self.unclear = True
        self.damaged.append(str(error))


def _stage(key: str) -> str:
    """The stage in "leases/STAGE/...", "parts/STAGE/..." and "files/STAGE/..."."""
    return key.split("/")[1]


def _lease_of(status: str) -> str:
    """The lease under which a record of a status, "status/STAGE/FINGERPRINT/NUMBER.json", was written."""
    return f"leases/{status.split('/', 1)[1].rsplit('/', 1)[0]}"


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
