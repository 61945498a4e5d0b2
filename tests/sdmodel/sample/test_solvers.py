"""On normal data the best denoiser and the end of the path are known in closed form, on a mixture of normal
distributions to any accuracy; diffusers' solver of the same name is the peer."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

from benchmarks.samplers import mixture
from sdmodel.noise.interpolation import shift
from sdmodel.sample.solvers import Denoiser, euler, heun, multistep
from sdmodel.sample.times import sampling_times

Solver = Callable[[Denoiser, Tensor, Tensor], Tensor]
SOLVERS: list[Solver] = [euler, heun, multistep]
MEAN, DEVIATION = 0.3, 0.4


def ideal(x_t: Tensor, t: Tensor) -> Tensor:
    """E[x_0 | x_t] for x_0 of normal distribution."""
    t = t[:, None, None, None]
    gain = t * DEVIATION**2 / ((t * DEVIATION) ** 2 + (1 - t) ** 2)
    return MEAN + gain * (x_t - t * MEAN)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_path_of_normal_data_keeps_the_quantile_of_every_pixel(solver: Solver):
    noise = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    end = solver(ideal, noise, sampling_times(200))
    torch.testing.assert_close(end, MEAN + DEVIATION * noise, atol=2e-2 if solver is euler else 1e-3, rtol=0)


@cache
def exact() -> tuple[Tensor, Tensor]:
    noise = mixture.noise(200)
    return noise, mixture.exact(noise)


def even(steps: int) -> Tensor:
    """Steps between the same outer times, however many: what the outer steps miss stays the same."""
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    return torch.cat([zero, torch.linspace(-3, 3, steps + 1, dtype=torch.float64).sigmoid(), one])


@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (heun, 2), (multistep, 2)])
def test_the_error_falls_with_the_order(solver: Solver, order: int):
    noise, _ = exact()
    best = heun if solver is heun else multistep  # Euler's outer steps are those of multistep
    limit = best(mixture.denoise, noise, even(1024))
    coarse, fine = (
        float((solver(mixture.denoise, noise, even(steps)) - limit).abs().median()) for steps in (64, 128)
    )
    assert 2**order * 0.85 < coarse / fine < 2**order * 1.15


@pytest.mark.parametrize(
    ("solver", "bounds"),
    [
        (multistep, {7: 0.035, 8: 0.025, 14: 0.01, 20: 0.005}),
        (heun, {4: 0.21, 7: 0.03, 10: 0.011}),  # two calls a step
        (euler, {7: 0.125, 14: 0.055, 20: 0.038}),
    ],
)
def test_few_steps_end_near_the_true_picture(solver: Solver, bounds: dict[int, float]):
    noise, truth = exact()
    for steps, bound in bounds.items():
        end = solver(mixture.denoise, noise, sampling_times(steps))
        error = float((end - truth).abs().mean())
        assert bound * 0.7 < error < bound, steps


def test_half_the_calls_of_evenly_spaced_times_miss_less():
    """Before times were even in log-SNR they were even, and shifted by 4."""
    noise, truth = exact()
    earlier = multistep(mixture.denoise, noise, shift(torch.linspace(0, 1, 15), 4.0))
    now = multistep(mixture.denoise, noise, sampling_times(7))
    assert (now - truth).abs().mean() < (earlier - truth).abs().mean() / 2


@pytest.mark.parametrize(("steps", "amount"), [(7, 1.0), (14, 1.0), (25, 3.0)])
def test_multistep_is_diffusers_solver_at_the_same_times(steps: int, amount: float):
    from diffusers import DPMSolverMultistepScheduler  # pyright: ignore[reportPrivateImportUsage]

    times = sampling_times(steps, amount)
    peer = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    peer.set_timesteps(steps)
    peer.sigmas, peer.timesteps = 1 - times.float(), torch.arange(steps)
    noise = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    x = noise
    for number, t in enumerate(times[:-1].float()):
        velocity = (x - ideal(x, t.expand(len(x)))) / (1 - t)  # theirs leads towards noise
        x = peer.step(velocity, torch.tensor(number), x, return_dict=False)[0]
    torch.testing.assert_close(multistep(ideal, noise, times), x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_denoiser_that_knows_the_image_is_believed(solver: Solver):
    image, noise = torch.rand(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    knows: Denoiser = lambda x_t, t: image  # noqa: E731 - a denoiser is any callable
    for steps in (1, 2, 5):
        torch.testing.assert_close(solver(knows, noise, sampling_times(steps)), image)


@pytest.mark.parametrize(("solver", "calls"), [(euler, 3), (multistep, 3), (heun, 5)])
def test_steps_and_calls(solver: Solver, calls: int):
    reports: list[tuple[int, int]] = []
    times: list[float] = []

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        times.append(float(t[0]))
        return x

    def progress(done: int, total: int) -> None:
        reports.append((done, total))

    solver(denoise, torch.randn(1, 3, 2, 2), sampling_times(3), progress)  # pyright: ignore[reportCallIssue]
    assert reports == [(1, 3), (2, 3), (3, 3)]
    assert len(times) == calls
    assert max(times) < 1


def test_times_that_do_not_rise_are_refused():
    with pytest.raises(ValueError, match="rise from 0"):
        multistep(lambda x, t: x, torch.randn(1, 3, 2, 2), torch.tensor([1.0, 0.5, 0.0]))
