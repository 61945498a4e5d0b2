"""Home: what a store holds by name, the newest version of each, and what needs a look."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboard.catalogue import Catalogue, Contents
from dashboard.page import Page, render
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import Reference

router = APIRouter()


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
        hint="Open a name to see what it was made from, or search for an image by its address.",
    )
    return render(request, "home.html", page, names=list(name_rows(contents)), contents=contents)


def name_rows(contents: Contents) -> Iterator[NameRow]:
    """Every name, in the order of the alphabet."""
    for name, history in contents.histories.items():
        held = contents.on_hold[name]
        released = next((entry for entry in reversed(history) if entry.number not in held), None)
        shown = released or history[-1]
        artifact = contents.artifacts.get(shown.fingerprint)
        yield NameRow(name, history[-1], released, artifact, len(history))
