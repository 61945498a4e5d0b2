"""The forward process: how errors are weighed, what is noised and when."""

import json
from dataclasses import replace
from typing import Any, get_args

import diffusers
import pytest
import torch
from diffusers.training_utils import compute_snr
from torch import Tensor

from sdmodel.config.noise import Loss, NoiseConfig, Prediction
from sdmodel.data.batch import Batch
from sdmodel.noise.interpolation import interpolate
from sdmodel.noise.prediction import of_clean, target
from sdmodel.noise.process import ForwardProcess, pseudo_huber
from sdmodel.noise.schedule import NoiseSchedule

KINDS: tuple[Prediction, ...] = get_args(Prediction)
LOSSES = tuple(loss for loss in get_args(Loss) if loss != "learned")
UNIFORM = NoiseConfig(schedule="linear", prediction="epsilon")


def batch(rows: int, seed: int = 0) -> Batch:
    names = [""] * rows
    images, index = torch.zeros(rows, 3, 4, 4), torch.arange(rows)
    return Batch(images=images, captions=names, uids=names, index=index, size=rows, start=0, seed=seed)


def process(**values: Any) -> ForwardProcess:
    return ForwardProcess.of_config(NoiseConfig(**values))


def scheduler(forward: ForwardProcess) -> Any:
    kinds: Any = diffusers
    return kinds.DDPMScheduler.from_config(forward.schedule.settings)


def steps(forward: ForwardProcess) -> Tensor:
    """The time of each timestep, the first one first."""
    return forward.schedule.table.flip(0)


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "cosine"])
@pytest.mark.parametrize("prediction", ["x0", "epsilon", "v"])
def test_min_snr_is_hangs(prediction: Any, schedule: Any):
    """Hang et al. 2023, section 3.4, as diffusers' trainings weigh by it."""
    forward = process(schedule=schedule, prediction=prediction, loss="min_snr", gamma=3.0)
    first, last = (10, 990) if schedule == "cosine" else (0, 1000)  # compute_snr is float32
    snr = compute_snr(scheduler(forward), torch.arange(first, last))
    expected = snr.clamp(max=3.0) / {"x0": 1, "epsilon": snr, "v": snr + 1}[prediction]
    torch.testing.assert_close(forward.weight(steps(forward))[first:last], expected, rtol=2e-4, atol=0)


def test_min_snr_of_the_velocity_is_that_of_the_clean_array_it_means():
    t = torch.linspace(0.01, 0.99, 99)
    snr = (t / (1 - t)) ** 2
    expected = snr.clamp(max=5.0) * (1 - t) ** 2
    torch.testing.assert_close(process(prediction="velocity", loss="min_snr").weight(t), expected)


@pytest.mark.parametrize("prediction", ["x0", "v", "velocity"])
@pytest.mark.parametrize("loss", get_args(Loss))
@pytest.mark.parametrize("path", ["flow", "linear"])
def test_weights_are_finite_from_noise_alone_to_the_picture(prediction: Any, loss: Any, path: Any):
    forward = process(
        schedule=path, zero_terminal_snr=path == "linear", prediction=prediction, loss=loss, times="uniform"
    )
    t = torch.cat(
        [torch.tensor([0.0, 1e-30, 1.0]), forward.schedule.times((torch.arange(1000) + 0.5) / 1000)]
    )
    weight = forward.weight(t)
    assert weight.isfinite().all()
    assert (weight >= 0).all()
    assert weight.max() > 0


@pytest.mark.parametrize("huber", [0.0, 0.1])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("schedule", ["flow", "scaled_linear"])
def test_what_is_predicted_does_not_matter_to_where_an_error_is_measured(
    schedule: Any, loss: Any, huber: float
):
    """The same estimate costs the same whatever a network predicts: what is said and where it is measured are
    two choices."""
    t = NoiseSchedule.named("scaled_linear").table[::37].double()
    generator = torch.Generator().manual_seed(0)
    x_0, eps, wrong = torch.randn(3, len(t), 3, 4, 4, generator=generator, dtype=torch.float64)
    x_t, estimate = interpolate(x_0, eps, t), x_0 + 0.1 * wrong
    costs: list[Tensor] = []
    for prediction in KINDS:
        if schedule == "flow" and prediction == "epsilon" and loss not in ("epsilon", "min_snr"):
            continue
        forward = process(schedule=schedule, prediction=prediction, loss=loss, huber=huber)
        costs.append(forward.error(of_clean(prediction, estimate, x_t, t), x_0, eps, t))
    assert len(costs) >= 3
    for cost in costs:
        torch.testing.assert_close(cost, costs[0], rtol=1e-9, atol=0)
    if loss == "min_snr":
        return
    measured = of_clean(loss, estimate, x_t, t) - target(loss, x_0, eps, t)
    expected = pseudo_huber(measured, huber) if huber else measured.square()
    torch.testing.assert_close(costs[0], expected, rtol=1e-9, atol=0)


def test_learned_weighs_as_edm2_does_before_its_uncertainty():
    """(sigma^2 + sigma_data^2) / (sigma sigma_data)^2 of Karras et al. 2022, table 1, for sigma_data 1."""
    t = torch.linspace(0.01, 0.99, 99)
    sigma = (1 - t) / t
    expected = (sigma**2 + 1) / sigma**2
    torch.testing.assert_close(process(loss="learned").weight(t), expected)


