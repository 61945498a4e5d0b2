"""Draws the dashboard's pictures in README.md and docs/dashboard.md, from the store that `make demo` leaves.

    python docs/screenshots.py [--store store]

`sdflow dashboard` serves it on loopback, Chromium (Debian: apt-get install chromium) opens its pages, one of
them in dark. Ends with status 1 where there is no Chromium, or no demo in the store.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from dashboard.catalogue import Catalogue
from dashboard.links import artifact_path, gallery_path, special_path
from stages.artifacts.artifact import Artifact
from stages.store import open_store
from tests.chromium import LOOPBACK_ALONE, chromium_path

FOLDER = Path(__file__).with_name("screenshots")
WIDTH, HEIGHT = 1200, 860
COLOURS = 256
"""Of a picture, so that it takes a third of the bytes."""


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", default="store")
    store = parser.parse_args().store
    chromium = chromium_path()
    if chromium is None:
        sys.exit("there is no Chromium on the PATH: apt-get install --no-install-recommends chromium")
    contents = Catalogue(open_store(store, writable=False)).contents()
    latest = {artifact.stage: artifact for artifact in contents.artifacts.values()}
    if missing := {"collect", "filter", "train"} - set(latest):
        sys.exit(f"{store} has no results of {', '.join(sorted(missing))}: make demo")
    FOLDER.mkdir(exist_ok=True)
    with _served(store) as root, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(LOOPBACK_ALONE))
        for name, path in pages(latest).items():
            _draw(browser, root + path, FOLDER / f"{name}.png", dark=name.endswith("-dark"))
        browser.close()


def pages(latest: Mapping[str, Artifact]) -> Mapping[str, str]:
    """Name of a picture -> path of its page."""
    collection, selection = latest["collect"], latest["filter"]
    rejects = selection.arrow_table("rejects", ["uid", "reason"]).to_pylist()
    swapped = next(row["uid"] for row in rejects if row["reason"] == "low_similarity")
    return {
        "graph-dark": "/graph",
        "funnel": artifact_path(collection),
        "gallery": gallery_path(selection, table="rejects", reason="low_similarity"),
        "rejected-image": f"/images/{swapped}",
        "model": special_path(latest["train"]),
    }


def _draw(browser: Browser, address: str, path: Path, *, dark: bool) -> None:
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_load_state("networkidle")
    shot = Image.open(BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    context.close()


@contextmanager
def _served(store: str) -> Generator[str]:
    """`sdflow dashboard` on a free port: "http://127.0.0.1:PORT"."""
    command = [sys.executable, "-m", "flows.cli", "dashboard", "--store", store, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        address = re.search(r"http://127\.0\.0\.1:\d+", child.stdout.readline())
        assert address
        try:
            yield address[0]
        finally:
            child.terminate()


if __name__ == "__main__":
    main()
