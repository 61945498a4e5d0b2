"""A bar of a funnel: as many pictures stand behind it as it says."""

from collections.abc import Mapping

import pytest

from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import resolve
from tests.dashboard.browser.conftest import Served
from tests.dashboard.browser.populated import TIMEOUTS
from tests.dashboard.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.matrix]


def bar_row(visitor: Visitor, outcome: str):
    return visitor.page.locator("table.bars tbody tr").filter(
        has=visitor.page.get_by_role("link", name=outcome, exact=True)
    )


def walked(visitor: Visitor, outcome: str) -> tuple[int, int, list[str], int]:
    """Press a bar and turn every page: what bar and gallery say, the addresses of pictures, the pages."""
    row = bar_row(visitor, outcome)
    number = int(row.locator("td.number").first.inner_text().replace(",", ""))
    visitor.click(row.locator("svg"))
    stated = int(visitor.page.locator("#total").inner_text().split()[0].replace(",", ""))
    pictures: list[str] = []
    pages = 0
    while True:
        pages += 1
        pictures += visitor.page.eval_on_selector_all(
            ".gallery li, main tbody tr",
            "cards => cards.map(card => card.querySelector('a').getAttribute('href'))",
        )
        following = visitor.page.locator("a[rel=next]")
        if following.count() == 0:
            return number, stated, pictures, pages
        visitor.click(following.first)


@pytest.mark.parametrize(
    ("stage", "outcome", "pages"),
    [("collect", "went on", 3), ("filter", "near duplicate", 1), ("filter", "went on", 2)],
)
def test_a_bar_s_gallery_holds_as_many_pictures_as_the_bar_says(
    visitor: Visitor, artifacts: Mapping[str, Artifact], stage: str, outcome: str, pages: int
):
    artifact = artifacts[stage]
    visitor.open(f"/artifacts/{stage}/{artifact.fingerprint}")
    number, stated, pictures, turned = walked(visitor, outcome)
    assert number == artifact.funnel.reasons.get(outcome.replace(" ", "_"), artifact.funnel.rows_out)
    assert (stated, len(set(pictures)), len(pictures)) == (number, number, number)
    assert turned == pages


def test_a_bar_of_many_rejected_rows_has_pages(visitor: Visitor, served: Served):
    images = resolve(served.store, "images/birds@latest")
    visitor.open(f"/artifacts/collect/{images.fingerprint}")
    number, stated, pictures, turned = walked(visitor, "timeout")
    assert (number, stated, len(set(pictures)), turned) == (TIMEOUTS, TIMEOUTS, TIMEOUTS, 3)
    assert visitor.page.locator("a[rel=prev]").count() == 1
