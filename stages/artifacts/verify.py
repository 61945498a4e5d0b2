"""Verification of a store: every file is hashed again, every seal and fingerprint computed again."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from stages.artifacts.amendment import Amendment
from stages.artifacts.artifact import Artifact, Manifest
from stages.artifacts.leaseholder import LeaseHolder
from stages.artifacts.part import PartRecord
from stages.artifacts.reference import Reference
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
    """Parts, references, leases, amendments and take-downs."""
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
    sha256 = cache(store.sha256)  # files are shared
    complaints: dict[str, list[str]] = {}
    amended: dict[str, list[Amendment]] = defaultdict(list)
    records = files = 0

    def read(prefix: str, parse: Callable[[str, bytes], None]) -> int:
        """Parse every record below a prefix; how many there are."""
        count = 0
        for listed in store.list(prefix):
            try:
                data = store.read(listed.key)
            except FileNotFoundError:  # a lease that was renewed, a part that nobody needs any more
                continue
            count += 1
            try:
                parse(listed.key, data)
            except (DamagedError, ValueError, TypeError, LookupError, AttributeError) as error:
                complaints.setdefault(_name(listed.key), []).append(str(error) or repr(error))
        return count

    def amendment(key: str, data: bytes) -> None:
        stage, fingerprint = PurePosixPath(key).parts[1:3]
        amended[f"{stage}/{fingerprint}"].append(Amendment.parse(data, key))

    named: set[str] = set()
    digests: dict[str, str] = {}

    def manifest(key: str, data: bytes) -> None:
        nonlocal files
        name = _name(key)
        parsed = Manifest.parse(data, key)
        artifact = Artifact(store, parsed, amended=amended.get(name, ()))
        files += len(artifact.files)
        named.update(entry.key for entry in artifact.files.values())
        digests[name] = parsed.digest
        complaints.setdefault(name, []).extend(artifact.verify(sha256))
        if name != f"{parsed.stage}/{parsed.fingerprint}":
            complaints[name].append(f"manifest: it is that of {parsed.stage}/{parsed.fingerprint}")

    def part(key: str, data: bytes) -> None:
        for name, entry in PartRecord.parse(data, key).files.items():
            named.add(entry.key)
            try:
                actual = sha256(entry.key)
            except FileNotFoundError:
                continue
            if actual != entry.sha256:
                complaints.setdefault(key, []).append(
                    f"{name}: should hash to {entry.sha256} and hashes to {actual} ({entry.key})"
                )

    def reference(key: str, data: bytes) -> None:
        entry = Reference.parse(data, key)
        digest = digests.get(f"{entry.stage}/{entry.fingerprint}")
        if digest != entry.digest:
            complaints.setdefault(key, []).append(
                f"{entry} names {entry.stage}/{entry.fingerprint} with digest {entry.digest}; the store has "
                f"{digest or 'no such artifact'}"
            )

    records += read("amendments", amendment)
    manifests = read("manifests", manifest)
    records += read("parts", part)
    records += read("refs", reference)
    records += read("leases", lambda key, data: _lease(data, key))
    records += read("takedowns", lambda key, data: _takedown(data, key))
    unnamed = sum(listed.key not in named for listed in store.list("files"))
    return Verification(complaints, manifests, files, records, unnamed)


def _name(key: str) -> str:
    """What a record is called: an artifact's manifest "STAGE/FINGERPRINT", others by their key."""
    return key.removeprefix("manifests/").removesuffix(".json") if key.startswith("manifests/") else key


def _lease(data: bytes, key: str) -> None:
    LeaseHolder.parse(data, key)


def _takedown(data: bytes, key: str) -> None:
    Takedown.parse(data, key)
