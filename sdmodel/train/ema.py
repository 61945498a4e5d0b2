"""A moving average of the weights, kept in float32: what is sampled from and what is published."""

import torch
from torch import Tensor, nn


class Ema:
    """Averages of the parameters of `modules`; other state (running statistics) is the modules' latest."""

    def __init__(self, modules: nn.Module, decay: float):
        self.modules = modules
        self.decay = decay
        self.parameters = list(modules.parameters())
        self.averages = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def update(self, batches: int) -> None:
        """Takes the weights in after batch number `batches` (1 is the first).

        The decay begins small, so that the initial weights are soon forgotten (Karras et al. 2024,
        arXiv:2312.02696, use a length that grows with training for the same reason)."""
        decay = min(self.decay, batches / (batches + 10))
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
