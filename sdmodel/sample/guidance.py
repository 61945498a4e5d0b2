"""Guidance: away from what the model, or a weaker one, would draw without being told what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.config.sampling import Sampling
from sdmodel.sample.solvers import Denoiser

Predictor = Callable[[Tensor, Tensor, Condition], Tensor]
"""(x_t (B, C, H, W), t (B,), condition of B captions) -> what the network predicts, (B, C, H, W)."""


@dataclass(frozen=True)
class GuidanceStep:
    """What is given besides all that was given before."""

    condition: Condition
    """Of B pictures, with it and with all of that."""
    scale: float
    """How far the prediction is led by it; 1 only follows it."""


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
    if weak is None:
        return guided_in_steps(predict, other, [GuidanceStep(captioned, scale)], sampling)

    def guide(x_t: Tensor, t: Tensor) -> Tensor:
        if scale == 1 or not begin <= float(t[0]) < end:
            return predict(x_t, t, captioned)
        with_caption, without = predict(x_t, t, captioned), weak(x_t, t, other)
        return rescaled(without.lerp(with_caption, scale), with_caption, sampling.rescale)

    return guide


def guided_in_steps(
    predict: Predictor, nothing: Condition, steps: Sequence[GuidanceStep], sampling: Sampling
) -> Denoiser:
    """A prediction led to each of several conditions by a scale of its own, as to pictures and captions by
    Brooks et al. 2022, arXiv:2211.09800, equation 3:

        e(nothing) + sum_k scale_k * (e(steps up to k) - e(steps before k))

    Of a single step it is classifier-free guidance.

    All predictions are one call of a joined batch. Neighbours of one scale need no prediction between them,
    nor does what is only followed, scale 1, at the beginning. Outside of `sampling.interval` the last step is
    followed alone; `sampling.guidance` is not read."""
    whole, (begin, end) = steps[-1].condition if steps else nothing, sampling.interval
    start, led = _needed(nothing, steps)
    last_first = [step.condition for step in reversed(led)]
    everything = reduce(Condition.joined, [*last_first, start])
    count = 1 + len(led)

    def guide(x_t: Tensor, t: Tensor) -> Tensor:
        if not led or not begin <= float(t[0]) < end:
            return predict(x_t, t, whole)
        stacked = predict(torch.cat([x_t] * count), torch.cat([t] * count), everything)
        predictions = stacked.chunk(count)[::-1]
        result = predictions[0].lerp(predictions[1], led[0].scale)
        for step, before, after in zip(led[1:], predictions[1:], predictions[2:], strict=False):
            result = result + step.scale * (after - before)
        return rescaled(result, predictions[-1], sampling.rescale)

    return guide


def _needed(nothing: Condition, steps: Sequence[GuidanceStep]) -> tuple[Condition, list[GuidanceStep]]:
    """Where to begin, and the steps whose predictions count."""
    needed: list[GuidanceStep] = []
    for step in steps:
        if needed and needed[-1].scale == step.scale:
            needed.pop()
        needed.append(step)
    if needed and needed[0].scale == 1:
        nothing = needed.pop(0).condition
    return nothing, needed


def rescaled(led: Tensor, with_caption: Tensor, share: float) -> Tensor:
    """Guided predictions (B, C, H, W) brought back to the deviation of those with the caption alone, by a
    share of 0 to 1, since large scales over-expose.

    Lin et al. 2023, arXiv:2305.08891, equations 15 and 16; their share is 0.7."""
    if not share:
        return led
    axes = tuple(range(1, led.ndim))
    deviations = with_caption.std(axes, keepdim=True) / led.std(axes, keepdim=True).clamp(min=1e-8)
    return led.lerp(led * deviations, share)
