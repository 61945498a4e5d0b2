"""A process that is stopped (SIGSTOP, a suspended machine) for longer than its lease, and comes back."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from stages.artifacts.activity import leases_in_use
from stages.artifacts.artifact import artifacts
from stages.artifacts.gc import collect_garbage
from stages.artifacts.lease import acquire
from stages.stage import Stage
from stages.store import open_store

PROGRAM = """
import sys
from dataclasses import dataclass
from pathlib import Path
from stages.artifacts.artifact import Funnel
from stages.output import PartResult, PartSpec
from stages.stage import Stats, stage
from stages.store import open_store

@dataclass(frozen=True)
class Config:
    words: tuple = ("a", "b", "c")

def spelt(folder, word):
    if word == "b":
        print("working", flush=True)
        sys.stdin.readline()
    (folder / word).write_text(word * 1000)
    return PartResult(Funnel(1, 1))

@stage(version=1, kind="spelling")
def spell(config, out):
    for part in out.parts([PartSpec(word, [word], word) for word in config.words], spelt):
        out.add(part)
    return Stats(Funnel(3, 3))

if __name__ == "__main__":
    artifact = spell(Config(), store=open_store(sys.argv[1]))
    print(artifact.cached, artifact.digest, artifact.verify(), flush=True)
"""


@pytest.mark.parametrize("swept", [False, True])
def test_who_comes_back_finds_the_others_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swept: bool
) -> None:
    program, folder = tmp_path / "program.py", tmp_path / "store"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGSTOP)
    try:
        store = open_store(str(folder))
        (lease,) = leases_in_use(store)
        monkeypatch.setattr("stages.stage.acquire", partial(acquire, seconds=0.3))
        namespace: dict[str, object] = {"__name__": "program"}
        exec(compile(PROGRAM.replace("sys.stdin.readline()", ""), "program", "exec"), namespace)
        spell, config = namespace["spell"], namespace["Config"]
        assert isinstance(spell, Stage)
        assert callable(config)
        made = spell(config(), store=store)
        assert not made.cached
        assert made.statistics["parts"] == {"made": 2, "found": 1}
        assert lease not in leases_in_use(store)
        if swept:
            collect_garbage(store, watch=0.01)
    finally:
        process.send_signal(signal.SIGCONT)
    rest, _ = process.communicate("\n")
    assert process.returncode == 0
    assert rest.split() == ["True", made.digest, "[]"]
    assert [one.fingerprint for one in artifacts(store)] == [made.fingerprint]
    assert made.verify() == []
    assert leases_in_use(store) == []
