"""A name: every version that it ever meant, what held one back, who let it through and why."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from dashboard.catalogue import Contents
from dashboard.links import diff_path
from dashboard.page import Page, render
from dashboard.pages.found import contents_of
from dashboard.versions.flattened import flattened, shown
from stages.artifacts.approval import Approval
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import ON_HOLD, Reference, approval
from stages.errors import DamagedError

router = APIRouter()
PAGE = 50
"""Versions of a page."""


@dataclass(frozen=True)
class HistoryEntry:
    """One entry of a name's history."""

    entry: Reference
    artifact: Artifact | None
    """None where the store knows nothing of it."""
    approved: Approval | None
    on_hold: bool
    """Whether `@latest` passes over it."""
    note: Mapping[str, str]
    before: Reference | None
    """The entry before it."""
    damage: str = ""
    """Why its approval cannot be read."""

    @property
    def diff(self) -> str:
        """Where it is compared with the one before."""
        return diff_path(str(self.before), str(self.entry)) if self.before else ""


@router.get("/references/{name:path}")
def reference(request: Request, name: str, before: int = 0) -> HTMLResponse:
    """A name's history, the newest first; `before` is the number at which a page ends."""
    contents = contents_of(request)
    if name not in contents.histories:
        raise HTTPException(404)
    history = contents.histories[name]
    places = [place for place, entry in enumerate(history) if not before or entry.number < before]
    shown_places = places[-PAGE:]
    released = [entry for entry in history if entry.number not in contents.on_hold[name]]
    page = Page(
        title=name,
        about="Every version of this name, the newest first: what it is, what held it back, who approved it.",
        hint="Compare a version with the one before it, or open what it names.",
        crumbs=(("Home", "/"),),
    )
    return render(
        request,
        "reference.html",
        page,
        name=name,
        versions=[_version(contents, name, place) for place in reversed(shown_places)],
        latest=released[-1] if released else None,
        numbers=[entry.number for entry in reversed(history)][:PAGE],
        total=len(history),
        older=history[shown_places[0]].number if shown_places and shown_places[0] > places[0] else 0,
        before=before,
    )


def _version(contents: Contents, name: str, place: int) -> HistoryEntry:
    history = contents.histories[name]
    entry = history[place]
    approved, damage = None, ""
    if entry.on_hold:
        try:
            approved = approval(contents.store, entry)
        except DamagedError as error:
            damage = str(error)
    note = {path: shown(value) for path, value in flattened(entry.note).items() if path != ON_HOLD}
    return HistoryEntry(
        entry,
        contents.artifacts.get(entry.fingerprint),
        approved,
        entry.number in contents.on_hold[name],
        dict(list(note.items())[:12]),
        history[place - 1] if place else None,
        damage,
    )
