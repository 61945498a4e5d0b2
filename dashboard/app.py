"""The application: pages, static files, and what guards them."""

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from dashboard.catalogue import Catalogue
from dashboard.page import Page, render_message
from dashboard.pages import (
    artifacts,
    collections,
    diff,
    export,
    gallery,
    glossary,
    graph,
    home,
    image,
    models,
    pictures,
    references,
    running,
    search,
    stale,
    studies,
    takedowns,
    thumbnails,
    verify,
)
from dashboard.tables.indexing import IndexUnfinishedError
from dashboard.web.security import Access, Guard
from stages.errors import StageError
from stages.store import Store

STATIC = Path(__file__).with_name("static")
PAGES = (
    artifacts,
    collections,
    diff,
    export,
    gallery,
    glossary,
    graph,
    home,
    image,
    models,
    pictures,
    references,
    running,
    search,
    stale,
    studies,
    takedowns,
    thumbnails,
    verify,
)
"""Modules with a `router` each."""
AGAIN = 3
"""Seconds after which a browser asks again for a page that needs the index."""


def create_app(store: Store, access: Access | None = None, base_url: str = "") -> FastAPI:
    """The dashboard of a store.

    Args:
        store: what is shown; read, but for take-down requests and results of verification.
        access: who may ask; None: whoever is on this machine.
        base_url: where others find these pages, for links in exports; "": nowhere.
    """
    access = access or Access()
    app = FastAPI(title="sdflow", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.catalogue = Catalogue(store)
    app.state.access = access
    app.state.base_url = base_url.rstrip("/")
    app.add_middleware(Guard, access=access)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for page in PAGES:
        app.include_router(page.router)
    app.add_exception_handler(HTTPException, _no_page)
    app.add_exception_handler(ValueError, _refused)
    app.add_exception_handler(StageError, _refused)
    app.add_exception_handler(IndexUnfinishedError, _not_indexed)
    return app


async def _no_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    about = "There is nothing at this address." if error.status_code == 404 else str(error.detail)
    page = Page(title="Not found", about=about, hint="Search for it, or begin at the home page.")
    return render_message(request, page, error.status_code, "")


async def _refused(request: Request, error: Exception) -> Response:
    """A user's mistake, or damage: its words, which say what to do."""
    page = Page(title="This does not work", about="What was asked for cannot be shown.")
    return render_message(request, page, 400, str(error))


async def _not_indexed(request: Request, error: Exception) -> Response:
    """A page that needs the index of tables before there is one; browsers ask for it again by themselves."""
    page = Page(
        title="In a moment",
        about="This page looks rows up by an index that is made once, and is not ready yet.",
        hint="It is asked for again every few seconds; pages of results and the graph need no index.",
    )
    response = render_message(request, page, 503, str(error))
    response.headers["Refresh"] = response.headers["Retry-After"] = str(AGAIN)
    return response
