"""What the benchmarks have left: rows of one schema, and a page that names those below their goal."""

import importlib.util
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from benchmarks import schema
from benchmarks.gpu import bundle
from benchmarks.gpu.rows import EXPECTED, LIMITS, absent, rows
from benchmarks.schema import MORE_IS_BETTER, NOWHERE, RESULTS, Row, not_measured, read, row

PAGE = (RESULTS.parent / "README.md").read_text()
UNTESTED = (RESULTS.parents[1] / "docs/untested.md").read_text()
FILES = sorted(RESULTS.glob("*.json"))


def committed() -> list[Row]:
    return [one for file in FILES for one in read(file)]


def bounds(figure: float) -> tuple[float, float]:
    """Between which values a figure was rounded."""
    decimals = len(repr(float(figure)).partition(".")[2].rstrip("0"))
    half = 0.5 * 10 ** -max(decimals, 1)
    return max(figure - half, 1e-9), figure + half


@pytest.mark.parametrize("one", committed(), ids=lambda one: one.name)
def test_a_row_keeps_to_the_schema(one: Row):
    assert one.name
    assert one.peer_name
    assert one.machine
    assert date.fromisoformat(one.date) <= date(2100, 1, 1)
    more = MORE_IS_BETTER[re.split(r"[ ,;]", one.unit)[0]]
    assert 0 < one.goal <= 10, "a goal is a least ratio, no figure"
    assert (one.ours is None) == (one.ratio is None) == (one.machine == NOWHERE)
    if one.ours is None or one.ratio is None:
        assert one.peer > 0
        return
    for figure in (one.ours, one.peer, one.ratio):
        assert isinstance(figure, int | float)
        assert figure > 0
    better, worse = (one.ours, one.peer) if more else (one.peer, one.ours)
    least, most = bounds(better)[0] / bounds(worse)[1], bounds(better)[1] / bounds(worse)[0]
    assert least - 0.0006 <= one.ratio <= most + 0.0006


def test_no_row_comes_twice():
    names = [one.name for one in committed()]
    assert len(set(names)) == len(names)


def test_the_page_names_each_command_and_each_row_below_its_goal():
    commands = re.findall(r"`python -m (benchmarks\.\w+)`.*\(results/(\w+\.json)\)", PAGE)
    assert sorted(file for _, file in commands) == [file.name for file in FILES]
    for module, file in commands:
        assert importlib.util.find_spec(module), module
        assert Path(file).stem == module.rpartition(".")[2]
    table = PAGE.partition("## Rows below their goal")[2].splitlines()
    told = [line.strip("| ").split(" | ") for line in table if line.startswith("| ")][1:]
    below = [one for one in committed() if not one.met]
    assert [(name, float(ratio), float(goal)) for name, ratio, goal, _ in told] == [
        (one.name, one.ratio, one.goal) for one in below
    ]
    assert all(len(reason) > 5 for *_, reason in told)


def test_a_ratio_above_one_is_to_our_advantage_whatever_the_unit():
    faster, smaller = (
        row("speed", "1/s", 30.0, 20.0, "peer", 1.2),
        row("memory", "MiB, at most", 256, 1024, "bound"),
    )
    assert (faster.ratio, faster.met) == (1.5, True)
    assert (smaller.ratio, smaller.goal, smaller.met) == (4.0, 1.0, True)
    assert not row("speed", "1/s", 22.0, 20.0, "peer", 1.2).met
    assert row("waiting", "%", 0.0, 3.0, "bound").ratio == 300.0
    with pytest.raises(ValueError, match="unit 'furlongs' must begin with one of 1/s"):
        row("distance", "furlongs", 1.0, 1.0, "peer")


def test_rows_replace_those_of_their_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "rows.json"
    schema.update(file, [row("b", "s", 2.0, 2.0, "peer"), row("c", "s", 1.0, 2.0, "peer")])
    schema.update(file, [row("b", "s", 4.0, 2.0, "peer"), row("a", "s", 1.0, 2.0, "peer")])
    rows = read(file)
    assert [(one.name, one.ratio) for one in rows] == [("a", 2.0), ("b", 0.5), ("c", 2.0)]
    assert schema.report(rows) == 1
    assert "ratio 0.5, goal 1, MISSED" in capsys.readouterr().out
    assert schema.report(rows[:1]) == 0


def test_what_nobody_measured_is_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    one = not_measured("speed on a GPU", "MFU, %", 40, "bound")
    assert (one.ours, one.ratio, one.machine, one.measured, one.met) == (None, None, NOWHERE, False, True)
    schema.write(tmp_path / "rows.json", [one])
    assert read(tmp_path / "rows.json") == [one]
    assert schema.report([one]) == 0
    assert "speed on a GPU: not measured; 40 (bound), MFU, %" in capsys.readouterr().out


def test_the_page_of_what_is_untested_names_every_row_that_is_not_measured():
    listed = re.findall(r"^\* (.+): [^:]+$", UNTESTED, flags=re.MULTILINE)
    assert sorted(listed) == sorted(one.name for one in committed() if not one.measured)


def test_of_a_gpu_every_row_has_a_case_and_every_case_a_row():
    assert {expected.case for expected in EXPECTED} == set(LIMITS)
    assert [one.name for one in absent()] == [expected.name for expected in EXPECTED]
    assert sum(LIMITS.values()) <= 720  # the limit of all is 570: most take less
    keys = ("mfu", "speed", "memory", "gain", "off", "steps")
    figures = {name: dict.fromkeys(keys, 8.0) for name in LIMITS}
    del figures["pinned"]
    found = {one.name: one for one in rows(figures, "H200")}
    assert [name for name, one in found.items() if not one.measured] == [
        "tensors of a batch that come unchanged from pinned memory"
    ]
    dit = found["MFU of DiT-XL/2, latents of 256 pixels, bf16, compiled, an H200"]
    assert (dit.ours, dit.ratio, dit.met) == (8.0, 0.2, False)
    assert dit.unit == "MFU, %; 8.0 images/s"
    assert dit.machine.startswith("H200, ")


def test_a_bundle_for_a_gpu_has_the_locked_versions_of_what_it_lacks():
    listed = bundle.requirements({"numpy"})
    assert len(listed) == len(bundle.PACKAGES) - 1
    assert not any(line.startswith(("torch", "nvidia", "numpy")) for line in listed)
    assert all(line in bundle.LOCK.read_text() for line in listed)


@pytest.mark.slow
def test_the_benchmark_of_gpus_is_rehearsed_on_a_cpu():
    command = [sys.executable, "-m", "benchmarks.gpu", "--rehearse", "--only", "waiting"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=RESULTS.parents[1], check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "waiting: {'steps': 8}" in done.stdout
