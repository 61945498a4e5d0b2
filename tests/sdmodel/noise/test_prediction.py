"""Laws of what a network may predict: every conversion is exact each way, at all times at which it is one."""

from typing import Any, get_args

import diffusers
import pytest
import torch
from torch import Tensor

from sdmodel.config.noise import Prediction
from sdmodel.noise.interpolation import interpolate
from sdmodel.noise.prediction import EDGE, clean, error_ratio, of_clean, target
from sdmodel.noise.schedule import NoiseSchedule

KINDS: tuple[Prediction, ...] = get_args(Prediction)
ENDS = torch.tensor([0.0, 1e-6, 1e-3, 0.006, 0.1, 0.3, 0.5, 0.7, 0.99, 0.999, 1 - 1e-6, 1.0]).double()


def arrays(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Clean arrays, noise, and what they are at times t."""
    generator = torch.Generator().manual_seed(0)
    x_0, eps = torch.randn(2, len(t), 3, 4, 4, generator=generator, dtype=torch.float64).to(t.dtype)
    return x_0, eps, interpolate(x_0, eps, t)


def close(mine: Tensor, other: Tensor, loss: Tensor) -> bool:
    """Within rounding, of which so many times (B,) as much is lost at each time."""
    least = 16 * torch.finfo(mine.dtype).eps * loss.clamp(min=1)
    return bool(((mine - other).abs().flatten(1).amax(1) <= least * 8).all())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_means_the_clean_arrays_that_it_was_made_of(kind: Prediction, dtype: torch.dtype):
    t = (ENDS if kind != "epsilon" else ENDS[1:]).to(dtype)  # noise says nothing of them at 0
    x_0, eps, x_t = arrays(t)
    lost = 1 / t if kind == "epsilon" else torch.ones_like(t)
    assert close(clean(kind, target(kind, x_0, eps, t), x_t, t), x_0, lost)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_each_prediction_becomes_each_other(kind: Prediction, other: Prediction, dtype: torch.dtype):
    t = ENDS[1:-1].to(dtype)
    x_0, eps, x_t = arrays(t)
    estimate = clean(kind, target(kind, x_0, eps, t), x_t, t)
    lost = 1 / (t * (1 - t)).square()
    assert close(of_clean(other, estimate, x_t, t), target(other, x_0, eps, t), lost)
    wrong = x_0 + 0.1 * eps  # of an estimate that is not what x_t was made of, too
    assert close(clean(other, of_clean(other, wrong, x_t, t), x_t, t), wrong, lost)


@pytest.mark.parametrize("measured", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_ratio_is_that_of_squared_errors(measured: Prediction, kind: Prediction):
    t = torch.linspace(EDGE, 1 - EDGE, 101, dtype=torch.float64)
    x_0, eps, x_t = arrays(t)
    estimate = x_0 + 0.3 * torch.randn(x_0.shape, generator=torch.Generator().manual_seed(1))
    of = {
        name: (of_clean(name, estimate, x_t, t) - target(name, x_0, eps, t)).square().flatten(1).mean(1)
        for name in (measured, kind)
    }
    torch.testing.assert_close(error_ratio(measured, kind, t), of[measured] / of[kind], rtol=1e-9, atol=0)


@pytest.mark.parametrize("measured", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_ratio_is_finite_at_both_ends(measured: Prediction, kind: Prediction):
    t = torch.tensor([0.0, 1e-30, 1e-8, 1 - 6e-8, 1.0])
    ratio = error_ratio(measured, kind, t)
    assert ratio.isfinite().all()
    assert ratio.max() <= 1.001 / EDGE**2
    assert (error_ratio(kind, kind, t) == 1).all()


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "cosine"])
def test_noise_and_v_are_those_of_diffusers(name: Any):
    schedule = NoiseSchedule.named(name)
    kinds: Any = diffusers
    scheduler = kinds.DDPMScheduler.from_config(schedule.settings)
    steps = torch.tensor([0, 1, 250, 731, 998, 999])
    t = schedule.table.flip(0)[steps]
    x_0, eps, x_t = arrays(t)
    radius = torch.hypot(t, 1 - t).view(-1, 1, 1, 1)
    torch.testing.assert_close(x_t / radius, scheduler.add_noise(x_0, eps, steps), rtol=1e-5, atol=2e-6)
    v = scheduler.get_velocity(x_0, eps, steps)
    torch.testing.assert_close(target("v", x_0, eps, t), v, rtol=1e-5, atol=2e-6)
