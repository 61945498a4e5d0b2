"""From a picture's address to all that happened to it, and from a model to its pictures and back."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from stages.artifacts.artifact import Artifact
from tests.dashboard.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.matrix]
STAGES = ("collect", "dedup", "score", "filter", "shard")


@pytest.fixture(scope="module")
def trained(artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """The row of a dataset of a picture that a model learned from."""
    return artifacts["shard"].arrow_table("index", None, [("split", "=", "train")]).to_pylist()[0]


def collected(artifacts: Mapping[str, Artifact], uid: str) -> dict[str, Any]:
    return artifacts["collect"].arrow_table("images", None, [("uid", "=", uid)]).to_pylist()[0]


def search(visitor: Visitor, text: str) -> None:
    """As a person does who has an address in the clipboard."""
    visitor.open("/")
    visitor.page.get_by_role("searchbox").fill(text)
    with visitor.page.expect_navigation():
        visitor.page.keyboard.press("Enter")
    visitor.rest()


def said_of_stages(visitor: Visitor) -> dict[str, str]:
    """What each stage says, by its name."""
    articles = visitor.page.locator("article.event").all_inner_texts()
    return {text.partition(":")[0].lower(): text for text in articles}


def test_an_image_s_address_leads_to_its_whole_story(
    visitor: Visitor, artifacts: Mapping[str, Artifact], trained: dict[str, Any]
):
    source = collected(artifacts, trained["uid"])
    search(visitor, source["location"])
    assert visitor.page.url == f"{visitor.root}/images/{trained['uid']}"
    said = said_of_stages(visitor)
    assert set(STAGES) <= set(said)
    for stage in STAGES:
        assert artifacts[stage].short_name in said[stage]
    score = artifacts["score"].arrow_table("scores", None, [("uid", "=", trained["uid"])]).to_pylist()[0]
    assert f"{score['similarity']:.4g}" in said["score"]
    assert "min similarity 0.75" in said["filter"]
    assert f"{trained['file']} from {trained['offset']}, {trained['length']} bytes" in said["shard"]
    assert f"{source['file']} from {source['offset']}, {source['length']} bytes" in said["collect"]
    text = visitor.text()
    for fact in (source["location"], source["sha256"], *(entry["text"] for entry in source["captions"])):
        assert fact in text
    assert visitor.page.get_by_role("link", name=artifacts["train"].short_name).count() == 1
    assert visitor.page.locator("figure.picture img").evaluate("image => image.naturalWidth") > 0


@pytest.mark.parametrize("stage", ["filter", "collect"])
def test_a_rejected_image_has_the_same_page(
    visitor: Visitor, artifacts: Mapping[str, Artifact], trained: dict[str, Any], stage: str
):
    visitor.open(f"/images/{trained['uid']}")
    headings = visitor.page.locator("h2").all_inner_texts()
    (reason, _), *_ = artifacts[stage].funnel.ranked_reasons()
    row = artifacts[stage].arrow_table("rejects", None, [("reason", "=", reason)]).to_pylist()[0]
    search(visitor, row["location"])
    assert visitor.page.url == f"{visitor.root}/images/{row['uid']}"
    said = said_of_stages(visitor)
    assert f"left out, {reason.replace('_', ' ')}" in said[stage]
    assert row["detail"] in said[stage]
    text = visitor.text()
    assert f"left out by {stage}" in text
    assert row["location"] in text
    assert "in no training split" in text
    same = [
        name for name in ("Its names", "What every stage says", "Models trained on it") if name in headings
    ]
    assert [name for name in visitor.page.locator("h2").all_inner_texts() if name in same] == same
    assert len(same) == 3
    if stage == "filter":  # whose pictures are kept, and can be seen
        assert visitor.page.locator("figure.picture img").evaluate("image => image.naturalWidth") > 0


def test_two_clicks_from_a_model_to_its_images_and_back(visitor: Visitor, artifacts: Mapping[str, Artifact]):
    page, model = visitor.page, f"/models/{artifacts['train'].fingerprint}"
    learned = artifacts["shard"].table("index", ["uid"], [("split", "=", "train")])["uid"]
    visitor.open(model)
    row = page.get_by_role("row").filter(has_text=artifacts["shard"].short_name)
    if row.count() == 0:  # it goes by the name that people gave it
        row = page.get_by_role("row").filter(has_text="datasets/line")
    visitor.click(row.get_by_role("link", name="pictures").first)
    shown = page.locator(".gallery li a")
    places = [address.rpartition("/")[2] for address in hrefs(visitor)]
    assert len(set(places) & set(learned)) >= 10
    visitor.click(shown.nth(next(n for n, uid in enumerate(places) if uid in set(learned))))
    assert re.fullmatch(r"/images/[0-9a-f]{32}", page.url.removeprefix(visitor.root))
    image = page.url
    visitor.click(page.get_by_role("link", name=artifacts["train"].short_name))
    assert page.url == visitor.root + model
    page.goto(image)  # and from any image: one click to the model, one more to what that learned from
    visitor.rest()
    visitor.click(page.get_by_role("link", name=artifacts["train"].short_name))
    assert "What it learned from" in visitor.text()


def hrefs(visitor: Visitor) -> list[str]:
    """Where the pictures of a gallery lead to."""
    return visitor.page.eval_on_selector_all(
        ".gallery li a[href^='/images/']:first-of-type", "links => links.map(a => a.getAttribute('href'))"
    )
