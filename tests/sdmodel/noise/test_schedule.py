"""Noise schedules are diffusers' tables, and their timesteps and times are each other's."""

from typing import Any

import diffusers
import pytest
import torch

from sdmodel.noise.schedule import NoiseSchedule

NAMES = {
    "linear": {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
"""Arguments of DDPMScheduler: of Ho et al. 2020, Stable Diffusion, and Nichol and Dhariwal 2021."""
ALL = [(name, zero) for name in NAMES for zero in (False, True)]


@pytest.mark.parametrize(("name", "zero"), ALL)
def test_the_table_is_diffusers(name: Any, zero: bool):
    kinds: Any = diffusers
    expected = kinds.DDPMScheduler(1000, rescale_betas_zero_snr=zero, **NAMES[name]).alphas_cumprod.double()
    t = NoiseSchedule.named(name, zero_terminal_snr=zero).table.double().flip(0)
    alphas_cumprod = t**2 / (t**2 + (1 - t) ** 2)
    torch.testing.assert_close(alphas_cumprod, expected, rtol=1e-6, atol=0)
    assert (alphas_cumprod[-1] == 0) == zero
    assert (t.diff() < 0).all()


@pytest.mark.parametrize(("name", "zero"), ALL)
def test_timesteps_come_back_whole(name: Any, zero: bool):
    schedule = NoiseSchedule.named(name, zero_terminal_snr=zero)
    t = schedule.times((torch.arange(1000) + 0.5) / 1000)
    assert schedule.timestep(t).tolist() == list(range(999, -1, -1))
    assert torch.equal(schedule.time(torch.arange(999, -1, -1)), t)
    fractions = torch.tensor([0.0, 0.25, 500.5, 998.75, 999.0])
    torch.testing.assert_close(schedule.timestep(schedule.time(fractions)), fractions, rtol=0, atol=0.01)
    between = schedule.timestep((t[1:] + t[:-1]) / 2)
    torch.testing.assert_close(between, torch.arange(998.5, 0, -1), rtol=0, atol=0.01)


def test_uniform_quantiles_are_each_timestep_equally_often():
    schedule = NoiseSchedule.named("linear")
    u = (torch.arange(4000) + 0.5) / 4000
    steps = schedule.timestep(schedule.times(u)).long()
    assert steps.bincount().tolist() == [4] * 1000
    assert schedule.times(torch.tensor([0.0, 1.0])).tolist() == schedule.table[[0, -1]].tolist()


def test_times_beyond_its_ends_are_these():
    schedule = NoiseSchedule.named("scaled_linear")
    t = torch.tensor([0.0, 0.5, 1.0])
    assert schedule.clamp(t).tolist() == [schedule.table[0].item(), 0.5, schedule.table[-1].item()]
    assert schedule.timestep(t)[[0, 2]].tolist() == [999, 0]


def test_the_straight_path_has_all_times():
    schedule = NoiseSchedule.named("flow")
    t = torch.tensor([0.0, 0.25, 1.0])
    assert not schedule.discrete
    assert torch.equal(schedule.times(t), t)
    assert torch.equal(schedule.clamp(t), t)
    assert schedule.timestep(t).tolist() == [1000, 750, 0]
    assert torch.equal(schedule.time(schedule.timestep(t)), t)
