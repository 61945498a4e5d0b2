"""What people see of a run in both of Prefect's UIs: every page opens, and shows what it is for."""

import re

import pytest

from flows.steps import STEPS
from tests.flows.browser.conftest import Visit

pytestmark = [pytest.mark.prefect, pytest.mark.browser, pytest.mark.matrix]

LINE = [stage for stage in STEPS if stage != "encode"]  # the tiny run has no frozen encoders


def test_every_artifact_of_a_run_can_be_read(visit: Visit):
    artifacts = visit.watched.artifacts
    keys = {artifact["key"] for artifact in artifacts}
    assert keys >= {f"tiny-{stage}{kind}" for stage in LINE for kind in ("", "-funnel")}
    for artifact in artifacts:
        visit.open(f"artifacts/artifact/{artifact['id']}")
        visit.page.get_by_text(artifact["key"]).first.wait_for()
        visit.page.get_by_text(plain(artifact["description"]).split(". ")[0]).first.wait_for()
        assert not re.search("[0-9a-f]{64}", artifact["description"])
        CHECKS[artifact["type"]](visit, artifact["data"])
        assert visit.complaints == [], artifact["key"]
    assert visit.strangers == []


def table(visit: Visit, data: str | list[dict[str, object]]) -> None:
    import json

    rows = json.loads(data) if isinstance(data, str) else data
    assert list(rows[0]) == ["outcome", "rows", "share"]
    visit.page.get_by_text("rows in").first.wait_for()
    text = visit.text()
    assert "outcome rows share" in text
    for row in rows:
        assert " ".join(map(str, row.values())) in text


def markdown(visit: Visit, data: str) -> None:
    title = data.splitlines()[0].removeprefix("# ")
    visit.page.get_by_role("heading", name=title).wait_for()
    text = visit.text()
    for line in data.splitlines():
        if line.startswith("#"):
            assert line.lstrip("# ") in text
    assert "outcome rows share rows in" in text
    pictures = visit.page.locator('img[src^="data:image/png"]')
    assert pictures.count() == data.count("](data:image/png")
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        assert picture.is_visible()
        assert picture.evaluate("image => image.complete && image.naturalWidth") > 0


def progress(visit: Visit, data: float) -> None:
    assert data == 100
    visit.page.get_by_text("Progress: 100%").first.wait_for()


CHECKS = {"table": table, "markdown": markdown, "progress": progress}


def plain(description: str) -> str:
    """Markdown's words without its marks."""
    return re.sub(r"[`\\]", "", description)


def test_a_run_has_a_name_and_its_log_says_what_each_stage_did(visit: Visit):
    run = visit.watched.run
    assert re.fullmatch(r"tiny \d{4}-\d\d-\d\dT\d\d:\d\d", run["name"])
    visit.open(f"runs/flow-run/{run['id']}")
    visit.page.get_by_text("collect: 41 of 43 rows, left out 1 not_an_image, 1 too_small").first.wait_for()
    assert run["name"] in visit.text()
    assert visit.complaints == []
    assert visit.strangers == []
