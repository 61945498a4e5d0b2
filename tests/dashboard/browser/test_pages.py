"""Every page that links lead to, in a browser: what it asks for, who can use it, what strangers' words do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from stages.artifacts.artifact import Artifact
from stages.foreign_text import escape
from tests.dashboard.browser.conftest import Served, visiting
from tests.dashboard.browser.populated import HOSTILE
from tests.dashboard.browser.survey import PageSurvey, main_words, survey
from tests.dashboard.browser.visitor import Visitor, crawl, shape

pytestmark = [pytest.mark.browser, pytest.mark.matrix]
NODES = 2000
KINDS = (
    "/", "/graph", "/diff", "/diff/pictures", "/stale", "/studies", "/studies/try", "/running",
    "/takedowns", "/takedowns/new", "/takedowns/N", "/takedowns/N/holders", "/search", "/search/captions",
    "/images/HASH", "/models/HASH", "/collections/HASH", "/collections/HASH/host", "/evaluations/HASH",
    "/references/NAME", "/artifacts/collect/HASH", "/artifacts/train/HASH",
    "/artifacts/evaluate/HASH", "/artifacts/collect/HASH/rows", "/artifacts/filter/HASH/rows",
    "/artifacts/shard/HASH/rows",
)  # fmt: skip
"""Pages that there must be."""


@dataclass(frozen=True)
class Walk:
    """A walk through all pages."""

    pages: Mapping[str, PageSurvey]
    """By path."""
    strangers: list[str]
    complaints: list[str]
    owned: list[str]
    """Pages on which a caption ran as a script."""


@pytest.fixture(scope="module")
def walk(chromium: Browser, served: Served, artifacts: Mapping[str, Artifact]) -> Iterator[Walk]:
    """Once for all tests of this file."""
    collection = f"/collections/{artifacts['collect'].fingerprint}"
    first = [*served.unusual, collection, "/diff?old=images/birds@1&new=images/birds@2"]
    with visiting(chromium, served.root) as visitor:
        pages: dict[str, PageSurvey] = {}
        owned: list[str] = []
        for path in crawl(visitor, first):
            pages[path] = survey(visitor)
            if visitor.page.evaluate("() => window.owned") is not None:
                owned.append(path)
        yield Walk(pages, visitor.strangers, visitor.complaints, owned)


def test_the_walk_sees_every_kind_of_page(walk: Walk, served: Served):
    shapes = {shape(path) for path in walk.pages}
    assert set(KINDS) - shapes == set()
    assert set(served.unusual) <= set(walk.pages)
    assert {path for path, page in walk.pages.items() if page.headings != 1} == set()
    assert {path for path, page in walk.pages.items() if page.nodes >= NODES} == set()


def test_no_page_asks_anybody_else_or_runs_a_stranger_s_words(walk: Walk):
    assert walk.strangers == []
    assert walk.complaints == []
    assert walk.owned == []


@pytest.mark.parametrize("look", ["wide", "dark", "phone"])
def test_axe_finds_no_serious_fault(walk: Walk, look: str):
    faults = {path: page.faults[look] for path, page in walk.pages.items() if page.faults[look]}
    assert faults == {}


def test_no_page_is_wider_than_a_phone(walk: Walk):
    assert {path: page.overflow for path, page in walk.pages.items() if page.overflow} == {}


def test_the_keyboard_alone_reaches_every_control(walk: Walk):
    assert {path: page.unreached for path, page in walk.pages.items() if page.unreached} == {}


def test_without_javascript_every_page_says_the_same(walk: Walk, chromium: Browser, served: Served):
    """Parts that load by themselves are links to pages, which say at least as much."""
    with visiting(chromium, served.root, scripts=False) as plain:
        for path, page in walk.pages.items():
            plain.open(path)
            words, parts = main_words(plain)
            assert words == page.words, path
            links = plain.links()
            assert parts.keys() == page.parts.keys(), path
            for part, said in page.parts.items():
                assert part in links, (path, part)
                plain.open(part)
                assert said in main_words(plain)[0], (path, part)
        assert plain.strangers == []


def test_the_keyboard_alone_searches_and_looks_at_samples(visitor: Visitor, served: Served):
    visitor.open("/")
    page, keyboard = visitor.page, visitor.page.keyboard
    keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "To the content"
    keyboard.press("Enter")
    assert page.url.endswith("#content")
    visitor.open("/")
    for _ in range(12):
        keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.id") == "q":
            break
    keyboard.type("models/drawn@2")
    with page.expect_navigation():
        keyboard.press("Enter")
    visitor.rest()
    page.locator(".slides input:checked").focus()
    shown = page.locator(".slides figure:visible figcaption")
    last = shown.inner_text()
    keyboard.press("ArrowLeft")
    assert shown.count() == 1
    assert shown.inner_text() != last


@pytest.mark.parametrize("text", HOSTILE)
def test_strangers_words_are_words(visitor: Visitor, text: str):
    visitor.open("/takedowns/new")
    visitor.page.get_by_label("Pictures").fill("example.org")
    visitor.page.get_by_label("Why").fill(text.replace("\x00", ""))
    visitor.click(visitor.page.get_by_role("button", name="See what would go"))
    visitor.page.get_by_role("heading", name="What would be taken down").wait_for()
    assert escape(text.replace("\x00", ""))[:20] in visitor.text()
    assert visitor.page.evaluate("() => window.owned") is None
