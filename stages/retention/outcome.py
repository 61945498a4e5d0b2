"""What retention has dropped, or would: for people."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import ANNOUNCED
from stages.artifacts.tombstone import Tombstone, tombstone_key
from stages.retention.inventory import Inventory, Node, key_of, node_of
from stages.retention.plan import Plan, Version, node_named


@dataclass(frozen=True)
class Retained:
    """What was dropped, or would be."""

    versions: tuple[Version, ...]
    """Of the given names and of their collections, by name and number."""
    artifacts: tuple[str, ...]
    """Dropped ones, as "shard/0123456789ab"."""
    files: int
    """Files that garbage collection may free: no remaining artifact names them."""
    bytes: int
    """Of them, together."""
    uses: tuple[str, ...]
    """Who goes on naming what was dropped: "models/birds@3 learned from datasets/birds@1: its name stays"."""
    tombstones: int
    """Records of dropped artifacts that the store keeps, or would."""
    damaged: tuple[str, ...] = ()
    """What cannot be read, or says too little: nothing was dropped."""


def outcome(inventory: Inventory, plan: Plan) -> Retained:
    """What a plan comes to, in a store of which this is the inventory."""
    goes = [inventory.artifacts[node] for node in sorted(plan.nodes)]
    stays = [artifact for node, artifact in inventory.artifacts.items() if node not in plan.nodes]
    named = {entry.key for artifact in stays for entry in artifact.files.values()}
    freed = {
        entry.key: entry.size
        for artifact in goes
        for entry in artifact.files.values()
        if entry.key not in named
    }
    return Retained(
        versions=plan.versions,
        artifacts=tuple(artifact.short_name for artifact in goes),
        files=len(freed),
        bytes=sum(freed.values()),
        uses=tuple(sorted(set(_uses(inventory, plan)))),
        tombstones=len(needed_tombstones(inventory, plan.nodes)),
    )


def unreadable(inventory: Inventory) -> Retained:
    """The outcome where a record cannot be read: nothing goes, as it might name anything."""
    return Retained((), (), 0, 0, (), len(inventory.tombstones), inventory.damaged)


def tombstone_of(inventory: Inventory, artifact: Artifact, why: str) -> Tombstone:
    """What shall be kept of an artifact that goes now."""
    return Tombstone(
        manifest=replace(artifact.manifest, files={}),
        files=len(artifact.files),
        size=sum(entry.size for entry in artifact.files.values()),
        references=tuple(_references(inventory, f"{artifact.stage}/{artifact.fingerprint}")),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        why=why,
    )


def needed_tombstones(inventory: Inventory, goes: frozenset[Node]) -> set[str]:
    """The keys of tombstones, there or to be, by which the lineage of what remains is read when `goes` is
    gone."""
    stays = {node: artifact for node, artifact in inventory.artifacts.items() if node not in goes}
    dropped = {
        **{key: Artifact.of_tombstone(inventory.store, each) for key, each in inventory.tombstones.items()},
        **{
            key_of(artifact): Artifact.of_tombstone(inventory.store, tombstone_of(inventory, artifact, ""))
            for artifact in map(inventory.artifacts.__getitem__, goes)
        },
    }
    needed: set[str] = set()
    queue = list(stays.values())
    while queue:
        for recorded in inventory.lineage(queue.pop()):
            parent = stays.get(node_of(recorded))
            key = tombstone_key(recorded["stage"], recorded["fingerprint"], recorded["digest"])
            there = parent is not None and parent.digest == recorded["digest"]
            if not there and key in dropped and key not in needed:
                needed.add(key)
                queue.append(dropped[key])
    return needed


def _uses(inventory: Inventory, plan: Plan) -> Iterator[str]:
    for node, artifact in inventory.artifacts.items():
        if node in plan.nodes:
            continue
        kind = inventory.kind(artifact)
        for name in kind.outlives:
            recorded = artifact.manifest.inputs.get(name)
            if recorded and node_of(recorded) in plan.nodes:
                verb = "learned from" if kind.learns else "was made from"
                dropped = _label(inventory, node_of(recorded))
                yield f"{_label(inventory, node)} {verb} {dropped}: its name stays"


def _label(inventory: Inventory, node: Node) -> str:
    references = _references(inventory, node)
    return references[-1] if references else inventory.artifacts[node].short_name


def _references(inventory: Inventory, node: Node) -> list[str]:
    return [
        str(entry)
        for name, history in inventory.histories.items()
        if not name.startswith(ANNOUNCED)
        for entry in history
        if node_named(entry) == node
    ]
