"""Search: one box for addresses, uids, hashes, fingerprints, names and captions."""

from itertools import groupby

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.page import FRAGMENT, Page, query, render, render_fragment
from dashboard.pictures.cards import cards
from dashboard.pictures.reader import reading
from dashboard.rows.search import LONGEST, caption_rows, hits

router = APIRouter()


@router.get("/search")
def search(request: Request, q: str = "") -> Response:
    """What is meant; its page at once where that is one thing."""
    contents, reader = reading(request)
    matches = hits(reader, contents, q)
    if len(matches) == 1:
        return RedirectResponse(matches[0].path, 303)
    groups = [(name, list(some)) for name, some in groupby(matches, key=lambda hit: hit.group)]
    page = Page(
        title="Search",
        about=f"{len(matches)} things may be meant."
        if matches
        else "What the store knows under these words.",
        hint="Give more digits, or the whole address, to go to one page at once.",
        crumbs=(("Home", "/"),),
    )
    address = "/search/captions?" + query({"q": q[:LONGEST]})
    return render(request, "search.html", page, groups=groups, question=q.strip(), captions=address)


@router.get("/search/captions")
def captions(request: Request, q: str = "") -> Response:
    """Pictures whose captions have the words: a part of the page of a search, or a page."""
    contents, reader = reading(request)
    question = q.strip()[:400]
    artifact, rows, columns = caption_rows(reader, contents, question) if question else (None, [], {})
    shown = cards(reader, contents, artifact, rows, columns) if artifact is not None else []
    if FRAGMENT in request.headers:
        return render_fragment(request, "captions.html", cards=shown, artifact=artifact, question=question)
    page = Page(
        title="Captions",
        about="Pictures whose captions have all of these words, of the newest datasets.",
        hint="Open a picture to read its story.",
        crumbs=(("Home", "/"),),
    )
    return render(request, "captions_page.html", page, cards=shown, artifact=artifact, question=question)
