"""The edition before: why a refresh fetches only what is new, and a repeated request nothing.

A run that comes to collect asks for its inputs, and files the result with what the next edition must know:

    previous, sources, removed = edition_inputs(request)
    images = collect(previous, sources, removed, config, store=store)
    refer(store, f"images/{name}", images, edition_note(config, (previous, sources, removed)))
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.artifacts.artifact import Artifact, Snapshot
from stages.artifacts.reference import references
from stages.collect.sources.files import snapshot
from stages.config.collect import CollectConfig
from stages.fingerprint import JSON, canonical_config, fingerprint_of
from stages.stage import Request
from stages.store import Store
from stages.takedown.records import takedowns

VERSION = 4
"""Of the stage collect: artifacts of another judge by other rules."""


def request_of(config: CollectConfig, sources: Snapshot, takedowns: Snapshot | None) -> str:
    """64 hex digits that name what a collection shall bring, whatever was collected before."""
    return fingerprint_of(
        {
            "version": VERSION,
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
            finished = Artifact.find(store, entry.stage, entry.fingerprint)
            if finished is not None:  # then nothing is read of what it was built on, which may be dropped
                base = Artifact.find_or_tombstone(store, "collect", built_on)
            else:
                base = Artifact.find(store, "collect", built_on)
            # Where that was swept away, the entry itself, of which nothing must be fetched.
            return base or finished
    for entry in reversed(history):
        artifact = Artifact.find(store, entry.stage, entry.fingerprint)
        if artifact is not None and artifact.manifest.version == VERSION:
            return artifact
    return None


def edition_inputs(request: Request[CollectConfig]) -> list[Artifact | Snapshot | None]:
    """What collect reads: the edition before, the sources as they are now, and all take-downs."""
    sources, removed = snapshot(request.config, request.check), takedowns(request.store)
    previous = previous_of(request.store, request.name, request.config, sources, removed)
    return [previous, sources, removed]


def edition_note(config: CollectConfig, inputs: Sequence[Any]) -> Mapping[str, JSON]:
    """What the reference to a collection carries, from its inputs."""
    previous, sources, removed = inputs
    return note_of(config, sources, removed, previous)
