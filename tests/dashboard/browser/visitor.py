"""Who looks at the dashboard by a browser, and the ways through it."""

import re
from collections.abc import Iterator, Sequence

from playwright.sync_api import BrowserContext, Locator, Page, Request

from tests.flows.browser.conftest import WAIT

STARTS = ("/takedowns", "/takedowns/new", "/running", "/graph", "/stale", "/studies", "/search?q=square")
"""Pages from which a walk begins, besides the home page."""
NO_PAGE = re.compile(r"/files/|\.(json|csv|txt|yaml|png|webp)$")


class Visitor:
    """A page of a browser; keeps requests that leave the dashboard, and what goes wrong."""

    def __init__(self, context: BrowserContext, root: str, *, scripts: bool = True) -> None:
        self.root, self.scripts = root, scripts
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
        """A page of the dashboard with all that it loads by itself; its status."""
        answer = self.page.goto(f"{self.root}{path}")
        self.rest()
        assert answer
        return answer.status

    def click(self, target: Locator) -> None:
        """Press what leads to another page, and wait for that."""
        with self.page.expect_navigation():
            target.click()
        self.rest()

    def rest(self) -> None:
        """Wait for what the page loads by itself."""
        if self.scripts:
            self.page.wait_for_function(LOADED)

    def text(self) -> str:
        """What the page says."""
        return self.page.inner_text("main")

    def links(self) -> list[str]:
        """Paths of the dashboard's own pages that this one leads to, or loads as a part."""
        addresses = self.page.eval_on_selector_all(
            "a[href], [hx-get]",
            "all => all.map(each => each.getAttribute('href') || each.getAttribute('hx-get'))",
        )
        return [
            path
            for path in dict.fromkeys(address.partition("#")[0] for address in addresses)
            if path.startswith("/") and not path.startswith("/export") and not NO_PAGE.search(path)
        ]

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((f"{self.root}/", "data:", "file:")):
            self.strangers.append(request.url)


LOADED = """() => [...document.querySelectorAll('[hx-trigger*=load]')].every(part =>
    ![...part.querySelectorAll('a')].some(a => a.getAttribute('href') === part.getAttribute('hx-get')))"""
"""Whether each part that loads by itself has taken the place of the link that stands for it."""


def shape(path: str) -> str:
    """What addresses of pages of one kind have in common."""
    path = re.sub(r"^(/references)/.*", r"\1/NAME", path.partition("?")[0])
    return re.sub(r"\d+", "N", re.sub(r"[0-9a-f]{12,}", "HASH", path))


def crawl(visitor: Visitor, first: Sequence[str] = (), limit: int = 80) -> Iterator[str]:
    """Opens a page of every shape of address that links lead to, from the home page on.

    Args:
        visitor: whose browser it is.
        first: pages that are opened whatever their shape.
        limit: pages at most.
    """
    queue, shapes, opened = [*first, "/", *STARTS], set[str](), set[str]()
    while queue and len(opened) < limit:
        path = queue.pop(0)
        if path in opened or (path not in first and shape(path) in shapes):
            continue
        opened.add(path)
        if path not in first:
            shapes.add(shape(path))
        status = visitor.open(path)
        assert status in (200, 404, 410), (path, status)
        if status == 200:
            queue += visitor.links()  # before whoever looks at the page leaves it
            yield path
