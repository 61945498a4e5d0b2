"""Purge: the bytes of pictures that were taken down leave the store, and everything else stays as it is.

Files are shared and tables point into them, so nothing moves: a copy of each file is written in which the
pictures' bytes are zero, every artifact that names the file is amended to name the copy, then records of
parts that name the old file go, then the old file. Where pictures lie is for each kind of artifact to say
(`stages.kind`): in tars, as small pictures and crops, embeddings, latents. A drawing that shows a picture
among others becomes plain grey. What tables say (uids, addresses, captions) stays, so that a later question
finds its answer.

Stopped anywhere, the same call continues: what is amended is found by the amendments, what is not is done.
A purge holds a lease, under which garbage collection leaves its copies alone, and begins only where nobody is
at work: a run that read an old file's name before could publish it after. One that begins meanwhile may do
so still; `Purged.busy` names it, and the same call again amends what it published.
"""

import shutil
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from PIL import Image

from stages.artifacts.activity import Renewal, activity, leases_in_use, release_abandoned
from stages.artifacts.amendment import Replacement, all_amendments, amend
from stages.artifacts.artifact import Artifact
from stages.artifacts.files import FileEntry
from stages.artifacts.gc import collect_garbage
from stages.artifacts.lease import CLOCK, Clock, acquire
from stages.errors import RetryableError
from stages.fingerprint import sha256_of, short_hash
from stages.registry import kind_of
from stages.store import Store
from stages.takedown.holders import Lineage
from stages.takedown.parts import Records, holding, read_records
from stages.takedown.records import Takedown
from stages.takedown.spans import Drawing, Span

LEASE = ("purge", "all")
BATCH = 16
"""Files that are rewritten at a time: their copies need room, and an artifact gets one amendment for them."""
GREY = (127, 127, 127)


@dataclass(frozen=True)
class Purged:
    """What was changed, or would be."""

    files: int
    """Files of artifacts that were rewritten."""
    bytes: int
    """Bytes in them that became zero, or grey."""
    artifacts: int
    """Artifacts that were amended."""
    parts: int
    """Records of parts that were dropped; a run that needs one makes it again."""
    busy: tuple[str, ...] = ()
    """Stages that somebody began to work on meanwhile: purge again when they have ended."""


@dataclass(frozen=True)
class _Cut:
    """A stored file that holds pictures."""

    entry: FileEntry
    spans: frozenset[Span]
    """Empty: it is a drawing, and all of it must go."""

    @property
    def bytes(self) -> int:
        return sum(span.length for span in self.spans) if self.spans else self.entry.size


def purge(store: Store, takedown: Takedown, *, dry_run: bool = False, clock: Clock = CLOCK) -> Purged:
    """Take the bytes of a take-down's pictures out of every file of the store.

    Args:
        store: where; copies in other machines' caches are out of reach.
        takedown: recorded.
        dry_run: count only.
        clock: by which leases of other hosts are watched for a minute, before they count as left.

    Raises:
        RetryableError: somebody is at work in the store.
    """
    if dry_run:
        lineage = Lineage(store, set(takedown.sha256s))
        cuts = _cuts(lineage)
        naming = [
            artifact
            for artifact in lineage.artifacts.values()
            if any(entry.key in cuts for entry in artifact.files.values())
        ]
        return Purged(len(cuts), sum(cut.bytes for cut in cuts.values()), len(naming), 0)
    lease = acquire(store, *LEASE, Renewal().missing, clock=clock)
    if lease is None:
        raise RetryableError(f"somebody purges {store.url} already; try again when they have ended")
    with lease:
        work = activity(store, clock=clock)
        if busy := _busy([*work.in_use, *release_abandoned(store, work.abandoned)]):
            raise RetryableError(
                f"{', '.join(busy)} at work in {store.url}; stop what runs, or purge when it has ended"
            )
        purged = _purge(store, takedown)
        # Files that nobody names, and what crashed attempts left, may hold the pictures too.
        collect_garbage(store, grace=timedelta(0), keep_parts=True, clock=clock)
        return Purged(**purged, busy=tuple(_busy(leases_in_use(store))))


def _purge(store: Store, takedown: Takedown) -> dict[str, int]:
    reason = f"take-down {takedown.number}: {takedown.why}"
    records = read_records(store)
    parts = _finish(store, records)
    lineage = Lineage(store, set(takedown.sha256s))
    everything = list(lineage.artifacts.values())
    cuts = list(_cuts(lineage).values())
    amended: set[str] = set()
    for start in range(0, len(cuts), BATCH):
        changes = [_rewritten(store, cut, takedown) for cut in cuts[start : start + BATCH]]
        amended |= _replace(store, everything, changes, reason, takedown.number)
        parts += _drop(store, [change.replaces for change in changes], records)
    uids = frozenset[str]().union(*(lineage.pictures(artifact).uids for artifact in everything))
    names = {name.value for name in takedown.names()} | uids
    named = {entry.key for artifact in everything for entry in artifact.files.values()}
    unfinished = holding(store, records, named, names, anonymous=bool(uids))
    for entry in (entry for key in unfinished for entry in records[key].values()):
        store.uncache(entry.sha256)
    store.delete(unfinished)
    for change, _, _ in _replacements(store).values():
        store.uncache(change.replaces_sha256)
    cut_out = sum(cut.bytes for cut in cuts)
    return {"files": len(cuts), "bytes": cut_out, "artifacts": len(amended), "parts": parts + len(unfinished)}