def test_pseudo_huber_is_a_square_and_then_a_line():
    """diffusers' smooth_l1 with a constant c: 2 (sqrt(e^2 + c^2) - c), scaled by c to be the square at 0."""
    error = torch.tensor([1e-3, 100.0]).double()
    small, large = pseudo_huber(error, 0.5).tolist()
    assert small == pytest.approx(1e-6, rel=1e-3)
    assert large == pytest.approx(2 * 0.5 * 100, rel=0.01)


def test_offset_noise_is_shared_by_a_channel():
    plain, forward = process(), process(offset=0.3)
    eps = forward.noise(batch(2000), torch.Size((3, 4, 4)))
    shared = eps - plain.noise(batch(2000), torch.Size((3, 4, 4)))
    torch.testing.assert_close(shared, shared[:, :, :1, :1].expand_as(shared), rtol=0, atol=1e-6)
    assert shared.std().item() == pytest.approx(0.3, rel=0.03)
    assert eps.var().item() == pytest.approx(1 + 0.3**2, rel=0.03)


def test_times_that_are_shifted_have_divided_odds_by_the_root_of_their_places():
    """Esser et al. 2024, equation 23: sqrt(m / n) for m places where n are meant."""
    forward = process(shift=2.0, shift_tokens=256, times="uniform")
    assert forward.shift_of(256) == 2
    assert forward.shift_of(1024) == 4
    plain, shifted = (torch.logit(f.times(batch(64), 1024)) for f in (process(times="uniform"), forward))
    torch.testing.assert_close(plain - shifted, torch.full((64,), 4.0).log(), rtol=0, atol=1e-4)
    again = ForwardProcess.restored(json.loads(json.dumps(forward.described())))
    assert again.shift_of(1024) == 4


@pytest.mark.parametrize("times", ["uniform", "logit_normal", "mode", "edm"])
@pytest.mark.parametrize("schedule", ["flow", "cosine"])
def test_stratified_times_cover_every_batch(times: Any, schedule: Any):
    forward = process(times=times, schedule=schedule)
    alone = process(times=times, schedule=schedule, stratified=False)
    means = [torch.stack([f.times(batch(128, n), 64).mean() for n in range(12)]) for f in (forward, alone)]
    assert means[0].std() < 0.2 * means[1].std()
    assert abs(means[0].mean() - means[1].mean()) < 0.03
    t = forward.times(batch(128), 64)
    assert torch.equal(t, forward.schedule.clamp(t))


def test_a_ddpm_sees_each_timestep_alike():
    forward = ForwardProcess.of_config(UNIFORM)
    seen = forward.schedule.timestep(forward.times(batch(4000), 64))
    assert torch.equal(seen, seen.round())
    assert seen.long().bincount(minlength=1000).float().var() < 0.6  # 4 where they are drawn one by one


def test_auto_is_our_recipe_and_that_of_ddpm():
    forward, taught = process(), process(schedule="linear", prediction="epsilon")
    assert (forward.prediction, forward.loss, forward.distribution) == ("x0", "x0", "logit_normal")
    assert (taught.prediction, taught.loss, taught.distribution) == ("epsilon", "epsilon", "uniform")


def test_arrays_beyond_the_known_times_have_the_variance_known():
    """Noise alone is, to a Stable Diffusion, an array of variance 1 at its last timestep."""
    forward = process(schedule="scaled_linear", prediction="epsilon")
    eps = torch.randn(3, 1, 2, 2)
    x, t = forward.known(eps, torch.tensor([0.0, 0.5, 1.0]))
    assert forward.schedule.timestep(t)[[0, 2]].tolist() == [999, 0]
    radius = torch.hypot(t, 1 - t).view(-1, 1, 1, 1)
    torch.testing.assert_close(x[[0, 2]] / radius[[0, 2]], eps[[0, 2]])
    assert torch.equal(x[1], eps[1])
    straight = process(prediction="epsilon", loss="epsilon").known(eps, torch.zeros(3))[1]
    assert (straight > 0).all()


def test_what_a_start_was_taught_stays():
    settings = {"prediction_type": "v_prediction", "beta_schedule": "scaled_linear"}
    pipeline = ForwardProcess.of_pipeline(NoiseConfig(loss="x0", times="edm"), settings)
    assert (pipeline.prediction, pipeline.loss, pipeline.distribution) == ("v", "x0", "edm")
    for config, words in (
        (NoiseConfig(prediction="x0"), r"noise\.prediction='x0' .* taught to predict 'v'; leave it out"),
        (NoiseConfig(schedule="flow"), r"noise\.schedule='flow' .* brings its own; leave it out"),
    ):
        with pytest.raises(ValueError, match=words):
            ForwardProcess.of_pipeline(config, settings)
    with pytest.raises(ValueError, match="prediction_type='flow'; epsilon, v_prediction, sample are known"):
        ForwardProcess.of_pipeline(NoiseConfig(), {"prediction_type": "flow"})

    mine = ForwardProcess.of_config(UNIFORM)
    again = ForwardProcess.of_model(NoiseConfig(loss="min_snr"), mine)
    assert (again.schedule.settings, again.prediction) == (mine.schedule.settings, "epsilon")
    assert again.loss == "min_snr"
    assert ForwardProcess.of_model(UNIFORM, mine).described() == mine.described()
    for config, words in (
        (replace(UNIFORM, schedule="cosine"), r"noise\.schedule='cosine' .* taught on another; leave it out"),
        (NoiseConfig(prediction="v"), r"noise\.prediction='v' .* taught to predict 'epsilon'; leave it out"),
    ):
        with pytest.raises(ValueError, match=words):
            ForwardProcess.of_model(config, mine)
