"""Stale: which names are out of date, and why."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboard.lineage.staleness import stale
from dashboard.page import Page, render
from dashboard.pages.found import contents_of
from stages.stage_version import stage_versions
from stages.takedown.records import takedowns

router = APIRouter()
MOST = 100
"""Names that the page lists."""
REASONS = 6
"""Reasons of a name that it lists."""


@router.get("/stale")
def out_of_date(request: Request) -> HTMLResponse:
    """The page."""
    contents = contents_of(request)
    snapshot = takedowns(contents.store)
    rows = stale(contents, stage_versions(), snapshot.digest if snapshot else None)
    page = Page(
        title="Out of date",
        about="Names whose newest version would be another one if its run were started again now, and why.",
        hint="Start the run again to bring one up to date; what has not changed is found finished.",
        crumbs=(("Home", "/"), ("Graph", "/graph")),
    )
    return render(request, "stale.html", page, rows=rows[:MOST], left_out=len(rows[MOST:]), reasons=REASONS)