def _busy(leases: Iterable[str]) -> list[str]:
    return sorted({lease.split("/")[1] for lease in leases} - {LEASE[0]})


def _cuts(lineage: Lineage) -> dict[str, _Cut]:
    """Key -> what must go of that file; without what is gone already."""
    spans: dict[str, set[Span]] = defaultdict(set)
    cuts: dict[str, _Cut] = {}
    for artifact in lineage.artifacts.values():
        for place in kind_of(artifact).pixels(artifact, lineage.pictures(artifact)):
            entry = artifact.entry(place.path)
            if isinstance(place, Drawing):
                if not entry.key.startswith(f"files/{LEASE[0]}/"):
                    cuts[entry.key] = _Cut(entry, frozenset())
            elif place.length and not _is_zero(artifact, place):
                spans[entry.key].add(place)
                cuts[entry.key] = _Cut(entry, frozenset(spans[entry.key]))
    return dict(sorted(cuts.items()))


def _is_zero(artifact: Artifact, span: Span) -> bool:
    data = artifact.read(span.path, span.offset, span.length)
    return data.count(0) == len(data)


def _rewritten(store: Store, cut: _Cut, takedown: Takedown) -> Replacement:
    """Put a copy without the pictures beside the old file."""
    name = cut.entry.key.rsplit("/", 1)[1]
    own = uuid.uuid4().hex
    folder = store.scratch() / f"purge-{own}"
    folder.mkdir(parents=True)
    try:
        copy = folder / name
        old = store.fetch(cut.entry.key, cut.entry.sha256, cut.entry.size)
        if cut.spans:
            shutil.copyfile(old, copy)
            with copy.open("r+b") as file:
                for span in cut.spans:
                    file.seek(span.offset)
                    file.write(bytes(span.length))
        else:
            with Image.open(old) as drawing:
                Image.new("RGB", drawing.size, GREY).save(copy)
        size, sha256 = copy.stat().st_size, sha256_of(copy)
        key = f"files/{LEASE[0]}/{takedown.number:08d}/{short_hash(own)}/{name}"
        store.put(key, copy)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Replacement("", key, size, sha256, cut.entry.key, cut.entry.sha256)


def _replace(
    store: Store, everything: Iterable[Artifact], changes: Iterable[Replacement], reason: str, takedown: int
) -> set[str]:
    """Amend every artifact that names an old file; the fingerprints of those."""
    by_key = {change.replaces: change for change in changes}
    amended: set[str] = set()
    for artifact in everything:
        own = [
            replace(by_key[entry.key], path=path)
            for path, entry in artifact.files.items()
            if entry.key in by_key
        ]
        if own:
            amend(store, artifact.stage, artifact.fingerprint, own, reason, takedown)
            amended.add(artifact.fingerprint)
    return amended


def _drop(store: Store, keys: Sequence[str], records: Records) -> int:
    """Delete old files that no artifact names any more, before them the records of parts that do."""
    old = set(keys)
    naming = [key for key, files in records.items() if any(entry.key in old for entry in files.values())]
    store.delete(naming)
    for key in naming:
        del records[key]
    store.delete(keys)
    return len(naming)


def _finish(store: Store, records: Records) -> int:
    """End what a purge began and runs undid since: no artifact names a replaced file, and none stays."""
    replacements = _replacements(store)
    if not replacements:
        return 0
    everything = list(Lineage(store, set()).artifacts.values())
    for reason, takedown in {(reason, takedown) for _, reason, takedown in replacements.values()}:
        own = [change for change, *why in replacements.values() if why == [reason, takedown]]
        _replace(store, everything, own, reason, takedown)
    there = {listed.key for listed in store.list("files")}
    return _drop(store, sorted(there & replacements.keys()), records)


def _replacements(store: Store) -> dict[str, tuple[Replacement, str, int]]:
    """Key of a replaced file -> what stands for it now, and the reason and take-down of the amendment."""
    direct = {
        change.replaces: (change, amendment.reason, amendment.takedown)
        for amendments in all_amendments(store).values()
        for amendment in amendments
        for change in amendment.changes
    }
    final: dict[str, tuple[Replacement, str, int]] = {}
    for old, (first, _, _) in direct.items():
        last = direct[old]
        while last[0].key in direct:  # a copy that was replaced in turn
            last = direct[last[0].key]
        change = replace(last[0], replaces=old, replaces_sha256=first.replaces_sha256)
        final[old] = (change, *last[1:])
    return final
