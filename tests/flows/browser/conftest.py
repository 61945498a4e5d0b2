"""A run whose pages a browser opens: Prefect's server with both of its UIs, and the system's Chromium."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from flows.run.server import Server
from stages.config.run import Run
from tests.chromium import LOOPBACK_ALONE, chromium_path
from tests.flows.api import ask
from tests.flows.conftest import tiny

WAIT = 60_000
"""Milliseconds that a page may take, as a last guard."""


@dataclass(frozen=True)
class Watched:
    """A flow run that has ended, on a server with its pages."""

    server: Server
    run: dict[str, Any]
    """As Prefect's API has it."""
    artifacts: list[dict[str, Any]]
    """All that it left."""

    @property
    def root(self) -> str:
        return self.server.url.removesuffix("/api")


@pytest.fixture(scope="module")
def watched(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A tiny run of the whole line."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    from flows.run.server import prefect_server

    folder = tmp_path_factory.mktemp("watched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(folder))
        patch.delenv("PREFECT_API_URL", raising=False)
        with (
            temporary_settings({PREFECT_HOME: folder}, restore_defaults={PREFECT_API_URL}),
            prefect_server(ui=True) as server,
        ):
            yield _watched(server, tiny(folder / "store", pictures))


def _watched(server: Server, run: Run) -> Watched:
    from flows.pipeline import pipeline

    state = pipeline(run, return_state=True)
    assert state.is_completed(), state
    flow_run = str(state.state_details.flow_run_id)
    of_run = {"flow_runs": {"id": {"any_": [flow_run]}}}
    (made,) = ask(server.url, "flow_runs/filter", of_run)
    return Watched(server, made, ask(server.url, "artifacts/filter", {**of_run, "limit": 200}))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        pytest.fail("no Chromium on the PATH opens Prefect's pages: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(LOOPBACK_ALONE))
        yield browser
        browser.close()


class Visit:
    """Pages of one UI, signed in; keeps what goes wrong on them."""

    def __init__(self, page: Page, watched: Watched, ui: str) -> None:
        self.page, self.watched, self.ui = page, watched, ui
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        page.set_default_timeout(WAIT)
        page.on("request", self._request)
        self._sign_in()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, path: str) -> None:
        """A page, once it has what it asks the server for."""
        self.page.goto(f"{self.watched.root}{'/v2' if self.ui == 'v2' else ''}/{path}")
        self.page.wait_for_load_state("networkidle")

    def text(self) -> str:
        """All that is to be read, in one line."""
        return " ".join(self.page.inner_text("body").split())

    def _sign_in(self) -> None:
        """As a person does; both UIs keep the password in the browser under one name."""
        page = self.page
        page.context.add_cookies([{"name": "prefect_ui_version", "value": self.ui, "url": self.watched.root}])
        self.open("login")
        page.locator("input").first.fill(self.watched.server.sign_in)
        page.get_by_role("button", name="Login").click()
        page.wait_for_url("**/dashboard*")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.watched.root}/", "data:", "blob:")):
            self.strangers.append(request.url)

    def _console(self, message: ConsoleMessage) -> None:
        icon = message.location["url"].endswith(ICONS)
        if message.type == "error" and not icon and "Content Security Policy" not in message.text:
            self.complaints.append(message.text)


ICONS = ("/ico/undefined.svg", "/completed.svg")
"""Icons that Prefect's own pages ask for where they are not."""


@pytest.fixture(params=["v1", "v2"])
def visit(request: pytest.FixtureRequest, chromium: Browser, watched: Watched) -> Iterator[Visit]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, service_workers="block")
    try:
        yield Visit(context.new_page(), watched, request.param)
    finally:
        context.close()
