"""Verify, pressed in a browser: what is damaged is red, and so is all that was made of it; and it is said."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.conftest import Line
from tests.dashboard.browser.conftest import Served, visiting
from tests.dashboard.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.matrix]
STROKES = """() => Object.fromEntries([...document.querySelectorAll('a.node')].map(node => [
    node.getAttribute('href').split('/')[2], getComputedStyle(node.querySelector('rect')).stroke]))"""
RED = "() => getComputedStyle(document.querySelector('.legend .bad')).color"
STATES = """() => Object.fromEntries([...document.querySelectorAll('table.lineage tbody tr')].map(row => [
    row.querySelector('a').getAttribute('href').split('/')[2], row.lastElementChild.textContent]))"""


def flip(path: Path, place: int) -> None:
    """Change one byte of a file; the second time it is as it was."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def graph(visitor: Visitor) -> tuple[set[str], dict[str, str]]:
    """Stages that are red in the graph, and the state of each in words."""
    visitor.open("/graph")
    red = visitor.page.evaluate(RED)
    strokes = visitor.page.evaluate(STROKES)
    return {stage for stage, stroke in strokes.items() if stroke == red}, visitor.page.evaluate(STATES)


def test_one_flipped_byte_turns_a_result_and_its_descendants_red(
    chromium: Browser, changed: Served, line: Line
):
    selection = line.artifacts(Path(changed.store.url))["filter"]
    file = Path(changed.store.url) / selection.entry("selection.parquet").key
    address = f"/artifacts/filter/{selection.fingerprint}"
    with visiting(chromium, changed.root) as visitor:
        verify = visitor.page.get_by_role("button", name="Verify now")
        assert graph(visitor)[0] == set()
        flip(file, 100)
        assert graph(visitor)[0] == set()  # nobody has looked yet
        visitor.open(address)
        visitor.click(verify)
        assert "1 damaged" in visitor.text()
        assert "selection.parquet" in visitor.page.locator("#verification ~ ul").inner_text()
        red, states = graph(visitor)
        assert red == {"filter", "shard", "train", "evaluate"}
        assert {stage: words for stage, words in states.items() if stage in red} == {
            "filter": "damaged",
            "shard": "damaged input",
            "train": "damaged input",
            "evaluate": "damaged input",
        }
        assert "damaged, or an input of it is" in visitor.page.locator(".legend").inner_text()
        visitor.click(visitor.page.locator("a.node", has_text="models/line").first)
        assert "damaged input" in visitor.text()  # from a red box to what it is
        flip(file, 100)
        visitor.open(address)
        visitor.click(verify)
        assert "everything is as it was published" in visitor.text()
        red, states = graph(visitor)
        assert red == set()
        assert not any("damaged" in words for words in states.values())
        assert visitor.complaints == []
