"""Artifact: a finished, immutable result of a stage; its manifest says what it is and where it came from.

What was purged from its files since then is told by amendments beside the manifest, see
`stages.artifacts.amendment`; what is known of one that was dropped, by `stages.artifacts.tombstone`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stages.artifacts.amendment import Amendment, all_amendments, amended_files, amendments
from stages.artifacts.files import FileEntry, Files
from stages.artifacts.manifest import Funnel, Manifest, manifest_key
from stages.artifacts.tombstone import Tombstone, find_tombstone
from stages.fingerprint import JSON, digest_of, request_fingerprint, short_hash
from stages.store import Store

__all__ = ["Artifact", "Digested", "Funnel", "Manifest", "Snapshot", "artifacts", "manifest_key"]


class Digested(Protocol):
    """Anything that can be a stage's input: what matters of it is its digest."""

    @property
    def digest(self) -> str: ...


@dataclass(frozen=True)
class Snapshot:
    """An input from outside the store, as it was when looked at: a digest and what it was made of."""

    digest: str
    contents: JSON = None


class Artifact(Files):
    """A finished result: its manifest, and its files where they lie."""

    def __init__(
        self, store: Store, manifest: Manifest, *, cached: bool = True, amended: Sequence[Amendment] = ()
    ) -> None:
        """An artifact that is in the store.

        Args:
            store: where it is.
            manifest: what it is.
            cached: it was found finished; False on the call that made it.
            amended: its amendments, in order: `files` is what the manifest says with these applied.
        """
        super().__init__(store, amended_files(manifest.files, amended))
        self.manifest = manifest
        self.cached = cached
        self.amendments = tuple(amended)
        self.dropped: Tombstone | None = None
        """What is kept of it where retention dropped it: then it has no files."""

    @classmethod
    def of_tombstone(cls, store: Store, tombstone: Tombstone) -> "Artifact":
        """An artifact that was dropped: what it was, without its files."""
        artifact = cls(store, tombstone.manifest)
        artifact.dropped = tombstone
        return artifact

    @classmethod
    def find(cls, store: Store, stage: str, fingerprint: str) -> "Artifact | None":
        """The artifact of a request, if it is finished."""
        try:
            manifest = Manifest.read(store, manifest_key(stage, fingerprint))
        except FileNotFoundError:
            return None
        return cls(store, manifest, amended=amendments(store, stage, fingerprint))

    @classmethod
    def open(cls, store: Store, stage: str, fingerprint: str) -> "Artifact":
        """The artifact of a request; ValueError if it is not finished, or was dropped."""
        artifact = cls.find(store, stage, fingerprint)
        if artifact is None:
            raise ValueError(absence(store, stage, fingerprint))
        return artifact

    @classmethod
    def find_or_tombstone(
        cls, store: Store, stage: str, fingerprint: str, digest: str = ""
    ) -> "Artifact | None":
        """The artifact of a request, if it is finished, or what is known of it since it was dropped.

        Args:
            store: where to look.
            stage: of the artifact.
            fingerprint: of the artifact.
            digest: that it had, where that is known: a request that was made again may have brought another.
        """
        artifact = cls.find(store, stage, fingerprint)
        if artifact is not None and digest in ("", artifact.digest):
            return artifact
        tombstone = find_tombstone(store, stage, fingerprint, digest)
        return artifact if tombstone is None else cls.of_tombstone(store, tombstone)

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    @property
    def short_name(self) -> str:
        """What messages and commands call it: "shard/0123456789ab"."""
        return f"{self.stage}/{short_hash(self.fingerprint)}"

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def kind(self) -> str:
        return self.manifest.kind

    @property
    def stage(self) -> str:
        return self.manifest.stage

    @property
    def funnel(self) -> Funnel:
        return self.manifest.funnel

    @property
    def statistics(self) -> Mapping[str, Any]:
        return self.manifest.statistics

    @property
    def config(self) -> Mapping[str, Any]:
        return self.manifest.config

    def entry(self, name: str) -> FileEntry:
        """Where file `name` lies; ValueError if there is none, or it went when the artifact was dropped."""
        if self.dropped is not None:
            raise ValueError(f"{self.dropped}, and its files are gone; {_AGAIN}")
        return super().entry(name)

    def input(self, name: str) -> "Artifact | None":
        """The artifact that was this one's input `name`, perhaps a dropped one; None where that was absent or
        from outside.

        ValueError: the store knows nothing of it; only of what was dropped itself may inputs be unknown.
        """
        recorded = self.manifest.inputs[name]
        if not recorded or not recorded["fingerprint"]:
            return None
        stage, fingerprint = recorded["stage"], recorded["fingerprint"]
        artifact = Artifact.find_or_tombstone(self.store, stage, fingerprint, recorded["digest"])
        if artifact is None:
            raise ValueError(absence(self.store, stage, fingerprint))
        return artifact

    def ancestors(self) -> "Iterator[Artifact]":
        """Every artifact that this one was made from, nearest first, each once: dropped ones as well, but for
        those of which the store knows nothing any more."""
        seen: set[str] = set()
        queue: list[Artifact] = [self]
        while queue:
            for recorded in queue.pop(0).manifest.inputs.values():
                if not recorded or not recorded["fingerprint"] or recorded["fingerprint"] in seen:
                    continue
                seen.add(recorded["fingerprint"])
                parent = Artifact.find_or_tombstone(
                    self.store, recorded["stage"], recorded["fingerprint"], recorded["digest"]
                )
                if parent is not None:
                    queue.append(parent)
                    yield parent

    def verify(self, sha256: Callable[[str], str] | None = None) -> list[str]:
        """Hash again every file, and name again what was asked; the complaints, none where all is well.

        A file that was amended is compared with its amendment, the digest with the manifest's own files. Of a
        dropped artifact only what was asked is left.

        Args:
            sha256: of the bytes below a key, as `Store.sha256`, which it is where None.
        """
        sha256 = sha256 or self.store.sha256
        complaints: list[str] = []
        for name, entry in sorted(self.files.items()):
            try:
                actual = sha256(entry.key)
            except FileNotFoundError:
                complaints.append(f"{name}: missing ({entry.key})")
                continue
            if actual != entry.sha256:
                complaints.append(
                    f"{name}: should hash to {entry.sha256} and hashes to {actual} ({entry.key})"
                )
        named = digest_of({name: entry.sha256 for name, entry in self.manifest.files.items()})
        if named != self.digest and self.dropped is None:
            complaints.append(f"manifest: digest should be {named} and is {self.digest}")
        manifest = self.manifest
        digests = {
            name: snapshot["digest"] if snapshot else None for name, snapshot in manifest.inputs.items()
        }
        fingerprint = request_fingerprint(manifest.stage, manifest.version, manifest.config, digests)
        if fingerprint != self.fingerprint:
            complaints.append(
                f"manifest: stage, version, config and inputs make the fingerprint {fingerprint}, and it is "
                f"{self.fingerprint}"
            )
        return complaints


def artifacts(store: Store, stage: str | None = None) -> Iterator[Artifact]:
    """Every finished artifact of a store, or of one stage, in the order of fingerprints."""
    prefix = f"manifests/{stage}" if stage else "manifests"
    listing = list(store.list(prefix))
    amended = all_amendments(store)  # after the listing: whatever was purged by then is known
    for listed in listing:
        try:
            manifest = Manifest.read(store, listed.key)
        except FileNotFoundError:  # dropped meanwhile
            continue
        yield Artifact(store, manifest, amended=amended.get((manifest.stage, manifest.fingerprint), ()))


_AGAIN = "the run that made it, started again, makes it again from what is there now"


def absence(store: Store, stage: str, fingerprint: str) -> str:
    """Why there is no artifact."""
    tombstone = find_tombstone(store, stage, fingerprint)
    if tombstone is not None:
        return f"{tombstone}; {_AGAIN}"
    return f"store {store.url} holds no finished {stage} {fingerprint}; `sdflow ls` shows what it holds"
