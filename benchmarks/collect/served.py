"""The benchmark's server as a process of its own, and tables of its URLs."""

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
HOSTS = 100
SITE_FILES = ("/robots.txt", "/.well-known/tdmrep.json")
"""What belongs to a host, not to a picture."""


@dataclass(frozen=True)
class Asked:
    """What the server was asked since the last report."""

    pictures: dict[str, int]
    """Path -> requests."""
    seconds: float
    """From the first request to the last."""

    @property
    def total(self) -> int:
        """Requests for pictures."""
        return sum(self.pictures.values())


class Served:
    """A server that runs while the block lasts."""

    def __init__(
        self, folder: Path, port: int = 0, *, latency: float = 0.0, failing: int = 0, broken: int = 0
    ) -> None:
        """A server to be.

        Args:
            folder: where the base pictures are kept.
            port: a free one where 0.
            latency: seconds before each answer.
            failing: hosts that fail at first.
            broken: pictures that always fail, those with the lowest numbers.
        """
        self.port = port or _free_port()
        options = {
            "port": self.port,
            "hosts": HOSTS,
            "latency": latency,
            "failing": failing,
            "broken": broken,
        }
        told = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._command = [sys.executable, "-m", "benchmarks.collect.server", str(folder / "pictures"), *told]

    def __enter__(self) -> "Served":
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "listening\n":
            raise RuntimeError(f"the server did not start: status {self._process.wait()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def report(self) -> Asked:
        """What was asked since the last report."""
        told = json.loads(self._get("/-/report"))
        pictures = {path: n for path, n in told["asked"].items() if path not in SITE_FILES}
        return Asked(pictures, told["seconds"])

    def asked(self) -> int:
        """Requests since the last report."""
        return int(self._get("/-/asked"))

    def _get(self, path: str) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.2:{self.port}{path}", timeout=60) as answer:
            return answer.read()

    def table(self, path: Path, numbers: Iterable[int]) -> Path:
        """Write a table of url and caption; neighbours are on different hosts."""
        told = list(numbers)
        urls = [f"http://127.0.0.{2 + n % HOSTS}:{self.port}/{n}.jpg" for n in told]
        captions = [f"picture {n} of the series" for n in told]
        pq.write_table(pa.table({"url": urls, "caption": captions}), path)
        return path


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        return free.getsockname()[1]
