"""The demo: a small captioned world, served on loopback with planted defects, through the whole line, with
figures."""

import json
import time
from pathlib import Path

from flows.config.presets import PRESETS, ROWS
from flows.demo.figures import figures
from flows.demo.table import show
from flows.run.execute import execute
from flows.run.terminal import Terminal
from stages.demo.server import DemoServer
from stages.demo.site import build
from stages.store import open_store

SEED = 20
"""Of the demo's world; the shipped CLIP was trained on another."""


def demo(store: str, report: Path | None, preset: str, port: int) -> None:
    """Run a preset on a demo site of its own, print its figures, and write them.

    Args:
        store: where results live; the site lies beside them in a local store, else below ./.sdflow.
        report: JSON file for the figures; none is written where None.
        preset: a name in `PRESETS`.
        port: of the demo's web server on loopback; part of the URLs, so another port is another collection.

    Raises:
        ValueError: the port is taken, or the store cannot be used.
        RunFailedError: a step failed.
    """
    began = time.monotonic()
    terminal = Terminal()
    rows = ROWS[preset]
    open_store(store)  # a ValueError here costs nobody the building of the site
    below = Path(".sdflow") if "://" in store else Path(store)
    terminal.log(f"building a web site of {rows:,} pictures, nine in ten with captions, with planted defects")
    site = build(below / "demo-site" / preset, rows, SEED, port=port)
    with DemoServer(site):
        results = execute(PRESETS[preset](str(site.table), store), terminal)
    artifacts = {name: result.open() for name, result in results.items()}
    report_figures = figures(artifacts, site, time.monotonic() - began)
    terminal.console.print()
    show(
        report_figures, artifacts, {name: result.cached for name, result in results.items()}, terminal.console
    )
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(report_figures, indent=1, sort_keys=True) + "\n")
        terminal.log(f"all figures: {report}")
