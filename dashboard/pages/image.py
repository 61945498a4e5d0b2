"""Image: everything that the store knows of one picture, kept or left out."""

import re

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboard.catalogue import Contents
from dashboard.links import thumbnail_path
from dashboard.page import FRAGMENT as HTMX
from dashboard.page import Page, render, render_fragment
from dashboard.pictures.cards import PictureCard, cards, cell
from dashboard.pictures.neighbours import neighbours
from dashboard.pictures.reader import StoreReader, artifact_of, reading
from dashboard.pictures.thumbnail import GREATEST
from dashboard.rows.story import Story, story
from stages.artifacts.artifact import Artifact

router = APIRouter()
UID = re.compile(r"[0-9a-f]{32}")


@router.get("/images/{uid}")
def image(request: Request, uid: str, collection: str = "") -> HTMLResponse:
    """The page of a picture, in the line of one collection: the newest, unless another is named."""
    contents, reader = reading(request)
    picture_story = story(reader, contents, uid, collection) if UID.fullmatch(uid) else None
    if picture_story is None:
        page = Page(
            title="No such image",
            about="No collection of this store has a row with this uid.",
            hint="Search for its address as the source spells it, or for the beginning of its uid.",
            crumbs=(("Home", "/"),),
        )
        return render(request, "message.html", page, 404, message=f"{uid[:64]} is in no table of the store.")
    left_out = [event for event in picture_story.events if event.left_out]
    end = f"left out by {left_out[-1].artifact.stage}" if left_out else "kept by every stage that has seen it"
    page = Page(
        title=f"Image {uid[:12]}",
        about=f"What every stage says of this picture: {end}.",
        hint="Open a result to see what else it holds, or a model that learned from it.",
        crumbs=(("Home", "/"),),
    )
    number = reader.watch.forbidden().takedown(
        uid=uid, sha256=picture_story.sha256, location=picture_story.location
    )
    twins = {event.twin: event.artifact for event in picture_story.events if event.twin}
    picture = ""
    if picture_story.pictured is not None and number is None:
        picture = f"{thumbnail_path(picture_story.pictured, uid)}?side={GREATEST}"
    return render(
        request,
        "image.html",
        page,
        story=picture_story,
        number=number,
        cost=reader.index.cost,
        picture=picture,
        twins=_twins(reader, contents, uid, picture_story, twins),
        cell=cell,
        called=contents.references,
    )


@router.get("/images/{uid}/neighbours/{stage}/{fingerprint}")
def nearest(request: Request, uid: str, stage: str, fingerprint: str) -> HTMLResponse:
    """The pictures whose embeddings are nearest: a part of the page of an image, or a page."""
    contents, reader = reading(request)
    artifact = artifact_of(contents, stage, fingerprint)
    nearest_pictures = neighbours(reader, artifact, uid) if UID.fullmatch(uid) else []
    rows = [{"uid": each.uid, "cosine": each.cosine} for each in nearest_pictures]
    shown = cards(reader, contents, artifact, rows, {"cosine": "FLOAT"})
    if HTMX in request.headers:
        return render_fragment(request, "neighbours.html", cards=shown, artifact=artifact)
    page = Page(
        title=f"Nearest to image {uid[:12]}",
        about="The pictures whose embeddings are nearest, by cosine, of the same result.",
        hint="A cosine close to 1 means that they look or mean nearly the same.",
        crumbs=(("Home", "/"), (f"Image {uid[:12]}", f"/images/{uid}")),
    )
    return render(request, "neighbours_page.html", page, cards=shown, artifact=artifact)


def _twins(
    reader: StoreReader, contents: Contents, uid: str, picture_story: Story, twins: dict[str, Artifact]
) -> list[PictureCard]:
    """The pictures that stand for this one, after itself; none where there are none."""
    if not twins or picture_story.pictured is None:
        return []
    rows = [{"uid": uid, "this": "this image"}, *({"uid": twin, "this": "kept instead"} for twin in twins)]
    return cards(reader, contents, picture_story.pictured, rows, {}, ["this"])
