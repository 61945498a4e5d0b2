"""`collect` in a process of its own, every guard and rule on, the limits for each host lifted.

    python -m benchmarks.collect.collection CONFIG STORE [--previous FINGERPRINT]

CONFIG is a JSON file of a `CollectConfig`. Prints what came as one line of JSON.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.collect.served import ROOT


@dataclass(frozen=True)
class Collected:
    """What a collection came to."""

    fingerprint: str
    digest: str
    images: int
    reasons: dict[str, int]
    statistics: dict[str, Any]
    seconds: float
    """Of the whole process."""


def command(table: Path, store: Path, previous: str = "", **choices: Any) -> list[str]:
    """The command that collects a table; `choices` are those of `CollectConfig`."""
    source = {"name": "bench", "tables": [str(table)], "allow_networks": ["127.0.0.0/8"]}
    config = {"urls": [source], "connections": 0, "per_second": 0, **choices}
    path = table.with_name(f"{table.stem}-{store.name}.json")
    path.write_text(json.dumps(config))
    told = [sys.executable, "-m", "benchmarks.collect.collection", str(path), str(store)]
    return [*told, "--previous", previous] if previous else told


def run(table: Path, store: Path, previous: str = "", **choices: Any) -> Collected:
    """Collect a table to the end."""
    began = time.perf_counter()
    done = subprocess.run(
        command(table, store, previous, **choices), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - began
    return Collected(**json.loads(done.stdout.splitlines()[-1]), seconds=seconds)


def main() -> None:
    """Collect, in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("store")
    parser.add_argument("--previous", default="")
    given = parser.parse_args()

    from pydantic import TypeAdapter

    from stages.artifacts.artifact import Artifact
    from stages.collect.collect import collect
    from stages.collect.sources.files import snapshot
    from stages.config.collect import CollectConfig
    from stages.store import open_store

    config = TypeAdapter(CollectConfig).validate_python(json.loads(given.config.read_text()))
    store = open_store(given.store)
    previous = Artifact.open(store, "collect", given.previous) if given.previous else None
    made = collect(previous, snapshot(config), None, config, store=store)
    told = {
        "fingerprint": made.fingerprint,
        "digest": made.digest,
        "images": made.funnel.rows_out,
        "reasons": dict(made.funnel.reasons),
        "statistics": dict(made.statistics),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
