"""What a store holds, in memory: results, names and their histories, looked at again when somebody asks.

Manifests, references and approvals never change once they are written, so a look lists keys and reads those
that are new. A page is made of one `Contents`: what appears meanwhile belongs to the next one.
"""

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dashboard.takedowns.forbidden import Forbidden
from stages.artifacts.amendment import all_amendments
from stages.artifacts.artifact import Artifact
from stages.artifacts.manifest import Manifest
from stages.artifacts.reference import ANNOUNCED, Reference, is_released
from stages.artifacts.tombstone import tombstones
from stages.artifacts.verification import FOLDER as VERIFICATIONS
from stages.artifacts.verification import VerificationResult, newest_keys
from stages.errors import DamagedError
from stages.store import Store
from stages.takedown.records import Takedown, records

SECONDS = 1.0
"""Between two looks at the store, at least."""
FOLDERS = ("manifests", "tombstones", "refs", "approvals", "amendments", "takedowns", VERIFICATIONS)
"""Beginnings of the keys that a look lists."""


@dataclass(frozen=True)
class Contents:
    """What a store held when it was looked at."""

    store: Store
    version: str
    """Changes when anything of it does; hex digits."""
    artifacts: Mapping[str, Artifact]
    """Finished ones, and of dropped ones what is still known, by fingerprint; the last finished come last."""
    histories: Mapping[str, Sequence[Reference]]
    """By name, oldest first, without the flows' own memory."""
    on_hold: Mapping[str, Sequence[int]]
    """By name, the numbers of versions that `@latest` passes over."""
    damaged: tuple[str, ...]
    """Records that cannot be read, in sentences."""
    verifications: Mapping[str, VerificationResult]
    """By fingerprint, the newest result of what was verified."""

    @cached_property
    def damaged_artifacts(self) -> Mapping[str, VerificationResult]:
        """By fingerprint, what the newest verification found damaged."""
        return {name: result for name, result in self.verifications.items() if result.damaged}

    @cached_property
    def made_of_damaged(self) -> frozenset[str]:
        """Fingerprints of what was made from a damaged artifact, at whatever remove."""
        return frozenset(
            below.fingerprint
            for fingerprint in self.damaged_artifacts
            if fingerprint in self.artifacts
            for below in self.descendants(self.artifacts[fingerprint])
        )

    @cached_property
    def takedowns(self) -> Sequence[Takedown]:
        """Every take-down, oldest first; DamagedError if one cannot be read."""
        return records(self.store)

    @cached_property
    def forbidden(self) -> Forbidden:
        """Pictures that no page may show; DamagedError if a take-down cannot be read."""
        return Forbidden.of(self.takedowns)

    @cached_property
    def references(self) -> Mapping[str, Sequence[str]]:
        """By fingerprint, what people call an artifact: "datasets/birds@3", oldest first."""
        called: dict[str, list[str]] = defaultdict(list)
        for history in self.histories.values():
            for entry in history:
                called[entry.fingerprint].append(str(entry))
        return called

    @cached_property
    def children(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        """By fingerprint, (name of the input, fingerprint) of what was made from it."""
        children: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for artifact in self.artifacts.values():
            for name, recorded in artifact.manifest.inputs.items():
                if recorded and recorded["fingerprint"]:
                    children[recorded["fingerprint"]].append((name, artifact.fingerprint))
        return children

    def parents(self, artifact: Artifact) -> Iterator[tuple[str, Artifact]]:
        """(name of the input, artifact) of what an artifact was made from, as far as it is known."""
        for name, recorded in artifact.manifest.inputs.items():
            if recorded and recorded["fingerprint"] in self.artifacts:
                yield name, self.artifacts[recorded["fingerprint"]]

    def ancestors(self, artifact: Artifact) -> list[Artifact]:
        """Everything that an artifact was made from, nearest first, each once."""
        return self._reached(artifact, lambda each: [parent.fingerprint for _, parent in self.parents(each)])

    def descendants(self, artifact: Artifact) -> list[Artifact]:
        """Everything that was made from an artifact, nearest first, each once."""
        return self._reached(artifact, lambda each: [child for _, child in self.children[each.fingerprint]])

    def _reached(self, artifact: Artifact, step: Callable[[Artifact], Sequence[str]]) -> list[Artifact]:
        seen, queue = {artifact.fingerprint: artifact}, [artifact]
        for each in queue:
            for fingerprint in step(each):
                if fingerprint not in seen:
                    seen[fingerprint] = self.artifacts[fingerprint]
                    queue.append(seen[fingerprint])
        return queue[1:]

    def by_prefix(self, digits: str, stage: str = "") -> list[Artifact]:
        """Artifacts whose fingerprint or digest begins with some hex digits."""
        return [
            artifact
            for artifact in self.artifacts.values()
            if stage in ("", artifact.stage)
            and (artifact.fingerprint.startswith(digits) or artifact.digest.startswith(digits))
        ]


class Catalogue:
    """Keeps the newest contents of a store; safe to use from several threads."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._contents: Contents | None = None
        self._manifests: dict[str, Manifest | str] = {}
        self._entries: dict[str, Reference | str] = {}
        self._verifications: dict[str, VerificationResult | str] = {}

    def contents(self) -> Contents:
        """What the store holds, as of `SECONDS` ago at most."""
        with self._lock:
            if self._contents is None or self._clock() - self._looked >= SECONDS:
                self._contents = self._look()
                self._looked = self._clock()
            return self._contents

    def look_again(self) -> None:
        """Let the next contents be as of then: something was written just now."""
        with self._lock:
            self._looked = float("-inf")

    def _look(self) -> Contents:
        keys = {folder: [listed.key for listed in self.store.list(folder)] for folder in FOLDERS}
        version = hashlib.sha256("\n".join(key for group in keys.values() for key in group).encode())
        if self._contents is not None and version.hexdigest() == self._contents.version:
            return self._contents
        manifests = [self._manifest(key) for key in keys["manifests"]]
        entries = [self._entry(key) for key in keys["refs"] if not key.startswith(f"refs/{ANNOUNCED}")]
        newest = newest_keys(keys[VERIFICATIONS])
        results = {name: self._verification(key) for (_, name), key in newest.items()}
        records = (*manifests, *entries, *results.values())
        damaged = [words for words in records if isinstance(words, str)]
        amended = all_amendments(self.store)
        finished = [
            Artifact(self.store, manifest, amended=amended.get((manifest.stage, manifest.fingerprint), ()))
            for manifest in manifests
            if isinstance(manifest, Manifest)
        ]
        present = {artifact.fingerprint for artifact in finished}
        dropped = [
            Artifact.of_tombstone(self.store, tombstone)
            for tombstone in tombstones(self.store)
            if tombstone.manifest.fingerprint not in present
        ]
        ordered = sorted((*dropped, *finished), key=lambda artifact: artifact.manifest.ended)
        histories: dict[str, list[Reference]] = defaultdict(list)
        for entry in entries:
            if isinstance(entry, Reference):
                histories[entry.name].append(entry)
        for history in histories.values():
            history.sort(key=lambda entry: entry.number)
        on_hold = {
            name: [entry.number for entry in history if not is_released(self.store, entry)]
            for name, history in histories.items()
        }
        return Contents(
            store=self.store,
            version=version.hexdigest(),
            artifacts={artifact.fingerprint: artifact for artifact in ordered},
            histories=dict(sorted(histories.items())),
            on_hold=on_hold,
            damaged=tuple(damaged),
            verifications={
                name: result for name, result in results.items() if isinstance(result, VerificationResult)
            },
        )

    def _manifest(self, key: str) -> Manifest | str:
        """A manifest, or why it cannot be read."""
        if key not in self._manifests:
            try:
                self._manifests[key] = Manifest.read(self.store, key)
            except (DamagedError, FileNotFoundError) as error:
                return str(error)
        return self._manifests[key]

    def _entry(self, key: str) -> Reference | str:
        """An entry of a name's history, or why it cannot be read."""
        if key not in self._entries:
            try:
                self._entries[key] = Reference.parse(self.store.read(key), key)
            except (DamagedError, FileNotFoundError, TypeError, LookupError) as error:
                return f"{key}: {error}"
        return self._entries[key]

    def _verification(self, key: str) -> VerificationResult | str:
        """A result of verification, or why it cannot be read."""
        if key not in self._verifications:
            try:
                self._verifications[key] = VerificationResult.parse(self.store.read(key), key)
            except (DamagedError, FileNotFoundError, TypeError, LookupError) as error:
                return f"{key}: {error}"
        return self._verifications[key]
