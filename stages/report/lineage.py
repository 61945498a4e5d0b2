"""Lineage of a store, or of one artifact: what was made from what, as nodes and edges."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.artifacts.artifact import Artifact, artifacts
from stages.artifacts.excerpt import origin_of
from stages.artifacts.reference import ANNOUNCED, is_released, names, references, resolve
from stages.artifacts.tombstone import tombstones
from stages.fingerprint import short_hash
from stages.foreign_text import escape
from stages.redaction import redact_url
from stages.store import Store

Graph = Mapping[str, Any]
"""As `lineage` gives it."""
Key = tuple[str, str, str]
"""Stage, fingerprint and digest."""
GENERATIONS = 12
"""Steps back, or ahead, that are shown to people."""


def lineage(store: Store, what: str = "") -> dict[str, Any]:
    """What was made from what.

    Args:
        store: where to look.
        what: a reference or the first digits of a fingerprint: it alone, with all that it was made from and
            all that was made from it; empty: the whole store.

    Returns:
        {"store": URL, "what": id of that artifact or "", "nodes": [...], "edges": [{"from", "to", "input"}]},
        in an order that the store alone decides: nodes by when they ended, edges by what they lead to.

        A node has its `id` (STAGE/FINGERPRINT; with /DIGEST behind it where that result does not stand any
        more), stage, fingerprint, digest and `state`: "finished", "dropped" (retention took it, its manifest
        is kept) or "unknown" (another names it, and nothing is kept). All but the unknown have kind, version,
        code, started, ended (ISO 8601, UTC), rows_in, rows_out, reasons, bytes, references, those of them
        that are on_hold, and `outside`: digests of inputs from outside the store, by name.

    Raises:
        ValueError: `what` means nothing, or more than one thing.
        DamagedError: a record cannot be read.
    """
    nodes, edges = _whole(store)
    start = ""
    if what:
        artifact = resolve(store, what, dropped=True)
        key = (artifact.stage, artifact.fingerprint, artifact.digest)
        start = _id(key, stands=artifact.dropped is None)
        around = _reach(start, edges, "to", "from") | _reach(start, edges, "from", "to")
        nodes = {name: node for name, node in nodes.items() if name in around}
        edges = [edge for edge in edges if edge["from"] in around and edge["to"] in around]
    ordered = sorted(nodes.values(), key=lambda node: (node.get("ended", ""), node["id"]))
    position = {node["id"]: number for number, node in enumerate(ordered)}
    edges.sort(key=lambda edge: (position[edge["to"]], edge["input"], edge["from"]))
    return {"store": redact_url(store.url), "what": start, "nodes": ordered, "edges": edges}


def as_lines(graph: Graph) -> Iterator[str]:
    """The answer of `lineage` for people: from results back to what they were made from; of one artifact also
    ahead, to what was made from it."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    back = _by(graph["edges"], "to", "from")
    ahead = _by(graph["edges"], "from", "to")
    if not graph["what"]:
        if not nodes:
            yield f"store {graph['store']} holds nothing finished yet"
        yield from _tree([name for name in nodes if name not in ahead], nodes, back)
        return
    yield from _tree([graph["what"]], nodes, back)
    if graph["what"] in ahead:
        yield from ("", "what was made from it")
        yield from list(_tree([graph["what"]], nodes, ahead))[1:]


def _whole(store: Store) -> tuple[dict[str, dict[str, Any]], list[dict[str, str]]]:
    """Every node by its id, and the edges."""
    stones = {(each.manifest.stage, each.manifest.fingerprint, each.manifest.digest): each
              for each in tombstones(store)}  # fmt: skip
    known = {(each.stage, each.fingerprint, each.digest): each for each in artifacts(store)}
    everything = {key: Artifact.of_tombstone(store, stone) for key, stone in stones.items()} | known
    called, on_hold = _references(store)
    nodes: dict[str, dict[str, Any]] = {}
    edges: list[dict[str, str]] = []
    for key, artifact in everything.items():
        name = _id(key, stands=key in known)
        dropped = artifact.dropped
        nodes[name] = _node(name, artifact) | {
            "references": list(dropped.references) if dropped else called.get(key, []),
            "on_hold": on_hold.get(key, []),
        }
        for role, source in artifact.manifest.inputs.items():
            if not source or not source["fingerprint"]:
                continue
            origin = (source["stage"], source["fingerprint"], source["digest"])
            before = _id(origin, stands=origin in known)
            edges.append({"from": before, "to": name, "input": role})
            if origin not in everything:
                nodes.setdefault(before, _unknown(before, origin))
    return nodes, edges


