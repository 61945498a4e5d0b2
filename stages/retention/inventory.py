"""What a store holds when retention looks: artifacts and what each needs, histories, tombstones, who is at
work."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from stages.artifacts.activity import Activity
from stages.artifacts.amendment import amendments
from stages.artifacts.artifact import Artifact
from stages.artifacts.lease import latest
from stages.artifacts.leaseholder import lease_log
from stages.artifacts.manifest import Manifest
from stages.artifacts.reference import Reference, is_released, names, references
from stages.artifacts.tombstone import FOLDER, Tombstone, read_tombstone, tombstone_key
from stages.errors import DamagedError
from stages.kind import Kind, no_pixels
from stages.registry import kinds
from stages.store import Store

Node = str
"""An artifact as "STAGE/FINGERPRINT"."""


@dataclass(frozen=True)
class Inventory:
    """What there is; see the module."""

    store: Store
    artifacts: Mapping[Node, Artifact]
    tombstones: Mapping[str, Tombstone]
    """By their keys."""
    histories: Mapping[str, list[Reference]]
    """By names, oldest first; the flows' memory of what they announced is among them."""
    on_hold: Mapping[str, list[int]]
    """By names, the numbers of versions that `@latest` passes over."""
    guarded: Mapping[Node, str]
    """What must stay, with all that it needs, whatever the rule says, and why: somebody reads it, or it was
    published only now."""
    damaged: tuple[str, ...]
    """What cannot be read, or says too little."""

    def kind(self, artifact: Artifact) -> Kind:
        """What an artifact is to the rest. Of a kind that another version makes, all inputs are needed."""
        return kinds().get(artifact.kind, _UNKNOWN)

    def needs(self, node: Node) -> Iterator[Node]:
        """The inputs of an artifact that must stay for as long as it does; none of one that is not there."""
        artifact = self.artifacts.get(node)
        if artifact is None:
            return
        kind = self.kind(artifact)
        without = (*kind.outlives, *kind.supersedes)
        yield from (node_of(recorded) for name, recorded in _inputs(artifact) if name not in without)

    @property
    def unfinished(self) -> set[Node]:
        """What a call that was interrupted was about to drop: its tombstone stands beside its manifest."""
        return {
            node
            for node, artifact in self.artifacts.items()
            if (tombstone := self.tombstones.get(key_of(artifact))) and tombstone.is_of(artifact.manifest)
        }

    @property
    def buried(self) -> set[Node]:
        """What has a tombstone, and is not there."""
        manifests = (tombstone.manifest for tombstone in self.tombstones.values())
        return {f"{manifest.stage}/{manifest.fingerprint}" for manifest in manifests} - self.artifacts.keys()

    def lineage(self, artifact: Artifact) -> Iterator[Mapping[str, str]]:
        """The recorded inputs of an artifact that must have a name for as long as it has one: all of one that
        is there; of a dropped one those in whose place it does not stand."""
        beyond = self.kind(artifact).supersedes if artifact.dropped is not None else ()
        yield from (recorded for name, recorded in _inputs(artifact) if name not in beyond)


def key_of(artifact: Artifact) -> str:
    """Where the tombstone of an artifact lies, or would."""
    return tombstone_key(artifact.stage, artifact.fingerprint, artifact.digest)


def node_of(recorded: Mapping[str, str]) -> Node:
    """The artifact that a manifest records as an input."""
    return f"{recorded['stage']}/{recorded['fingerprint']}"


def closure(nodes: Iterable[Node], following: Callable[[Node], Iterable[Node]]) -> set[Node]:
    """Nodes, and whatever follows from them."""
    seen: set[Node] = set()
    queue = list(nodes)
    while queue:
        node = queue.pop()
        if node not in seen:
            seen.add(node)
            queue += following(node)
    return seen


def take_inventory(
    store: Store, work: Activity, grace: timedelta, known: Collection[Node] | None = None
) -> Inventory:
    """Read a store's records.

    Args:
        store: where.
        work: who is at work in it.
        grace: what was published less long ago is guarded.
        known: artifacts of an earlier look: whatever came since is guarded.
    """
    damaged: list[str] = []
    tombstones: dict[str, Tombstone] = {}
    artifacts: dict[Node, Artifact] = {}
    histories: dict[str, list[Reference]] = {}
    on_hold: dict[str, list[int]] = {}
    guarded = _in_use(store, work.in_use, damaged)
    for listed in store.list(FOLDER):
        with _noting(damaged):
            tombstones[listed.key] = read_tombstone(store, listed.key)
    before = datetime.now(UTC) - grace
    for listed in store.list("manifests"):
        with _noting(damaged):
            manifest = Manifest.read(store, listed.key)
            node = f"{manifest.stage}/{manifest.fingerprint}"
            amended = amendments(store, manifest.stage, manifest.fingerprint)
            artifacts[node] = Artifact(store, manifest, amended=amended)
            if listed.modified > before or (known is not None and node not in known):
                guarded.setdefault(node, f"published at {manifest.ended[:16]}")
    for name in names(store):
        with _noting(damaged):
            histories[name] = references(store, name)
            on_hold[name] = [entry.number for entry in histories[name] if not is_released(store, entry)]
    return Inventory(store, artifacts, tombstones, histories, on_hold, guarded, tuple(dict.fromkeys(damaged)))


def _in_use(store: Store, leases: Iterable[str], damaged: list[str]) -> dict[Node, str]:
    """What the holders of leases read, and what they make."""
    in_use: dict[Node, str] = {}
    for folder in leases:
        _, holder, _ = latest(lease_log(store, folder))
        if holder is None:
            continue
        stage, fingerprint = folder.split("/")[1:3]
        why = f"{stage} is at work, by {holder}"
        in_use[f"{stage}/{fingerprint}"] = why
        if holder.reads is None:
            damaged.append(
                f"{why}, and its lease {folder} does not say what it reads; wait until it has ended"
            )
        in_use.update(dict.fromkeys(holder.reads or (), f"read: {why}"))
    return in_use


@contextmanager
def _noting(damaged: list[str]) -> Generator[None]:
    """Notes a record that cannot be read, and passes over one that is gone."""
    try:
        yield
    except DamagedError as error:
        damaged.append(str(error))
    except FileNotFoundError:  # deleted meanwhile
        pass


def _inputs(artifact: Artifact) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Those that are artifacts, by name."""
    for name, recorded in artifact.manifest.inputs.items():
        if recorded and recorded["fingerprint"]:
            yield name, recorded


_UNKNOWN = Kind(name="", pixels=no_pixels, purged="")
