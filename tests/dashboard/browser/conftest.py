"""The dashboard as a person has it: the command, a store of the whole line, and a browser."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from stages.artifacts.artifact import Artifact
from stages.store import Store, open_store
from tests.chromium import LOOPBACK_ALONE, chromium_path
from tests.conftest import Line
from tests.dashboard.browser.populated import populate
from tests.dashboard.browser.survey import WIDE
from tests.dashboard.browser.visitor import Visitor
from tests.flows.browser.conftest import WAIT


@dataclass(frozen=True)
class Served:
    """A store, and where `sdflow dashboard` serves it."""

    store: Store
    root: str
    """ "http://127.0.0.1:PORT"."""
    unusual: tuple[str, ...] = ()
    """Pages of results in an unusual state."""


@contextmanager
def serving(store: Store) -> Iterator[str]:
    """Where the command serves a store, as long as the context lasts."""
    command = [sys.executable, "-m", "flows.cli", "dashboard", "--store", store.url, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        address = re.search(r"http://127\.0\.0\.1:\d+", child.stdout.readline())
        assert address
        try:
            while httpx.get(f"{address[0]}/search?q=nothing", timeout=WAIT / 1000).status_code == 503:
                time.sleep(0.1)  # the index is being made
            yield address[0]
        finally:
            child.terminate()


@pytest.fixture(scope="session")
def served(line: Line, filled: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A store with every kind of page and state. Shared: nobody changes it."""
    folder = tmp_path_factory.mktemp("browser") / "store"
    store = open_store(shutil.copytree(filled.url, folder).as_posix())
    unusual = populate(store, line.artifacts(folder))
    with serving(store) as root:
        yield Served(store, root, tuple(unusual))


@pytest.fixture(scope="module")
def changed(filled: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A copy of the line's store for the tests of a file, which change it."""
    folder = tmp_path_factory.mktemp("changed") / "store"
    store = open_store(shutil.copytree(filled.url, folder).as_posix())
    with serving(store) as root:
        yield Served(store, root)


@pytest.fixture(scope="session")
def artifacts(line: Line, served: Served) -> dict[str, Artifact]:
    """The artifact of each stage of the line, in that store."""
    return line.artifacts(Path(served.store.url))


@pytest.fixture(scope="module")  # Playwright's loop may not last while tests of another file run theirs
def chromium() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on the PATH opens the dashboard's pages: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(LOOPBACK_ALONE))
        yield browser
        browser.close()


@contextmanager
def visiting(chromium: Browser, root: str, *, scripts: bool = True) -> Iterator[Visitor]:
    """A visitor of the dashboard at an address, with JavaScript or without."""
    context = chromium.new_context(
        viewport=WIDE,  # type: ignore[arg-type]
        accept_downloads=True,
        java_script_enabled=scripts,
    )
    yield Visitor(context, root, scripts=scripts)
    context.close()


@pytest.fixture
def visitor(chromium: Browser, served: Served) -> Iterator[Visitor]:
    """A visitor of the shared store, with JavaScript."""
    with visiting(chromium, served.root) as visitor:
        yield visitor
        assert visitor.strangers == []
        assert visitor.complaints == []
