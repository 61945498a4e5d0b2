"""Classifier-free guidance: away from what the model would draw without a caption."""

from collections.abc import Callable

import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.sample.solvers import Denoiser


def guided(
    denoise: Callable[[Tensor, Tensor, Condition], Tensor],
    captioned: Condition,
    empty: Condition,
    scale: float,
    until: float = 1.0,
) -> Denoiser:
    """A denoiser whose estimate is `D(empty) + scale * (D(captioned) - D(empty))` (Ho and Salimans 2022,
    arXiv:2207.12598).

    scale 1 only follows the caption. From time `until` on there is no guidance: what is drawn is decided by
    then, and guidance would only harden it, at twice the cost (Kynkaanniemi et al. 2024, arXiv:2404.07724).
    """

    def guide(x_t: Tensor, t: Tensor) -> Tensor:
        if scale == 1 or t[0] >= until:
            return denoise(x_t, t, captioned)
        both = denoise(torch.cat([x_t, x_t]), torch.cat([t, t]), captioned.joined(empty))
        with_caption, without = both.chunk(2)
        return without.lerp(with_caption, scale)

    return guide
