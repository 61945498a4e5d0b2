"""Averages of the weights (EMA) of any length, reconstructed after the training (Karras et al. 2023,
arXiv:2312.02696).

A power-function average weighs the weights of time tau by p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1)
until the time t when it is taken (equation 121). Its length is the standard deviation of p as a share of t.
Averages of two lengths, saved at many times, span about all others: the wanted profile is fitted by those at
hand.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from sdmodel.config.learning import LONGEST

Averaged = tuple[int, float, Mapping[str, Tensor]]
"""Images seen, relative length, averaged weights."""


def power(length: float) -> float:
    """gamma, the power whose profile has the relative length (0, LONGEST]; equations 123 and 126.

    length^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)), solved for its largest root."""
    roots = np.roots([1, 7, 16 - length**-2, 12 - length**-2])
    return float(roots.real.max())


def coefficients(
    images: Sequence[int], lengths: Sequence[float], wanted_images: int, wanted_length: float
) -> list[float]:
    """Factors on averages taken at `images` with `lengths` whose sum comes nearest to the wanted one.

    The integral of the squared difference of the profiles is least (section C.3); factors add up to 1."""
    t = np.array([*images, wanted_images], np.float64)
    gamma = np.array([power(length) for length in (*lengths, wanted_length)])
    products = _product(t[:, None], gamma[:, None], t, gamma)
    # Checkpoints that say nearly the same make the system nearly singular: the least squares solution of the
    # smallest norm keeps the factors small then.
    x = np.linalg.lstsq(products[:-1, :-1], products[:-1, -1], rcond=1e-12)[0]
    return (x / x.sum()).tolist()


def reconstruct(checkpoints: Sequence[Averaged], images: int, length: float) -> dict[str, Tensor]:
    """The average of relative length `length` at `images`, float32, on the CPU.

    Counts (integers) are those of the checkpoint nearest to `images`. Maps that load their tensors when asked
    keep memory small: one name after the other is read.

    ValueError: no checkpoints, names differ, `images` is 0 or past the last one, a length is out of range.
    """
    times, lengths = [at for at, _, _ in checkpoints], [own for _, own, _ in checkpoints]
    last = max(times, default=0)
    if not 0 < images <= last:
        raise ValueError(
            f"images={images}: checkpoints of averages reach from {min(times, default=0)} to {last} images; "
            "weights that came later are unknown"
        )
    if not all(0 < own <= LONGEST for own in (*lengths, length)):
        raise ValueError(f"length={length}, of {sorted(set(lengths))}: (0, {LONGEST:.3f}] is possible")
    names = list(checkpoints[0][2])
    for at, _, weights in checkpoints:
        if weights.keys() != set(names):
            raise ValueError(f"the checkpoint at {at} images is of another model: its weights' names differ")
    factors = coefficients(times, lengths, images, length)
    nearest = min(checkpoints, key=lambda checkpoint: abs(checkpoint[0] - images))[2]
    average: dict[str, Tensor] = {}
    for name in names:
        if not nearest[name].is_floating_point():
            average[name] = nearest[name].clone()
            continue
        total = torch.zeros(nearest[name].shape, dtype=torch.float64)  # factors of both signs nearly cancel
        for factor, (_, _, weights) in zip(factors, checkpoints, strict=True):
            total += factor * weights[name].double().cpu()
        average[name] = total.float()
    return average


def _product(t_a: np.ndarray, gamma_a: np.ndarray, t_b: np.ndarray, gamma_b: np.ndarray) -> np.ndarray:
    """Inner product of two profiles, the integral of p_a(tau) p_b(tau) until the earlier time.

    With the powers of times taken as of ratios to the later time: gamma may be large."""
    earlier, later = np.minimum(t_a, t_b), np.maximum(t_a, t_b)
    of_later = np.where(t_a < t_b, gamma_b, gamma_a)
    return (gamma_a + 1) * (gamma_b + 1) / (gamma_a + gamma_b + 1) * (earlier / later) ** of_later / later
