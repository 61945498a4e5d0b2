"""The edition before: why a refresh fetches only what is new, and a repeated request nothing.

The flow uses it around the stage:

    sources = snapshot(config)
    gone = takedowns(store)
    previous = previous_of(store, name, config, sources, gone)
    images = collect(previous, sources, gone, config, store=store)
    refer(store, f"images/{name}", images, note_of(config, sources, gone, previous))
"""

from stages.artifacts.artifact import Artifact, Snapshot
from stages.artifacts.reference import references
from stages.collect.collect import collect
from stages.config.collect import CollectConfig
from stages.fingerprint import JSON, canonical_config, fingerprint_of
from stages.store import Store


def request_of(config: CollectConfig, sources: Snapshot, takedowns: Snapshot | None) -> str:
    """64 hex digits that name what a collection shall bring, whatever was collected before."""
    return fingerprint_of(
        {
            "version": collect.version,
            "config": canonical_config(config),
            "sources": sources.digest,
            "takedowns": takedowns.digest if takedowns else None,
        }
    )


def note_of(
    config: CollectConfig, sources: Snapshot, takedowns: Snapshot | None, previous: Artifact | None
) -> dict[str, JSON]:
    """What the reference of a finished collection must carry, for `previous_of` to answer alike later."""
    request = request_of(config, sources, takedowns)
    return {"request": request, "previous": previous.fingerprint if previous else ""}


def previous_of(
    store: Store, name: str, config: CollectConfig, sources: Snapshot, takedowns: Snapshot | None = None
) -> Artifact | None:
    """The artifact that a collection shall build on; None where there is none. The module says how to use it.

    The history `images/NAME` says: a request that is in it builds on what it was built on then, so that it
    has the same fingerprint and is found finished; any other builds on the newest entry. An attempt that
    failed left no entry, so that its retry builds on the same. Artifacts of another version of collect
    judge by other rules and are passed over.

    Args:
        store: where the history and the artifacts are.
        name: of the run, as in "images/NAME".
        config: of the collection.
        sources: its snapshot.
        takedowns: of the store.
    """
    request = request_of(config, sources, takedowns)
    history = references(store, f"images/{name}")
    for entry in reversed(history):
        if entry.note.get("request") == request:
            built_on = str(entry.note.get("previous", ""))
            if not built_on:
                return None
            # Where that was swept away, the entry itself, of which nothing must be fetched.
            base = Artifact.find(store, collect.name, built_on)
            return base or Artifact.find(store, entry.stage, entry.fingerprint)
    for entry in reversed(history):
        artifact = Artifact.find(store, entry.stage, entry.fingerprint)
        if artifact is not None and artifact.manifest.version == collect.version:
            return artifact
    return None
