"""How a training's processes are started: command line, number, environment. torch is not imported on a CPU.

ranks.py starts them, one a GPU, or on a CPU as many as the config says; a single one needs nobody.
"""

import os
import shutil
import sys
from pathlib import Path

from sdmodel.config.train import TrainConfig
from sdmodel.train.process.ranks import RENDEZVOUS

PARENT_HOLDS_STDIN = "SDMODEL_PARENT_HOLDS_STDIN"
"""Environment variable: the processes are to end when their standard input closes."""
PLACES = ("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NCCL_COMM_ID")
PLACE_PREFIXES = (
    *(
        "MASTER_",
        "PMI_",
        "PMIX_",
        "OMPI_COMM_WORLD_",
        "MV2_COMM_WORLD_",
        "MPI_",
        "TORCHELASTIC_",
        "GLOO_DEVICE_",
    ),
    *("ACCELERATE_", "FSDP_", RENDEZVOUS),
)
"""Environment variables of other launchers, from whose jobs a training may be started: with them accelerate
would take it for one of several processes, and open a port for them."""


def command(job_path: Path, processes: int, module: str = "sdmodel.train.run") -> list[str]:
    """The command line that starts `processes` processes of a module with a job; several meet in a folder of
    their own beside its file."""
    if processes == 1:
        return [sys.executable, "-m", module, str(job_path)]
    return ranks(processes, job_path.parent, module, str(job_path))


def ranks(processes: int, folder: Path, module: str, *arguments: str) -> list[str]:
    """The command line that starts a module as several processes, see ranks.py."""
    return [
        sys.executable,
        "-m",
        "sdmodel.train.process.ranks",
        str(processes),
        str(folder),
        module,
        *arguments,
    ]


def process_count(config: TrainConfig) -> int:
    """`config.processes`, or one a GPU, or one a core up to 2, as far as it divides the batch."""
    if config.processes:
        if config.processes > (available := gpus(config)) > 0:
            raise ValueError(
                f"train.processes={config.processes}, and this machine has {available} GPUs, one for each "
                "process; lower it, or leave it out for all of them"
            )
        return config.processes
    most = gpus(config) or min(2, cores())
    return next(count for count in range(most, 0, -1) if config.batch % count == 0)


def environment(config: TrainConfig, processes: int) -> dict[str, str]:
    """The processes' environment: each has `config.threads` or its share of the cores, threads that wait
    don't spin, what they send each other stays on the loopback, and what torch compiles (pickles among it)
    lies in a folder that no other user can have made."""
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
    loopback = "lo" if sys.platform == "linux" else "lo0"
    added |= {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": f"={loopback}", "NCCL_RAS_ENABLE": "0"}
    given = {
        name: value
        for name, value in os.environ.items()
        if name not in PLACES and not name.startswith(PLACE_PREFIXES)
    }
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    given.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "torchinductor"))
    return {**given, **added}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus(config: TrainConfig) -> int:
    """GPUs that the training will use; 0 trains on the CPU."""
    if config.device == "cpu" or (config.device == "auto" and not shutil.which("nvidia-smi")):
        return 0
    import torch  # only where there may be a GPU: it takes seconds

    return torch.cuda.device_count()
