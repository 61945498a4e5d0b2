"""Graph: which results were made from which, by stage, and what state they are in."""

import json

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from dashboard.lineage.graph import lineage_of, newest_lineage
from dashboard.lineage.state import state_of
from dashboard.links import artifact_path
from dashboard.page import Page, render
from dashboard.pages.found import artifact_at, contents_of
from dashboard.svg.lineage_graph import lineage_svg
from stages.report.lineage import lineage

router = APIRouter()


@router.get("/graph")
def graph(request: Request, artifact: str = "") -> HTMLResponse:
    """The graph of the newest versions, or of one artifact, by its fingerprint."""
    if artifact:
        contents, of = artifact_at(request, artifact)
        shown = lineage_of(contents, of)
        page = Page(
            title=f"Graph of {of.short_name}",
            about="What it was made from, to its left, and what was made from it, to its right.",
            hint="Open a box to see that result.",
            crumbs=(("Home", "/"), ("Graph", "/graph"), (of.short_name, artifact_path(of))),
        )
    else:
        contents = contents_of(request)
        shown = newest_lineage(contents)
        page = Page(
            title="Graph",
            about="What the newest version of each name was made from, from the sources on the left.",
            hint="Open a box to see that result, its rows and its files.",
            crumbs=(("Home", "/"),),
        )
    rows = [(each, state_of(contents, each)) for each in shown.artifacts]
    return render(
        request,
        "graph.html",
        page,
        contents=contents,
        marked=artifact,
        left_out=shown.left_out,
        rows=rows,
        drawing=lineage_svg(contents, shown, artifact) if rows else "",
        parents={
            each.fingerprint: ", ".join(
                dict.fromkeys(parent.short_name for _, parent in contents.parents(each))
            )
            for each in shown.artifacts
        },
    )


@router.get("/lineage.json")
def lineage_file(request: Request, artifact: str = "") -> Response:
    """The lineage of the whole store, or of one artifact by its fingerprint, as a file to save: what
    `sdflow lineage --json` prints."""
    graph = lineage(contents_of(request).store, artifact)
    headers = {"Content-Disposition": 'attachment; filename="lineage.json"', "Cache-Control": "no-store"}
    return Response(json.dumps(graph, indent=1, default=dict) + "\n", 200, headers, "application/json")
