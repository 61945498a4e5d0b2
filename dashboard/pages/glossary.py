"""Glossary: what the words of these pages mean, for whoever has nothing but the browser."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboard.page import Page, render
from stages.reasons import EXPLANATIONS

router = APIRouter()


@router.get("/words")
def glossary(request: Request) -> HTMLResponse:
    """The page."""
    page = Page(
        title="What the words mean",
        about="The words of these pages, and every reason for which a picture can be left out.",
        hint="Begin at the home page and open a name; each page says what it shows.",
        crumbs=(("Home", "/"),),
    )
    return render(request, "glossary.html", page, reasons=EXPLANATIONS)
