"""A lineage as SVG: a box for each result, which is a link, and curves from what was read to what was made.

Colours are classes of the style sheet; a result's state stands in words in its box, too.
"""

from collections.abc import Iterable, Iterator

from markupsafe import Markup

from dashboard.catalogue import Contents
from dashboard.lineage.graph import LineageGraph
from dashboard.lineage.state import state_of
from dashboard.links import artifact_path
from dashboard.page import foreign, words
from stages.artifacts.artifact import Artifact

WIDTH, HEIGHT = 176, 58
"""Of a box, in pixels."""
BETWEEN, ABOVE = 44, 16
"""Between layers, and between the boxes of one."""
MARGIN = 8
BOW = 0.9 * HEIGHT
"""How far a curve that passes by a layer is pulled up, so that it does not run behind a box of that."""
FITS = 1500
"""Pixels up to which a drawing is made as wide as the page, so that nothing of it is cut; its words stay
legible. Wider ones are scrolled."""
LETTERS = 22
"""Letters that fit into a box."""


def lineage_svg(contents: Contents, graph: LineageGraph, marked: str = "") -> Markup:
    """The drawing.

    Args:
        contents: of the store, which know names and states.
        graph: with at least one result.
        marked: fingerprint of the result that the graph is of; "": of none.
    """
    most = max(len(layer) for layer in graph.layers)
    height = 2 * MARGIN + BOW / 2 + most * (HEIGHT + ABOVE) - ABOVE
    width = 2 * MARGIN + len(graph.layers) * (WIDTH + BETWEEN) - BETWEEN
    places: dict[str, tuple[float, float]] = {}
    for number, layer in enumerate(graph.layers):
        top = (height + BOW / 2 - len(layer) * (HEIGHT + ABOVE) + ABOVE) / 2
        for row, artifact in enumerate(layer):
            place = (MARGIN + number * (WIDTH + BETWEEN), top + row * (HEIGHT + ABOVE))
            places[artifact.fingerprint] = place
    damaged = {*contents.damaged_artifacts, *contents.made_of_damaged}
    sound = [edge for edge in graph.edges if edge[0] not in damaged]
    unsound = [edge for edge in graph.edges if edge[0] in damaged]
    boxes = (_box(contents, each, *places[each.fingerprint], marked) for each in graph.artifacts)
    return Markup(
        '<svg class="lineage-graph{fits}" width="{width}" height="{height:.0f}" '
        'viewBox="0 0 {width} {height:.0f}" '
        'role="group" aria-label="Graph of results; the table below says the same">'
        '<path class="edge" d="{sound}"/><path class="edge bad" d="{unsound}"/>{boxes}</svg>'
    ).format(
        width=width,
        fits=" fits" if width <= FITS else "",
        height=height,
        sound=" ".join(_curves(sound, places)),
        unsound=" ".join(_curves(unsound, places)),
        boxes=Markup("").join(boxes),
    )


def _box(contents: Contents, artifact: Artifact, x: float, y: float, marked: str) -> Markup:
    state = state_of(contents, artifact)
    names = contents.references.get(artifact.fingerprint, ())
    name = str(names[-1]) if names else artifact.short_name
    rows = f"{artifact.funnel.rows_out:,} rows"
    title = f"{artifact.short_name}: {', '.join(names) or 'no name'}; {rows}; {state.words}"
    return Markup(
        '<a href="{path}" class="node {tone}{marked}"><title>{title}</title>'
        '<rect x="{x:.0f}" y="{y:.0f}" width="{width}" height="{height}" rx="6"/>'
        '<text x="{left:.0f}" y="{first:.0f}">{name}</text>'
        '<text class="soft" x="{left:.0f}" y="{second:.0f}">{facts}</text></a>'
    ).format(
        path=artifact_path(artifact),
        tone=state.tone,
        marked=" marked" if artifact.fingerprint == marked else "",
        title=foreign(title),
        x=x,
        y=y,
        width=WIDTH,
        height=HEIGHT,
        left=x + 10,
        first=y + 24,
        second=y + 44,
        name=_shortened(foreign(name), LETTERS),
        facts=_shortened(_facts(artifact, rows, state.words, named=bool(names)), LETTERS + 6),
    )


def _facts(artifact: Artifact, rows: str, state: str, *, named: bool) -> str:
    """The second line of a box: what is not well comes before the rest."""
    if state in ("released", "no name"):
        return f"{words(artifact.stage)}, {rows}" if named else rows
    return f"{state}, {rows}"


def _shortened(text: str, letters: int) -> str:
    """A text that fits: its end goes, but for a version's number."""
    if len(text) <= letters:
        return text
    head, at, number = text.rpartition("@")
    end = f"…{at}{number}" if at and len(number) < letters // 2 else "…"
    return (head if at and end != "…" else text)[: letters - len(end)] + end


def _curves(edges: Iterable[tuple[str, str]], places: dict[str, tuple[float, float]]) -> Iterator[str]:
    for source, target in edges:
        (x0, y0), (x1, y1) = places[source], places[target]
        y0, y1 = y0 + HEIGHT / 2, y1 + HEIGHT / 2
        if x1 > x0:
            begin, near = x0 + WIDTH, x1 - x0 < 2 * WIDTH
            bow, bend = (0, (x1 - begin) / 2) if near else (BOW, BETWEEN)
            yield (
                f"M{begin:.0f} {y0:.0f}C{begin + bend:.0f} {y0 - bow:.0f} {x1 - bend:.0f} {y1 - bow:.0f} "
                f"{x1:.0f} {y1:.0f}"
            )
        else:  # of one layer: around its right side
            begin, end, out = x0 + WIDTH, x1 + WIDTH, max(x0, x1) + WIDTH + BETWEEN / 2
            yield f"M{begin:.0f} {y0:.0f}C{out:.0f} {y0:.0f} {out:.0f} {y1:.0f} {end:.0f} {y1:.0f}"
