"""Who holds a picture that was taken down: artifacts with its pixels, models that learned from it,
evaluations."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from stages.artifacts.artifact import Artifact, artifacts
from stages.artifacts.reference import references_by_artifact
from stages.artifacts.tombstone import Tombstone, tombstones
from stages.kind import TakenDown
from stages.registry import kind_of, kinds
from stages.store import Store


@dataclass(frozen=True)
class Holder:
    """An artifact that holds pictures of a take-down, or was made from one that does."""

    artifact: Artifact
    rows: int
    """TakenDown of the take-down in it; of a model, in the training splits that it and its start learnt
    from; of an evaluation, in its model or dataset."""
    references: tuple[str, ...]
    """What people call it: "datasets/demo@3"."""
    purged: tuple[int, ...]
    """Take-downs whose purge changed its files."""
    unasked: tuple[Tombstone, ...] = ()
    """Dropped datasets that it, or its start, learned from or was measured on: whether they had the pictures
    nobody can tell."""

    @property
    def has_pixels(self) -> bool:
        """Whether a purge takes, or took, something out of it."""
        return bool(self.rows) and kind_of(self.artifact).count is not None

    @property
    def has_learned(self) -> bool:
        """Whether it is a model that learned from one of the pictures."""
        return bool(self.rows) and kind_of(self.artifact).learns

    @property
    def shown_rows(self) -> str:
        """How many of the pictures it holds; "?" where some may be of a dataset that was dropped."""
        if not self.unasked:
            return f"{self.rows:,}"
        return f"{self.rows:,}, or more" if self.rows else "?"

    def __str__(self) -> str:
        return self.artifact.short_name


class Lineage:
    """The artifacts of a store and which of their rows are pictures with given hashes.

    A uid may name other bytes in another collection; so what a dataset holds is asked of the collection that
    it was made from.
    """

    def __init__(self, store: Store, sha256s: AbstractSet[str]) -> None:
        """Read the store's manifests, and the tombstones of what was dropped.

        Args:
            store: where to look.
            sha256s: of the pictures' bytes as collected.
        """
        self.artifacts: Mapping[str, Artifact] = {
            artifact.fingerprint: artifact for artifact in artifacts(store)
        }
        self.dropped: Mapping[str, Artifact] = {
            tombstone.manifest.fingerprint: Artifact.of_tombstone(store, tombstone)
            for tombstone in tombstones(store)
            if tombstone.manifest.fingerprint not in self.artifacts
        }
        self._sha256s = sha256s
        self._uids: dict[str, frozenset[str]] = {}

    def pictures(self, artifact: Artifact) -> TakenDown:
        """The pictures under the uids that the artifact's collection (itself, where it is one) gives them."""
        images = self._collection(artifact)
        if images is None or images.dropped is not None:
            return TakenDown(self._sha256s, frozenset(), known=images is None)
        if images.fingerprint not in self._uids:
            rows = TakenDown(self._sha256s, frozenset()).rows(images, "images", ["uid"], by="sha256")
            self._uids[images.fingerprint] = frozenset(row["uid"] for row in rows)
        return TakenDown(self._sha256s, self._uids[images.fingerprint])

    def parents(self, artifact: Artifact) -> Sequence[Artifact]:
        """What it was made from, as far as that is there still."""
        return self._parents(artifact, self.artifacts)

    def unasked(self, artifact: Artifact) -> list[Tombstone]:
        """The dropped datasets that something was made from, nearest first."""
        everything = {**self.dropped, **self.artifacts}
        queue, seen = [artifact], set[str]()
        datasets: list[Tombstone] = []
        while queue:
            for parent in self._parents(queue.pop(0), everything):
                if parent.fingerprint in seen:
                    continue
                seen.add(parent.fingerprint)
                queue.append(parent)
                if parent.dropped is not None and parent.kind in kinds() and kind_of(parent).splits:
                    datasets.append(parent.dropped)
        return datasets

    def _parents(self, artifact: Artifact, among: Mapping[str, Artifact]) -> list[Artifact]:
        inputs = [entry["fingerprint"] for entry in artifact.manifest.inputs.values() if entry]
        return [among[fingerprint] for fingerprint in inputs if fingerprint in among]

    def _collection(self, artifact: Artifact) -> Artifact | None:
        """The nearest collection, perhaps a dropped one."""
        everything = {**self.dropped, **self.artifacts}
        queue, seen = [artifact], set[str]()
        while queue:
            current = queue.pop(0)
            if current.kind == "images":
                return current
            if current.fingerprint not in seen:
                seen.add(current.fingerprint)
                queue += self._parents(current, everything)
        return None


def holders(store: Store, sha256s: AbstractSet[str]) -> list[Holder]:
    """Every artifact that holds pictures, every model that was trained on one, and so on.

    A model is listed where its dataset is, or the model that it started from; an evaluation where its model
    or its dataset is. Both are listed besides where a dataset of their lineage was dropped, as nobody can say
    that it did not have the pictures.

    Args:
        store: where to look.
        sha256s: of the pictures' bytes as collected.

    Returns:
        By kind in the order of the line, then by age.
    """
    lineage = Lineage(store, sha256s)
    references = references_by_artifact(store)
    order = list(kinds())
    rows: dict[str, int] = {}  # by fingerprint, of those that are listed
    listed: list[Holder] = []
    everything = [artifact for artifact in lineage.artifacts.values() if artifact.kind in kinds()]
    for artifact in sorted(everything, key=lambda each: (order.index(each.kind), each.manifest.started)):
        count = _count(lineage, artifact, rows)
        unasked = tuple(lineage.unasked(artifact)) if kind_of(artifact).derived is not None else ()
        if count is not None:
            rows[artifact.fingerprint] = count
        if count is not None or unasked:
            purged = tuple(sorted({amendment.takedown for amendment in artifact.amendments}))
            called = tuple(references.get(artifact.fingerprint, ()))
            listed.append(Holder(artifact, count or 0, called, purged, unasked))
    return listed


def _count(lineage: Lineage, artifact: Artifact, rows: Mapping[str, int]) -> int | None:
    """How many of the pictures an artifact holds; None where it is not to be listed.

    Args:
        lineage: the store's.
        artifact: of any kind.
        rows: of the artifacts before it that are listed, by fingerprint.
    """
    kind = kind_of(artifact)
    if kind.count is not None:
        return kind.count(artifact, lineage.pictures(artifact)) or None
    sources = [source for source in _sources(lineage, artifact) if source.fingerprint in rows]
    if kind.derived is None or not sources:
        return None
    if kind.learns:
        return sum(_learned(lineage, source, rows) for source in sources)
    return max(rows[source.fingerprint] for source in sources)


def _sources(lineage: Lineage, artifact: Artifact) -> Iterator[Artifact]:
    """What an artifact was made from, and the models by which its latents and labels were."""
    for parent in lineage.parents(artifact):
        yield parent
        if not (kind_of(parent).learns or kind_of(parent).splits):
            yield from (model for model in lineage.parents(parent) if kind_of(model).learns)


def _learned(lineage: Lineage, source: Artifact, rows: Mapping[str, int]) -> int:
    """From how many of the pictures a model learns that is made from a listed artifact."""
    if kind_of(source).splits:
        return len(lineage.pictures(source).rows(source, "index", ["uid"], split="train"))
    return rows[source.fingerprint] if kind_of(source).learns else 0
