"""Verification of a store: every file is hashed again, every seal and fingerprint computed again."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from stages.artifacts.amendment import Amendment
from stages.artifacts.approval import Approval
from stages.artifacts.artifact import Artifact, Manifest
from stages.artifacts.leaseholder import LeaseHolder
from stages.artifacts.part import PartRecord
from stages.artifacts.reference import Reference
from stages.artifacts.status import Status
from stages.artifacts.study import FOLDER as STUDIES
from stages.artifacts.study import StudyRecord
from stages.artifacts.tombstone import Tombstone
from stages.artifacts.verification import FOLDER as VERIFICATIONS
from stages.artifacts.verification import VerificationResult
from stages.errors import DamagedError
from stages.store import Store
from stages.takedown.records import Takedown


@dataclass(frozen=True)
class Verification:
    """What became of it."""

    complaints: Mapping[str, Sequence[str]]
    """Of each artifact, "STAGE/FINGERPRINT", what is wrong, perhaps nothing; of each other record that is
    damaged, or whose files are, likewise by its key."""
    artifacts: int
    files: int
    """Files that artifacts name."""
    records: int
    """Parts, references, approvals, leases, statuses, amendments, take-downs, studies, verifications."""
    unnamed: int = 0
    """Files that no record names, so nothing says what they should be: `sdflow gc` deletes them in time."""

    @property
    def damaged(self) -> int:
        """Artifacts and records with complaints."""
        return sum(map(bool, self.complaints.values()))


def verify_artifacts(artifacts: Iterable[Artifact]) -> Verification:
    """Verify some artifacts and their files, nothing else of the store."""
    chosen = list(artifacts)
    complaints = {f"{artifact.stage}/{artifact.fingerprint}": artifact.verify() for artifact in chosen}
    return Verification(complaints, len(chosen), sum(len(artifact.files) for artifact in chosen), 0)


def verify_store(store: Store) -> Verification:
    """Verify every record of a store and every file that one names.

    Damage never ends it: what cannot be read is a complaint. A part's file that is missing is none, since
    garbage collection takes such, and the part is made again.
    """
    verifier = _Verifier(store)
    records = verifier.read("amendments", verifier.amendment)  # first, as artifacts are verified as amended
    manifests = verifier.read("manifests", verifier.manifest)
    records += verifier.read("tombstones", verifier.tombstone)
    records += verifier.read("parts", verifier.part)
    records += verifier.read("refs", verifier.reference)
    records += verifier.read("approvals", lambda key, data: Approval.parse(data, key))
    records += verifier.read(STUDIES, lambda key, data: StudyRecord.parse(data, key))
    records += verifier.read("leases", lambda key, data: LeaseHolder.parse(data, key))
    records += verifier.read("status", lambda key, data: Status.parse(data, key))
    records += verifier.read("takedowns", lambda key, data: Takedown.parse(data, key))
    records += verifier.read(VERIFICATIONS, lambda key, data: VerificationResult.parse(data, key))
    unnamed = sum(listed.key not in verifier.named for listed in store.list("files"))
    return Verification(verifier.complaints, manifests, verifier.files, records, unnamed)


class _Verifier:
    """What is known of a store as its records are read, kind by kind."""

    def __init__(self, store: Store) -> None:
        self.complaints: dict[str, list[str]] = {}
        self.files = 0
        self.named: set[str] = set()
        """Keys of files that a record names."""
        self._store = store
        self._sha256 = cache(store.sha256)  # files are shared
        self._amended: dict[str, list[Amendment]] = defaultdict(list)
        self._digests: dict[str, str] = {}

    def read(self, prefix: str, verify: Callable[[str, bytes], object]) -> int:
        """Verify every record below a prefix, by key and bytes; how many there are."""
        count = 0
        for listed in self._store.list(prefix):
            try:
                data = self._store.read(listed.key)
            except FileNotFoundError:  # a lease or status that was renewed, a part that nobody needs
                continue
            count += 1
            try:
                verify(listed.key, data)
            except (DamagedError, ValueError, TypeError, LookupError, AttributeError) as error:
                self._complain(_name(listed.key), str(error) or repr(error))
        return count

    def amendment(self, key: str, data: bytes) -> None:
        """Remember it for its artifact."""
        stage, fingerprint = PurePosixPath(key).parts[1:3]
        self._amended[f"{stage}/{fingerprint}"].append(Amendment.parse(data, key))

    def manifest(self, key: str, data: bytes) -> None:
        """Hash an artifact's files again, and compute its names again."""
        name = _name(key)
        parsed = Manifest.parse(data, key)
        artifact = Artifact(self._store, parsed, amended=self._amended.get(name, ()))
        self.files += len(artifact.files)
        self.named.update(entry.key for entry in artifact.files.values())
        self._digests[name] = parsed.digest
        self.complaints.setdefault(name, []).extend(artifact.verify(self._sha256))
        if name != f"{parsed.stage}/{parsed.fingerprint}":
            self._complain(name, f"manifest: it is that of {parsed.stage}/{parsed.fingerprint}")

    def tombstone(self, key: str, data: bytes) -> None:
        """Compute the names of a dropped artifact again."""
        tombstone = Tombstone.parse(data, key)
        for words in Artifact.of_tombstone(self._store, tombstone).verify():
            self._complain(key, words)
        if tombstone.key != key:
            self._complain(key, f"it is that of {tombstone.key}")

    def part(self, key: str, data: bytes) -> None:
        """Hash a part's files again, as far as they are there."""
        for name, entry in PartRecord.parse(data, key).files.items():
            self.named.add(entry.key)
            try:
                actual = self._sha256(entry.key)
            except FileNotFoundError:
                continue
            if actual != entry.sha256:
                words = f"{name}: should hash to {entry.sha256} and hashes to {actual} ({entry.key})"
                self._complain(key, words)

    def reference(self, key: str, data: bytes) -> None:
        """Compare it with the artifact that it names."""
        entry = Reference.parse(data, key)
        digest = self._digests.get(f"{entry.stage}/{entry.fingerprint}")
        if digest != entry.digest:
            self._complain(
                key,
                f"{entry} names {entry.stage}/{entry.fingerprint} with digest {entry.digest}; the store has "
                f"{digest or 'no such artifact'}",
            )

    def _complain(self, name: str, words: str) -> None:
        self.complaints.setdefault(name, []).append(words)


def _name(key: str) -> str:
    """What a record is called: an artifact's manifest "STAGE/FINGERPRINT", others by their key."""
    return key.removeprefix("manifests/").removesuffix(".json") if key.startswith("manifests/") else key
