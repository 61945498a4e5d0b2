"""How each side is started, and the turns that they take."""

import json
import os
import select
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.train.meter import BEGAN, DONE, TURN
from benchmarks.train.task import Task
from sdmodel.config.learning import DataConfig, EmaConfig, OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.job import JOB, JobSpec
from sdmodel.train.process.command import command, environment, process_count, ranks

ROOT = Path(__file__).parents[2]
BYTECODE = "PYTHONPYCACHEPREFIX"
"""Environment variable: where compiled modules lie. An ordinary installation has them; a machine that
is told to write none compiles anew, which takes longer than all else at the start."""
IMPORTED = (
    *(
        "benchmarks.train.ours",
        "benchmarks.train.script",
        "benchmarks.train.plain",
        "benchmarks.train.caching",
    ),
    *("sdmodel.latents.autoencoder", "sdmodel.latents.text", "accelerate.commands.launch"),
)


@dataclass(frozen=True)
class Start:
    """How a side is started."""

    program: list[str]
    environment: dict[str, str]


@dataclass(frozen=True)
class Times:
    """What one side came to."""

    start: float
    """Seconds from the command's start until the first step begins."""
    first: float
    """Seconds until it ends."""
    step: float
    """Seconds, the median of the steps that count."""
    cpu: float
    """Seconds of processor time of a step in the first process, the median."""
    waiting: float
    """Share of the steps' time spent waiting for data."""
    threads: int
    """Of a process."""


class Side:
    """A side's processes, from their start to the end of their steps."""

    def __init__(self, start: Start, folder: Path) -> None:
        """Starts them and returns when the warm steps are done."""
        self.folder, self.start = folder, start
        for name in (TURN, DONE):
            os.mkfifo(folder / name)
        self.log = (folder / "log.txt").open("w+")
        self.child = begin(start, self.log)
        self._until_done()

    def turn(self) -> None:
        """The next steps."""
        (self.folder / TURN).write_text(".")
        self._until_done()

    def end(self) -> Times:
        """After the last turn."""
        finish(self.child, self.start, self.log)
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        median = statistics.median
        share = sum(found["waits"]) / sum(found["steps"])
        steps, cpu = median(found["steps"]), median(found["cpu"])
        return Times(found["start"], found["first"], steps, cpu, share, found["threads"])

    def _until_done(self) -> None:
        """Waits for the byte that a turn ends with; a side that died sends none."""
        # Open for writing, too: then the pipe has no end while nobody writes.
        pipe = os.open(self.folder / DONE, os.O_RDWR)
        try:
            while not select.select([pipe], [], [], 0.5)[0]:
                if self.child.poll() is not None:
                    finish(self.child, self.start, self.log)
                    raise RuntimeError(f"{self.start.program} ended before its steps were measured")
            os.read(pipe, 1)
        finally:
            os.close(pipe)


def config_of(task: Task) -> TrainConfig:
    """Our training: at the batch, rate, decay, clipping and precision of diffusers' script."""
    return TrainConfig(
        images=task.epochs * task.pictures,
        batch=task.batch,
        size=task.size,
        checkpoint_every=task.epochs * task.pictures,
        data=DataConfig(flip=True),
        optimizer=OptimizerConfig(
            kind="adamw", adam_rate=task.rate, weight_decay=task.decay, decay="constant", clip=1.0, warmup=1
        ),
        ema=EmaConfig(half_life=task.half_life),
        device="cpu",
        precision="fp32",
        processes=task.processes,
    )


def ours(task: Task, folder: Path, latents: Path | None) -> Start:
    """Ours in a new folder; `latents` is the cache, None runs the frozen parts at each step."""
    config = config_of(task)
    folder.mkdir(parents=True)
    (folder / "task.json").write_text(task.to_json())
    job = JobSpec(
        folder=folder / "training",
        index=task.place / "index.parquet",
        tars=task.tars,
        config=config,
        latents=latents,
    )
    path = job.write(folder / JOB)
    processes = process_count(config)
    return Start(command(path, processes, "benchmarks.train.ours"), environment(config, processes))


def peer(task: Task, folder: Path, name: str, *, launcher: bool = False) -> Start:
    """A peer in a new folder, in `task.processes` processes as ours are started; with `launcher` as
    `accelerate launch --cpu` starts it by default."""
    folder.mkdir(parents=True)
    told = folder / "task.json"
    told.write_text(task.to_json())
    module = (f"benchmarks.train.{name}", str(told), str(folder / "report.json"))
    processes = process_count(config_of(task))
    if launcher:
        offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
        return Start([sys.executable, "-m", "accelerate.commands.launch", "--cpu", "-m", *module], offline)
    line = ranks(processes, folder, *module) if processes > 1 else [sys.executable, "-m", *module]
    # Threads as ours have them; how our launcher has the system handle memory is a part of ours.
    given = environment(config_of(task), processes)
    threads = {name: value for name, value in given.items() if not name.startswith("MALLOC_")}
    return Start(line, threads)


def cache(task: Task, folder: Path) -> tuple[float, float]:
    """Seconds that encoding takes, the whole process and the stage alone; the cache is at folder/latents."""
    folder.mkdir(parents=True)
    told = folder / "task.json"
    told.write_text(task.to_json())
    module = ["-m", "benchmarks.train.caching", str(told), str(folder)]
    start = Start([sys.executable, *module], environment(config_of(task), 1))
    began = time.perf_counter()
    with (folder / "log.txt").open("w+") as log:
        finish(begin(start, log), start, log)
    return time.perf_counter() - began, json.loads((folder / "encode.json").read_text())


def compile_modules(folder: Path) -> None:
    """Compiles what the sides import, once for all that are started afterwards."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ[BYTECODE] = str(folder)
    subprocess.run([sys.executable, "-c", f"import {', '.join(IMPORTED)}"], cwd=ROOT, check=True)


def begin(start: Start, log: Any) -> "subprocess.Popen[bytes]":
    """The processes of a command, timed from now on."""
    return subprocess.Popen(
        start.program,
        cwd=ROOT,
        stdin=subprocess.PIPE,  # ours end when it closes ...
        start_new_session=True,  # ... and their group with them
        stdout=log,
        stderr=log,
        env={**start.environment, BEGAN: repr(time.time())},
    )


def finish(child: "subprocess.Popen[bytes]", start: Start, log: Any) -> None:
    """Waits for a command's end. RuntimeError: it failed; the message ends with its last lines."""
    if status := child.wait():
        log.seek(0)
        raise RuntimeError(f"{' '.join(start.program)} ended with {status}:\n{log.read()[-3000:]}")
    assert child.stdin
    child.stdin.close()
