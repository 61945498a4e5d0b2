"""A training that is at work, watched in a browser: its curve grows by itself."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.conftest import Line
from tests.dashboard.browser.conftest import Served, visiting
from tests.dashboard.training import training_at_work

pytestmark = [pytest.mark.browser, pytest.mark.matrix]


def test_the_curve_of_a_running_training_grows_by_itself(chromium: Browser, changed: Served, line: Line):
    dataset = line.artifacts(Path(changed.store.url))["shard"]
    with training_at_work(changed.store, dataset), visiting(chromium, changed.root) as visitor:
        visitor.open("/")
        visitor.click(visitor.page.get_by_role("link", name=re.compile("^train ")))
        curve = visitor.page.locator("svg.curves path.series-0").first
        drawn = curve.get_attribute("d") or ""
        visitor.page.wait_for_function(
            "points => (document.querySelector('svg.curves path.series-0')?.getAttribute('d') ?? '')"
            ".split('L').length > points",
            arg=len(drawn.split("L")),
        )
        assert visitor.complaints == []
        assert visitor.strangers == []
