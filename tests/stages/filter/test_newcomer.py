"""A newcomer's rule, as CONTRIBUTING.md shows it: a reason, a key and a rule, a line each, in a copy of the
project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).parents[3]
TESTS = "tests/stages/filter/test_filter.py"


def insert(path: Path, after: str, lines: str) -> None:
    """Insert lines, indented, after the first one that contains a text."""
    before, line, rest = re.split(f"(.*{re.escape(after)}.*\n)", path.read_text(), maxsplit=1)
    path.write_text(before + line + indent(lines, "    ") + rest)


def test_a_rule_is_a_line(tmp_path: Path):
    for name in ("stages", "sdmodel/config"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "sdmodel/__init__.py", tmp_path / "sdmodel")
    (tmp_path / TESTS).parent.mkdir(parents=True)
    shutil.copy(ROOT / TESTS, tmp_path / TESTS)

    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Adding a reason", 1)[1]
    reason, key, rule, test = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[:4]
    insert(tmp_path / "stages/reasons.py", "# filter", reason)
    insert(tmp_path / "stages/config/run.py", "cluster of copies", key)
    insert(tmp_path / "stages/filter/rules.py", "ROW_RULES = (", f"{rule.rstrip()},\n")
    with (tmp_path / TESTS).open("a") as file:
        file.write(f"\n\n{test}")

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        TESTS,
    ]
    done = subprocess.run(
        [*command, "-k", "few_pixels or every_rule"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "2 passed" in done.stdout
