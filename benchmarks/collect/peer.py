"""The stock `img2dataset` command, in an environment of its own.

Its package index comes from the environment's settings. It is called as its users call it; nothing of ours is
imported there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

VERSION = "1.47.0"
KEPT = {"resize_mode": "no", "disable_all_reencoding": True}
SETTINGS: dict[str, dict[str, object]] = {
    "its defaults": {},
    "bytes kept": KEPT,
    "bytes kept, a process for each core": {
        **KEPT,
        "processes_count": os.cpu_count(),
        "number_sample_per_shard": 1000,
    },
}
"""What is measured: as it comes, re-encoding everything at 256 pixels; then with what spares it that work."""


@dataclass(frozen=True)
class Run:
    """What a run of the command came to."""

    seconds: float
    """Of the whole process."""
    failed: list[str]
    """URLs that it brought no picture for."""


def command() -> Path:
    """The command, installed into a folder of temporary files where it is not yet.

    Raises:
        FileNotFoundError: uv is neither on the path nor in this environment.
    """
    folder = Path(tempfile.gettempdir()) / f"img2dataset-{VERSION}"
    if not (folder / "installed").exists():
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        python = str(folder / "bin" / "python")
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True
        )
        package = f"img2dataset=={VERSION}"
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, package], check=True)
        (folder / "installed").touch()
    return folder / "bin" / "img2dataset"


def run(table: Path, output: Path, settings: dict[str, object]) -> Run:
    """Download a Parquet table of url and caption."""
    usual = {
        "url_list": table,
        "input_format": "parquet",
        "caption_col": "caption",
        "output_format": "webdataset",
        "output_folder": output,
    }
    told = [f"--{name}={value}" for name, value in {**usual, **settings}.items()]
    # A look for updates would leave this machine.
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    log = output.with_suffix(".log")
    began = time.perf_counter()
    with log.open("ab") as file:
        subprocess.run([command(), *told], env=environment, stdout=file, stderr=file, check=True)
    return Run(time.perf_counter() - began, _failed(output))


def _failed(output: Path) -> list[str]:
    failed: list[str] = []
    for path in sorted(output.glob("*.parquet")):
        found = pq.read_table(path, columns=["url", "status"]).to_pylist()
        failed += [row["url"] for row in found if row["status"] != "success"]
    return failed
