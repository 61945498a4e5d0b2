"""A page as one file: it opens from a disk, says the same, shows its pictures, and asks for nothing."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from stages.artifacts.artifact import Artifact
from tests.dashboard.browser.survey import WIDE, whole_words
from tests.dashboard.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.matrix]
PICTURES = "main img"
DECODED = """images => Promise.all(images.map(image => {
    image.loading = 'eager';
    return image.decode().then(() => '', () => image.alt);
}))"""
"""What is not drawn of a page's pictures, those below the window's edge, too."""


@pytest.fixture
def paths(artifacts: Mapping[str, Artifact]) -> dict[str, str]:
    """A page of each kind."""
    dataset, uids = (
        artifacts["shard"],
        artifacts["shard"].table("index", ["uid"], [("split", "=", "train")])["uid"],
    )
    return {
        "gallery": f"/artifacts/shard/{dataset.fingerprint}/rows",
        "image": f"/images/{uids.iloc[0]}",
        "model": f"/models/{artifacts['train'].fingerprint}",
        "graph": "/graph",
        "diff": "/diff?old=images/birds@1&new=images/birds@2",
        "result": f"/artifacts/filter/{artifacts['filter'].fingerprint}",
        "home": "/",
    }


@pytest.mark.parametrize("kind", ["gallery", "image", "model", "graph", "diff", "result", "home"])
def test_an_exported_file_opens_without_a_request(
    chromium: Browser, visitor: Visitor, paths: dict[str, str], tmp_path: Path, kind: str
):
    visitor.open(paths[kind])
    words = whole_words(visitor)
    pictures = visitor.page.locator(PICTURES).count()
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("link", name="This page as one file").click()
    file = tmp_path / "page.html"
    download.value.save_as(file)
    context = chromium.new_context(viewport=WIDE)  # type: ignore[arg-type]
    alone = Visitor(context, "http://nowhere.invalid")
    alone.page.goto(file.as_uri())
    assert [url for url in alone.requests if not url.startswith("data:")] == [file.as_uri()]
    assert whole_words(alone) == words
    assert alone.page.locator("form, script").count() == 0
    shown = alone.page.locator(PICTURES)
    assert shown.count() == pictures
    broken = shown.evaluate_all(DECODED)
    assert set(broken) <= {""}
    assert alone.page.evaluate("() => getComputedStyle(document.body).fontFamily").startswith("system-ui")
    assert alone.complaints == []
    context.close()
