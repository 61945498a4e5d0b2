"""One step of the optimizers from one batch: gradient accumulation over its parts, gradient clipping, by one
process or many (distributed data parallel); where players learn against each other, in turns."""

import hashlib
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn

from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.losses import total
from sdmodel.objective import Objective
from sdmodel.row_dropout import by_row, drawing_for
from sdmodel.train.dtensors import broadcast_buffers, full, is_fsdp
from sdmodel.train.turns import BeforeBatch, Turn, turns_of

STOP_INTERVAL = 16
"""Batches between two agreements on whether to stop, where each would make a GPU wait."""


class TrainStep:
    """Gradients of batches, and what is done with them."""

    def __init__(
        self,
        objective: Objective,
        accelerator: Accelerator,
        config: TrainConfig,
        optimizers: list[torch.optim.Optimizer],
        parts: int,
    ) -> None:
        """Wraps the modules for several processes, unless they are sharded, and makes their dropout draw by
        row; they must be restored by then.

        parts: that each process takes its rows of a batch in (gradient accumulation).
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
        by_row(objective.modules)
        self.sharded = is_fsdp(objective.modules)
        if objective.players:  # in the turn of one the others have no gradient
            handler = accelerator.ddp_handler or DistributedDataParallelKwargs()
            handler = replace(handler, find_unused_parameters=True)
            accelerator.ddp_handler = handler  # pyright: ignore - its annotation is None
        # Sharded, forward and backward talk to the others by themselves: what is left is autocast.
        self.model: nn.Module = accelerator.prepare_model(objective.modules, evaluation_mode=self.sharded)
        self.accelerator, self.config, self.optimizers = accelerator, config, optimizers
        self.turns = turns_of(objective, optimizers)
        self.modules = objective.modules
        self.parts = parts
        self._rates: list[float] = [group["lr"] for group in self._groups()]
        self._agreements = 0

    def set_rate(self, factor: float) -> None:
        """Sets every learning rate to its peak times `factor`."""
        for group, peak in zip(self._groups(), self._rates, strict=True):
            group["lr"] = peak * factor

    def take(
        self, batch: Batch, images: int, bad: Callable[[Tensor, int, int], bool]
    ) -> tuple[dict[str, Tensor], Tensor] | None:
        """Learns from the batch that follows after `images` images: gradients and a step in each turn.

        bad: of (a gradient's norm, images, the turn's number) whether the batch is to be left out. Then all
        is as it was before, running statistics too.
        Returns ({name: mean () of this process's rows}, norm () of the gradient of all turns); None: the
        batch was left out."""
        batch = batch.to(self.accelerator.device)
        skips = self.config.guard.on_bad == "skip"
        before = BeforeBatch(self.modules, self.turns) if skips else None
        means: dict[str, Tensor] = {}
        norms: list[Tensor] = []
        for number, turn in enumerate(self.turns):
            if not turn.plays(images):
                continue
            losses, norm = self.gradients(batch, images, turn)
            if bad(norm, images, number):
                assert before, "only a training that skips leaves a batch out"
                before.restore()
                self.zero_grad()
                return None
            self.optimize(turn)
            means |= losses
            norms.append(norm)
        return means, norms[0] if len(norms) == 1 else torch.stack(norms).norm()

    def gradients(
        self, batch: Batch, images: int, turn: Turn | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """({name: mean loss or metric () of this process's rows}, norm () of the gradient of all processes),
        of a turn: the first unless told.

        The gradient is that of the mean over the global batch, clipped; it lies in the parameters."""
        turn = turn or self.turns[0]
        batch = batch.to(self.accelerator.device)
        sums: dict[str, Tensor] = {}
        if self.sharded:
            broadcast_buffers(self.model)
        for number in range(self.parts):
            part = batch.micro_batch(number, self.parts) if self.parts > 1 else batch
            last = number == self.parts - 1
            # What others' layers draw by themselves, by no row.
            stream = " ".join((f"process {self.accelerator.process_index} part {number}", *turn.arguments))
            torch.manual_seed(seed_at(self.config.seed, images, stream))
            synced = nullcontext() if last else self.accelerator.no_sync(self.model)
            with synced, drawing_for(part.seed, part.index), turn.alone(self.modules):
                losses: dict[str, Tensor] = self.model(part, *turn.arguments)
                self.accelerator.backward(total(losses) / self.parts)
            for name, loss in losses.items():
                share = loss.detach() / self.parts
                sums[name] = sums[name] + share if name in sums else share
        norm = torch.nn.utils.clip_grad_norm_(turn.parameters, self.config.optimizer.clip or math.inf)
        return sums, full(norm.detach())

    def optimize(self, turn: Turn | None = None) -> None:
        """Updates the weights that learn in a turn, the first unless told, by the gradients, and clears
        these."""
        for optimizer in (turn or self.turns[0]).optimizers:
            optimizer.step()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Clears the gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def any_stopping(self, stopping: Callable[[], bool]) -> bool:
        """Whether `stopping` is true in any process; all processes call this at the same batches and get the
        same answer."""
        world, device = self.accelerator.num_processes, self.accelerator.device
        if world == 1:
            return stopping()
        self._agreements += 1
        if device.type != "cpu" and self._agreements % STOP_INTERVAL:
            return False
        mine = torch.tensor(float(stopping()), device=device)
        return bool(self.accelerator.reduce(mine, "sum") > 0)  # pyright: ignore

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]


def seed_at(seed: int, images: int, stream: str) -> int:
    """A seed of 63 bits for what is drawn after `images` images; each stream's draws are its own."""
    return int.from_bytes(hashlib.sha256(f"{seed} {images} {stream}".encode()).digest()[:8], "big") >> 1
