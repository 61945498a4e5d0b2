"""The dashboard as a person has it: the command, a store of the whole line, and a browser."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from stages.artifacts.reference import refer
from stages.store import Store, open_store
from tests.chromium import LOOPBACK_ALONE, chromium_path
from tests.flows.browser.conftest import WAIT
from tests.stages.handmade import Picture, collection, save

HOSTILE = (
    '<img src=x onerror="window.owned=1"><script>window.owned=1</script>',
    "![x](http://evil.example/x.png) [a](javascript:window.owned=1) | ` * _",
    "\x1b[31mred\x07 \u202egnp.exe \x00 {{ 7*7 }} {% raw %}",
    "\" onmouseover=window.owned=1 x='",
)


@pytest.fixture(scope="module")
def store(filled: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A copy of the line's store, with a collection whose captions would do harm if they could."""
    import numpy as np

    folder = tmp_path_factory.mktemp("browser") / "store"
    store = open_store(shutil.copytree(filled.url, folder).as_posix())
    random = np.random.default_rng(0)
    pictures = [
        Picture(f"https://evil.example/{text}", save(random.integers(0, 255, (16, 16, 3), np.uint8)), [text])
        for text in HOSTILE
    ]
    refer(store, "images/hostile", collection(store, [pictures]))
    return store


@pytest.fixture(scope="module")
def root(store: Store) -> Iterator[str]:
    """Where `sdflow dashboard` serves that store: "http://127.0.0.1:PORT"."""
    command = [sys.executable, "-m", "flows.cli", "dashboard", "--store", store.url, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        address = re.search(r"http://127\.0\.0\.1:\d+", child.stdout.readline())
        assert address
        while httpx.get(f"{address[0]}/search?q=nothing").status_code == 503:  # the index is being made
            time.sleep(0.1)
        yield address[0]
        child.terminate()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on the PATH opens the dashboard's pages: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(LOOPBACK_ALONE))
        yield browser
        browser.close()


class Visitor:
    """A page of a browser; keeps requests that leave the dashboard, and what goes wrong."""

    def __init__(self, context: BrowserContext, root: str) -> None:
        self.root = root
        self.strangers: list[str] = []
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT)
        self.page.on("request", self._request)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on(
            "console",
            lambda line: (
                self.complaints.append(line.text) if "Content Security Policy" in line.text else None
            ),
        )

    def open(self, path: str) -> int:
        """A page of the dashboard once it rests; its status."""
        answer = self.page.goto(f"{self.root}{path}")
        self.page.wait_for_load_state("networkidle")
        assert answer
        return answer.status

    def links(self) -> list[str]:
        """Paths of the dashboard's own pages that this one leads to."""
        found = self.page.eval_on_selector_all("a[href]", "links => links.map(a => a.getAttribute('href'))")
        return [
            path for path in dict.fromkeys(found) if path.startswith("/") and not path.startswith("/export")
        ]

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((f"{self.root}/", "data:", "file:")):
            self.strangers.append(request.url)


@pytest.fixture
def visitor(chromium: Browser, root: str) -> Iterator[Visitor]:
    """A visitor with JavaScript."""
    context = chromium.new_context(viewport={"width": 1100, "height": 900}, accept_downloads=True)
    yield Visitor(context, root)
    context.close()


@pytest.fixture
def plain(chromium: Browser, root: str) -> Iterator[Visitor]:
    """A visitor whose browser runs no JavaScript."""
    context = chromium.new_context(java_script_enabled=False)
    yield Visitor(context, root)
    context.close()


def crawl(visitor: Visitor, limit: int = 40) -> Iterator[str]:
    """Opens a page of every shape of address that links lead to, from the home page on."""
    queue, shapes = ["/"], set[str]()
    while queue and len(shapes) < limit:
        path = queue.pop(0)
        shape = re.sub(r"\d+", "N", re.sub(r"[0-9a-f]{12,}", "HASH", path.partition("?")[0]))
        if shape in shapes or re.search(r"/files/|\.(json|csv|txt|yaml|png|webp)$", shape):
            continue
        shapes.add(shape)
        status = visitor.open(path)
        assert status in (200, 404, 410), (path, status)
        if status == 200:
            yield path
            queue += [*visitor.links(), *STARTS] if path == "/" else visitor.links()


STARTS = ("/takedowns", "/takedowns/new", "/running", "/graph", "/studies", "/search?q=square")
