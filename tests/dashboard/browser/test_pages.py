"""Every page that links lead to, in a browser: what it asks for, who can use it, what strangers' words do."""

import re
from pathlib import Path

import pytest

from stages.artifacts.artifact import Artifact
from stages.foreign_text import escape
from stages.store import Store
from stages.takedown.records import records
from tests.dashboard.browser.conftest import HOSTILE, Visitor, crawl
from tests.dashboard.training import training_at_work

pytestmark = [pytest.mark.browser, pytest.mark.matrix]
AXE = (Path(__file__).parent / "axe.min.js").read_text()
NODES = 2000


def test_every_page_can_be_used_by_everybody_and_asks_nobody_else(visitor: Visitor):
    faults: dict[str, list[str]] = {}
    paths: list[str] = []
    for path in crawl(visitor):
        paths.append(path)
        visitor.page.evaluate(f"() => {{ {AXE} }}")
        report = visitor.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        faults[path] = [
            f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
            for fault in report["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
        assert visitor.page.locator("h1").count() == 1, path
        assert visitor.page.evaluate("() => document.querySelectorAll('*').length") < NODES, path
        assert visitor.page.evaluate("() => window.owned") is None, path
    assert {path: words for path, words in faults.items() if words} == {}
    assert len(paths) >= 8, paths
    assert visitor.strangers == []
    assert visitor.complaints == []


def test_without_javascript_the_same_words_are_reached(visitor: Visitor, plain: Visitor):
    for path in ("/", "/takedowns", "/takedowns/new"):
        visitor.open(path)
        plain.open(path)
        assert plain.page.inner_text("h1") == visitor.page.inner_text("h1")
        assert set(visitor.links()) <= {*plain_links(plain), *visitor.links()}
    plain.open("/")
    plain.page.get_by_role("link", name="See what runs now").click()
    assert "Nothing runs here now." in plain.page.inner_text("main")
    assert plain.strangers == []


def plain_links(plain: Visitor) -> list[str]:
    return re.findall(r'href="(/[^"]*)"', plain.page.content())


def test_the_keyboard_alone_reaches_content_and_search(visitor: Visitor):
    visitor.open("/")
    keyboard = visitor.page.keyboard
    keyboard.press("Tab")
    focused = "() => document.activeElement.textContent || document.activeElement.id"
    assert visitor.page.evaluate(focused) == "To the content"
    keyboard.press("Enter")
    assert visitor.page.url.endswith("#content")
    visitor.open("/")
    for _ in range(12):
        keyboard.press("Tab")
        if visitor.page.evaluate("() => document.activeElement.id") == "q":
            break
    keyboard.type("datasets/line")
    keyboard.press("Enter")
    visitor.page.wait_for_url("**/*line*")
    assert visitor.strangers == []


def test_a_take_down_is_asked_twice(visitor: Visitor, store: Store):
    """By a real browser, whose forms bring an Origin of their own making."""
    visitor.open("/takedowns/new?host=asked.example")
    page = visitor.page
    page.get_by_label("Why").fill("asked by its owner")
    page.get_by_role("button", name="See what would go").click()
    page.get_by_role("heading", name="What would be taken down").wait_for()
    assert records(store) == []
    page.get_by_role("button", name="for good").click()  # the box is not ticked, and the browser says so
    assert records(store) == []
    page.get_by_label("I have looked").check()
    page.get_by_role("button", name="for good").click()
    page.wait_for_url("**/takedowns/1")
    assert [record.hosts for record in records(store)] == [("asked.example",)]
    assert "Nothing in the store holds it." in page.inner_text("main")
    assert visitor.complaints == []


def test_an_exported_file_opens_without_a_request(visitor: Visitor, tmp_path: Path):
    for number, path in enumerate(list(crawl(visitor, limit=6))):
        visitor.open(path)
        with visitor.page.expect_download() as download:
            visitor.page.get_by_role("link", name="This page as one file").click()
        file = tmp_path / f"{number}.html"
        download.value.save_as(file)
        title = visitor.page.inner_text("h1")
        visitor.requests.clear()
        visitor.page.goto(file.as_uri())
        visitor.page.wait_for_load_state("networkidle")
        assert visitor.page.inner_text("h1") == title
        assert [url for url in visitor.requests if not url.startswith("data:")] == [file.as_uri()]
        assert visitor.page.evaluate("() => getComputedStyle(document.body).fontFamily").startswith(
            "system-ui"
        )
    assert visitor.complaints == []


def test_the_curve_of_a_running_training_grows_by_itself(
    visitor: Visitor, store: Store, made: dict[str, Artifact]
):
    with training_at_work(store, made["shard"]):
        visitor.open("/")
        visitor.page.get_by_role("link", name=re.compile("^train ")).click()
        line = visitor.page.locator("svg.curves path.series-0").first
        drawn = line.get_attribute("d") or ""
        visitor.page.wait_for_function(
            "points => (document.querySelector('svg.curves path.series-0')?.getAttribute('d') ?? '')"
            ".split('L').length > points",
            arg=len(drawn.split("L")),
        )
    assert visitor.complaints == []
    assert visitor.strangers == []


@pytest.mark.parametrize("text", HOSTILE)
def test_strangers_words_are_words(visitor: Visitor, text: str):
    visitor.open("/takedowns/new")
    visitor.page.get_by_label("Pictures").fill("example.org")
    visitor.page.get_by_label("Why").fill(text.replace("\x00", ""))
    visitor.page.get_by_role("button", name="See what would go").click()
    visitor.page.get_by_role("heading", name="What would be taken down").wait_for()
    assert escape(text.replace("\x00", ""))[:20] in visitor.page.inner_text("main")
    assert visitor.page.evaluate("() => window.owned") is None
    assert visitor.complaints == []
    assert visitor.strangers == []
