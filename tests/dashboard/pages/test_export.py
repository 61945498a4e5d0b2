"""A page as one file: everything in it, nothing that asks for more, nothing that was taken down."""

import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.pages import export
from dashboard.web.security import Access
from dashboard.web.single_file import SingleFile, Supplies
from stages.store import Store
from tests.dashboard.conftest import ADDRESS

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><link rel="stylesheet" href="/static/dashboard.css">
<base href="//evil.example/"><script src="/static/htmx.min.js" defer></script></head>
<body onload="alert(1)"><header><nav><a href="/">sdflow</a></nav></header>
<main id="content" style="background: url(//evil.example/x)">
<form action="/search"><p>in a form<form>nested</form><input></form>
<a href="/graph?a=1&amp;b=2">the graph</a> <a href="#content">here</a> <a href="https://evil.example/">there</a>
<a href="javascript:alert(1)">words</a>
<img src="/picture/1" alt="a &lt;red&gt; square" srcset="/picture/2 2x" loading="lazy">
<img src="https://evil.example/x.png" alt="elsewhere"><img src="//evil.example/y.png" alt="">
<div hx-get="/part" hx-trigger="load"><p>until then <div>inner</div></p></div>
<svg><a href="/graph"><image href="/picture/1"/><use href="#content"/></a></svg>
<p>caption &lt;script&gt;alert(1)&lt;/script&gt; &#x27;</p>
<iframe src="/x"><p>framed</p></iframe>
</main><footer><a href="/export">this page</a></footer></body></html>"""


@pytest.fixture
def asked(filled: Store) -> Iterator[TestClient]:
    """A dashboard with a page that has all that a page may have, and more."""
    app = create_app(filled)
    router = APIRouter()
    router.add_api_route("/page", lambda: HTMLResponse(PAGE))
    router.add_api_route("/part", lambda: HTMLResponse('<p>the part</p><img src="/picture/3" alt="three">'))
    router.add_api_route("/picture/{number}", lambda number: Response(b"x" * 10, media_type="image/png"))
    app.include_router(router)
    with TestClient(app, base_url=ADDRESS) as client:
        yield client


def loads(text: str) -> list[str]:
    """Addresses that a browser would ask for, or lead to."""
    addresses = re.findall(r'(?:src|href|action|srcset|data|poster)\s*=\s*"([^"]*)"', text)
    return [address for address in addresses if not address.startswith(("data:", "#"))]


def test_the_file_asks_for_nothing(asked: TestClient):
    answer = asked.get("/export?page=/page")
    text = answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="sdflow-page.html"'
    assert loads(text) == []
    assert not re.search(r"<(script|form|iframe|base|link|header)\b|\bon\w+=|hx-|evil\.example|url\(", text)
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in unescape(text)
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<body")
    assert text.count("data:image/png;base64,eHh4") == 3
    assert ">the graph</a>" in text
    assert '<a href="#content">here</a>' in text
    assert "<p>the part</p>" in text
    assert "until then" not in text
    assert "in a form" not in text
    assert "framed" not in text
    assert "caption &lt;script&gt;alert(1)&lt;/script&gt; &#x27;" in text
    assert "a &lt;red&gt; square" in text
    assert "The page /page of sdflow" in text
    assert text.count("<div") == text.count("</div>")


def test_the_style_in_the_file_is_the_one_that_its_policy_lets_in(asked: TestClient):
    import base64
    import hashlib

    text = asked.get("/export?page=/page").text
    css = text[text.index("<style>") + 7 : text.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in text
    assert css == asked.get("/static/dashboard.css").text


def test_links_lead_where_others_find_the_pages(filled: Store):
    client = TestClient(create_app(filled, base_url="https://pictures.example.org/"), base_url=ADDRESS)
    text = client.get("/export?page=/").text
    assert loads(text)
    assert all(address.startswith("https://pictures.example.org/") for address in loads(text))
    page = SingleFile.of(PAGE, Supplies(base_url="https://pictures.example.org")).text
    assert 'href="https://pictures.example.org/graph?a=1&amp;b=2"' in page
    assert "evil.example" not in page
    assert "javascript:" not in page


def test_too_many_pictures_are_cut_and_that_is_said(asked: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export, "BYTES", 15)
    text = asked.get("/export?page=/page").text
    assert "1 pictures are left out" in text
    assert "three (not in this file)" in text
    monkeypatch.setattr(export, "IMAGES", 0)
    assert "2 pictures are left out" in asked.get("/export?page=/page").text


@pytest.mark.parametrize(
    "page", ["//evil.example", "https://evil.example/", "/export?page=/", "", "/static/dashboard.css"]
)
def test_only_a_page_of_ours_is_exported(asked: TestClient, page: str):
    assert asked.get("/export", params={"page": page}).status_code == 400


def test_what_is_no_page_stays_one(asked: TestClient):
    assert asked.get("/export?page=/nowhere").status_code == 404
    assert asked.get("/export?page=/picture/1").status_code == 400


def test_every_page_has_a_link_to_its_file(client: TestClient):
    text = client.get("/takedowns?x=1").text
    link = re.search(r'href="(/export\?[^"]+)"', text)
    assert link
    answer = client.get(unescape(link[1]))
    assert answer.status_code == 200
    assert "Nothing has been taken down" in answer.text
    assert loads(answer.text) == []


def test_an_export_asks_as_whoever_asked_for_it(filled: Store):
    access = Access(hosts=("127.0.0.1",), token="a-long-token")
    with TestClient(create_app(filled, access), base_url=ADDRESS) as client:
        assert client.get("/export").status_code == 401
        assert client.get("/?token=a-long-token").status_code == 200
        assert client.get("/export").status_code == 200  # by the cookie


def test_a_take_down_counts_at_once(filled: Store, tmp_path: Path):
    from stages.store import open_store
    from stages.takedown.records import Name, forget

    store = open_store(shutil.copytree(filled.url, tmp_path / "own").as_posix())
    with TestClient(create_app(store), base_url=ADDRESS) as client:
        assert "Nothing has been taken down" in client.get("/export?page=/takedowns").text
        forget(store, [Name("host", "example.org")], "asked")
        assert "take-down 1" in client.get("/export?page=/takedowns").text
