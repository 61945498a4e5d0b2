"""What is out of date: names whose newest version would be another one if its run were started again now.

A fingerprint is made of the stage's version, its config and its inputs. Of these the store and this
installation tell two: a stage that has another version now, and an input that has a newer version, or other
take-downs. What nobody recorded nobody can compare: a config file that was edited since, and files outside of
the store that have changed, are found when the run is started again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dashboard.catalogue import Contents
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import Reference
from stages.registry import kinds

TAKEDOWNS = "takedowns"
"""What stages call the input that holds all take-downs."""


@dataclass(frozen=True)
class StaleReason:
    """Why a version is out of date."""

    artifact: Artifact
    """Which of its lineage has something else now, perhaps itself."""
    words: str


@dataclass(frozen=True)
class Stale:
    """The newest version of a name that is out of date."""

    version: Reference
    artifact: Artifact
    reasons: Sequence[StaleReason]


def stale(contents: Contents, versions: Mapping[str, int], takedowns: str | None) -> list[Stale]:
    """Names that are out of date, in the order of the alphabet.

    Args:
        contents: of the store.
        versions: of the stages, by name; of a stage that is missing nothing is said.
        takedowns: digest of all take-downs, as an input; None where there are none.
    """
    outdated: list[Stale] = []
    for name in contents.histories:
        version = _released(contents, name)
        artifact = contents.artifacts.get(version.fingerprint) if version else None
        if version is None or artifact is None or artifact.dropped is not None:
            continue
        reasons = [
            reason
            for each in _lineage(contents, artifact)
            for reason in _reasons(contents, each, versions, takedowns, itself=each is artifact)
        ]
        if reasons:
            outdated.append(Stale(version, artifact, reasons))
    return outdated


def _reasons(
    contents: Contents,
    artifact: Artifact,
    versions: Mapping[str, int],
    takedowns: str | None,
    *,
    itself: bool,
) -> Iterator[StaleReason]:
    manifest = artifact.manifest
    version = versions.get(artifact.stage, manifest.version)
    if version != manifest.version:
        yield StaleReason(
            artifact,
            f"its code: {artifact.stage} is version {version} here, and version {manifest.version} made it",
        )
    if TAKEDOWNS in manifest.inputs:
        recorded = manifest.inputs[TAKEDOWNS]
        if (recorded["digest"] if recorded else None) != takedowns:
            yield StaleReason(artifact, "an input: other take-downs count now than when it was made")
    if not itself:
        for reference in contents.references.get(artifact.fingerprint, ()):
            newest = _released(contents, reference.rpartition("@")[0])
            if newest and newest.fingerprint != artifact.fingerprint:
                yield StaleReason(artifact, f"an input: it was made from {reference}, and {newest} is out")


def _lineage(contents: Contents, artifact: Artifact) -> list[Artifact]:
    """An artifact and what it was made from, nearest first; without what it replaces, as editions before."""
    queue, seen = [artifact], {artifact.fingerprint}
    for each in queue:
        kind = kinds().get(each.kind)
        for name, parent in contents.parents(each):
            replaced = kind is not None and name in kind.supersedes
            if not replaced and parent.fingerprint not in seen:
                seen.add(parent.fingerprint)
                queue.append(parent)
    return queue


def _released(contents: Contents, name: str) -> Reference | None:
    """What `@latest` means; None where every version is on hold."""
    on_hold = contents.on_hold[name]
    return next((each for each in reversed(contents.histories[name]) if each.number not in on_hold), None)
