"""What a network may predict of a noisy array, and the exact ways from one to another.

All are of x_t = t x_0 + (1 - t) eps (`interpolation`), whatever schedule a model was taught on: with
r = sqrt(t^2 + (1 - t)^2), x_t / r is the variance-preserving array of DDPM, alpha = t / r and
sigma = (1 - t) / r.

    x0         the clean array
    epsilon    the noise
    v          alpha eps - sigma x_0 (Salimans and Ho 2022, arXiv:2202.00512, section 4)
    velocity   x_0 - eps, the derivative of x_t by t (Liu et al. 2022, arXiv:2209.03003)
"""

import torch
from torch import Tensor

from sdmodel.config.noise import Prediction
from sdmodel.noise.interpolation import expand

EDGE = 0.005
"""Nearer to the end of time at which one prediction says nothing of another, that end is taken to be as far
away as this: noise of the clean array at t = 1, the clean array of the noise at t = 0. DDPM's linear schedule
and Stable Diffusion's keep further from both."""


def target(prediction: Prediction, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """What is predicted of clean arrays x_0 (B, C, H, W) and noise eps of that shape at times t (B,)."""
    match prediction:
        case "x0":
            return x_0
        case "epsilon":
            return eps
        case "v":
            alpha, sigma = variance_preserving(t, x_0)
            return alpha * eps - sigma * x_0
        case "velocity":
            return x_0 - eps


def clean(prediction: Prediction, predicted: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The clean arrays (B, C, H, W) that a prediction at x_t and times t (B,) means.

    Of the noise there are none at t = 0, where a division by t makes them infinite."""
    t = expand(t, x_t)
    match prediction:
        case "x0":
            return predicted
        case "epsilon":
            return (x_t - (1 - t) * predicted) / t
        case "v":
            r = torch.hypot(t, 1 - t)
            return (t * x_t / r - (1 - t) * predicted) / r
        case "velocity":
            return x_t + (1 - t) * predicted


def of_clean(prediction: Prediction, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The prediction that means the clean arrays x_0: the inverse of `clean`. But for x0 there is none at
    t = 1, where x_t is the clean array itself."""
    if prediction == "x0":
        return x_0
    eps = (x_t - expand(t, x_t) * x_0) / (1 - expand(t, x_t))
    return target(prediction, x_0, eps, t)


def error_ratio(measured: Prediction, predicted: Prediction, t: Tensor) -> Tensor:
    """(B,): how many times as large the squared error of one prediction is as that of another which means the
    same clean arrays, at times t (B,) in [0, 1].

    The velocity's error is 1 / (1 - t) times that of the clean array, the noise's t times that of the
    velocity, and v's r times. Exact, but finite at both ends by EDGE."""
    if measured == predicted:
        return torch.ones_like(t)
    return _square(measured, t) / _square(predicted, t, EDGE)


def _square(prediction: Prediction, t: Tensor, least: float = 0.0) -> Tensor:
    """The squared error (B,) of a prediction, of which the velocity's is 1; t and 1 - t are `least` or
    more where they are factors of it."""
    match prediction:
        case "x0":
            return (1 - t).clamp(min=least).square()
        case "epsilon":
            return t.clamp(min=least).square()
        case "v":
            return t.square() + (1 - t).square()
        case "velocity":
            return torch.ones_like(t)


def variance_preserving(t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma of DDPM, alpha^2 + sigma^2 = 1, at times t (B,), each (B, 1, 1, ...)."""
    t = expand(t, like)
    r = torch.hypot(t, 1 - t)
    return t / r, (1 - t) / r
