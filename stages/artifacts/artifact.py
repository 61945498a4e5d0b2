"""Artifact: a finished, immutable result of a stage; its manifest says what it is and where it came from.

What was purged from its files since then is told by amendments beside the manifest, see
`stages.artifacts.amendment`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from stages.artifacts.amendment import Amendment, all_amendments, amendments
from stages.artifacts.files import FileEntry, Files
from stages.artifacts.seal import sealed, unsealed
from stages.errors import DamagedError
from stages.fingerprint import JSON, digest_of, request_fingerprint, short_hash
from stages.store import Store


@dataclass(frozen=True)
class Funnel:
    """What became of the rows that came in. It closes: rows in = rows out + rows per reason."""

    rows_in: int
    rows_out: int
    reasons: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        left = sum(self.reasons.values())
        assert self.rows_in == self.rows_out + left, (
            f"{self.rows_in} rows in, {self.rows_out} out, {dict(self.reasons)}"
        )

    def __add__(self, other: "Funnel") -> "Funnel":
        reasons = dict(self.reasons)
        for reason, rows in other.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + rows
        return Funnel(
            self.rows_in + other.rows_in, self.rows_out + other.rows_out, dict(sorted(reasons.items()))
        )


class Digested(Protocol):
    """Anything that can be a stage's input: what matters of it is its digest."""

    @property
    def digest(self) -> str: ...


@dataclass(frozen=True)
class Snapshot:
    """An input from outside the store, as it was when looked at: a digest and what it was made of."""

    digest: str
    contents: JSON = None


@dataclass(frozen=True)
class Manifest:
    """What an artifact is. Written once, create-only, when everything that it names is in the store."""

    fingerprint: str
    digest: str
    kind: str
    stage: str
    version: int
    config: Mapping[str, JSON]
    inputs: Mapping[str, Mapping[str, str] | None]
    funnel: Funnel
    statistics: Mapping[str, JSON]
    files: Mapping[str, FileEntry]
    code: str
    libraries: Mapping[str, str]
    started: str
    ended: str
    host: str

    def to_json(self) -> bytes:
        return sealed(asdict(self))

    @classmethod
    def read(cls, store: Store, key: str) -> "Manifest":
        """The manifest at a key.

        Raises:
            FileNotFoundError: there is none.
            DamagedError: what lies there is no manifest.
        """
        return cls.parse(store.read(key), f"{key} in {store.url}")

    @classmethod
    def parse(cls, data: bytes, name: str) -> "Manifest":
        """The manifest that was written as `data`. DamagedError: it is none; `name` is what messages call
        it."""
        raw = unsealed(data, name)
        try:
            raw["funnel"] = Funnel(**raw["funnel"])
            raw["files"] = {name: FileEntry(**entry) for name, entry in raw["files"].items()}
            return cls(**raw)
        except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
            raise DamagedError(
                f"{name} is no manifest that this version reads ({error}); restore it from a "
                "copy, or read it with the version that wrote it"
            ) from error


def manifest_key(stage: str, fingerprint: str) -> str:
    """Where the manifest of a request lies, once it is finished."""
    return f"manifests/{stage}/{fingerprint}.json"


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
        files = dict(manifest.files)
        for amendment in amended:
            for change in amendment.changes:
                files[change.path] = FileEntry(change.key, change.size, change.sha256)
        super().__init__(store, files)
        self.manifest = manifest
        self.cached = cached
        self.amendments = tuple(amended)

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
        """The artifact of a request; ValueError if it is not finished."""
        artifact = cls.find(store, stage, fingerprint)
        if artifact is None:
            raise ValueError(
                f"store {store.url} holds no finished {stage} {fingerprint}; `sdflow ls` shows what it holds"
            )
        return artifact

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

    def input(self, name: str) -> "Artifact | None":
        """The artifact that was this one's input `name`; None where that was absent or from outside."""
        recorded = self.manifest.inputs[name]
        if not recorded or not recorded["fingerprint"]:
            return None
        return Artifact.open(self.store, recorded["stage"], recorded["fingerprint"])

    def ancestors(self) -> "Iterator[Artifact]":
        """Every artifact that this one was made from, nearest first, each once."""
        seen: set[str] = set()
        queue: list[Artifact] = [self]
        while queue:
            current = queue.pop(0)
            for name in current.manifest.inputs:
                parent = current.input(name)
                if parent is not None and parent.fingerprint not in seen:
                    seen.add(parent.fingerprint)
                    queue.append(parent)
                    yield parent

    def verify(self, sha256: Callable[[str], str] | None = None) -> list[str]:
        """Hash again every file, and name again what was asked; the complaints, none where all is well.

        A file that was amended is compared with its amendment, the digest with the manifest's own files.

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
        if named != self.digest:
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
        manifest = Manifest.read(store, listed.key)
        yield Artifact(store, manifest, amended=amended.get((manifest.stage, manifest.fingerprint), ()))
