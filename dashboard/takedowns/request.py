"""A request to take pictures down: what it names, what would go, and the proof that this was looked at."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stages.artifacts.artifact import Artifact
from stages.fingerprint import fingerprint_of
from stages.store import ReadOnlyStore, Store
from stages.takedown.holders import Holder, Lineage, holders
from stages.takedown.names import listed_names, names_of
from stages.takedown.records import KINDS, Name, Takedown, drafted

SAMPLES = 12
"""Thumbnails of a dry run."""
SPELLED = 8
"""Names of pictures that a command line gets; more stand in a list."""


@dataclass(frozen=True)
class DryRun:
    """What a take-down would be, and what holds its pictures."""

    takedown: Takedown
    holders: Sequence[Holder]
    samples: Sequence[tuple[Artifact, str]]
    """(artifact, uid) of some of the pictures."""

    @property
    def seen(self) -> str:
        """Stands for what the dry run's page shows. A confirmation that brings another is of another look."""
        holdings = [[holder.artifact.fingerprint, holder.rows] for holder in self.holders]
        names = sorted([name.kind, name.value] for name in self.takedown.names())
        return fingerprint_of([names, self.takedown.why, holdings])


def dry_run(store: Store, names: str, why: str) -> DryRun:
    """What a request would do; nothing is changed.

    Args:
        store: where.
        names: as they were typed: addresses, uids, SHA-256s and hosts, one a line.
        why: the reason.

    Raises:
        ValueError: a line is no name, none is given, or no reason.
    """
    takedown = drafted(store, given_names(names), why)
    sha256s = set(takedown.sha256s)
    listed = holders(store, sha256s) if sha256s else []
    return DryRun(takedown, listed, list(_samples(store, sha256s, listed)))


def given_names(text: str) -> Sequence[Name]:
    """The names in a form's field; ValueError names a line that is none."""
    return list(listed_names(text, "the list"))


def asked_for(query: Mapping[str, str]) -> str:
    """The field's beginning where a link brings names: `?uid=`, `?url=`, `?sha256=`, `?host=`. What is no
    such name is left out."""
    lines: list[str] = []
    for kind in KINDS:
        try:
            lines += [name.value for name in names_of(kind, query[kind])][:1] if query.get(kind) else []
        except ValueError:
            continue
    return "\n".join(lines)


def why_not(store: Store) -> str:
    """Why nothing can be requested here; "" where it can."""
    if isinstance(store, ReadOnlyStore):
        return (
            f"The store {store.url} is opened for reading, so that no take-down can be recorded here. "
            "Whoever may write to it says: sdflow forget --url … --why …"
        )
    return ""


def purge_command(store: Store, takedown: Takedown) -> str:
    """The command line that takes the pictures' bytes out of the store, too."""
    shown = takedown.sha256s if len(takedown.sha256s) <= SPELLED else ()
    names = [word for sha256 in shown for word in ("--sha256", sha256)]
    names = names or ["--file", names_file(takedown)]
    words = ["sdflow", "forget", *names, "--why", f"take-down {takedown.number}", "--purge"]
    return shlex.join([*words, "--store", store.url])


def names_file(takedown: Takedown) -> str:
    """What the list of a take-down's pictures is called when it is saved."""
    return f"take-down-{takedown.number}.txt"


def _samples(store: Store, sha256s: set[str], listed: Sequence[Holder]) -> Iterator[tuple[Artifact, str]]:
    """From the first that has them, which is a collection where one is left."""
    holder = next((holder for holder in listed if holder.has_pixels), None)
    if holder is not None:
        uids = sorted(Lineage(store, sha256s).pictures(holder.artifact).uids)
        yield from ((holder.artifact, uid) for uid in uids[:SAMPLES])
