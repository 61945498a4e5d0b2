"""A small training with everything whose state a resume can lose."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch

CONFIG = TrainConfig(
    images=200, batch=8, size=8, checkpoint_every=50, seed=3, optimizer=OptimizerConfig(warmup=30)
)


class Toy(nn.Module):
    """Momenta, running statistics, dropout, noise."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.SiLU(),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(288, 16),
        )
        self.words = nn.Embedding(128, 16)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.seen: list[Batch] = []

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        self.seen.append(batch)
        noisy = batch.images + 0.3 * batch.normal("noise", 3, 8, 8)
        ids = torch.tensor([[ord(c) for c in caption[:10]] for caption in batch.captions])
        text = self.words(ids).mean(1)
        error = self.scale * self.features(noisy) - text.detach().sign()
        return {"fit": error.square().mean(), "size": 0.01 * text.square().mean()}


class Plain(Toy):
    """The same without what differs when a batch is taken in parts."""

    def __init__(self):
        super().__init__()
        self.features[1] = nn.Identity()
        self.features[3] = nn.Identity()


@dataclass
class ToyObjective:
    """Of a Toy."""

    modules: Toy = field(default_factory=Toy)
    whole_batch: bool = False
    readers = ()
    sample = None
    enough = None
    players = ()

    @property
    def heavy(self) -> list[nn.Module]:
        return [self.modules.features]

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        losses = self.modules(batch)
        return {name: value.double() * len(batch) for name, value in losses.items()}

    def start(self, folder: Path) -> None:
        raise AssertionError("a toy begins with its own weights; jobs of it name no start")

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        raise AssertionError("the loop returns averages; writing a model is its caller's")


class KilledError(Exception):
    """Nothing runs after it."""


def tree(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and "logs" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
