import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.model import UNetConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.job import JOB, JobSpec
from sdmodel.train.process import launch
from sdmodel.train.process.command import ranks
from sdmodel.train.process.messages import Progress, parse
from sdmodel.train.run import run
from tests.sdmodel.train.intruder import listening

SMALL = TrainConfig(
    images=1280,
    batch=16,
    size=32,
    checkpoint_every=320,
    processes=1,
    device="cpu",
    text=TextConfig(width=16, heads=2, queries=2, length=12, vocabulary=300),
    unet=UNetConfig(channels=(8, 16)),
    optimizer=OptimizerConfig(warmup=64),
)


def job(folder: Path, dataset, config: TrainConfig) -> Path:
    """The file of a job, beside the folder of its results."""
    folder.mkdir(exist_ok=True)
    tars = {name: str(tar) for name, tar in dataset.tars.items()}
    spec = JobSpec(folder=folder, index=dataset.index, tars=tars, config=config)
    return spec.write(folder.with_suffix(".json"))


def results(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and "logs" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def child_of(program: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        **options,
    )


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def descendants(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def wait_until(true: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_lines_come_whole_and_others_are_no_messages():
    child = child_of("import os; os.write(1, b'{\"images\"'); os.write(1, b': 1}\\nhello\\n5\\n')")
    assert [parse(line) for line in launch.lines(child, lambda: False)] == [{"images": 1}, None, None]
    launch.end(child)


def test_the_whole_group_ends_even_if_it_refuses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launch, "GRACE", 0.5)
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    child = child_of(program)
    line = next(launch.lines(child, lambda: False))
    assert running(int(line))
    launch.end(child)
    assert child.returncode == -signal.SIGKILL
    assert wait_until(lambda: not running(int(line)))


def test_lines_end_when_asked_to_stop():
    child = child_of("import time; print(1, flush=True); time.sleep(600)")
    seen: list[bytes] = []
    requests: list[bool] = []
    for line in launch.lines(child, lambda: bool(seen), lambda: requests.append(True), patience=0.5):
        seen.append(line)  # noqa: PERF402 - what is seen ends the loop
    assert seen == [b"1"]
    assert requests == [True]
    launch.end(child)


def test_what_it_writes_after_it_is_asked_to_stop_is_read():
    program = (
        "import signal, sys, time;"
        "signal.signal(signal.SIGTERM, lambda *_: (print(2, flush=True), sys.exit(75)));"
        "print(1, flush=True); time.sleep(600)"
    )
    child = child_of(program)
    seen: list[bytes] = []
    for line in launch.lines(child, lambda: bool(seen), child.terminate):
        seen.append(line)  # noqa: PERF402 - what is seen ends the loop
    launch.end(child)
    assert (seen, child.returncode) == ([b"1", b"2"], 75)


def test_launching_imports_no_torch():
    program = "import sys, sdmodel.train.process.launch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


PARENT = """
import pathlib, sys
from sdmodel.train.process import launch
launch.train(pathlib.Path(sys.argv[1]), stopping=lambda: False, on_warning=lambda text: None,
             on_progress=lambda progress: print(progress["images"], flush=True))
"""


@pytest.mark.slow
def test_killed_and_resumed_is_undisturbed_to_the_bit(dataset, tmp_path: Path):
    config = dataclasses.replace(SMALL, processes=2)
    checkpoints: list[int] = []
    whole = job(tmp_path / "whole", dataset, config)
    launch.train(
        whole,
        on_progress=lambda progress: None,
        on_warning=lambda text: None,
        stopping=lambda: False,
        on_checkpoint=lambda images, folder: checkpoints.append(images) or (folder / "state.json").stat(),
    )
    assert checkpoints == [320, 640, 960, 1280]

    # The same in a folder where who launched it is killed while it trains: no process outlives that.
    killed = job(tmp_path / "killed", dataset, config)
    with subprocess.Popen([sys.executable, "-c", PARENT, killed], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        while int(parent.stdout.readline()) < 368:
            pass
        below = descendants(parent.pid)
        assert {address for pid in below for address, _ in listening(pid)} == {"127.0.0.1"}
        assert len(below) >= 3  # the launcher and two processes
        parent.kill()
    assert wait_until(lambda: not any(running(pid) for pid in below))
    assert not (tmp_path / "killed" / "model").exists()
    progress: list[Progress] = []
    launch.train(killed, on_progress=progress.append, on_warning=lambda text: None, stopping=lambda: False)
    assert progress[0]["images"] % 320 == 16, progress[:1]
    assert progress[0]["images"] > 320, progress[:1]
    assert results(tmp_path / "whole") == results(tmp_path / "killed")

    # A finished training is not touched again.
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").iterdir()}
    assert run(JobSpec.read(whole))
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


SCRIPT = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1]).parent
starts = folder / "starts"
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
number = len(starts.read_text())
send = lambda **message: print(json.dumps(message), flush=True)
"""


def nothing_to_train(folder: Path) -> Path:
    """A job for a program that stands in for the training."""
    return JobSpec(folder=folder, index=folder, tars={}, config=SMALL).write(folder / JOB)


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Callable[..., Any]]:
    """scripted(program)(...) launches a program in place of a training; it sees number, folder and send."""

    def make(program: str) -> Callable[..., Any]:
        path = nothing_to_train(tmp_path)
        line = [sys.executable, "-c", SCRIPT + program, str(path)]
        monkeypatch.setattr(launch, "command", lambda *rest: line)
        warnings: list[str] = []

        def run(stopping: Callable[[], bool] = lambda: False) -> tuple[bool, list[str]]:
            done = launch.train(
                path, on_progress=lambda progress: None, on_warning=warnings.append, stopping=stopping
            )
            return done, warnings

        return run

    return make


def test_a_death_is_survived_as_long_as_checkpoints_come(scripted, tmp_path: Path):
    program = "if number < 3: send(checkpoint='s', images=number); os.kill(os.getpid(), signal.SIGKILL)"
    done, warnings = scripted(program)()
    assert done
    assert len(warnings) == 2
    assert all("status -9" in text and "train.accumulate=2" in text for text in warnings)
    assert len((tmp_path / "starts").read_text()) == 3


RANK = """
import json, os, pathlib, signal, sys, time
rank, folder = os.environ["RANK"], pathlib.Path(sys.argv[1]).parent
first = not (folder / "died").exists()
if rank == "0":
    print(json.dumps({"checkpoint": "s", "images": 1}) + "\\n", end="", flush=True)
    (folder / "saved").touch()
elif first:
    while not (folder / "saved").exists():
        time.sleep(0.01)
    (folder / "died").touch()
    print("cannot go on", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_rank_that_dies_is_named_and_all_are_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "program.py").write_text(RANK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parents[4])]))
    path = nothing_to_train(tmp_path)
    monkeypatch.setattr(launch, "command", lambda *_: ranks(2, tmp_path, "program", str(path)))
    warnings: list[str] = []
    assert launch.train(path, on_progress=pytest.fail, on_warning=warnings.append, stopping=lambda: False)
    (warning,) = warnings
    assert warning.startswith(
        "training ended with status 137, the first of its processes to fail was rank 1, with SIGKILL."
    )
    assert "It was killed; if that was the system for want of memory" in warning
    assert "its last errors:\n[1] cannot go on\n" in warning
    assert warning.endswith("it is started again from its last checkpoint")


