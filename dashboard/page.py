"""A page: what it is called, what it shows, what to do next, and the template that draws it.

Values of templates are escaped as HTML by Jinja; foreign text goes through the filter `foreign` besides,
which bounds it and makes control characters visible.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from dashboard import links
from dashboard.svg.bars import bar
from dashboard.svg.curves import draw_curves, short_number, swatch
from stages.fingerprint import short_hash
from stages.foreign_text import SHOWN, escape
from stages.reasons import EXPLANATIONS, Reason
from stages.redaction import redact
from stages.units import duration, file_size, rate

TEMPLATES = Path(__file__).with_name("templates")
FRAGMENT = "HX-Request"
"""Header of a request by htmx, which wants a part of a page."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What stands above every page."""

    title: str
    about: str
    """What it shows, in a sentence."""
    hint: str = ""
    """What to do next, in a sentence."""
    crumbs: tuple[tuple[str, str], ...] = ()
    """(words, path) of the pages above it, from the outermost."""


def render(request: Request, template: str, page: Page, status: int = 200, **context: Any) -> HTMLResponse:
    """A page, of a template that extends base.html and gets `page`, `request` and the context."""
    text = environment().get_template(template).render(request=request, page=page, **context)
    return HTMLResponse(text, status_code=status)


def render_fragment(request: Request, template: str, code: int = 200, **context: Any) -> HTMLResponse:
    """A part of a page, for htmx to put in."""
    text = environment().get_template(template).render(request=request, **context)
    return HTMLResponse(text, status_code=code)


def render_message(request: Request, page: Page, status: int, message: str) -> HTMLResponse:
    """What was asked for cannot be shown, and why: a page, or where a part of one was asked for, a part."""
    if FRAGMENT in request.headers:
        return render_fragment(request, "message_part.html", status, message=message or page.about)
    return render(request, "message.html", page, status, message=message)


@cache
def environment() -> jinja2.Environment:
    """Jinja's, with the filters that templates use."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "foreign": foreign,
        "count": "{:,}".format,
        "share": share,
        "size": file_size,
        "duration": duration,
        "rate": rate,
        "short": short_hash,
        "moment": moment,
        "words": words,
        "explained": explained,
        "path": links.artifact_path,
        "query": query,
    }
    cast("dict[str, Any]", made.filters).update(filters)
    drawings = {
        "bar": bar,
        "draw_curves": draw_curves,
        "swatch": swatch,
        "short_number": short_number,
    }
    cast("dict[str, Any]", made.globals).update(links=links, **drawings)
    return made


def foreign(text: object, limit: int = SHOWN) -> str:
    """Foreign text for a page: bounded, on one line, without secrets of URLs; Jinja escapes it as HTML."""
    return escape(redact(str(text)), limit)


def words(name: str) -> str:
    """An identifier as people read it: "caption_too_short" is "caption too short"."""
    return foreign(name).replace("_", " ")


def explained(reason: str) -> str:
    """What a reason means, in a clause; "" of one that this version does not know."""
    return EXPLANATIONS[Reason(reason)] if reason in EXPLANATIONS else ""


def share(part: float, whole: float) -> str:
    """A share for people: "12.3%"; "" of nothing."""
    return f"{part / whole:.1%}" if whole else ""


def moment(iso: str) -> str:
    """A time of a record for people, in UTC: "2026-11-29 14:05"; as it stands where it is none."""
    try:
        return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return foreign(iso)


def query(values: Mapping[str, object]) -> str:
    """A query of an address, after the question mark."""
    return urlencode(values)
