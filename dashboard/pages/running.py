"""What runs: stages at work on any machine, and one of them with its funnel and its curves so far."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboard.catalogue import Catalogue
from dashboard.links import special_path
from dashboard.page import FRAGMENT, Page, render, render_fragment, words
from dashboard.results.metrics import Curves, point_curves
from stages.artifacts.status import Status, running
from stages.fingerprint import short_hash

router = APIRouter()
LAST = 286
"""Status of htmx: the part is put in, and not asked for again."""


@router.get("/running")
def what_runs(request: Request) -> HTMLResponse:
    """What runs now: a part of the home page, asked for every ten seconds, or a page without JavaScript."""
    catalogue: Catalogue = request.app.state.catalogue
    statuses = running(catalogue.store)
    if FRAGMENT in request.headers:
        return render_fragment(request, "running.html", statuses=statuses)
    page = Page(
        title="What runs",
        about="Stages at work in this store now, on any machine, and what was left by processes that died.",
        hint="Open one to see its funnel and its curves so far.",
        crumbs=(("Home", "/"),),
    )
    return render(request, "running_page.html", page, statuses=statuses)


@router.get("/running/{stage}/{fingerprint}")
def work(request: Request, stage: str, fingerprint: str) -> HTMLResponse:
    """A stage at work, by what was asked of it: a page, or its part that is asked for every ten seconds.
    Once there is a result it leads there; where there is neither, 404."""
    catalogue: Catalogue = request.app.state.catalogue
    status = next(
        (each for each in running(catalogue.store) if (each.stage, each.fingerprint) == (stage, fingerprint)),
        None,
    )
    if status is None:
        catalogue.look_again()  # it may have ended just now
    artifact = catalogue.contents().artifacts.get(fingerprint)
    finished = artifact if artifact and artifact.stage == stage and artifact.dropped is None else None
    facts: dict[str, Any] = {
        "progress": status,
        "curves": curves_of(status) if status else None,
        "result": special_path(finished) if finished else "",
    }
    if FRAGMENT in request.headers:
        part = render_fragment(request, "work.html", **facts)
        part.status_code = 200 if status else LAST
        return part
    page = Page(
        title=f"{words(stage).capitalize()} {short_hash(words(fingerprint))} at work",
        about="How far it is, what it has left out so far, and how it learns, as its process says every ten "
        "seconds.",
        hint="Without JavaScript, load the page again to see how it goes on.",
        crumbs=(("Home", "/"), ("What runs", "/running")),
    )
    return render(request, "work_page.html", page, 200 if status or finished else 404, **facts)


def curves_of(status: Status) -> Curves | None:
    """What a training has said of its losses until now; None where there is nothing to draw."""
    points = status.training.curves if status.training is not None else {}
    return point_curves(points) if any(points.values()) else None
