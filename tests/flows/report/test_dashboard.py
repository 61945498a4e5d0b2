"""What Prefect shows of a step leads to the dashboard's pages, where the environment says where they are."""

import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from starlette.testclient import TestClient

from dashboard.app import create_app
from flows.preflight import check
from flows.report.dashboard import VARIABLE, dashboard_url
from flows.report.task_runner import task_runner
from flows.step import RunContext
from flows.tasks import collect, results
from stages.artifacts.artifact import Artifact, artifacts
from stages.config.run import Run
from stages.store import open_store
from tests.flows.api import ask

URL = "https://pictures.example.org/sdflow"


def _collected(run: Run, name: str) -> Artifact:
    """The result of a flow that collects."""
    from prefect import flow

    @flow(task_runner=task_runner())
    def collecting() -> Any:
        return results(collect.submit(config=run.collect, context=RunContext(run.store, name)))

    collecting()
    (images,) = [each for each in artifacts(open_store(run.store)) if each.stage == "collect"]
    return images


def _shown(server: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The table of the funnel and the summary, as Prefect has them last."""
    latest = {each["key"]: each for each in ask(server, "artifacts/latest/filter", {})}
    return latest[f"{name}-collect-funnel"], latest[f"{name}-collect"]


def _links(markdown: str) -> list[str]:
    return re.findall(r'<a href="([^"]+)"', MarkdownIt("gfm-like", {"linkify": False}).render(markdown))


@pytest.mark.prefect
@pytest.mark.slow
def test_what_prefect_shows_leads_to_pages_that_are_there(
    server: str, run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, f"{URL}/")
    images = _collected(run, "linked")
    table, summary = _shown(server, "linked")
    assert _links(table["description"]) == [f"{URL}/collections/{images.fingerprint}"]
    links = [link.replace("&amp;", "&") for link in _links(summary["data"])]
    assert all(link.startswith(f"{URL}/") for link in links)
    with TestClient(create_app(open_store(run.store)), base_url="http://127.0.0.1:8321") as browser:
        pages = {link: browser.get(link.removeprefix(URL)) for link in links}
    assert [page.status_code for page in pages.values()] == [200] * len(links)
    (too_small,) = [link for link in links if "reason=too_small" in link]
    assert "too small" in pages[too_small].text
    assert "[too small (1)]" in summary["data"]


@pytest.mark.prefect
@pytest.mark.slow
def test_nothing_links_anywhere_without_an_address(server: str, run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    _collected(run, "unlinked")
    table, summary = _shown(server, "unlinked")
    assert _links(table["description"]) == []
    assert _links(summary["data"]) == []


@pytest.mark.prefect
@pytest.mark.slow
def test_a_wrong_address_costs_a_worker_the_links_and_no_report(
    server: str, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv(VARIABLE, "javascript:alert(1)")
    _collected(run, "wrong")
    table, summary = _shown(server, "wrong")
    assert _links(table["description"]) + _links(summary["data"]) == []
    assert f"no links to the dashboard: {VARIABLE} 'javascript:alert(1)'" in caplog.text


@pytest.mark.parametrize(
    "url", ["pictures.example.org", "ftp://x", "https://me:secret@x", "https://x/)](http://y", "https://x y"]
)
def test_an_address_that_is_none_is_refused_before_a_run(url: str, run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(ValueError, match=f"{VARIABLE}.*https://pictures"):
        check(run)
    assert not Path(run.store).exists()


def test_an_empty_address_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, " ")
    assert dashboard_url() == ""
