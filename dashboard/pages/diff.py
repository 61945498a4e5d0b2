"""What changed from one version to another: choices, inputs, funnel, and the pictures themselves."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dashboard.catalogue import Contents
from dashboard.lineage.resolution import names_of, reference_name, resolved
from dashboard.links import diff_path, reference_path
from dashboard.page import FRAGMENT, Page, render, render_fragment
from dashboard.pages.found import contents_of
from dashboard.versions import difference
from dashboard.versions.picture_changes import ChangesCache, comparable
from stages.artifacts.artifact import Artifact
from stages.report.diff import CHANGE_LABELS, diff_rows

router = APIRouter()
NAMES = 60
"""Names that the form offers."""
VERSIONS = 40
"""Versions of the name that the form offers, the newest ones."""


@router.get("/diff")
def diff(request: Request, old: str = "", new: str = "") -> Response:
    """The page, or the form to choose what is compared.

    Args:
        request: of the page.
        old: a reference or the first digits of a fingerprint.
        new: likewise.
    """
    contents = contents_of(request)
    if not (old.strip() and new.strip()):
        return _form(request, contents, old, new)
    before, after = resolved(contents, old), resolved(contents, new)
    if before.stage != after.stage:
        raise ValueError(
            f"{before.short_name} and {after.short_name} are of different stages; choose two of one name"
        )
    names = [reference_name(contents, before), reference_name(contents, after)]
    page = Page(
        title=f"{names[0]} → {names[1]}",
        about="What changed from the first to the second: choices, inputs, rows, figures and pictures.",
        hint="Follow the line down to where the two part ways.",
        crumbs=(("Home", "/"), *((name, reference_path(name)) for name in names_of(contents, after)[-1:])),
    )
    return render(
        request,
        "diff.html",
        page,
        old=before,
        new=after,
        names=names,
        called=(old, new),
        versions=_versions(contents, after),
        pictures=f"/diff/pictures?{diff_path(before.fingerprint, after.fingerprint).partition('?')[2]}"
        if comparable(before, after) and not (before.dropped or after.dropped)
        else "",
        config=difference.config_differences(before, after),
        inputs=difference.input_differences(contents, before, after),
        funnel=difference.funnel_differences(before, after),
        statistics=difference.statistics_differences(before, after),
        made_by=difference.made_by(before, after),
        line=difference.line_differences(contents, before, after),
        most=difference.MOST,
        reference_name=lambda artifact: reference_name(contents, artifact),
    )


@router.get("/diff/pictures")
def pictures(
    request: Request, old: str, new: str, change: str = "", reason: str = "", after: str = ""
) -> HTMLResponse:
    """How many pictures differ and which: a part of the page, or a page of its own.

    Args:
        request: of the page.
        old: a reference or the first digits of a fingerprint.
        new: likewise.
        change: a key of `CHANGE_LABELS`; empty: how many there are of each.
        reason: of the change; empty: whatever it is.
        after: uid after which the page begins.
    """
    contents = contents_of(request)
    before, now = resolved(contents, old), resolved(contents, new)
    if not comparable(before, now) or (change and change not in CHANGE_LABELS):
        raise HTTPException(404)
    changes = _cache(request).between(before, now)
    rows, following = changes.page(change, reason, after) if change else ((), "")
    values: dict[str, Any] = {
        "old": before,
        "new": now,
        "counts": diff_rows(changes.diff),
        "groups": _groups(changes.diff),
        "labels": CHANGE_LABELS,
        "change": change,
        "reason": reason,
        "rows": rows,
        "following": following,
        "forbidden": contents.forbidden,
    }
    if FRAGMENT in request.headers:
        return render_fragment(request, "diff_pictures.html", **values)
    names = [reference_name(contents, side) for side in (before, now)]
    words = f"{CHANGE_LABELS[change]}{f' ({reason})' if reason else ''}".replace("_", " ") if change else ""
    page = Page(
        title=f"Pictures {words or 'that differ'}, {names[0]} → {names[1]}",
        about="Pictures by what became of them from the first version to the second.",
        hint="Open a picture to read its whole story.",
        crumbs=(("Home", "/"), (" → ".join(names), diff_path(before.fingerprint, now.fingerprint))),
    )
    return render(request, "diff_pictures_page.html", page, **values)


@router.get("/diff/of")
def diff_of(request: Request, name: str, old: int, new: int) -> Response:
    """Where a name's form leads: two versions by their numbers."""
    return RedirectResponse(diff_path(f"{name}@{old}", f"{name}@{new}"), 303)


def _form(request: Request, contents: Contents, old: str, new: str) -> HTMLResponse:
    names = [(name, history) for name, history in contents.histories.items() if len(history) > 1]
    page = Page(
        title="Compare",
        about="Two results of one stage side by side: what was chosen, what went in, what came out.",
        hint="Choose a name and two of its versions, or give any two results by their fingerprints.",
        crumbs=(("Home", "/"),),
    )
    return render(
        request, "diff_form.html", page, names=names[:NAMES], more=len(names) - NAMES, old=old, new=new
    )


def _versions(contents: Contents, artifact: Artifact) -> tuple[str, list[int]]:
    """The name that an artifact got last, and numbers of its versions, the newest first."""
    names = names_of(contents, artifact)
    if not names:
        return "", []
    return names[-1], [entry.number for entry in reversed(contents.histories[names[-1]])][:VERSIONS]


def _groups(diff: Any) -> list[tuple[str, str, int]]:
    """(change, reason, pictures) of every gallery."""
    groups = [("added", reason, count) for reason, count in diff.added_after.items()]
    groups += [("removed", reason, count) for reason, count in diff.removed.items()]
    groups += [("changed", "", diff.changed), ("captions", "", diff.captions_changed)]
    return [group for group in groups if group[2]]


def _cache(request: Request) -> ChangesCache:
    if not hasattr(request.app.state, "changes"):
        request.app.state.changes = ChangesCache()
    return request.app.state.changes
