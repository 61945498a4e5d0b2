"""How the ranks of a training meet: through a file that only their user can open, not through a server.

What they send each other afterwards goes over gloo's connections (NCCL's on GPUs) on the loopback, and is
tensors alone: no object is sent, so that none is unpickled.
"""

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from sdmodel.train.process.ranks import RENDEZVOUS, end_with_launcher

PATIENCE = timedelta(minutes=30)
"""Until the last rank has come; who dies on the way ends the others long before."""


def join(*, on_gpu: bool) -> None:
    """Makes this process the rank that ranks.py started it as, before accelerate looks; nothing in a process
    by itself.

    ValueError: something else started it as one of several: their rendezvous would listen for everybody."""
    path = os.environ.get(RENDEZVOUS)
    if not path:
        if "RANK" in os.environ or "LOCAL_RANK" in os.environ:
            raise ValueError(
                "this process was started as one of several by another launcher, whose rendezvous is open to "
                "everybody on the network; start the training with sdflow, which starts its processes itself "
                "(train.processes says how many)"
            )
        return
    end_with_launcher()
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = dist.FileStore(path, world)  # pyright: ignore[reportPrivateImportUsage] - in torch's documentation
    store.set_timeout(PATIENCE)
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=world)
