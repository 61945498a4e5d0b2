"""A tenth encoder, as CONTRIBUTING.md shows it: one file and one word of config, in a copy of the project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_laws_are_asked_of_a_new_kind(tmp_path: Path):
    for name in ("sdmodel", "tests/sdmodel/text"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Adding a text encoder", 1)[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code
    (tmp_path / "sdmodel/text/deepset.py").write_text(code[1])
    config = tmp_path / "sdmodel/config/text.py"
    before = config.read_text()
    config.write_text(re.sub(r"^(TextKind = Literal\[.*)\]$", r'\1, "deepset"]', before, flags=re.MULTILINE))
    assert config.read_text() != before

    laws = [
        "-k",
        "deepset",
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        "tests/sdmodel/text/test_encoders.py",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *laws], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= 8
