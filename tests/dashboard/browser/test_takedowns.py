"""A take-down by hand: looked at, asked for twice, and from then on no address gives the picture."""

import base64
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from stages.artifacts.artifact import Artifact
from stages.kind import TakenDown
from stages.registry import kinds
from stages.takedown.records import records
from stages.takedown.spans import Span
from tests.conftest import Line
from tests.dashboard.browser.conftest import Served, visiting
from tests.dashboard.browser.visitor import Visitor, shape
from tests.flows.browser.conftest import WAIT

pytestmark = [pytest.mark.browser, pytest.mark.matrix]
ADDRESS = re.compile(r'\b(?:href|src|hx-get)="(/[^"]*)"')
WHOLE = re.compile(r"/files/|/pictures/|/rows(\?after=[^&]*)?(&view=pictures)?$")
"""Addresses that are asked one by one: files, drawings, and pages of galleries."""
FEWEST = 40
"""Bytes of a span that is looked for: shorter ones occur by chance."""


@pytest.fixture
def visitor(chromium: Browser, changed: Served) -> Iterator[Visitor]:
    with visiting(chromium, changed.root) as visitor:
        yield visitor
        assert visitor.complaints == []
        assert visitor.strangers == []


def test_a_host_that_the_store_has_nothing_of_is_asked_for_twice(visitor: Visitor, changed: Served):
    """By a real browser, whose forms bring an Origin of their own making."""
    before = len(records(changed.store))
    visitor.open("/takedowns/new?host=asked.example")
    page = visitor.page
    page.get_by_label("Why").fill("asked by its owner")
    visitor.click(page.get_by_role("button", name="See what would go"))
    page.get_by_role("heading", name="What would be taken down").wait_for()
    page.get_by_role("button", name="for good").click()  # the box is not ticked, and the browser says so
    assert len(records(changed.store)) == before
    page.get_by_label("I have looked").check()
    visitor.click(page.get_by_role("button", name="for good"))
    assert page.url == f"{visitor.root}/takedowns/{before + 1}"
    assert records(changed.store)[-1].hosts == ("asked.example",)
    assert "Nothing in the store holds it." in visitor.text()


def test_what_was_taken_down_is_served_nowhere(visitor: Visitor, changed: Served, line: Line):
    artifacts = line.artifacts(Path(changed.store.url))
    uid = shown_beside_samples(artifacts)
    page = visitor.page
    bytes_of_it = [*stored(artifacts, uid), *thumbnails(visitor, artifacts, uid)]
    assert len(bytes_of_it) >= 8
    before = serving_them(visitor, uid, bytes_of_it)
    assert {path.split("?")[0].split("/")[1] for path in before} == {"artifacts", "export"}
    for kind in ("/files/", "/pictures/", "/thumbnails/"):
        assert any(kind in path for path in before)

    visitor.open(f"/images/{uid}")
    visitor.click(page.get_by_role("link", name="Request a take-down"))
    page.get_by_label("Why").fill("asked by the photographer")
    visitor.click(page.get_by_role("button", name="See what would go"))
    assert "nothing has been recorded" in visitor.text()
    assert page.locator(".samples img").evaluate("image => image.naturalWidth") > 0
    for stage in ("collect", "shard", "train"):
        assert artifacts[stage].short_name in visitor.text()
    assert not any(uid in record.uids for record in records(changed.store))
    page.get_by_label("I have looked").check()
    visitor.click(page.get_by_role("button", name="for good"))
    assert any(uid in record.uids for record in records(changed.store))

    assert serving_them(visitor, uid, bytes_of_it) == []
    visitor.open(f"/images/{uid}")  # and what the browser has seen before it does not show again
    assert "was taken down" in visitor.text()
    assert page.locator("main img").evaluate_all(
        "(images, uid) => images.filter(image => image.src.includes(uid) && image.naturalWidth).length", uid
    ) == 0  # fmt: skip
    answer = page.goto(thumbnail(visitor, artifacts["shard"], uid))
    assert answer
    assert (answer.status, answer.headers["content-type"]) == (410, "image/svg+xml")


def shown_beside_samples(artifacts: dict[str, Artifact]) -> str:
    """The uid of a picture of the training split that a drawing of the evaluation shows, too."""
    learned = set(artifacts["shard"].table("index", ["uid"], [("split", "=", "train")])["uid"])
    nearest = artifacts["evaluate"].json("report.json")["nearest"]["uids"]
    return next(uid for uid in nearest if uid in learned)


def stored(artifacts: dict[str, Artifact], uid: str) -> Iterator[bytes]:
    """All bytes in which a picture lies in the store: as it came, in a dataset's tar, small, drawn."""
    (row,) = artifacts["collect"].arrow_table("images", None, [("uid", "=", uid)]).to_pylist()
    yield artifacts["collect"].read(row["file"], row["offset"], row["length"])
    for artifact in artifacts.values():
        for place in kinds()[artifact.kind].pixels(artifact, TakenDown({row["sha256"]}, frozenset({uid}))):
            data = (
                artifact.read(place.path, place.offset, place.length)
                if isinstance(place, Span)
                else artifact.read(place.path)
            )
            if len(data) >= FEWEST and not is_text(data):
                yield data


def is_text(data: bytes) -> bool:
    """Whether they are a caption or a name, which stay on record; zeros are, too."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def thumbnail(visitor: Visitor, artifact: Artifact, uid: str) -> str:
    return f"{visitor.root}/artifacts/{artifact.stage}/{artifact.fingerprint}/thumbnails/{uid}"


def thumbnails(visitor: Visitor, artifacts: dict[str, Artifact], uid: str) -> Iterator[bytes]:
    """What the dashboard itself makes of it."""
    for stage in ("collect", "dedup", "score", "filter", "shard"):
        for side in (64, 160, 640):
            answer = visitor.page.request.get(f"{thumbnail(visitor, artifacts[stage], uid)}?side={side}")
            assert answer.status == 200
            yield answer.body()


def serving_them(visitor: Visitor, uid: str, bytes_of_it: list[bytes]) -> list[str]:
    """Addresses that give any of these bytes, as they are or in base64, of all that the dashboard leads to:
    a page of every shape, all files, drawings and whole galleries, what names the picture, and exports."""
    needles = [*bytes_of_it, *map(base64.b64encode, bytes_of_it)]
    queue, opened, shapes = ["/", f"/images/{uid}", "/takedowns", "/graph"], set[str](), set[str]()
    giving: list[str] = []
    for path in queue:
        new = shape(path) not in shapes and not path.startswith("/export")
        if path in opened or not (new or uid in path or WHOLE.search(path)):
            continue
        opened.add(path)
        shapes.add(shape(path))
        answer = visitor.page.request.get(visitor.root + path, timeout=WAIT)
        body = answer.body()
        assert answer.status in (200, 400, 404, 410), (path, answer.status)
        if any(needle in body for needle in needles):
            giving.append(path)
        if "text/html" in answer.headers["content-type"] and not path.startswith("/export"):
            queue += [unescape(address) for address in ADDRESS.findall(body.decode())]
            if answer.status == 200 and (new or uid.encode() in body):
                queue.append(f"/export?page={quote(path)}&of={uid}")
    assert len(opened) > 100
    return giving
