"""Guidance: away from what the model, or a weaker one, would draw without being told what."""

from collections.abc import Callable

import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.config.sampling import Sampling
from sdmodel.sample.solvers import Denoiser

Predictor = Callable[[Tensor, Tensor, Condition], Tensor]
"""(x_t (B, C, H, W), t (B,), condition of B captions) -> what the network predicts, (B, C, H, W)."""


def guided(
    predict: Predictor,
    captioned: Condition,
    other: Condition,
    sampling: Sampling,
    weak: Predictor | None = None,
) -> Denoiser:
    """A prediction led away from another by `sampling.guidance`: `other + scale * (captioned - other)`.

    Without `weak` the other prediction is the model's own under the condition `other`, the empty caption or a
    negative one: classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598), one call of a joined
    batch. With `weak`, a worse model of the same kind that is asked under `other`, which should then be the
    same captions as that model reads them, it is autoguidance (Karras et al. 2024, arXiv:2406.02507): two
    calls.

    scale 1 only follows the caption. Outside of times `sampling.interval` there is no guidance, from the
    later one on: early it costs variety, and later what is drawn is decided, so that guidance would only
    harden it, at twice the cost (Kynkaanniemi et al. 2024, arXiv:2404.07724).
    """
    scale, (begin, end) = sampling.guidance, sampling.interval

    def guide(x_t: Tensor, t: Tensor) -> Tensor:
        if scale == 1 or not begin <= float(t[0]) < end:
            return predict(x_t, t, captioned)
        if weak is None:
            both = predict(torch.cat([x_t, x_t]), torch.cat([t, t]), captioned.joined(other))
            with_caption, without = both.chunk(2)
        else:
            with_caption, without = predict(x_t, t, captioned), weak(x_t, t, other)
        return rescaled(without.lerp(with_caption, scale), with_caption, sampling.rescale)

    return guide


def rescaled(led: Tensor, with_caption: Tensor, share: float) -> Tensor:
    """Guided predictions (B, C, H, W) brought back to the deviation of those with the caption alone, by a
    share of 0 to 1, since large scales over-expose.

    Lin et al. 2023, arXiv:2305.08891, equations 15 and 16; their share is 0.7."""
    if not share:
        return led
    axes = tuple(range(1, led.ndim))
    deviations = with_caption.std(axes, keepdim=True) / led.std(axes, keepdim=True).clamp(min=1e-8)
    return led.lerp(led * deviations, share)
