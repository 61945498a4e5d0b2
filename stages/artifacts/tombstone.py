"""Tombstones: what is kept of an artifact that retention dropped, for as long as another names it.

A model outlives the dataset that it learned from. Before that dataset's manifest goes, a create-only record
takes its place, `tombstones/STAGE/FINGERPRINT/DIGEST.json`: the manifest without its files, what people
called it, when it was dropped and why. Lineage is read through it: `Artifact.input` gives an artifact that
says of itself that it was dropped, and whose files cannot be opened.

A request whose artifact was dropped may be made again. Then its manifest counts, and the tombstone is passed
over as long as both have the same digest.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from stages.artifacts.manifest import Manifest
from stages.artifacts.seal import sealed, unsealed
from stages.fingerprint import short_hash
from stages.store import Store, read_record

FOLDER = "tombstones"


@dataclass(frozen=True)
class Tombstone:
    """One record."""

    manifest: Manifest
    """Of the dropped artifact; it names no files."""
    files: int
    """How many files it had."""
    size: int
    """Bytes of them, together."""
    references: tuple[str, ...]
    """What people called it: "datasets/demo@3"."""
    time: str
    """When it was dropped: ISO 8601, UTC."""
    why: str
    """By which rule, as "retention of datasets/demo (last 7, monthly 12)"."""

    @property
    def key(self) -> str:
        """Where it lies."""
        return tombstone_key(self.manifest.stage, self.manifest.fingerprint, self.manifest.digest)

    @property
    def name(self) -> str:
        """What messages call it: its references, or "shard/0123456789ab"."""
        return ", ".join(self.references) or f"{self.manifest.stage}/{short_hash(self.manifest.fingerprint)}"

    def __str__(self) -> str:
        return f"{self.name} was dropped on {self.time[:10]} by {self.why}"

    def is_of(self, manifest: Manifest) -> bool:
        """Whether it was written for this very artifact: not for an earlier one, made by the same request."""
        own = self.manifest
        return (own.fingerprint, own.digest, own.started) == (
            manifest.fingerprint, manifest.digest, manifest.started
        )  # fmt: skip

    def to_json(self) -> bytes:
        return sealed(asdict(self))

    @classmethod
    def parse(cls, data: bytes, name: str = "a tombstone") -> "Tombstone":
        """A record as it was written. DamagedError: it is another; `name` is what the message calls it."""
        raw = unsealed(data, name)
        manifest = Manifest.from_record(raw.pop("manifest"), name)
        references = tuple(map(str, raw.pop("references")))
        return cls(manifest=manifest, references=references, **raw)


def tombstone_key(stage: str, fingerprint: str, digest: str) -> str:
    """Where the tombstone of an artifact lies, if it has one."""
    return f"{FOLDER}/{stage}/{fingerprint}/{digest}.json"


def find_tombstone(store: Store, stage: str, fingerprint: str, digest: str = "") -> Tombstone | None:
    """What is kept of a dropped artifact; None where nothing is.

    Args:
        store: where to look.
        stage: of the artifact.
        fingerprint: of the artifact.
        digest: of the artifact; empty: of whichever was dropped last.

    Raises:
        DamagedError: the record cannot be read.
    """
    if digest:
        try:
            return read_tombstone(store, tombstone_key(stage, fingerprint, digest))
        except FileNotFoundError:
            return None
    return max(tombstones(store, f"{stage}/{fingerprint}"), key=lambda each: each.time, default=None)


def tombstones(store: Store, below: str = "") -> Iterator[Tombstone]:
    """Every tombstone, or those of "STAGE", or of "STAGE/FINGERPRINT", by key. DamagedError names one that
    cannot be read."""
    for listed in store.list(f"{FOLDER}/{below}".rstrip("/")):
        try:
            yield read_tombstone(store, listed.key)
        except FileNotFoundError:  # nobody needs it any more
            continue


def read_tombstone(store: Store, key: str) -> Tombstone:
    """The tombstone at a key; FileNotFoundError, DamagedError as `read_record`."""
    remedy = "; without it nobody knows what the artifacts that name it were made of"
    return read_record(store, key, "tombstone", Tombstone.parse, remedy)
