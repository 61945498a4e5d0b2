"""Starts a training as processes of its own, passes on what it tells, and ends it when asked.

A subprocess, because a training must be ended at once, must not fill its parent's memory, and may be several
processes. torch is not imported here. `accelerate launch` starts the processes on GPUs; on a CPU it starts
one process however many are asked for, so `torch.distributed.run` does it there.
"""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sdmodel.config import TrainConfig

GRACE = 5.0
"""Seconds between asking the processes to end and killing them."""
LOOK = 0.2
"""Seconds between two looks at `stopping`."""
PARENT_HOLDS_STDIN = "SDMODEL_PARENT_HOLDS_STDIN"
"""Environment variable that tells the processes to end when their standard input closes."""
TAIL = 4000
"""Characters of the processes' errors that a failure shows."""


def train(
    plan_path: Path,
    config: TrainConfig,
    *,
    on_progress: Callable[[dict[str, Any]], None],
    stopping: Callable[[], bool],
    on_snapshot: Callable[[int, Path], None] = lambda images, folder: None,
) -> None:
    """Runs the plan (see run.py) to its end; ends the processes and returns when `stopping` is true.

    on_progress: {"images", "total", "loss", "images_per_second", "seconds_left"}, or {"warning": text}.
    on_snapshot: (images seen, folder) of each complete snapshot as it appears; it stays until two newer ones
    are there.
    RuntimeError: the training failed; the message ends with its last errors."""
    logs = Path(json.loads(plan_path.read_text())["folder"]) / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    processes = process_count(config)
    with (logs / "errors.txt").open("w+") as errors:
        child = subprocess.Popen(
            command(plan_path, config, processes),
            stdin=subprocess.PIPE,  # never written: when it closes, their parent was killed, and they end
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(processes),
            start_new_session=True,  # so that its group can be ended
        )
        try:
            for line in lines(child, stopping):
                message = parsed(line)
                if "snapshot" in message:
                    on_snapshot(message["images"], Path(message["snapshot"]))
                elif message:
                    on_progress(message)
            if stopping() and child.poll() is None:
                return
            status = child.wait()
        finally:
            end(child)
        if status:
            errors.seek(0)
            raise RuntimeError(
                f"training ended with status {status}; its last errors:\n{errors.read()[-TAIL:].strip()}"
            )


def lines(child: subprocess.Popen[bytes], stopping: Callable[[], bool]) -> Iterator[bytes]:
    """Yields the lines that the child writes until it ends or `stopping` is true."""
    assert child.stdout
    pipe, rest = child.stdout.fileno(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not stopping():
            if not selector.select(LOOK):
                if child.poll() is not None:  # what it left behind may hold the pipe open
                    return
                continue
            data = os.read(pipe, 1 << 16)
            if not data:
                return
            *whole, rest = (rest + data).split(b"\n")
            yield from whole


def parsed(line: bytes) -> dict[str, Any]:
    """The message in a line; empty for what some library printed."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def end(child: subprocess.Popen[bytes]) -> None:
    """Ends the child and all that it started: asks, waits, kills. Nothing of it runs when this returns.

    Its process group is not enough: torch's launcher gives each process a session of its own. They watch
    their standard input instead, and end when it closes."""
    if child.stdin:
        child.stdin.close()
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, sign)
            child.wait(GRACE)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    child.wait()
    if child.stdout:
        with child.stdout, selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while selector.select(GRACE) and os.read(child.stdout.fileno(), 1 << 16):
                pass  # the pipe ends when the last process that holds it has ended


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus(config: TrainConfig) -> int:
    """GPUs that the training will use; 0 trains on the CPU."""
    if config.device == "cpu" or (config.device == "auto" and not shutil.which("nvidia-smi")):
        return 0
    import torch  # only where there may be a GPU: it takes seconds

    return torch.cuda.device_count()


def process_count(config: TrainConfig) -> int:
    """`config.processes`, or one a GPU, or one a core up to 2, as far as it divides the batch."""
    if config.processes:
        if config.batch % config.processes:
            raise ValueError(f"train.processes={config.processes} must divide train.batch={config.batch}")
        return config.processes
    wanted = gpus(config) or min(2, cores())
    return next(count for count in range(wanted, 0, -1) if config.batch % count == 0)


def command(plan_path: Path, config: TrainConfig, processes: int) -> list[str]:
    """The command line that starts the training's processes."""
    module = ["-m", "sdmodel.train.run", str(plan_path)]
    if gpus(config):
        several = ["--multi_gpu"] if processes > 1 else []
        fixed = [
            "--num_machines",
            "1",
            "--mixed_precision",
            "no",
            "--dynamo_backend",
            "no",
            "--main_process_port",
            "0",
        ]
        return [
            sys.executable,
            "-m",
            "accelerate.commands.launch",
            "--num_processes",
            str(processes),
            *several,
            *fixed,
            *module,
        ]
    if processes > 1:
        local = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", str(processes)]
        return [sys.executable, "-m", "torch.distributed.run", *local, *module]
    return [sys.executable, *module]


def environment(processes: int) -> dict[str, str]:
    """The processes' environment: each has its share of the cores, and threads that wait don't spin."""
    added = {
        "OMP_NUM_THREADS": str(max(1, cores() // processes)),
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "HF_HUB_OFFLINE": "1",
        PARENT_HOLDS_STDIN: "1",
    }
    loopback = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    return {**os.environ, **loopback, **added}
