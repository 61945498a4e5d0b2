"""Decoder processes: they fail alone, take one image with them, and leave nothing behind."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from stages.collect import sandbox
from stages.collect.rules import Rules
from stages.collect.sandbox import Sandbox
from stages.config.collect import CollectConfig
from stages.errors import RetryableError, Stopped
from stages.image import FORMATS
from stages.image.verdict import Verdict, judge
from stages.reasons import Reason
from tests.stages.image.files import BIGTIFF_BEYOND, gradient, mutations, save

RULES = Rules.of(CollectConfig())
GOOD = [save(Image.fromarray(gradient(20 + n, 24)), "png") for n in range(6)]
EXPECTED = [judge(data, RULES) for data in GOOD]

MISCHIEF = """
import os, sys, time
import stages.image.decoder_process as cell

honest = cell.judge

def judge(data, limits):
    if data.startswith(b"crash"):
        os.abort()
    if data.startswith(b"once"):  # a decoder that suffers from what it decoded before
        os.abort() if judge.seen else None
    if data.startswith(b"spin"):
        while True: pass
    if data.startswith(b"wait"):
        time.sleep(1000)
    if data.startswith(b"greedy"):
        bytearray(1 << 40)
    judge.seen = True
    return honest(data, limits)

judge.seen = False
cell.judge = judge
cell.main()
"""


@pytest.fixture
def mischief(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoder processes as they are, but for bodies that have them fail."""
    program = tmp_path / "mischief.py"
    program.write_text(MISCHIEF)
    monkeypatch.setattr(sandbox, "PROGRAM", (str(program),))


def cells() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "limits" in " ".join(child.cmdline())]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert cells() == []


def until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.01)


def test_verdicts_are_those_of_this_process() -> None:
    bodies = [*GOOD, b"<html>", b"", GOOD[0][:-30], save(Image.new("RGB", (20, 20)), "tiff")]
    with Sandbox(1, RULES) as judges:
        assert cells() == []  # none starts before it is needed
        assert judges.judge(bodies) == [judge(data, RULES) for data in bodies]
        assert judges.judge([]) == []
        (cell,) = cells()
        loaded = {Path(place.path).name for place in cell.memory_maps()}
        assert not {name for name in loaded if "torch" in name or "arrow" in name or "duckdb" in name}
        assert cell.memory_info().rss < 100_000_000


def test_damaged_files_of_every_format_end_no_process() -> None:
    small = dataclasses.replace(RULES, max_pixels=1 << 20)
    bodies = [BIGTIFF_BEYOND, BIGTIFF_BEYOND * 2]
    for number, format in enumerate(FORMATS):
        whole = save(Image.fromarray(gradient(20, 24)), format)
        bodies += mutations(whole, 60, seed=number)
    with Sandbox(1, small) as judges:
        judges.judge(GOOD[:1])
        (before,) = cells()
        verdicts = judges.judge(bodies)
        assert cells() == [before]  # psutil tells processes by pid and start
    assert len(verdicts) == len(bodies)
    assert not [verdict for verdict in verdicts if verdict.reason == Reason.DECODER_FAILED]
    assert verdicts[0].reason == Reason.TRUNCATED


@pytest.mark.usefixtures("mischief")
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"crash", "decoder crashed"),
        pytest.param(b"spin", "decoder took more than 0.2 s", marks=pytest.mark.slow),
        pytest.param(b"wait", "decoder made no progress for 1 s", marks=pytest.mark.slow),
        (b"greedy", "decoder takes more than 1024 MiB"),
    ],
)
def test_a_failing_decoder_takes_one_image(body: bytes, detail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if body != b"wait":  # however little of the processor a busy machine gives it
        monkeypatch.setattr(sandbox, "PATIENCE", 1000)
    with Sandbox(1, RULES, seconds=0.2) as judges:
        verdicts = judges.judge([*GOOD[:3], body, *GOOD[3:]])
    failed = Verdict(Reason.DECODER_FAILED, detail)
    assert verdicts == [*EXPECTED[:3], failed, *EXPECTED[3:]]


@pytest.mark.usefixtures("mischief")
def test_who_comes_after_a_decoders_damage_is_not_blamed() -> None:
    with Sandbox(1, RULES) as judges:
        (verdict,) = judges.judge([GOOD[0], b"once"])[1:]
    assert verdict.reason == Reason.NOT_AN_IMAGE


def test_a_decoder_that_somebody_kills_costs_nothing() -> None:
    with Sandbox(1, RULES) as judges:
        for _ in range(3):
            assert judges.judge(GOOD) == EXPECTED
            (cell,) = cells()
            cell.kill()
            until(lambda cell=cell: cell.status() == psutil.STATUS_ZOMBIE)


def test_real_pictures_are_bounded_in_time_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "PATIENCE", 10_000)  # a busy machine gives little processor time at once
    noise = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), dtype=np.uint8)
    large = save(Image.fromarray(noise), "png", compress_level=1)
    with Sandbox(1, RULES, seconds=0.01) as judges:
        assert judges.judge([large])[0].detail == "decoder took more than 0.01 s"
    rules = dataclasses.replace(RULES, max_pixels=2_250_000)
    with Sandbox(1, rules, memory=1) as judges:  # then what the pixels need at most is what it gets
        assert judges.judge([large]) == [judge(large, rules)]


def test_threads_share_the_processes() -> None:
    with Sandbox(2, RULES) as judges, ThreadPoolExecutor(8) as threads:
        batches = [[GOOD[n % 6], GOOD[(n + 1) % 6]] for n in range(40)]
        expected = [[EXPECTED[n % 6], EXPECTED[(n + 1) % 6]] for n in range(40)]
        assert list(threads.map(judges.judge, batches)) == expected
        assert 1 <= len(cells()) <= 2


@pytest.mark.usefixtures("mischief")
def test_leaving_ends_what_is_under_way() -> None:
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            judges.judge([b"wait"])
        except Stopped as error:
            caught.append(error)

    with Sandbox(1, RULES) as judges:
        thread = threading.Thread(target=wait)
        thread.start()
        until(cells)
    thread.join()
    assert len(caught) == 1
    with pytest.raises(Stopped):
        judges.judge(GOOD)


def test_a_process_that_cannot_start_is_no_images_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "broken.py"
    program.write_text("raise SystemExit(3)")
    monkeypatch.setattr(sandbox, "PROGRAM", (str(program),))
    with Sandbox(1, RULES) as judges, pytest.raises(RetryableError, match=r"did not start .*3"):
        judges.judge(GOOD)


OWNER = """
import sys, time
from stages.collect import sandbox
from stages.collect.rules import Rules
from stages.collect.sandbox import Sandbox
from stages.config.collect import CollectConfig

sandbox = Sandbox(1, Rules.of(CollectConfig()))
sandbox.judge([b"<html>"])
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.mark.slow  # imports all of collect in a process of its own
def test_decoders_end_with_a_killed_parent_and_hear_no_interrupt() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"ready\n"
    (cell,) = psutil.Process(owner.pid).children()
    assert os.getpgid(cell.pid) != os.getpgid(owner.pid)  # a terminal signals the group of who it started
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    until(lambda: not cell.is_running() or cell.status() == psutil.STATUS_ZOMBIE)
