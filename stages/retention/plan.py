"""What a rule drops: entries of histories, artifacts, and which tombstones the rest needs.

An artifact needs its inputs, but for those that its kind outlives (`stages.kind`): a model stays whole
without its dataset, an edition without the one before it. Needed is what an entry names that stays, what is
guarded, and what these need in turn. What goes is sought near the dropped versions alone: what was made of
them, and what these were made of; whatever else nobody names is left as it is.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

from stages.artifacts.reference import ANNOUNCED, Reference
from stages.config.retention import RetainConfig
from stages.retention.inventory import Inventory, Node, closure
from stages.retention.rule import versions_to_keep, words_of


@dataclass(frozen=True)
class Version:
    """One entry of a name's history, and what becomes of it."""

    reference: str
    """As "datasets/demo@3"."""
    artifact: str
    """As "shard/0123456789ab"."""
    stays: bool
    why: str


@dataclass(frozen=True)
class Plan:
    """What goes."""

    versions: tuple[Version, ...]
    """Of the names that the rule is about and of their collections, by name and number."""
    entries: tuple[Reference, ...]
    nodes: frozenset[Node]

    def confirmed_by(self, later: "Plan") -> "Plan":
        """What goes by this plan and by a later one, which has seen who came to need something since."""
        entries = tuple(entry for entry in later.entries if entry in self.entries)
        names = {str(entry) for entry in entries}
        versions = tuple(
            version
            if version.stays or version.reference in names
            else replace(version, stays=True, why=SPARED)
            for version in later.versions
        )
        return Plan(versions, entries, self.nodes & later.nodes)


SPARED = "in use until a moment ago"


def plan(inventory: Inventory, names: Sequence[str], rule: RetainConfig, now: datetime) -> Plan:
    """Decide what goes.

    Args:
        inventory: what there is.
        names: whose versions the rule is about.
        rule: which of them stay.
        now: aware; from here months are counted.

    Raises:
        ValueError: a name has no history, or the rule keeps every version.
    """
    stays = {name: _by_rule(inventory, name, rule, now) for name in dict.fromkeys(names)}
    collections = [name for name in map(_collection, names) if name in inventory.histories.keys() - stays]
    stays |= {name: {inventory.histories[name][-1].number: NEWEST} for name in collections}
    guarded = closure(inventory.guarded, inventory.needs)
    for entry in _entries(inventory, stays):
        if node_named(entry) in guarded:
            why = inventory.guarded.get(node_named(entry), "needed by what is at work, or was just published")
            stays[entry.name].setdefault(entry.number, why)
    going = [entry for entry in _entries(inventory, stays) if entry.number not in stays[entry.name]]
    needed = _needed_by(inventory, going)
    for entry in [entry for entry in going if entry.name in collections and node_named(entry) in needed]:
        stays[entry.name][entry.number] = f"needed by {needed[node_named(entry)]}"
        going.remove(entry)
    nodes = _nodes(inventory, going, needed.keys() | guarded)
    announced = [
        entry
        for name, history in inventory.histories.items()
        if name.startswith(ANNOUNCED)
        for entry in history[:-1]
        if node_named(entry) in nodes
    ]

    def version(entry: Reference) -> Version:
        why = stays[entry.name].get(entry.number)
        if why is not None:
            return Version(str(entry), entry.short_name, True, why)
        why = "no version needs it" if entry.name in collections else f"not of {words_of(rule)}"
        if user := needed.get(node_named(entry)):
            why += f"; its artifact stays, which {user} needs"
        return Version(str(entry), entry.short_name, False, why)

    versions = tuple(version(entry) for entry in _entries(inventory, stays))
    return Plan(versions, (*going, *announced), nodes)


NEWEST = "the newest, on which the next edition builds"


def node_named(entry: Reference) -> Node:
    """The artifact that an entry names."""
    return f"{entry.stage}/{entry.fingerprint}"


def _by_rule(inventory: Inventory, name: str, rule: RetainConfig, now: datetime) -> dict[int, str]:
    if name not in inventory.histories or name.startswith(ANNOUNCED):
        raise ValueError(f"{name!r} is no name with versions in the store; `sdflow ls` lists those there are")
    return dict(versions_to_keep(inventory.histories[name], inventory.on_hold[name], rule, now))


def _collection(name: str) -> str:
    """Where the pictures of a dataset are filed: those of a run go along with its datasets."""
    kind, _, run = name.partition("/")
    return f"images/{run}" if kind == "datasets" else ""


def _entries(inventory: Inventory, names: Iterable[str]) -> list[Reference]:
    return [entry for name in names for entry in inventory.histories[name]]


def _needed_by(inventory: Inventory, going: Sequence[Reference]) -> dict[Node, str]:
    """Every artifact that entries which stay name, or need, and the first of these entries."""
    gone = {(entry.name, entry.number) for entry in going}
    needed: dict[Node, str] = {}
    for name, history in sorted(inventory.histories.items()):
        # What was announced before the last is memory; the last is compared with what comes.
        for entry in history[-1:] if name.startswith(ANNOUNCED) else reversed(history):
            if (entry.name, entry.number) not in gone:
                for node in closure([node_named(entry)], inventory.needs):
                    needed.setdefault(node, str(entry))
    return needed


def _nodes(inventory: Inventory, going: Sequence[Reference], needed: AbstractSet[Node]) -> frozenset[Node]:
    """The artifacts that go."""
    users: Mapping[Node, list[Node]] = defaultdict(list)
    for node in inventory.artifacts:
        for source in inventory.needs(node):
            users[source].append(node)
    dropped = {node_named(entry) for entry in going} | inventory.unfinished
    made_of_them = closure(dropped & inventory.artifacts.keys() - needed, lambda node: users[node])
    near = closure(made_of_them, inventory.needs)
    stays = closure(needed | (inventory.artifacts.keys() - near), inventory.needs)
    return frozenset(near & inventory.artifacts.keys() - stays)
