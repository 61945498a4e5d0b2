"""One step of the optimizers from one batch, whole or in parts, by one process or many."""

import hashlib
import math
from collections.abc import Callable
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.objective import Objective
from sdmodel.train.buffers import copied, put_back
from sdmodel.train.dtensors import broadcast_buffers, is_shared, whole

LOOK = 16
"""Batches between two looks at whether to stop, where asking all processes would make a GPU wait."""


class Steps:
    """Gradients of batches, and what is done with them."""

    def __init__(
        self,
        objective: Objective,
        accelerator: Accelerator,
        config: TrainConfig,
        optimizers: list[torch.optim.Optimizer],
        parts: int,
    ) -> None:
        """Wraps the modules for several processes, unless they are shared out; they must be restored by then.

        parts: that each process takes its rows of a batch in.
        ValueError: they cannot be had with this objective or batch."""
        rows = config.batch // accelerator.num_processes
        if parts > 1 and objective.whole_batch:
            raise ValueError(
                f"accumulate={parts}: the {config.objective} objective compares all rows of a "
                "batch and cannot take it in parts; lower batch, or set accumulate=1"
            )
        if parts < 1 or rows % parts:
            raise ValueError(
                f"accumulate={parts} must divide the {rows} rows that each process has of "
                f"batch={config.batch}"
            )
        self.shared = is_shared(objective.modules)
        # Shared out, forward and backward talk to the others by themselves: what is left is autocast.
        self.model: nn.Module = accelerator.prepare_model(objective.modules, evaluation_mode=self.shared)
        self.accelerator, self.config, self.optimizers = accelerator, config, optimizers
        self.parameters = [p for p in objective.modules.parameters() if p.requires_grad]
        self.parts = parts
        self.generator = torch.Generator(accelerator.device)
        self._looked = 0
        self._before: list[Tensor] = []

    def gradients(self, batch: Batch, images: int) -> tuple[dict[str, Tensor], Tensor]:
        """({name: mean loss () of this process's rows}, norm () of the gradient over all processes).

        The gradient is that of the mean over the global batch, clipped; it lies in the parameters."""
        batch = batch.to(self.accelerator.device)
        sums: dict[str, Tensor] = {}
        if self.config.guard.on_bad == "skip":
            self._before = copied(self.model)
        if self.shared:
            broadcast_buffers(self.model)
        for number in range(self.parts):
            part = batch.micro_batch(number, self.parts) if self.parts > 1 else batch
            last = number == self.parts - 1
            rank = self.accelerator.process_index
            torch.manual_seed(
                seed_at(self.config.seed, images, f"process {rank} part {number}")
            )  # dropout layers
            self.generator.manual_seed(seed_at(self.config.seed, images, "global"))
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                losses: dict[str, Tensor] = self.model(part, self.generator)
                total = torch.stack(list(losses.values())).sum()
                self.accelerator.backward(total / self.parts)
            for name, loss in losses.items():
                share = loss.detach() / self.parts
                sums[name] = sums[name] + share if name in sums else share
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.optimizer.clip or math.inf)
        return sums, whole(norm.detach())

    def step(self) -> None:
        """Learn from the gradients."""
        for optimizer in self.optimizers:
            optimizer.step()
        self.drop()

    def drop(self) -> None:
        """Forget the gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def undo(self) -> None:
        """Leave the batch out, where guard.on_bad says so: forget its gradients, and what running statistics
        took from it."""
        put_back(self.model, self._before)
        self.drop()

    def agreed(self, stopping: Callable[[], bool]) -> bool:
        """Whether any process shall stop; all processes ask at the same batches and hear the same."""
        world, device = self.accelerator.num_processes, self.accelerator.device
        if world == 1:
            return stopping()
        self._looked += 1
        if device.type != "cpu" and self._looked % LOOK:
            return False
        asked = torch.tensor(float(stopping()), device=device)
        return bool(self.accelerator.reduce(asked, "sum") > 0)  # pyright: ignore


def seed_at(seed: int, images: int, stream: str) -> int:
    """A seed of 63 bits for what is drawn after `images` images; each stream's draws are its own."""
    return int.from_bytes(hashlib.sha256(f"{seed} {images} {stream}".encode()).digest()[:8], "big") >> 1
