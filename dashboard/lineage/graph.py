"""What a graph shows of a store: which results, how they lie in layers, and what was left out.

By default the lineage of the newest version of each name; of one artifact all that it was made from and all
that was made from it. A graph is bounded, and says how much more there is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboard.catalogue import Contents
from stages.artifacts.artifact import Artifact

if TYPE_CHECKING:
    import networkx as nx

MOST = 150
"""Results of a graph."""
SWEEPS = 8
"""Times that the layers are put in order, each by its neighbours, so that few edges cross."""


@dataclass(frozen=True)
class LineageGraph:
    """Results, and which was made from which."""

    layers: Sequence[Sequence[Artifact]]
    """From what reads sources to what nothing was made from; of each stage all results stand in one layer."""
    edges: Sequence[tuple[str, str]]
    """Fingerprints of what was read and of what was made from it."""
    left_out: int
    """Results that belong to it and are not shown."""

    @property
    def artifacts(self) -> list[Artifact]:
        """All of them, layer by layer."""
        return [artifact for layer in self.layers for artifact in layer]


def newest_lineage(contents: Contents, most: int = MOST) -> LineageGraph:
    """What the newest version of each name was made from; names of which something new was made last come
    first where not all fit in."""
    newest = [contents.artifacts.get(history[-1].fingerprint) for history in contents.histories.values()]
    tips = sorted(filter(None, newest), key=lambda artifact: artifact.manifest.ended, reverse=True)
    whole = {
        artifact.fingerprint: artifact
        for tip in tips
        for artifact in (tip, *contents.ancestors(tip))
    }  # fmt: skip
    return _graph(contents, list(whole.values()), most)


def lineage_of(contents: Contents, artifact: Artifact, most: int = MOST) -> LineageGraph:
    """What an artifact was made from and what was made from it, the nearest of both first."""
    above, below = contents.ancestors(artifact), contents.descendants(artifact)
    turns = max(len(above), len(below))
    near = [
        relative for turn in range(turns) for relative in (*above[turn : turn + 1], *below[turn : turn + 1])
    ]
    return _graph(contents, [artifact, *near], most)


def _graph(contents: Contents, whole: Sequence[Artifact], most: int) -> LineageGraph:
    import networkx as nx  # takes a third of a second, and only graphs need it

    chosen = {artifact.fingerprint: artifact for artifact in whole[:most]}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(chosen)
    for artifact in chosen.values():
        for _, parent in contents.parents(artifact):
            if parent.fingerprint in chosen:
                graph.add_edge(parent.fingerprint, artifact.fingerprint)
    depth = stage_depths((chosen[a].stage, chosen[b].stage) for a, b in graph.edges)
    layers: dict[int, list[str]] = {}
    for artifact in sorted(chosen.values(), key=lambda each: (each.stage, each.manifest.ended)):
        layers.setdefault(depth.get(artifact.stage, 0), []).append(artifact.fingerprint)
    ordered = _few_crossings(graph, [layers[number] for number in sorted(layers)])
    return LineageGraph(
        [[chosen[name] for name in layer] for layer in ordered],
        sorted(graph.edges),
        len(whole) - len(chosen),
    )


def stage_depths(edges: Iterable[tuple[str, str]]) -> Mapping[str, int]:
    """Stage -> layer: greater than that of every stage that it reads. Stages that read each other, as a
    training that starts from an average, share one.

    Args:
        edges: (stage that was read, stage that read it); repeated as often as one likes.
    """
    import networkx as nx

    stages: nx.DiGraph[str] = nx.DiGraph()
    stages.add_edges_from(edges)
    groups = nx.condensation(stages)
    generations = nx.topological_generations(groups)
    return {
        stage: depth
        for depth, generation in enumerate(generations)
        for group in generation
        for stage in groups.nodes[group]["members"]
    }


def _few_crossings(graph: "nx.DiGraph[str]", layers: list[list[str]]) -> list[list[str]]:
    """Layers whose nodes stand near those that they are joined to: the barycentre heuristic (Sugiyama et al.
    1981), down and up in turns."""
    place = {name: _centred(number, layer) for layer in layers for number, name in enumerate(layer)}
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            beside = graph.pred if down else graph.succ
            wish = {
                name: sum(place[other] for other in beside[name]) / len(beside[name])
                if beside[name]
                else place[name]
                for name in layer
            }
            layer.sort(key=lambda name: (wish[name], place[name]))
            place |= {name: _centred(number, layer) for number, name in enumerate(layer)}
    return layers


def _centred(number: int, layer: Sequence[str]) -> float:
    """Where a node of a layer stands, where layers are centred on each other."""
    return number - (len(layer) - 1) / 2
