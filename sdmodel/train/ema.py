"""A moving average of the weights, kept in float32: what is sampled from and what is published."""

import torch
from torch import Tensor, nn

from sdmodel.config import EmaConfig


class Ema:
    """Averages of the parameters of `modules`; other state (running statistics) is the modules' latest."""

    def __init__(self, modules: nn.Module, config: EmaConfig, batch: int):
        """`batch` images are seen between two updates."""
        self.modules = modules
        self.config = config
        self.batch = batch
        self.parameters = list(modules.parameters())
        self.averages = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def update(self, images: int) -> None:
        """Takes the weights in after `images` images.

        The half-life begins small, so that the initial weights are soon forgotten (as in EDM, Karras et al.
        2022, https://github.com/NVlabs/edm, training/training_loop.py)."""
        half_life = min(self.config.half_life, self.config.ramp * images)
        decay = 0.5 ** (self.batch / max(half_life, 1e-8))
        torch._foreach_lerp_(self.averages, self.parameters, 1 - decay)  # pyright: ignore - untyped

    def weights(self) -> dict[str, Tensor]:
        """By the names of `modules.state_dict()`: contiguous float32 on the CPU, none sharing memory."""
        average: dict[Tensor, Tensor] = dict(zip(self.parameters, self.averages, strict=True))
        state: dict[str, Tensor] = self.modules.state_dict(keep_vars=True)
        return {
            name: average.get(value, value).detach().to("cpu", copy=True).contiguous()
            for name, value in state.items()
        }

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor]) -> None:
        """Takes averages from what `weights` gave."""
        names = {parameter: name for name, parameter in self.modules.named_parameters()}
        for parameter, value in zip(self.parameters, self.averages, strict=True):
            value.copy_(weights[names[parameter]])
