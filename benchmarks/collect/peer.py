"""The stock `img2dataset` command, in an environment of its own.

Its package index comes from the environment's settings. It is called as its users call it; nothing of ours
is imported there. It is told of loopback's URLs alone, and what its parts would ask of others goes to a
proxy that is not there: for https, so that its requests to the server go as ever.
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

VERSION = "1.47.0"
FOLDER = Path(__file__).parents[1] / ".peers" / f"img2dataset-{VERSION}"
ALONE = {
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "WANDB_MODE": "disabled",
    "HF_HUB_OFFLINE": "1",
}
"""Environment in which nothing leaves this machine: nobody listens there."""
KEPT: dict[str, object] = {"resize_mode": "no", "disable_all_reencoding": True}
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
    """The command, installed below benchmarks/.peers, which git ignores, where it is not yet.

    Raises:
        FileNotFoundError: uv is neither on the path nor in this environment.
    """
    folder = FOLDER
    if not (folder / "installed").exists():
        folder.parent.mkdir(exist_ok=True)
        (folder.parent / ".gitignore").write_text("*\n")
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
    environment = {**os.environ, **ALONE}
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
