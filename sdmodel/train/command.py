"""How a training's processes are started: command line, number, environment. torch is not imported on a CPU.

On GPUs `accelerate launch` starts them, from its own config file where one is named; on a CPU it starts one
process however many are asked for, so `torch.distributed.run` does it there. One process needs neither.
"""

import os
import shutil
import sys
from pathlib import Path

from sdmodel.config import TrainConfig

PARENT_HOLDS_STDIN = "SDMODEL_PARENT_HOLDS_STDIN"
"""Environment variable that tells the processes to end when their standard input closes."""
ONE_MACHINE = [
    *("--multi_gpu", "--num_machines", "1", "--mixed_precision", "no"),
    *("--dynamo_backend", "no", "--main_process_port", "0"),
]
"""What accelerate would otherwise ask of its own defaults; precision and compiling are ours to choose."""


def command(
    plan_path: Path, config: TrainConfig, processes: int, module: str = "sdmodel.train.run"
) -> list[str]:
    """The command line that starts `processes` processes of a module with a plan.

    ValueError: config.accelerate names no file."""
    program = ["-m", module, str(plan_path)]
    accelerate = [sys.executable, "-m", "accelerate.commands.launch"]
    if config.accelerate:
        if not Path(config.accelerate).is_file():
            raise ValueError(
                f"train.accelerate={config.accelerate} is no file; write one with "
                f"`accelerate config --config_file {config.accelerate}`, or leave it empty for one machine"
            )
        return [*accelerate, "--config_file", config.accelerate, *program]
    if processes == 1:
        return [sys.executable, *program]
    if gpus(config):
        return [*accelerate, "--num_processes", str(processes), *ONE_MACHINE, *program]
    local = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", str(processes)]
    return [sys.executable, "-m", "torch.distributed.run", *local, *program]


def process_count(config: TrainConfig) -> int:
    """`config.processes`, or one a GPU, or one a core up to 2, as far as it divides the batch."""
    if config.processes:
        if config.batch % config.processes:
            raise ValueError(f"train.processes={config.processes} must divide train.batch={config.batch}")
        return config.processes
    wanted = gpus(config) or min(2, cores())
    return next(count for count in range(wanted, 0, -1) if config.batch % count == 0)


def environment(config: TrainConfig, processes: int) -> dict[str, str]:
    """The processes' environment: each has `config.threads` or its share of the cores, and threads that wait
    don't spin."""
    added = {
        "OMP_NUM_THREADS": str(config.threads or max(1, cores() // processes)),
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "HF_HUB_OFFLINE": "1",
        PARENT_HOLDS_STDIN: "1",
    }
    # Memory that tensors leave is kept for the next step's: asking the system anew costs a tenth of a step.
    if not gpus(config):
        added |= {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**33)}
        added |= {"MALLOC_TOP_PAD_": str(2**28)}  # of glibc alone; others don't know these
    # Processes of one machine talk over its loopback; a config file may name several.
    loopback = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" and not config.accelerate else {}
    return {**os.environ, **loopback, **added}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus(config: TrainConfig) -> int:
    """GPUs that the training will use; 0 trains on the CPU."""
    if config.device == "cpu" or (config.device == "auto" and not shutil.which("nvidia-smi")):
        return 0
    import torch  # only where there may be a GPU: it takes seconds

    return torch.cuda.device_count()
