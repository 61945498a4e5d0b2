"""Verify: hash an artifact's files again, and leave the result beside it."""

import threading

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.catalogue import Catalogue
from dashboard.links import artifact_path
from dashboard.page import Page, render
from dashboard.pages.found import artifact_at
from dashboard.web.form import SignedForm
from stages.artifacts.verification import verify_and_record

router = APIRouter()
_LOCK = threading.Lock()
"""Hashing takes all that a disk gives: one artifact at a time."""


@router.post("/artifacts/{stage}/{fingerprint}/verify")
def verify(request: Request, stage: str, fingerprint: str, form: SignedForm) -> Response:
    """Verify, then show the artifact's page; it takes as long as reading all its files."""
    _, artifact = artifact_at(request, fingerprint, stage)
    if artifact.dropped is not None:
        raise HTTPException(409, f"{artifact.dropped}; there is nothing to verify.")
    if not _LOCK.acquire(blocking=False):
        page = Page(
            title="Another artifact is being verified",
            about="One is verified at a time; nothing was changed.",
            crumbs=(("Home", "/"), (artifact.short_name, artifact_path(artifact))),
        )
        return render(request, "message.html", page, 409, message="Try again when it has ended.")
    try:
        verify_and_record(artifact)
    finally:
        _LOCK.release()
    catalogue: Catalogue = request.app.state.catalogue
    catalogue.look_again()
    return RedirectResponse(f"{artifact_path(artifact)}#verification", 303)
