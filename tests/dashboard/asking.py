"""What tests ask pages for: addresses, and what is in an answer."""

import re
from html import unescape

from starlette.testclient import TestClient

from dashboard.app import create_app
from stages.artifacts.artifact import Artifact
from stages.store import Store
from tests.dashboard.conftest import ADDRESS


def asking(store: Store) -> TestClient:
    """Asks a dashboard of its own, whose contents are as of now."""
    return TestClient(create_app(store), base_url=ADDRESS)


def path(artifact: Artifact, below: str) -> str:
    """An address below an artifact's."""
    return f"/artifacts/{artifact.stage}/{artifact.fingerprint}/{below}"


def links(text: str, pattern: str) -> list[str]:
    """Addresses of links in a page that match, each once, in order."""
    found = [unescape(address) for address in re.findall(r'href="([^"]+)"', text)]
    return list(dict.fromkeys(address for address in found if re.search(pattern, address)))


def uids(text: str) -> list[str]:
    """uids of the images that a page links to."""
    return [address.rpartition("/")[2] for address in links(text, "^/images/[0-9a-f]{32}$")]


def total(text: str) -> int:
    """Rows that a gallery says there are."""
    match = re.search(r'id="total">([\d,]+) rows', text)
    assert match is not None
    return int(match[1].replace(",", ""))


def relative(text: str, which: str) -> str | None:
    """The address of the next or previous page, by its rel."""
    match = re.search(rf'rel="{which}" href="([^"]+)"', text)
    return unescape(match[1]) if match else None
