"""What people mean by a name or a fingerprint, among what a store holds; dropped artifacts too."""

from dashboard.catalogue import Contents
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import Reference

DIGITS = 6
"""Of a fingerprint, at least."""


def resolved(contents: Contents, text: str) -> Artifact:
    """The artifact that a text means.

    Args:
        contents: of the store.
        text: "datasets/birds" or "datasets/birds@latest" (the newest that is not on hold),
            "datasets/birds@3", or the first digits of a fingerprint or digest, perhaps after "STAGE/".

    Raises:
        ValueError: nothing, or more than one thing, is meant; says what there is.
    """
    text = text.strip()
    name, _, number = text.partition("@")
    if name in contents.histories:
        entry = _entry(contents, name, number)
        if entry.fingerprint not in contents.artifacts:
            raise ValueError(f"{entry} names {entry.short_name}, and the store holds no such artifact")
        return contents.artifacts[entry.fingerprint]
    stage, _, digits = text.rpartition("/")
    matches = contents.by_prefix(digits, stage) if len(digits) >= DIGITS else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ValueError(f"{text!r} means {len(matches)} artifacts; give more digits")
    known = ", ".join(list(contents.histories)[:12]) or "none yet"
    raise ValueError(f"{text!r} is no name and no fingerprint of this store; names: {known}")


def reference_name(contents: Contents, artifact: Artifact) -> str:
    """What people call an artifact: its last reference, or "shard/0123456789ab"."""
    return (contents.references.get(artifact.fingerprint) or [artifact.short_name])[-1]


def names_of(contents: Contents, artifact: Artifact) -> list[str]:
    """The names, without numbers, in whose histories an artifact stands; the last one last."""
    called = contents.references.get(artifact.fingerprint, ())
    return list(dict.fromkeys(reference.rpartition("@")[0] for reference in called))


def _entry(contents: Contents, name: str, number: str) -> Reference:
    history = contents.histories[name]
    if number in ("", "latest"):
        released = [entry for entry in history if entry.number not in contents.on_hold[name]]
        if not released:
            raise ValueError(f"every version of {name} is on hold; name one by its number, as {history[-1]}")
        return released[-1]
    for entry in history:
        if str(entry.number) == number:
            return entry
    there = ", ".join(str(entry.number) for entry in history[-12:])
    raise ValueError(f"{name} has no version {number!r}; it has {there}")
