"""How weights are learned, with nothing left open: the optimizer and its rates, by what a training begins
with."""

from dataclasses import dataclass
from typing import Literal

OptimizerName = Literal["muon", "adamw", "lion", "adamw8bit"]
"""Optimizers by name."""


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """How weights are learned; keys as of `OptimizerConfig`."""

    kind: OptimizerName
    muon_rate: float
    adam_rate: float
    weight_decay: float
    base_width: int
    frozen: tuple[str, ...]
    rates: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class LearningRates:
    """An optimizer and its learning rates, for a training that the config leaves them to."""

    kind: OptimizerName
    muon: float
    adam: float


NOTHING = LearningRates(kind="muon", muon=1.2e-2, adam=3e-3)
"""From random weights, and from small models of ours, whose rates these are: the demo's, measured."""
PIPELINE = LearningRates(kind="adamw", muon=4e-5, adam=1e-5)
"""From a pipeline in the layout of Stable Diffusion: AdamW's rate in diffusers' example, and Muon's four
times that, as from random weights."""
LORA = LearningRates(kind="adamw", muon=4e-4, adam=1e-4)
"""Low-rank changes, to whatever model: AdamW's rate in diffusers' example. Muon learns none of them."""
ADVERSARIES = LearningRates(kind="adamw", muon=8e-4, adam=2e-4)
"""A generator and a discriminator, which learn by AdamW alone: the rate of Radford et al. 2015
(arXiv:1511.06434, section 4)."""
LION = 0.1
"""Good rates of Lion, in AdamW's (Chen et al. 2023, arXiv:2302.06675, section 5)."""
