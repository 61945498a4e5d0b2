"""Which optimizer learns which weights, how fast and with how much decay."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sdmodel.config.learning import OptimizerConfig
from sdmodel.train.optim.lion import Lion
from sdmodel.train.optim.muon import Muon

BETAS = (0.9, 0.99)
"""Of AdamW and Lion: means over about 10 and 100 steps. Lion's are its paper's."""


@dataclass(frozen=True)
class Learned:
    """A parameter that is learned."""

    parameter: nn.Parameter
    matrix: bool
    """`is_matrix`."""
    factor: float
    """On its learning rate."""


def optimizers(modules: nn.Module, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    """The optimizers of all that `modules`, on their final device, learn; what `config` freezes is frozen.

    muon gives Muon the matrices and AdamW the rest; other kinds learn all alike. Every group's "lr" is its
    rate at the peak, which the loop multiplies by `schedule.rate`. Weight decay is on matrices alone: a
    smaller gain or shift is not a simpler one.

    ValueError: frozen or rates name nothing in `modules`, a factor is not positive, nothing is left to learn,
    or adamw8bit without bitsandbytes.
    """
    freeze(modules, config.frozen)
    learned = what_learns(modules, config.rates)
    if not learned:
        raise ValueError(f"optimizer.frozen={config.frozen!r} leaves nothing to learn; freeze less")
    if config.kind != "muon":
        return [_KINDS[config.kind](_groups(learned, config.adam_rate, config.weight_decay))]
    matrices = [p for p in learned if p.matrix]
    rest = [p for p in learned if not p.matrix]
    both: list[torch.optim.Optimizer] = []
    if matrices:
        groups = _groups(matrices, config.muon_rate, config.weight_decay)
        both.append(Muon(groups, lr=config.muon_rate))
    if rest:
        both.append(_adamw(_groups(rest, config.adam_rate, config.weight_decay)))
    return both


def freeze(modules: nn.Module, prefixes: Iterable[str]) -> None:
    """Parameters whose names begin so ask for no gradient. ValueError: no name begins with one of them."""
    named = dict(modules.named_parameters())
    for prefix in prefixes:
        frozen = [parameter for name, parameter in named.items() if name.startswith(prefix)]
        if not frozen:
            raise ValueError(_fits_nothing("frozen", prefix, named))
        for parameter in frozen:
            parameter.requires_grad_(False)


def what_learns(modules: nn.Module, rates: dict[str, float]) -> list[Learned]:
    """All parameters of `modules` that ask for a gradient, each once, a shared one by its first name.

    rates: factors on the learning rate, by beginnings of names; the longest that fits counts.
    ValueError: no name begins with one of them."""
    owned: dict[nn.Parameter, tuple[str, nn.Module]] = {}
    for path, module in modules.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            owned.setdefault(parameter, (f"{path}.{name}".lstrip("."), module))
    names = [name for name, _ in owned.values()]
    for prefix in rates:
        if not any(name.startswith(prefix) for name in names):
            raise ValueError(_fits_nothing("rates", prefix, names))
    longest_first = sorted(rates, key=len, reverse=True)
    learned: list[Learned] = []
    for parameter, (name, module) in owned.items():
        if parameter.requires_grad:
            factor = next((rates[prefix] for prefix in longest_first if name.startswith(prefix)), 1.0)
            learned.append(Learned(parameter, is_matrix(module, name, parameter), factor))
    return learned


def is_matrix(module: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether it is a weight of `module` that mixes channels, not a table (embedding, positions, queries).

    Depthwise convolutions mix none; a last layer of three rows, one a colour, is better learned by AdamW."""
    if parameter.ndim < 2 or not name.endswith("weight") or isinstance(module, nn.Embedding):
        return False
    depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
    return not depthwise and min(len(parameter), parameter[0].numel()) >= 4


def _groups(learned: Iterable[Learned], rate: float, decay: float) -> list[dict[str, Any]]:
    """Parameter groups, one for each rate and decay."""
    alike: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for p in learned:
        alike[rate * p.factor, decay if p.matrix else 0.0].append(p.parameter)
    return [
        {"params": parameters, "lr": lr, "weight_decay": weight_decay}
        for (lr, weight_decay), parameters in alike.items()
    ]


def _adamw(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Fused: a third of the time of foreach on a CPU (210 tensors: 1.8 ms for 4.9). It walks through memory
    and not along strides, so a gradient must lie as its parameter does, which autograd sees to."""
    return torch.optim.AdamW(groups, betas=BETAS, fused=True)


def _adamw8bit(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """AdamW whose moments take a byte each (Dettmers et al. 2021, arXiv:2110.02861)."""
    try:
        from bitsandbytes.optim import AdamW8bit  # pyright: ignore - optional
    except ImportError as error:
        raise ValueError(
            'optimizer.kind="adamw8bit" needs bitsandbytes, which is not installed (pip install '
            'bitsandbytes); "adamw" is the same with moments of 4 bytes'
        ) from error
    return AdamW8bit(groups, betas=BETAS)  # pyright: ignore


def _lion(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return Lion(groups, lr=0.0, betas=BETAS)  # every group has its own rate


_KINDS: dict[str, Callable[[list[dict[str, Any]]], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "lion": _lion,
    "adamw8bit": _adamw8bit,
}


def _fits_nothing(option: str, prefix: str, names: Iterable[str]) -> str:
    parts = sorted({name.split(".")[0] for name in names})
    return (
        f"optimizer.{option}: no parameter's name begins with {prefix!r}; "
        f"names begin with {', '.join(map(repr, parts))}"
    )
