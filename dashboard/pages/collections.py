"""A collection: where its pictures come from, how hosts answered, what it represents and what waits."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from dashboard.lineage.resolution import reference_name
from dashboard.links import diff_path
from dashboard.page import FRAGMENT, Page, explained, render, render_fragment, words
from dashboard.pages.found import artifact_at
from dashboard.results import collection as about
from stages.artifacts.artifact import Artifact
from stages.collect.report.diff import Diff
from stages.report.coverage import SHOWN, coverage_panels
from stages.report.diff import diff_rows

router = APIRouter()
PICTURES = 60
"""Of a page of a host's pictures."""


@router.get("/collections/{fingerprint}")
def collection(request: Request, fingerprint: str, host: str = "", after: str = "") -> HTMLResponse:
    """A collection's page.

    Args:
        request: of the page.
        fingerprint: whole.
        host: part of a host's name, whose table is shown.
        after: where the page of hosts begins.
    """
    contents, images = artifact_at(request, fingerprint)
    if not _is_collection(images):
        raise HTTPException(404)
    page = Page(
        title=f"Collection {reference_name(contents, images)}",
        about="Where its pictures come from, how hosts answered, what they represent, and what waits.",
        hint="Open a host or a reason to see its rows.",
        crumbs=(("Home", "/"),),
    )
    if images.dropped is not None:
        return render(request, "message.html", page, message=f"{images.dropped}, and its files are gone.")
    coverage: dict[str, Any] | None = about.document(images, about.COVERAGE)
    changed: Any = about.document(images, about.DIFF)
    sites: list[dict[str, Any]] = about.document(images, about.SITES) or []
    previous = dict(contents.parents(images)).get("previous")
    return render(
        request,
        "collection.html",
        page,
        images=images,
        contents=contents,
        hosts=about.hosts(images, search=host, after=after) if images.has_table(about.HOSTS) else None,
        host=host,
        after=after,
        kept_reasons=about.REASONS,
        waiting=about.waiting(images),
        opt_outs=about.opt_outs(images),
        conflicts=about.conflict_counts(images),
        panels={title: _shares(counts) for title, counts in coverage_panels(coverage).items() if counts}
        if coverage
        else {},
        concerns=coverage["concerns"] if coverage else (),
        changes=diff_rows(Diff.from_json(images.read(about.DIFF))) if changed else (),
        diff=diff_path(previous.fingerprint, images.fingerprint) if previous and not previous.dropped else "",
        sites=sites[: about.PAGE],
        sites_more=max(0, len(sites) - about.PAGE),
        sources=about.source_files(about.document(images, about.SOURCES)),
        children=[contents.artifacts[child] for _, child in contents.children.get(fingerprint, ())][:30],
    )


@router.get("/collections/{fingerprint}/conflicts")
def conflicts(request: Request, fingerprint: str, kind: str = "", after: str = "") -> HTMLResponse:
    """Statements that something contradicts: a part of the collection's page, or a page."""
    contents, images = artifact_at(request, fingerprint)
    if not images.has_table(about.CONFLICTS):
        raise HTTPException(404)
    rows, following = about.conflicts(images, kind, after)
    values: dict[str, Any] = {"images": images, "rows": rows, "kind": kind, "following": following}
    if FRAGMENT in request.headers:
        return render_fragment(request, "conflicts_table.html", **values)
    name = reference_name(contents, images)
    page = Page(
        title="Contradictions",
        about=f"What sources say of pictures of {name} and what contradicts it; nobody knows which is right.",
        hint="Open a picture to see everything that is said of it.",
        crumbs=(("Home", "/"), (name, f"/collections/{fingerprint}")),
    )
    return render(request, "conflicts.html", page, **values)


@router.get("/collections/{fingerprint}/host")
def host_rows(
    request: Request, fingerprint: str, name: str, reason: str = "", after: str = ""
) -> HTMLResponse:
    """The pictures of a host, or its rows that were left out for one reason."""
    contents, images = artifact_at(request, fingerprint)
    if not _is_collection(images) or images.dropped is not None:
        raise HTTPException(404)
    rows = about.host_rows(images, name, reason, after, PICTURES + 1)
    called, meaning = reference_name(contents, images), explained(reason)
    page = Page(
        title=f"{name}: {reason.replace('_', ' ') if reason else 'pictures'}",
        about=f"Rows of this host in {called}, {'left out' if reason else 'whose pictures are held'}."
        + (f" {words(reason).capitalize()}: {meaning}." if meaning else ""),
        hint="Open one to read its whole story.",
        crumbs=(("Home", "/"), (called, f"/collections/{fingerprint}")),
    )
    return render(
        request,
        "host.html",
        page,
        images=images,
        rows=rows[:PICTURES],
        name=name,
        reason=reason,
        following=rows[PICTURES - 1][0] if len(rows) > PICTURES else "",
        forbidden=contents.forbidden,
    )


def _is_collection(artifact: Artifact) -> bool:
    return artifact.kind == "images"


def _shares(counts: dict[str, int]) -> list[tuple[str, int, float]]:
    """(name, pictures, share of all) of the greatest, and of the rest together."""
    total = sum(counts.values()) or 1
    ranked = list(counts.items())
    rows = [(name or "none", count, count / total) for name, count in ranked[:SHOWN]]
    rest = sum(count for _, count in ranked[SHOWN:])
    return [*rows, *([(f"{len(ranked) - SHOWN} more", rest, rest / total)] if rest else [])]
