"""What a stage has drawn, as PNG files: compared with their hash, and none that shows what was taken down."""

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from dashboard.pages.found import artifact_at
from dashboard.pictures.drawings import HiddenError, drawing
from stages.errors import DamagedError

router = APIRouter()


@router.get("/artifacts/{stage}/{fingerprint}/pictures/{name:path}")
def picture(request: Request, stage: str, fingerprint: str, name: str) -> Response:
    """A drawing of an artifact."""
    contents, artifact = artifact_at(request, fingerprint, stage)
    try:
        data = drawing(contents, artifact, name)
    except LookupError:
        raise HTTPException(404) from None
    except HiddenError as error:
        raise HTTPException(410, str(error)) from None
    except DamagedError as error:
        raise HTTPException(409, str(error)) from None
    return Response(data, media_type="image/png", headers={"Cache-Control": "no-store"})
