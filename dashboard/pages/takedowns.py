"""Take-downs: what must not be used any more, what still holds it, and how to ask for one."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from dashboard.catalogue import Catalogue, Contents
from dashboard.page import FRAGMENT, Page, render, render_fragment
from dashboard.takedowns.request import DryRun, asked_for, dry_run, given_names, purge_command, why_not
from dashboard.web.form import SignedForm
from stages.takedown.holders import holders
from stages.takedown.records import Takedown, forget
from stages.takedown.remaining import counts, holds_bytes, next_steps

router = APIRouter()
CRUMBS = (("Take-downs", "/takedowns"),)
SHOWN = 200
"""Take-downs on the list's page; the newest."""


def _contents(request: Request) -> Contents:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue.contents()


@router.get("/takedowns")
def takedowns(request: Request) -> HTMLResponse:
    """Every record, the newest first."""
    contents = _contents(request)
    page = Page(
        title="Take-downs",
        about="Pictures that must not be used any more: no run takes them over, and no page shows them.",
        hint="Open one to see what still holds its pictures, or request another.",
    )
    amended: dict[int, int] = {}
    for artifact in contents.artifacts.values():
        for number in {amendment.takedown for amendment in artifact.amendments}:
            amended[number] = amended.get(number, 0) + 1
    newest = list(reversed(contents.takedowns))
    return render(
        request,
        "takedowns.html",
        page,
        takedowns=newest[:SHOWN],
        total=len(newest),
        amended=amended,
        why_not=why_not(contents.store),
    )


@router.get("/takedowns/new")
def new(request: Request) -> HTMLResponse:
    """The form; a link may bring names: `?uid=`, `?url=`, `?sha256=`, `?host=`."""
    return _form(request, asked_for(request.query_params), request.query_params.get("why", ""))


@router.post("/takedowns/new")
def look(request: Request, form: SignedForm) -> HTMLResponse:
    """The dry run: what would go, and what holds it."""
    names, why = form.get("names", ""), form.get("why", "")
    try:
        planned = dry_run(_contents(request).store, names, why)
    except ValueError as error:
        return _form(request, names, why, str(error))
    return _dry_run(request, planned, names)


@router.post("/takedowns")
def record(request: Request, form: SignedForm) -> Response:
    """The second word: what the dry run showed is recorded, if it is still what would be."""
    store = _contents(request).store
    names, why = form.get("names", ""), form.get("why", "")
    if refusal := why_not(store):
        return _form(request, names, why, refusal)
    planned = dry_run(store, names, why)
    if form.get("seen") != planned.seen:
        return _dry_run(request, planned, names, "The store has changed since you looked; look again.")
    if form.get("confirmed") != "yes":
        return _dry_run(request, planned, names, "Confirm that you have looked at what would go.")
    recorded = forget(store, given_names(names), why)
    request.app.state.catalogue.look_again()
    return RedirectResponse(f"/takedowns/{recorded.number}", 303)


@router.get("/takedowns/{number:int}")
def takedown(request: Request, number: int) -> HTMLResponse:
    """One record."""
    contents = _contents(request)
    shown = _takedown(contents, number)
    page = Page(
        title=f"Take-down {number}",
        about="What must not be used any more, why, and under which names it goes.",
        hint="Look at what still holds it; runs from now on leave it out.",
        crumbs=CRUMBS,
    )
    return render(request, "takedown.html", page, takedown=shown, counts=counts(shown), listed=20)


@router.get("/takedowns/{number:int}/holders")
def takedown_holders(request: Request, number: int) -> HTMLResponse:
    """What holds the pictures of a record: a part of its page, or a page without JavaScript."""
    contents = _contents(request)
    shown = _takedown(contents, number)
    listed = holders(contents.store, set(shown.sha256s))
    context: dict[str, Any] = {
        "holders": listed,
        "number": number,
        "steps": list(next_steps(listed)),
        "command": purge_command(contents.store, shown) if holds_bytes(shown, listed) else "",
        "listed_apart": "--file" in purge_command(contents.store, shown),
    }
    if FRAGMENT in request.headers:
        return render_fragment(request, "holders.html", **context)
    page = Page(
        title=f"What holds take-down {number}",
        about="Results with its pictures, and models that learned from them.",
        crumbs=(*CRUMBS, (f"Take-down {number}", f"/takedowns/{number}")),
    )
    return render(request, "holders_page.html", page, **context)


@router.get("/takedowns/{number:int}/names.txt")
def names_list(request: Request, number: int) -> PlainTextResponse:
    """The SHA-256 of each of its pictures, a line each, as `sdflow forget --file` reads them."""
    shown = _takedown(_contents(request), number)
    disposition = {"Content-Disposition": f'attachment; filename="take-down-{number}.txt"'}
    return PlainTextResponse("".join(f"{sha256}\n" for sha256 in shown.sha256s), headers=disposition)


def _takedown(contents: Contents, number: int) -> Takedown:
    for candidate in contents.takedowns:
        if candidate.number == number:
            return candidate
    raise HTTPException(404)


def _form(request: Request, names: str, why: str, mistake: str = "") -> HTMLResponse:
    page = Page(
        title="Request a take-down",
        about="Name pictures that must not be used any more; nothing is recorded before a dry run.",
        hint="It shows what would go, and asks again.",
        crumbs=CRUMBS,
    )
    return render(
        request,
        "takedown_form.html",
        page,
        400 if mistake else 200,
        names=names,
        why=why,
        mistake=mistake,
        why_not=why_not(_contents(request).store),
        form_token=request.app.state.access.form_token,
    )


def _dry_run(request: Request, planned: DryRun, names: str, mistake: str = "") -> HTMLResponse:
    page = Page(
        title="What would be taken down",
        about="A dry run: nothing has been recorded. A take-down is for good; there is no way to undo one.",
        hint="Look at the figures and the pictures, then confirm below.",
        crumbs=(*CRUMBS, ("Request", "/takedowns/new")),
    )
    return render(
        request,
        "takedown_dry_run.html",
        page,
        409 if mistake else 200,
        dry_run=planned,
        counts=counts(planned.takedown),
        names=names,
        mistake=mistake,
        steps=list(next_steps(planned.holders)),
        form_token=request.app.state.access.form_token,
    )
