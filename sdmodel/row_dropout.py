"""Dropout and stochastic depth by row: what is left out is a function of (seed, image, layer), as all else
that is drawn for a batch is.

torch's dropout draws from the process's generator, so that a batch taken by two processes, or in two parts,
would train another model. A layer here asks for whom it draws, and finds the rows that `drawing_for` was
given. A layer that is called twice for a batch leaves out the same both times: when activation checkpointing
computes it anew, and when captions are encoded with and without noise.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sdmodel import philox


@dataclass
class _DrawnFor:
    """The rows that layers draw for."""

    seed: int = 0
    rows: Tensor | None = None
    """(B,) int64 places in the data order; None where nobody said."""


_drawn_for = _DrawnFor()
# Of the process, not of a thread: autograd computes checkpointed layers anew in threads of its own.


@contextmanager
def drawing_for(seed: int, rows: Tensor) -> Generator[None]:
    """Inside, forward and backward are of these rows (B,) of the data order; one batch at a time."""
    before = _drawn_for.seed, _drawn_for.rows
    _drawn_for.seed, _drawn_for.rows = seed, rows
    try:
        yield
    finally:
        _drawn_for.seed, _drawn_for.rows = before


def _mask(p: float, stream: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(N, *shape) in the precision of x (N, ...): 0 with probability p, else 1 / (1 - p).

    N is a multiple of B: a row may have several entries (a caption's foils), one after the other."""
    rows = _drawn_for.rows
    if rows is None:  # who calls a model outside of a training step
        u = torch.rand(len(x), *shape, device=x.device)
    else:
        times, rest = divmod(len(x), len(rows))
        assert rest == 0, (len(x), len(rows))
        u = philox.uniform(_drawn_for.seed, rows, f"dropout {stream}", times, *shape).flatten(0, 1)
    return (u >= p).to(x.dtype).mul_(1 / (1 - p))


class RowDropout(nn.Dropout):
    """Dropout whose mask is drawn by row; see `by_row`, which names its stream."""

    def __init__(self, p: float, stream: str) -> None:
        super().__init__(p)
        self.stream = stream

    def forward(self, input: Tensor) -> Tensor:
        """(N, ...) to the same."""
        if not self.training or not self.p or _drawn_for.rows is None:
            return super().forward(input)
        return input * _mask(self.p, self.stream, input, input.shape[1:])


class StochasticDepth(nn.Module):
    """Leaves a residual block out for some rows (Huang et al. 2016, arXiv:1603.09382).

    What the block adds is scaled by 1 / (1 - p), so that its expectation stays; all rows have the whole
    network in evaluation mode."""

    def __init__(self, p: float) -> None:
        """p: share of the rows that the block is left out for, [0, 1)."""
        super().__init__()
        self.p, self.stream = p, ""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Of x (B, ...) before the block and y after it what goes on."""
        if not self.training or not self.p:
            return y
        mask = _mask(self.p, self.stream, x, ())
        return x + mask.view(-1, *[1] * (x.ndim - 1)) * (y - x)


def linear_depth(rate: float, blocks: int) -> nn.ModuleList:
    """The stochastic depth of each of so many blocks: rates rise linearly from the first to `rate` at the
    last (equation 4)."""
    return nn.ModuleList(StochasticDepth(rate * number / blocks) for number in range(1, blocks + 1))


def by_row(modules: nn.Module) -> None:
    """Makes every nn.Dropout in `modules` draw by row, whoever wrote it, and gives each layer that draws a
    stream of its own: its name. Other kinds of dropout stay as they are."""
    for parent_name, parent in list(modules.named_modules()):
        for name, module in list(parent.named_children()):
            stream = f"{parent_name}.{name}"
            if type(module) is nn.Dropout:
                setattr(parent, name, RowDropout(module.p, stream).train(module.training))
            elif isinstance(module, RowDropout | StochasticDepth):
                module.stream = stream


def copy_rates(source: nn.Module, target: nn.Module) -> None:
    """Of two modules of one structure the second leaves out as much as the first."""
    for layer, other in zip(source.modules(), target.modules(), strict=True):
        if isinstance(layer, nn.Dropout | StochasticDepth):
            assert isinstance(other, nn.Dropout | StochasticDepth)
            other.p = layer.p
