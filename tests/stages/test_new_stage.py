"""A new stage, as CONTRIBUTING.md shows it: a file, a line, a word and a row, in a copy of the project."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
import numpy as np
from stages.artifacts.artifact import Artifact
from stages.report.trace import trace_row
from stages.store import open_store
from stages.takedown.holders import holders
from stages.takedown.purge import purge
from stages.takedown.records import Name, forget
from stages.thumbs import ThumbsConfig, thumbs
from tests.stages.handmade import Picture, collection, save

store = open_store(sys.argv[1])
grey = [save(np.full((16, 16, 3), 50 * number + 50, np.uint8)) for number in range(3)]
pictures = [Picture(f"https://a.org/{number}", data) for number, data in enumerate(grey)]
made = thumbs(collection(store, [pictures]), ThumbsConfig(), store=store)
(row,) = trace_row(store, pictures[1].uid)["rows"]
takedown = forget(store, [Name("uid", pictures[1].uid)], "asked")
listed = [holder.artifact.kind for holder in holders(store, set(takedown.sha256s))]
purge(store, takedown)
after = Artifact.open(store, "thumbs", made.fingerprint)
uids = after.table("thumbs")["uid"].tolist()
zero = [uids[n] for n, small in enumerate(np.load(after.path("thumbs.npy"))) if not small.any()]
print(json.dumps({
    "events": [event["what"] for event in row["events"]], "holders": listed,
    "complaints": after.verify(), "zero": zero == [pictures[1].uid],
}))
"""


def added(path: Path, before: str, more: str) -> None:
    """Put something after the only place that says `before`."""
    text = path.read_text()
    assert text.count(before) == 1, (path, before)
    path.write_text(text.replace(before, before + more))


@pytest.mark.slow
def test_the_rest_of_the_project_knows_a_new_stage(tmp_path: Path):
    for name in ("stages", "sdmodel", "tests/stages", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/__init__.py"):
        if (ROOT / name).exists():
            shutil.copyfile(ROOT / name, tmp_path / name)
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Adding a stage", 1)[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code
    (tmp_path / "stages/thumbs.py").write_text(code[1])

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "", "PYTHONPATH": str(tmp_path), "SDFLOW_CACHE": str(tmp_path / "cache")},
        )

    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib")
    laws = ("-m", "pytest", *options, "tests/stages/test_registry.py")
    forgotten = run(*laws, "-k", "every_stage_is_registered")
    assert forgotten.returncode == 1, forgotten.stdout
    assert "stages.thumbs" in forgotten.stdout
    line = '    Registration("stages.thumbs:thumbs", "stages.thumbs:THUMBS"),\n'
    last = '"stages.kinds.evaluation:EVALUATION"),\n'
    added(tmp_path / "stages/registry.py", last, line)
    added(tmp_path / "pyproject.toml", 'modules = ["stages.collect", ', '"stages.thumbs", ')
    row = "| thumbs | thumbs | its row becomes zeros |\n"
    added(tmp_path / "docs/collection.md", "| kind | made by | what a purge does |\n|---|---|---|\n", row)

    passed = run(*laws, "-k", "thumbs or registered_ or contract or purge or known_without")
    assert passed.returncode == 0, passed.stdout[-3000:]
    done = run("-c", PROGRAM, str(tmp_path / "store"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "events": ["collected", "made small"],
        "holders": ["images", "thumbs"],
        "complaints": [],
        "zero": True,
    }
