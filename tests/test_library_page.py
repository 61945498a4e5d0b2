"""The programs of docs/library.md: they run, one after the other in one folder, and are short."""

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "library.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
LONGEST = 40
"""Lines, blank ones left out."""


def test_programs_are_short_and_there_are_as_many_as_promised():
    lengths = [sum(bool(line.strip()) for line in program.splitlines()) for program in PROGRAMS]
    assert len(lengths) == 6
    assert max(lengths) < LONGEST


@pytest.mark.slow
def test_programs_run(tmp_path: Path):
    with contextlib.chdir(tmp_path):
        for number, program in enumerate(PROGRAMS):
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(program, f"{PAGE.name}, program {number + 1}", "exec"), {"__name__": "__main__"})
    models = {path.parents[1].name for path in tmp_path.glob("*/model/model.safetensors")}
    assert models == {"training", "own-network", "own-objective", "own-condition", "picture-prompts"}
