"""The launcher of ranks, on programs that import no torch."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sdmodel.train.process import ranks as launcher
from sdmodel.train.process.command import ranks
from sdmodel.train.process.ranks import by_rank
from sdmodel.train.process.stopping import RESUME

HEAD = """
import os, signal, sys, time
from pathlib import Path
rank, here = int(os.environ["RANK"]), Path(__file__).parent
"""


def started(folder: Path, program: str, processes: int = 2) -> "subprocess.Popen[bytes]":
    """A program as so many ranks, which see rank and here."""
    (folder / "program.py").write_text(HEAD + program)
    return subprocess.Popen(
        ranks(processes, folder, "program"),
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parents[4]}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def ended(child: "subprocess.Popen[bytes]") -> tuple[int, str, str]:
    """Status, output and errors."""
    out, errors = child.communicate()
    return child.returncode, out.decode(), errors.decode()


def test_ranks_know_their_places_and_meet_where_nobody_else_can_go(tmp_path: Path):
    program = """
meet = Path(os.environ["SDMODEL_RENDEZVOUS"])
world = " ".join(os.environ[name] for name in ("LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
print(f"{rank} {world} {oct(meet.parent.stat().st_mode)[-3:]} {meet.parents[1] == here}\\n", end="")
"""
    status, out, errors = ended(started(tmp_path, program, processes=3))
    assert (status, errors) == (0, "")
    assert sorted(out.splitlines()) == [f"{rank} {rank} 3 3 700 True" for rank in range(3)]
    assert list(tmp_path.glob(".ranks-*")) == []


@pytest.mark.parametrize(
    ("end", "status", "words"),
    [
        ("sys.exit('no picture in it')", 1, "status 1"),
        ("sys.exit(3)", 3, "status 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL, "SIGKILL"),
    ],
)
def test_a_rank_that_fails_ends_the_others_and_is_named(tmp_path: Path, end: str, status: int, words: str):
    program = f"""
print("rank", rank, file=sys.stderr, flush=True)
(here / str(rank)).touch()
while not (here / "0").exists() or not (here / "1").exists():
    time.sleep(0.01)
if rank == 1:
    {end}
time.sleep(600)
"""
    code, _, errors = ended(started(tmp_path, program))
    assert code == status
    *lines, last = errors.splitlines()
    assert last == f"The first of the ranks to fail was 1, with {words}."
    assert {"[0] rank 0", "[1] rank 1"} <= set(lines)
    assert by_rank(errors) == ("\n".join(sorted(lines, reverse=True)), f"rank 1, with {words}")


def test_who_does_not_heed_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launcher, "GRACE", 0.2)
    program = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
here, rank = pathlib.Path(sys.argv[1]), os.environ["RANK"]
(here / rank).touch()
while not (here / "0").exists() or not (here / "1").exists():
    time.sleep(0.01)
rank == "1" and sys.exit(4)
time.sleep(600)
"""
    started = launcher.Ranks(2, tmp_path / "rendezvous", [sys.executable, "-c", program, str(tmp_path)])
    assert started.wait() == 4
    assert [child.returncode for child in started.children] == [-signal.SIGKILL, 4]


def test_sigterm_reaches_every_rank_and_a_stop_is_no_failure(tmp_path: Path):
    program = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print(f"{rank}\\n", end="", flush=True)
time.sleep(600)
"""
    child = started(tmp_path, program)
    assert child.stdout
    assert {child.stdout.readline() for _ in range(2)} == {b"0\n", b"1\n"}
    child.terminate()
    status, _, errors = ended(child)
    assert (status, errors) == (RESUME, "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no system kills the children of the dead")
def test_ranks_do_not_outlive_who_started_them(tmp_path: Path):
    program = """
from sdmodel.train.process.ranks import end_with_launcher
end_with_launcher()
print(f"{os.getpid()}\\n", end="", flush=True)
time.sleep(600)
"""
    child = started(tmp_path, program)
    assert child.stdout
    below = [psutil.Process(int(child.stdout.readline())) for _ in range(2)]
    child.kill()
    assert psutil.wait_procs(below, timeout=60)[1] == []
    ended(child)


def test_errors_stand_by_rank_those_of_the_one_that_failed_first():
    first = "The first of the ranks to fail was 1, with status 1.\n"
    errors = f"[1] a\n[0] b\nwarning\n[1] c\n[10] d\n{first}"
    assert by_rank(errors) == ("[1] a\n[1] c\n[0] b\nwarning\n[10] d", "rank 1, with status 1")
    assert by_rank("Traceback\n[1] a\n") == ("Traceback\n[1] a\n", "")
    assert by_rank(first) == ("", "rank 1, with status 1")
    long = "".join(f"[0] {number}\n" for number in range(9999))
    words, _ = by_rank(f"{long}[1] the last word\n{first}")
    assert words.startswith("[1] the last word\n")
    assert words.endswith("[0] 9998")
    assert len(words) < 2 * launcher.TAIL
