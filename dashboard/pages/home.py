"""Home: what a store holds by name, the newest version of each, and what needs a look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboard.catalogue import Catalogue, Contents
from dashboard.lineage.staleness import Stale
from dashboard.page import Page, render
from dashboard.pages.stale import outdated
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import Reference
from stages.errors import StageError

router = APIRouter()
WARNINGS = 5
"""Of one version that the home page shows; its own page has all."""

OUTDATED = 8
"""Names that are out of date of which it says why; /stale has all."""


@dataclass(frozen=True)
class NameRow:
    """A name, and what it means now."""

    name: str
    newest: Reference
    released: Reference | None
    """What `@latest` means; None where every version is on hold."""
    artifact: Artifact | None
    """Of `released`, or else of the newest; None where the store knows nothing of it."""
    versions: int


@router.get("/")
def home(request: Request) -> HTMLResponse:
    """The page at which everybody begins."""
    catalogue: Catalogue = request.app.state.catalogue
    contents = catalogue.contents()
    page = Page(
        title="Home",
        about=f"What the store {contents.store.url} holds, by the names that people use.",
        hint="Open a name to see its versions, or search for an image by its address to read its story.",
    )
    names = list(name_rows(contents))
    old, unknown = _out_of_date(request)
    return render(
        request,
        "home.html",
        page,
        names=names,
        contents=contents,
        waiting=[row.newest for row in names if row.newest.number in contents.on_hold[row.name]],
        warnings=list(newest_warnings(names)),
        outdated=old[:OUTDATED],
        outdated_more=len(old[OUTDATED:]),
        outdated_unknown=unknown,
    )


def _out_of_date(request: Request) -> tuple[Sequence[Stale], str]:
    """Names that are out of date; and why nobody can say, where that is so."""
    try:
        return outdated(request), ""
    except StageError as error:
        return (), str(error)


def newest_warnings(rows: Sequence[NameRow]) -> Iterator[tuple[NameRow, Sequence[str]]]:
    """The warnings of what each name means now, a few of each; names without any are left out."""
    for row in rows:
        warnings = row.artifact.statistics.get("warnings", ()) if row.artifact is not None else ()
        if warnings:
            yield row, [str(words) for words in warnings[:WARNINGS]]


def name_rows(contents: Contents) -> Iterator[NameRow]:
    """Every name, in the order of the alphabet."""
    for name, history in contents.histories.items():
        on_hold = contents.on_hold[name]
        released = next((entry for entry in reversed(history) if entry.number not in on_hold), None)
        shown = released or history[-1]
        artifact = contents.artifacts.get(shown.fingerprint)
        yield NameRow(name, history[-1], released, artifact, len(history))
