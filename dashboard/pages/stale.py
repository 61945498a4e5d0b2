"""Stale: which names are out of date, and why."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboard.lineage.staleness import Stale, stale
from dashboard.page import Page, render
from dashboard.pages.found import contents_of
from stages.stage_version import stage_versions
from stages.takedown.records import takedowns

router = APIRouter()
MOST = 100
"""Names that the page lists."""
REASONS = 6
"""Reasons of a name that it lists."""


def outdated(request: Request) -> Sequence[Stale]:
    """Names that are out of date, by this installation and all take-downs; computed once for each version of
    the store's contents. DamagedError: a take-down cannot be read."""
    contents, state = contents_of(request), request.app.state
    version, rows = getattr(state, "outdated", ("", ()))
    if version != contents.version:
        snapshot = takedowns(contents.store)
        rows = stale(contents, stage_versions(), snapshot.digest if snapshot else None)
        state.outdated = contents.version, rows
    return rows


@router.get("/stale")
def out_of_date(request: Request) -> HTMLResponse:
    """The page."""
    rows = outdated(request)
    page = Page(
        title="Out of date",
        about="Names whose newest version would be another one if its run were started again now, and why.",
        hint="Start the run again to bring one up to date; what has not changed is found finished.",
        crumbs=(("Home", "/"), ("Graph", "/graph")),
    )
    return render(request, "stale.html", page, rows=rows[:MOST], left_out=len(rows[MOST:]), reasons=REASONS)
