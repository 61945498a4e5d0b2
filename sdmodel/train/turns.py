"""Turns of a step: whose parameters learn in it, and by which optimizers."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sdmodel.objective import Objective
from sdmodel.players import Player, alone, check_players, of_player
from sdmodel.train.buffers import copies, restore


@dataclass(frozen=True)
class Turn:
    """One player's on a batch, or everything's where there are no players."""

    player: Player | None
    parameters: list[nn.Parameter]
    """That learn in it."""
    optimizers: list[torch.optim.Optimizer]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of the modules' forward, after the batch."""
        return (self.player.name,) if self.player else ()

    def plays(self, images: int) -> bool:
        """Whether it comes on the batch after so many images: not where all of its player is frozen."""
        return self.player is None or (bool(self.parameters) and self.player.plays(images))

    def alone(self, modules: nn.Module) -> AbstractContextManager[Any]:
        """Inside, nothing else asks for a gradient."""
        return alone(modules, self.player) if self.player else nullcontext()


def turns_of(objective: Objective, optimizers: Sequence[torch.optim.Optimizer]) -> list[Turn]:
    """The turns of an objective in their order; each of `optimizers` learns one player's parameters alone."""
    modules, players = objective.modules, objective.players
    if not players:
        return [Turn(None, [p for p in modules.parameters() if p.requires_grad], list(optimizers))]
    check_players(modules, players)
    turns: list[Turn] = []
    for player in players:
        mine = {p: None for p in of_player(modules.named_parameters(), player).values() if p.requires_grad}
        own = [optimizer for optimizer in optimizers if optimizer.param_groups[0]["params"][0] in mine]
        turns.append(Turn(player, list(mine), own))
    return turns


class BeforeBatch:
    """What a batch changes, as it was before, so that it can be left out."""

    def __init__(self, modules: nn.Module, turns: Sequence[Turn]) -> None:
        """Of several turns those before the last have stepped when a later one turns out bad; a step that is
        bad is not made."""
        self.modules, self.turns = modules, turns[:-1]
        self.buffers = copies(modules)
        self.weights: list[Tensor] = [p.detach().clone() for turn in self.turns for p in turn.parameters]
        self.states = [
            copy.deepcopy(optimizer.state_dict()) for turn in self.turns for optimizer in turn.optimizers
        ]

    @torch.no_grad()
    def restore(self) -> None:
        """Puts it back: running statistics, weights and momenta."""
        restore(self.modules, self.buffers)
        parameters = [p for turn in self.turns for p in turn.parameters]
        for parameter, value in zip(parameters, self.weights, strict=True):
            parameter.copy_(value)
        optimizers = [optimizer for turn in self.turns for optimizer in turn.optimizers]
        for optimizer, state in zip(optimizers, self.states, strict=True):
            optimizer.load_state_dict(state)
