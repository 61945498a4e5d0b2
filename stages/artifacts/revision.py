"""Which code runs, as manifests and events name it."""

import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def code_revision() -> str:
    """The revision of the running code, "+changes" if it was edited; the package's version without git."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+changes", "--abbrev=40"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        return described.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"sdflow {version('sdflow')}"
