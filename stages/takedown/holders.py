"""Who holds a picture that was taken down: collections, datasets, models trained on these, evaluations."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from stages.artifacts.artifact import Artifact, artifacts
from stages.artifacts.reference import names, references
from stages.store import Store

KINDS = ("images", "dataset", "model", "evaluation")
"""What people use and name; in the order of the line."""


@dataclass(frozen=True)
class Holder:
    """An artifact that holds pictures of a take-down, or was made from one that does."""

    artifact: Artifact
    rows: int
    """Pictures of the take-down in it; of a model, in the training splits that it and its start learnt
    from; of an evaluation, in its model or dataset."""
    references: tuple[str, ...]
    """What people call it: "datasets/demo@3"."""
    purged: tuple[int, ...]
    """Take-downs whose purge changed its files."""

    def __str__(self) -> str:
        return f"{self.artifact.stage}/{self.artifact.fingerprint[:12]}"


class Lineage:
    """The artifacts of a store and which of their rows are pictures with given hashes.

    A uid may name other bytes in another collection; so what a dataset holds is asked of the collection that
    it was made from.
    """

    def __init__(self, store: Store, sha256s: AbstractSet[str]) -> None:
        """Read the store's manifests.

        Args:
            store: where to look.
            sha256s: of the pictures' bytes as collected.
        """
        self.artifacts: Mapping[str, Artifact] = {one.fingerprint: one for one in artifacts(store)}
        self._sha256s = sorted(sha256s)
        self._uids: dict[str, frozenset[str]] = {}

    def uids(self, artifact: Artifact) -> frozenset[str]:
        """The uids under which the artifact's collection (itself, where it is one) holds the pictures."""
        images = self._collection(artifact)
        if images is None or not self._sha256s:
            return frozenset()
        if images.fingerprint not in self._uids:
            table = images.arrow_table("images", ["uid"], [("sha256", "in", self._sha256s)])
            self._uids[images.fingerprint] = frozenset(table.column("uid").to_pylist())
        return self._uids[images.fingerprint]

    def parents(self, artifact: Artifact) -> Sequence[Artifact]:
        """What it was made from, as far as that is there still."""
        said = [one["fingerprint"] for one in artifact.manifest.inputs.values() if one]
        return [self.artifacts[fingerprint] for fingerprint in said if fingerprint in self.artifacts]

    def _collection(self, artifact: Artifact) -> Artifact | None:
        """The nearest collection."""
        queue, seen = [artifact], set[str]()
        while queue:
            current = queue.pop(0)
            if current.kind == "images":
                return current
            if current.fingerprint not in seen:
                seen.add(current.fingerprint)
                queue += self.parents(current)
        return None


def holders(store: Store, sha256s: AbstractSet[str]) -> list[Holder]:
    """Every version of a collection or dataset that holds pictures, every model trained on one, and so on.

    A model is listed where its dataset is, or the model that it started from; an evaluation where its model
    or its dataset is.

    Args:
        store: where to look.
        sha256s: of the pictures' bytes as collected.

    Returns:
        By kind in the order of the line, then by age.
    """
    lineage = Lineage(store, sha256s)
    called = _called(store)
    found: list[Holder] = []
    rows: dict[str, int] = {}  # by fingerprint
    everything = sorted(lineage.artifacts.values(), key=lambda one: (_order(one), one.manifest.started))
    for one in everything:
        parents = lineage.parents(one)
        listed = [parent for parent in parents if parent.fingerprint in rows]
        if one.kind == "images":
            held = len(lineage.uids(one))
        elif one.kind == "dataset":
            held = _packed(one, lineage.uids(one))
        elif one.kind == "model" and listed:
            held = sum(
                _packed(parent, lineage.uids(parent), "train")
                if parent.kind == "dataset"
                else rows[parent.fingerprint]
                for parent in listed
            )
        elif one.kind == "evaluation" and listed:
            held = max(rows[parent.fingerprint] for parent in listed)
        else:
            continue
        if held or one.kind in ("model", "evaluation"):
            rows[one.fingerprint] = held
            purged = tuple(sorted({amendment.takedown for amendment in one.amendments}))
            found.append(Holder(one, held, tuple(called.get(one.fingerprint, ())), purged))
    return found


def _order(artifact: Artifact) -> int:
    return KINDS.index(artifact.kind) if artifact.kind in KINDS else len(KINDS)


def _packed(dataset: Artifact, uids: AbstractSet[str], split: str = "") -> int:
    """How many of the uids a dataset holds, in all or in one split."""
    if not uids:
        return 0
    filters: list[tuple[str, str, object]] = [("uid", "in", sorted(uids))]
    filters += [("split", "==", split)] if split else []
    return dataset.arrow_table("index", ["uid"], filters).num_rows


def _called(store: Store) -> Mapping[str, list[str]]:
    """Fingerprint -> references that name it; without the flows' own."""
    called: dict[str, list[str]] = {}
    for name in names(store):
        if not name.startswith("announced/"):
            for entry in references(store, name):
                called.setdefault(entry.fingerprint, []).append(str(entry))
    return called
