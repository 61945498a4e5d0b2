"""Export: any page as one HTML file that opens without a network."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response

from dashboard.catalogue import Catalogue
from dashboard.page import FRAGMENT
from dashboard.web.inner_request import ask
from dashboard.web.single_file import SingleFile, Supplies, data_url

router = APIRouter()
STYLE = "/static/dashboard.css"
IMAGES = 300
BYTES = 20_000_000
"""Of all images in a file, before base64 makes them a third longer."""
FRAGMENTS = 12
NOT_PAGES = ("/export", "/static/")


@router.get("/export")
async def export(request: Request, page: Annotated[str, Query(max_length=4000)] = "/") -> Response:
    """The page at a path, with its query, as a file to save. What was taken down by now is not in it."""
    if not page.startswith("/") or page.startswith(("//", "/\\", *NOT_PAGES)):
        raise HTTPException(400, "Only a page of this dashboard can be exported: /export?page=/…")
    catalogue: Catalogue = request.app.state.catalogue
    catalogue.look_again()
    reply = await ask(request, page)
    if reply.content_type != "text/html" or reply.status != 200:
        raise HTTPException(
            reply.status if reply.status >= 400 else 400, f"There is no page at {page} to export."
        )
    text = reply.body.decode()
    css = (await ask(request, STYLE)).body.decode()
    fragments: dict[str, str] = {}
    needed = list(dict.fromkeys(SingleFile.of(text, Supplies()).needed_fragments))
    for path in needed[:FRAGMENTS]:
        fragment = await ask(request, path, ((FRAGMENT.lower().encode(), b"true"),))
        if fragment.status == 200:
            fragments[path] = fragment.body.decode()
    paths = SingleFile.of(text, Supplies(fragments=fragments)).needed_images
    images, cut = await _images(request, list(dict.fromkeys(paths)))
    note = _note(page, cut, len(needed) - len(fragments))
    supplies = Supplies(css, fragments, images, request.app.state.base_url, note)
    name = re.sub(r"[^A-Za-z0-9]+", "-", page).strip("-")[:80] or "home"
    return Response(
        SingleFile.of(text, supplies).text,
        media_type="text/html",
        headers={
            "Content-Disposition": f'attachment; filename="sdflow-{name}.html"',
            "Cache-Control": "no-store",
        },
    )


async def _images(request: Request, paths: Sequence[str]) -> tuple[dict[str, str], int]:
    """data: URLs of images by path, as far as there is room, and how many were left out for want of it."""
    images: dict[str, str] = {}
    room, cut = BYTES, 0
    for path in paths:
        if len(images) >= IMAGES or room <= 0:
            cut += 1
            continue
        reply = await ask(request, path)
        drawn = reply.status == 200 or reply.content_type == "image/svg+xml"  # which says why there is none
        if drawn and reply.content_type.startswith("image/"):
            if len(reply.body) > room:
                cut += 1
                continue
            images[path] = data_url(reply.content_type, reply.body)
            room -= len(reply.body)
    return images, cut


def _note(page: str, cut: int, missing: int) -> str:
    time = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    words = (
        f"The page {page} of sdflow's dashboard as of {time} UTC, without what had been taken down by then."
    )
    if cut:
        words += (
            f" {cut:,} pictures are left out: a file holds {IMAGES:,} and {BYTES // 1_000_000} MB of them."
        )
    if missing:
        words += f" {missing:,} parts that load by themselves are left out."
    return words
