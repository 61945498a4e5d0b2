"""A condition that is one vector: of the value where it is known, else a learned null."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from sdmodel.condition import ConditionValues
from sdmodel.conditions.interface import ConditionLayout, ConditionModule, Embedding, Placement

FREQUENCIES = 16
"""Of the Fourier features of a number."""


class VectorCondition(ConditionModule):
    """Beside the whole caption as one vector, or as a token among its tokens."""

    def __init__(self, layout: ConditionLayout, placement: Placement):
        super().__init__(layout)
        self.tokens = placement.tokens
        self.pooled_width = 0 if placement.tokens else placement.width
        self.null = nn.Parameter(torch.zeros(placement.width))

    @abstractmethod
    def vector(self, values: Tensor) -> Tensor:
        """Values (B, ...) to (B, W); whatever stands where none is known must not fail."""

    @abstractmethod
    def nothing(self) -> ConditionValues:
        """A row of which nothing is known; values as those of a row that is."""

    def forward(self, given: ConditionValues | None, rows: int) -> Embedding:
        """Of rows without a value, or dropped, all give the null, to the bit: (B, W), or (B, 1, W) tokens."""
        if given is None:
            row = self.nothing().to(self.null.device)
            given = ConditionValues(row.values.expand(rows, *row.values.shape[1:]), row.present.expand(rows))
        vectors = torch.where(given.present[:, None], self.vector(given.values).float(), self.null)
        return Embedding(tokens=vectors[:, None]) if self.tokens else Embedding(pooled=vectors)


def fourier_features(x: Tensor) -> Tensor:
    """Numbers (B, V) of about [-4, 4] to (B, V * 2 * FREQUENCIES) float32: sines and cosines at geometrically
    spaced frequencies, from a quarter of a turn over all of that to a step of 1/30 (Vaswani et al. 2017,
    arXiv:1706.03762, section 3.5)."""
    span = torch.linspace(math.log(0.2), math.log(20.0), FREQUENCIES, device=x.device)
    angle = x.float()[..., None] * span.exp()  # (B, V, FREQUENCIES)
    return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(1)


class NumbersCondition(VectorCondition):
    """Fourier features of each of a few numbers, through a perceptron, whose first layer is no hidden one."""

    adamw_layers = ("layers.0",)

    def __init__(self, layout: ConditionLayout, placement: Placement, numbers: int):
        super().__init__(layout, placement)
        self.numbers, width = numbers, placement.width
        self.layers = nn.Sequential(
            nn.Linear(numbers * 2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )

    def nothing(self) -> ConditionValues:
        """Of one row: (1, V) zeros."""
        return ConditionValues(torch.zeros(1, self.numbers), torch.zeros(1, dtype=torch.bool))

    def vector(self, values: Tensor) -> Tensor:
        """(B, V) of about [-4, 4] to (B, W)."""
        return self.layers(fourier_features(values))
