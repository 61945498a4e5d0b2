"""The artifact that an address names, for pages."""

from fastapi import HTTPException, Request

from dashboard.catalogue import Catalogue, Contents
from stages.artifacts.artifact import Artifact
from stages.kind import Kind
from stages.registry import kinds


def contents_of(request: Request) -> Contents:
    """What the store holds now."""
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue.contents()


def artifact_at(request: Request, fingerprint: str, stage: str = "") -> tuple[Contents, Artifact]:
    """The contents of the store, and an artifact of it by its whole fingerprint; a page of 404 where there is
    none."""
    contents = contents_of(request)
    artifact = contents.artifacts.get(fingerprint)
    if artifact is None or stage not in ("", artifact.stage):
        raise HTTPException(404)
    return contents, artifact


def known_kind(artifact: Artifact) -> Kind | None:
    """What an artifact is to the rest; None where this version does not know its kind."""
    return kinds().get(artifact.kind)
