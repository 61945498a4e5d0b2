"""Dropping: how those who are about to use an artifact, and retention that is about to drop it, see each
other.

Retention holds a lease of its own and puts a tombstone beside the manifest first; then it looks who is at
work and what is referred to; then it deletes. Whoever uses an artifact says so first, by a lease that names
what it reads or by a reference, and then looks for the tombstone. Of the two, at least one sees the other.
"""

from stages.artifacts.artifact import Artifact, absence
from stages.artifacts.lease import latest
from stages.artifacts.leaseholder import at_work, lease_log
from stages.artifacts.manifest import manifest_key
from stages.artifacts.tombstone import find_tombstone
from stages.errors import RetryableError
from stages.store import Store

LEASE = ("retention", "all")
"""Stage and fingerprint by which retention holds its lease."""


def check_stands(store: Store, artifact: Artifact) -> None:
    """Refuse an artifact that was dropped, or is being dropped.

    Raises:
        ValueError: it was dropped.
        RetryableError: retention is at work, and is about to drop it.
    """
    if not store.exists(manifest_key(artifact.stage, artifact.fingerprint)):
        raise ValueError(absence(store, artifact.stage, artifact.fingerprint))
    tombstone = find_tombstone(store, artifact.stage, artifact.fingerprint, artifact.digest)
    if tombstone is not None and tombstone.is_of(artifact.manifest) and _retention_at_work(store):
        raise RetryableError(f"{artifact.short_name} is being dropped by {tombstone.why}; start again then")


def _retention_at_work(store: Store) -> bool:
    _, holder, _ = latest(lease_log(store, f"leases/{'/'.join(LEASE)}"))
    return holder is not None and at_work(holder) is not False
