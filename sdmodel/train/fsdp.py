"""Where a model's weights are while it learns: whole in every process, or sharded, each process with its part
(fully sharded data parallel, FSDP; Zhao et al. 2023, arXiv:2304.11277), by torch's `fully_shard`.

Sharded, each process holds its part of every tensor. Gradients, momenta and averages are parts, too, since
they are made from the weights. A heavy module's weights are gathered while it computes and dropped again, the
others' while the model does.
"""

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from sdmodel.config.train import TrainConfig
from sdmodel.objective import Objective

OTHERS = ("FSDP", "DEEPSPEED", "MEGATRON_LM")
"""What accelerate can hand a training over to; the loop's own ways of saving and averaging know none."""


def place(objective: Objective, config: TrainConfig, accelerator: Accelerator) -> nn.Module:
    """The objective's modules on the accelerator's device, in training mode: whole, or where `config.fsdp`
    says so and there are several processes, sharded. Weights must be the same everywhere.

    ValueError: an option does not go together with shards."""
    check(accelerator)
    check_modules(objective, config, accelerator)
    modules = objective.modules.train()
    if not is_sharded(config, accelerator):
        return modules.to(accelerator.device).to(memory_format=torch.channels_last)  # pyright: ignore
    # Weights go to the device with the module that they belong to, so that it never holds all of them. They
    # stay contiguous: shards are rows of memory.
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    for module in [*objective.heavy, modules]:
        fully_shard(module, mesh=mesh)
    return modules


def check(accelerator: Accelerator) -> None:
    """ValueError: the environment asks for shards that are not ours."""
    if accelerator.distributed_type.value in OTHERS:
        raise ValueError(
            f"accelerate's settings hand the training over to {accelerator.distributed_type.value}, which is "
            "not known here; take them out of the environment (ACCELERATE_USE_...), and set train.fsdp=true "
            "for a model that is too large for one GPU"
        )


def check_modules(objective: Objective, config: TrainConfig, accelerator: Accelerator) -> None:
    """ValueError: weights are to be sharded, and one of them has no parts, or players take turns."""
    if objective.players and is_sharded(config, accelerator):
        raise ValueError(
            "fsdp=true: the parts of weights that processes share cannot stand still in another player's "
            "turn; set fsdp=false"
        )
    single = [name for name, p in objective.modules.named_parameters() if p.ndim == 0]
    if single and is_sharded(config, accelerator):
        raise ValueError(
            f"fsdp=true: {single[0]} of the {config.objective} objective is a single number, which has no "
            "parts; set fsdp=false"
        )


def is_sharded(config: TrainConfig, accelerator: Accelerator) -> bool:
    """Whether weights are sharded: one process alone has them whole."""
    return config.fsdp and accelerator.num_processes > 1