def test_a_death_without_a_checkpoint_is_a_failure(scripted, tmp_path: Path):
    program = (
        "print('cannot go on', file=sys.stderr); number == 1 and send(checkpoint='s', images=1); sys.exit(3)"
    )
    with pytest.raises(RuntimeError, match=r"status 3; its last errors:\ncannot go on"):
        scripted(program)()
    assert len((tmp_path / "starts").read_text()) == 2


def test_an_end_from_outside_is_no_failure(scripted):
    with pytest.raises(launch.Interrupted, match="goes on from its last checkpoint"):
        scripted("send(stopped=True); sys.exit(75)")()
    with pytest.raises(launch.Interrupted):
        scripted("os.kill(os.getpid(), signal.SIGTERM)")()


def test_a_failure_that_explains_itself_is_raised_as_what_it_is(scripted, tmp_path: Path):
    failed = "send(checkpoint='s', images=1); send(failed='size=1 is small', kind='{}'); sys.exit(1)"
    with pytest.raises(ValueError, match="size=1 is small"):
        scripted(failed.format("mistake"))()
    with pytest.raises(OSError, match="size=1 is small") as error:
        scripted(failed.format("space"))()
    assert error.value.errno == errno.ENOSPC
    with pytest.raises(RuntimeError, match=r"^size=1 is small$"):
        scripted(failed.format("other"))()
    assert len((tmp_path / "starts").read_text()) == 3  # none is tried again


def test_who_does_not_end_in_time_is_killed(scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launch, "GRACE", 0.2)
    monkeypatch.setattr(launch.lines, "__defaults__", (lambda: None, 0.5))
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN); send(images=1); time.sleep(600)"
    run = scripted(program)
    done, _ = run(lambda: (tmp_path / "starts").exists())
    assert not done
    assert (tmp_path / "stop").exists()  # what hears no signal may see this


@pytest.mark.slow
def test_a_mistake_in_the_job_is_named(dataset, tmp_path: Path):
    config = dataclasses.replace(SMALL, optimizer=OptimizerConfig(frozen=("nothing.",)))
    with pytest.raises(ValueError, match=r"nothing\."):
        launch.train(
            job(tmp_path / "out", dataset, config),
            on_progress=pytest.fail,
            on_warning=pytest.fail,
            stopping=lambda: False,
        )


@pytest.mark.slow
def test_a_stop_leaves_no_process_and_the_next_start_goes_on_from_there(dataset, tmp_path: Path):
    config = dataclasses.replace(SMALL, images=960, checkpoint_every=10**6, processes=2)
    path = job(tmp_path / "out", dataset, config)
    seen: list[Progress] = []
    saved: list[int] = []
    others, below = descendants(os.getpid()), set[int]()  # servers of other tests, say

    def run(stopping: Callable[[], bool]) -> bool:
        return launch.train(
            path,
            on_progress=seen.append,
            on_warning=lambda text: None,
            stopping=stopping,
            on_checkpoint=lambda images, folder: saved.append(images),
        )

    def early() -> bool:
        below.update(descendants(os.getpid()) - others)
        return len(seen) > 2

    assert not run(early)
    assert len(saved) == 1
    assert seen[2]["images"] < saved[0] < 960  # both processes heard, and saved before they ended
    assert len(below) >= 3
    assert not any(running(pid) for pid in below)
    assert not (tmp_path / "out" / "model").exists()
    seen.clear()
    assert run(lambda: False)
    assert 0 < seen[0]["images"] - saved[0] <= 16
    assert saved[-1] == 960
