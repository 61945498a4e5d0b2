"""Which optimizer learns which weights, how fast and with how much decay."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from sdmodel.config.optimization import Optimization
from sdmodel.players import Player
from sdmodel.train.optim.lion import Lion
from sdmodel.train.optim.muon import Muon
from sdmodel.train.optim.roles import Layout, Weight, weights

BETAS = (0.9, 0.99)
"""Of AdamW and Lion: means over about 10 and 100 steps. Lion's are its paper's."""


@dataclass(frozen=True)
class Learned:
    """A parameter that is learned."""

    weight: Weight
    factor: float
    """On its learning rate."""


def optimizers(
    modules: nn.Module, config: Optimization, players: Sequence[Player] = ()
) -> list[torch.optim.Optimizer]:
    """The optimizers of all that `modules`, on their final device, learn; what `config` freezes is frozen.
    Each learns one of `players` alone, where there are any, as that says.

    muon gives Muon the hidden matrices (roles.py) and AdamW the rest; other kinds learn all alike. Every
    group's "lr" is its rate at the peak, which the loop multiplies by `schedule.rate`. Weight decay is on
    matrices alone: a smaller gain or shift is not a simpler one.

    ValueError: frozen or rates name nothing in `modules`, a factor is not positive, nothing is left to learn,
    or adamw8bit without bitsandbytes.
    """
    freeze(modules, config.frozen)
    learned = what_learns(modules, config.rates)
    if not learned:
        raise ValueError(f"optimizer.frozen={config.frozen!r} leaves nothing to learn; freeze less")
    if not players:
        return _optimizers(learned, config)
    made: list[torch.optim.Optimizer] = []
    for player in players:
        mine = [p for p in learned if p.weight.name.startswith(player.prefixes)]
        if not mine:
            continue
        if player.adam:
            own = replace(config, adam_rate=player.adam.rate)
            made.append(_adamw(_groups(mine, own), player.adam.betas))
        else:
            made += _optimizers(mine, config)
    return made


def _optimizers(learned: Sequence[Learned], config: Optimization) -> list[torch.optim.Optimizer]:
    """Those of some parameters."""
    if config.kind != "muon":
        return [_KINDS[config.kind](_groups(learned, config))]
    hidden = [p for p in learned if p.weight.role == "hidden"]
    rest = [p for p in learned if p.weight.role != "hidden"]
    both: list[torch.optim.Optimizer] = []
    if hidden:
        both.append(Muon(_muon_groups(hidden, config), lr=config.muon_rate))
    if rest:
        both.append(_adamw(_groups(rest, config)))
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
    known = list(weights(modules))
    names = [weight.name for weight in known]
    for prefix in rates:
        if not any(name.startswith(prefix) for name in names):
            raise ValueError(_fits_nothing("rates", prefix, names))
    longest_first = sorted(rates, key=len, reverse=True)

    def factor(name: str) -> float:
        return next((rates[prefix] for prefix in longest_first if name.startswith(prefix)), 1.0)

    return [Learned(weight, factor(weight.name)) for weight in known if weight.parameter.requires_grad]


def width_factor(channels: int, base_width: int) -> float:
    """Factor on AdamW's rate of a matrix that sums over so many channels, for rates that are meant at
    `base_width` (0: at any): base_width / channels, and 1 up to there. It is muP's for hidden and output
    matrices; vectors, and first layers on a few numbers, keep their rate (Yang et al. 2022, arXiv:2203.03466,
    table 3). Lion's steps are as large as AdamW's, and Muon's suit every width by themselves (muon.py)."""
    return min(1.0, base_width / channels) if base_width and channels else 1.0


def _muon_groups(learned: Iterable[Learned], config: Optimization) -> list[dict[str, Any]]:
    """Muon's parameter groups, one for each rate and layout."""
    alike: dict[tuple[float, Layout], list[nn.Parameter]] = defaultdict(list)
    for p in learned:
        alike[config.muon_rate * p.factor, p.weight.layout].append(p.weight.parameter)
    return [
        {"params": parameters, "lr": lr, "weight_decay": config.weight_decay, "layout": layout}
        for (lr, layout), parameters in alike.items()
    ]


def _groups(learned: Iterable[Learned], config: Optimization) -> list[dict[str, Any]]:
    """The other optimizers' parameter groups, one for each rate and decay."""
    alike: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for p in learned:
        rate = config.adam_rate * p.factor * width_factor(p.weight.channels, config.base_width)
        decay = 0.0 if p.weight.role == "vector" else config.weight_decay
        alike[rate, decay].append(p.weight.parameter)
    return [
        {"params": parameters, "lr": lr, "weight_decay": weight_decay}
        for (lr, weight_decay), parameters in alike.items()
    ]


def _adamw(groups: list[dict[str, Any]], betas: tuple[float, float] = BETAS) -> torch.optim.Optimizer:
    """Fused: a third of the time of foreach on a CPU (210 tensors: 1.8 ms for 4.9). It walks through memory
    and not along strides, so a gradient must lie as its parameter does, which autograd sees to."""
    return torch.optim.AdamW(groups, betas=betas, fused=True)


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
