"""Visits to every kind of page that links lead to: how long the server and a browser take; its size."""

import html
import http.client
import re
import shutil
import statistics
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

TIMES = 5
"""Asked again, after the first time."""
SHAPES = 80
"""Kinds of pages at most."""
DOWNLOADS = re.compile(
    r"/files/|/pictures/\w|/thumbnails/|^/export|^/static|\.(json|jsonl|txt|yaml|csv|png|webp)($|\?)"
)
"""Addresses that are no pages."""
FRAGMENTS = ("neighbours", "/search/captions", "/diff/pictures", "/holders", "total")
"""Parts of addresses that htmx puts into a page that is there."""
QUIET = "networkidle"


@dataclass(frozen=True)
class Visit:
    """What a page took."""

    path: str
    first: float
    """Seconds of the server at the first time of asking."""
    again: float
    """Median of the times after it."""
    size: int
    """Bytes."""

    @property
    def fragment(self) -> bool:
        """Whether it is a part of a page that comes after it."""
        return any(words in self.path for words in FRAGMENTS)


@dataclass(frozen=True)
class Look:
    """What a page is to a browser."""

    path: str
    seconds: float
    """From the click to the end of its load event."""
    nodes: int
    """Elements, once it rests."""


def shape(path: str) -> str:
    """An address without what names a single thing: pages of one shape are of one kind."""
    parts = urlsplit(path)
    place = re.sub(r"[0-9a-f]{12,}", "ID", parts.path)
    place = re.sub(r"^(/references/)[^/]+/.*", r"\1NAME", re.sub(r"/\d+", "/N", place))
    keys = sorted(key for key, _ in parse_qsl(parts.query))
    return f"{place}?{'&'.join(keys)}" if keys else place


def visit_all(address: str, starts: Sequence[str]) -> Iterator[Visit]:
    """Some pages, and of every other shape that links lead to from them a page."""
    server = urlsplit(address)
    connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=600)
    queue, seen = deque(dict.fromkeys(starts)), set[str]()
    chosen = set(starts)
    while queue and len(seen) < SHAPES:
        path = queue.popleft()
        if (shape(path) in seen and path not in chosen) or DOWNLOADS.search(path):
            continue
        chosen.discard(path)
        seen.add(shape(path))
        first, body = _ask(connection, path)
        again = statistics.median(_ask(connection, path)[0] for _ in range(TIMES))
        yield Visit(path, first, again, len(body))
        queue += [html.unescape(link) for link in re.findall(r'(?:href|hx-get)="(/[^"#]*)', body)]


def _ask(connection: http.client.HTTPConnection, path: str) -> tuple[float, str]:
    """Seconds until the whole answer is here; RuntimeError unless it is a page, or where one is."""
    began = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status not in (200, 303):
        raise RuntimeError(f"{path}: {answer.status}")
    return time.perf_counter() - began, body.decode()


def look_at(address: str, paths: Sequence[str]) -> Iterator[Look]:
    """Pages in Chromium; none where there is none on the PATH."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.wait_for_load_state(QUIET)
        for path in paths:
            page.goto(address.rstrip("/") + path)
            loaded = page.evaluate("() => performance.getEntriesByType('navigation')[0].loadEventEnd")
            page.wait_for_load_state(QUIET)
            yield Look(path, loaded / 1000, page.evaluate("() => document.querySelectorAll('*').length"))
        browser.close()
