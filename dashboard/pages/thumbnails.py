"""Thumbnails: a picture of an artifact, made small, or a drawing that says why there is none."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dashboard.pictures.reader import artifact_of, reading
from dashboard.pictures.thumbnail import GREATEST, SIDE, PictureGone, PictureMissing, placeholder

router = APIRouter()
CACHING = {"Cache-Control": "private, no-cache"}
"""A browser may keep it, and asks before each use: a take-down must stop it."""


@router.api_route("/artifacts/{stage}/{fingerprint}/thumbnails/{uid}", methods=["GET", "HEAD"])
def thumbnail(
    request: Request,
    stage: str,
    fingerprint: str,
    uid: str,
    side: Annotated[int, Query(ge=16, le=GREATEST)] = SIDE,
) -> Response:
    """WebP; 410 for what was taken down, 404 for what is not there, both with a drawing that says so."""
    contents, reader = reading(request)
    artifact = artifact_of(contents, stage, fingerprint)
    try:
        made = reader.thumbnails.thumbnail(contents, artifact, uid, side)
    except PictureGone as error:
        return _drawn(str(error), 410, side)
    except PictureMissing as error:
        return _drawn(str(error), 404, side)
    headers = {**CACHING, "ETag": f'"{made.etag}"'}
    if f'"{made.etag}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(made.data, media_type=made.media, headers=headers)


def _drawn(words: str, status: int, side: int) -> Response:
    headers = {"Cache-Control": "no-store", "X-Reason": words}
    return Response(placeholder(words, side), status, headers, "image/svg+xml")
