"""The whole line, once, on a small demo site: what tests of the line and of its kills start from."""

import dataclasses
import json
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import settings

from flows.config.presets import CLIP, SIMILARITY
from stages.artifacts.artifact import Artifact, artifacts
from stages.demo.defects import DEFECTS, LABELS, Rates
from stages.demo.server import DemoServer
from stages.demo.site import DemoSite, build
from stages.store import open_store
from tests.listening import Watch

# No test measures wall time, and a busy machine's examples take longer.
settings.register_profile("sdflow", deadline=None)
settings.load_profile("sdflow")

ROWS = 120
"""Rows of the table; the site has some more, for a table that grows."""


@dataclasses.dataclass(frozen=True)
class Line:
    """A site that is served, a config of the whole line on it, and a store where that has been run."""

    site: DemoSite
    server: DemoServer
    config: Path
    store: Path

    def command(self, store: Path) -> list[str]:
        """The command that makes everything in another store."""
        main = "import sys; from flows.cli import main; sys.exit(main())"
        stage = ["stage", "evaluate", str(self.config), "--upstream", "--store", str(store), "--json"]
        return [sys.executable, "-c", main, *stage]

    def artifacts(self, store: Path | None = None) -> dict[str, Artifact]:
        """The first finished artifact of each stage in a store."""
        found = sorted(artifacts(open_store(str(store or self.store))), key=lambda one: one.manifest.ended)
        return {one.stage: one for one in reversed(found)}


WATCH = pytest.StashKey[Watch]()


def pytest_configure(config: pytest.Config) -> None:
    """The watch lasts as long as the session: a worker of xdist watches what it has started."""
    config.stash[WATCH] = Watch()
    config.stash[WATCH].start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends it."""
    config.stash[WATCH].stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """A test fails when anything of it, its fixtures or its processes listens where other machines reach it.

    A look before the fixtures end, and what was seen in between."""
    watch = item.config.stash[WATCH]
    watch.look()
    yield
    watch.refuse()


@pytest.fixture(scope="session")
def listening(pytestconfig: pytest.Config) -> Watch:
    """The session's own watch."""
    return pytestconfig.stash[WATCH]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes come first, so that workers end together."""
    long = ("test_kill.py", "test_interruptions.py", "test_launch.py", "test_fsdp.py")
    items.sort(key=lambda item: long.index(item.path.name) if item.path.name in long else len(long))


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """See `Line`. Shared: add to the store, change nothing in it."""
    folder = tmp_path_factory.mktemp("line")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Who answers otherwise the second time is met otherwise by a run that was killed.
    rates = Rates(**dict.fromkeys(DEFECTS, 0.03) | {"flaky": 0.0})
    site = build(folder / "site", ROWS + 20, seed=4, rates=rates, port=port)
    pq.write_table(pq.read_table(site.table).slice(0, ROWS), folder / "rows.parquet")
    config = folder / "line.yaml"
    config.write_text(yaml.safe_dump(_config(folder / "rows.parquet")))
    with DemoServer(site) as server:
        made = Line(site, server, config, folder / "store")
        done = subprocess.run(made.command(made.store), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["stage"] == "evaluate"
        yield made


def _config(table: Path) -> dict[str, object]:
    fast = {"connections": 0, "per_second": 0}
    source = {"name": "web", "tables": [str(table)], "columns": ["row", *LABELS]}
    source["allow_networks"] = ["127.0.0.0/8"]
    return {
        "name": "line",
        "collect": {"urls": [source], "part_rows": 40, "retries": 1, "workers": 1, **fast},
        "dedup": {"part_rows": 40, "workers": 1},
        "score": {"model": CLIP, "part_rows": 40, "device": "cpu"},
        "filter": {"captions": "valid", "min_words": 2, "min_similarity": SIMILARITY},
        "shard": {"validation": 0.1, "test": 0.1, "shard_rows": 30, "columns": [*LABELS], "workers": 1},
        "train": {
            "images": 1280,
            "batch": 32,
            "size": 16,
            "checkpoint_every": 256,
            "text": {"width": 16, "heads": 2, "queries": 2, "vocabulary": 300},
            "unet": {"channels": [8, 16]},
            "conditions": {"columns": [{"column": name} for name in LABELS], "width": 8},
            "processes": 1,
            "device": "cpu",
        },
        "evaluate": {
            "samples": 4,
            "oracle": "demo",
            "oracle_samples": 8,
            "sampling": {"steps": 2},
            "part_rows": 4,
            "validation_rows": 8,
            "device": "cpu",
        },
    }
