"""Makes a folder that a GPU machine without a network can run the benchmark from.

    python -m benchmarks.gpu.bundle FOLDER [--python 3.12] [--have numpy --have transformers ...]

FOLDER gets the committed tree (`tree/`), the wheels that it needs besides torch (`wheels/`), and `run.sh`.
The wheels come from the package index that pip is set up for, at the versions of requirements.lock; torch is
the machine's own, 2.11 or later. `--have` leaves out a package that the machine has.
"""

import argparse
import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
PACKAGES = (
    "absl-py", "accelerate", "annotated-types", "certifi", "charset-normalizer", "diffusers", "filelock",
    "fsspec", "grpcio", "hf-xet", "httpcore2", "httpx2", "huggingface-hub", "idna", "importlib-metadata",
    "markdown", "numpy", "obstore", "packaging", "pandas", "peft", "pillow", "protobuf", "psutil",
    "pyarrow", "pydantic", "pydantic-core", "python-dateutil", "pytz", "pyyaml", "regex", "requests",
    "safetensors", "scipy", "six", "sniffio", "tensorboard", "tensorboard-data-server", "tokenizers",
    "tqdm", "transformers", "typing-inspection", "urllib3", "werkzeug", "zipp", "zstandard",
)  # fmt: skip
"""What the benchmark imports, and what that imports."""
PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
)
RUN = """#!/bin/sh
# python3 is the one that has torch.
set -e
cd "$(dirname "$0")"
python3 -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target site wheels/*.whl
cd tree
PYTHONPATH="$PWD:$PWD/../site" exec python3 -m benchmarks.gpu --out ../gpu.json "$@"
"""


def requirements(have: set[str]) -> list[str]:
    """name==version of each package, but those that the machine has."""
    locked = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", LOCK.read_text(), flags=re.MULTILINE))
    return [f"{name}=={locked[name]}" for name in PACKAGES if name in locked and name not in have]


def write(folder: Path, packages: list[str]) -> None:
    """All but the wheels, and the list of these."""
    folder.mkdir(parents=True, exist_ok=True)
    tree = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(tree)) as tar:
        tar.extractall(folder / "tree", filter="data")
    (folder / "wheels.txt").write_text("\n".join(packages) + "\n")
    (folder / "run.sh").write_text(RUN)
    (folder / "run.sh").chmod(0o755)


def download(folder: Path, python: str) -> None:
    """The wheels, of that version of Python on Linux, x86-64."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp", "--dest", str(folder / "wheels")]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run([*command, "--requirement", str(folder / "wheels.txt")], check=True)


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="the GPU machine's")
    parser.add_argument("--have", action="append", default=[], help="a package that the machine has")
    parser.add_argument("--list", action="store_true", help="no wheels, their list alone")
    given = parser.parse_args()
    write(given.folder, requirements({*given.have}))
    if not given.list:
        download(given.folder, given.python)


if __name__ == "__main__":
    main()