def _id(key: Key, *, stands: bool) -> str:
    stage, fingerprint, digest = key
    return f"{stage}/{fingerprint}" if stands else f"{stage}/{fingerprint}/{digest}"


def _node(name: str, artifact: Artifact) -> dict[str, Any]:
    manifest, dropped = artifact.manifest, artifact.dropped
    inputs = manifest.inputs
    return {
        "id": name,
        "stage": artifact.stage,
        "fingerprint": artifact.fingerprint,
        "digest": artifact.digest,
        "state": "finished" if dropped is None else "dropped",
        "kind": artifact.kind,
        "version": manifest.version,
        "code": manifest.code,
        "started": manifest.started,
        "ended": manifest.ended,
        "rows_in": artifact.funnel.rows_in,
        "rows_out": artifact.funnel.rows_out,
        "reasons": dict(sorted(artifact.funnel.reasons.items())),
        "bytes": sum(entry.size for entry in manifest.files.values()) if dropped is None else dropped.size,
        "outside": {
            role: source["digest"]
            for role, source in sorted(inputs.items())
            if source and not source["fingerprint"] and origin_of(role, inputs) == "outside"
        },
        **({"dropped": dropped.time, "why": dropped.why} if dropped is not None else {}),
    }


def _unknown(name: str, key: Key) -> dict[str, Any]:
    stage, fingerprint, digest = key
    return {"id": name, "stage": stage, "fingerprint": fingerprint, "digest": digest, "state": "unknown"}


def _references(store: Store) -> tuple[dict[Key, list[str]], dict[Key, list[str]]]:
    """What people call each artifact, and which of these names are on hold."""
    called: dict[Key, list[str]] = {}
    on_hold: dict[Key, list[str]] = {}
    for name in names(store):
        for entry in references(store, name) if not name.startswith(ANNOUNCED) else ():
            key = (entry.stage, entry.fingerprint, entry.digest)
            called.setdefault(key, []).append(str(entry))
            if not is_released(store, entry):
                on_hold.setdefault(key, []).append(str(entry))
    return called, on_hold


def _by(edges: Sequence[Mapping[str, str]], end: str, other: str) -> dict[str, list[tuple[str, str]]]:
    """Node -> (input, node at the other end) of its edges."""
    grouped: dict[str, list[tuple[str, str]]] = {}
    for edge in edges:
        grouped.setdefault(edge[end], []).append((edge["input"], edge[other]))
    return grouped


def _reach(start: str, edges: Sequence[Mapping[str, str]], end: str, other: str) -> set[str]:
    """A node and all that edges lead to, from `end` to `other`."""
    grouped, reached, waiting = _by(edges, end, other), {start}, [start]
    while waiting:
        new = {name for _, name in grouped.get(waiting.pop(), ())} - reached
        reached |= new
        waiting += new
    return reached


def _tree(
    roots: Sequence[str], nodes: Graph, below: Mapping[str, Sequence[tuple[str, str]]]
) -> Iterator[str]:
    """Nodes with what edges lead to below them, each of them opened once."""
    opened: set[str] = set()
    waiting = [(0, "", name) for name in reversed(roots)]
    while waiting:
        depth, role, name = waiting.pop()
        again = name in opened and name in below
        head = f"{'  ' * depth}{f'{role}: ' if role else ''}"
        yield f"{head}{_words(nodes[name])}{'  (as above)' if again else ''}"
        if name in opened:
            continue
        opened.add(name)
        if depth == GENERATIONS and name in below:
            yield f"{'  ' * (depth + 1)}… and further (--json has all)"
            continue
        waiting += [(depth + 1, *each) for each in reversed(below.get(name, ()))]


def _words(node: Mapping[str, Any]) -> str:
    short = f"{node['stage']}/{short_hash(node['fingerprint'])}"
    if node["state"] == "unknown":
        return f"{short}  nothing is kept of it"
    called = ", ".join(node["references"][-3:])
    marks = [f"dropped on {node['dropped'][:10]}"] if node["state"] == "dropped" else []
    marks += [f"{', '.join(node['on_hold'][-3:])} on hold"] if node["on_hold"] else []
    mark = f"  ({'; '.join(marks)})" if marks else ""
    return escape(
        f"{short}  {f'{called}  ' if called else ''}{node['ended'][:10]}  "
        f"{node['rows_out']:,} of {node['rows_in']:,} rows{mark}"
    )
