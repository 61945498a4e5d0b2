"""`retain`: drop the versions of names that a rule does not keep, and what only they were made of.

The order makes it safe, against runs at work (see `stages.artifacts.dropping`) as against a crash: tombstones
of all that goes; a second look, at who has come to need some of it; entries of histories; leases, manifests,
amendments and results of verification of what goes; tombstones that nothing needs. Of what was begun and not
ended, the tombstones say so: the next call, of whatever name, takes it up again, as far as nobody needs it
since. Files are for garbage collection to delete.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from stages.artifacts.activity import Activity, Renewal, activity, leases_in_use, release_abandoned
from stages.artifacts.amendment import amended_artifacts
from stages.artifacts.artifact import Artifact
from stages.artifacts.dropping import LEASE
from stages.artifacts.lease import CLOCK, SECONDS, Clock, Lease, acquire
from stages.artifacts.manifest import manifest_key
from stages.artifacts.reference import delete_entries
from stages.artifacts.verification import FOLDER as VERIFICATIONS
from stages.artifacts.verification import newest_keys
from stages.config.retention import RetainConfig
from stages.errors import RetryableError
from stages.retention.inventory import Inventory, take_inventory
from stages.retention.outcome import Retained, needed_tombstones, outcome, tombstone_of, unreadable
from stages.retention.plan import plan
from stages.retention.rule import words_of
from stages.store import Store

GRACE = timedelta(hours=1)
"""What was published less long ago stays: somebody is about to read it."""


def retain(
    store: Store,
    names: Sequence[str],
    rule: RetainConfig,
    *,
    dry_run: bool = False,
    grace: timedelta = GRACE,
    watch: float = SECONDS,
    clock: Clock = CLOCK,
) -> Retained:
    """Drop versions; `collect_garbage` frees their files afterwards.

    Args:
        store: where.
        names: whose versions the rule is about, as "datasets/demo". With a dataset's go those of the
            collections of its run, images/NAME, that no version needs any more.
        rule: which versions stay.
        dry_run: look only.
        grace: what was published less long ago stays.
        watch: seconds for which another host's lease is watched, before it counts as abandoned.
        clock: what these seconds are measured by.

    Raises:
        ValueError: a name has no history, or the rule keeps every version.
        RetryableError: somebody else drops, or purges, at the moment.
    """
    if dry_run:
        inventory = take_inventory(store, activity(store, watch, clock), grace)
        if inventory.damaged:
            return unreadable(inventory)
        return outcome(inventory, plan(inventory, names, rule, datetime.now(UTC)))
    lease = acquire(store, *LEASE, Renewal().missing, clock=clock)
    if lease is None:
        raise RetryableError(f"somebody drops versions in {store.url}; try again when they have ended")
    with lease:
        work = activity(store, watch, clock)
        went_on = release_abandoned(store, work.abandoned)
        work = replace(work, in_use=(*work.in_use, *went_on))
        if any(folder.startswith("leases/purge/") for folder in work.in_use):
            raise RetryableError(f"somebody purges {store.url}; try again when they have ended")
        return _drop(store, names, rule, take_inventory(store, work, grace), grace, lease)


def _drop(
    store: Store, names: Sequence[str], rule: RetainConfig, before: Inventory, grace: timedelta, lease: Lease
) -> Retained:
    """All of it, in the order that the module says."""
    if before.damaged:
        return unreadable(before)
    now = datetime.now(UTC)
    first = plan(before, names, rule, now)
    for node in sorted(first.nodes):
        _bury(store, before, before.artifacts[node], f"retention of {', '.join(names)} ({words_of(rule)})")
    in_use = Activity(tuple(leases_in_use(store)), (), ())
    after = take_inventory(store, in_use, grace, known=before.artifacts)
    if after.damaged:
        return unreadable(after)
    second = first.confirmed_by(plan(after, names, rule, now))
    _check(lease, store)
    delete_entries(store, second.entries)
    store.delete(listed.key for node in sorted(second.nodes) for listed in store.list(f"leases/{node}"))
    _check(lease, store)
    store.delete(manifest_key(*node.split("/")) for node in sorted(second.nodes))
    gone = second.nodes | after.buried
    for stage, fingerprint in amended_artifacts(store):
        if f"{stage}/{fingerprint}" in gone:
            store.delete(listed.key for listed in store.list(f"amendments/{stage}/{fingerprint}"))
    for stage, fingerprint in newest_keys(listed.key for listed in store.list(VERIFICATIONS)):
        if f"{stage}/{fingerprint}" in gone:
            store.delete(listed.key for listed in store.list(f"{VERIFICATIONS}/{stage}/{fingerprint}"))
    store.delete(sorted(after.tombstones.keys() - needed_tombstones(after, second.nodes)))
    return outcome(after, second)


def _bury(store: Store, inventory: Inventory, artifact: Artifact, why: str) -> None:
    """Put a tombstone beside a manifest."""
    tombstone = tombstone_of(inventory, artifact, why)
    earlier = inventory.tombstones.get(tombstone.key)
    if earlier is not None and earlier.is_of(artifact.manifest):
        if earlier.references == tombstone.references:
            return
        # An earlier call was interrupted; it may have deleted some of the names.
        names = tuple(dict.fromkeys([*earlier.references, *tombstone.references]))
        tombstone = replace(tombstone, references=names)
    if earlier is not None:
        store.delete([tombstone.key])
    store.create(tombstone.key, tombstone.to_json())


def _check(lease: Lease, store: Store) -> None:
    if lease.lapsed():
        raise RetryableError(
            f"dropping versions in {store.url} was stopped for so long that others may have begun to; again"
        )
