"""Players of an adversarial training: each has parameters, optimizers and turns of its own on every batch,
and the others' parameters stand still in its turn (Goodfellow et al. 2014, arXiv:1406.2661).

An objective without players has one turn a batch, in which everything learns.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import Tensor, nn

from sdmodel.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class Adam:
    """How a player learns that does not learn as the config's optimizer says: by AdamW."""

    rate: float
    """At its peak."""
    betas: tuple[float, float]
    """Shares that stay of the running means of gradients and of their squares."""


@dataclass(frozen=True, kw_only=True)
class Player:
    """One side of an adversarial training."""

    name: str
    prefixes: tuple[str, ...]
    """Beginnings of the names of its parameters. A parameter of no player is an error."""
    begins: int = 0
    """Images seen before its first turn."""
    adam: Adam | None = None
    """None: it learns as the config's optimizer says."""

    def plays(self, images: int) -> bool:
        """Whether it has a turn on the batch after so many images."""
        return images >= self.begins


def losses_of(modules: nn.Module, players: Sequence[Player], batch: Batch) -> dict[str, Tensor]:
    """What a batch gives in every turn that there may be, all of which have begun, at the same weights."""
    if not players:
        return modules(batch)
    losses: dict[str, Tensor] = {}
    begun = max(player.begins for player in players)
    batch = replace(batch, images_seen=max(batch.images_seen, begun))
    for player in players:
        with alone(modules, player):
            losses |= modules(batch, player.name)
    return losses


def of_player(named: Iterator[tuple[str, nn.Parameter]], player: Player) -> dict[str, nn.Parameter]:
    """Its parameters, by name."""
    return {name: parameter for name, parameter in named if name.startswith(player.prefixes)}


def check_players(modules: nn.Module, players: Sequence[Player]) -> None:
    """Each parameter is of one player, and each player has some."""
    for name, _ in modules.named_parameters():
        owners = [player.name for player in players if name.startswith(player.prefixes)]
        assert len(owners) == 1, f"{name} is of the players {owners}"
    for player in players:
        assert of_player(modules.named_parameters(), player), f"{player.name} has no parameters"


@contextmanager
def alone(modules: nn.Module, player: Player) -> Generator[None]:
    """Inside, the other players' parameters ask for no gradient: what is computed with them passes gradients
    on and leaves none."""
    mine = set(of_player(modules.named_parameters(), player))
    others = [p for name, p in modules.named_parameters() if name not in mine and p.requires_grad]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)
