"""Models with timesteps draw what a plain loop of diffusers draws with the same network and scheduler."""

from dataclasses import replace
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from benchmarks.samplers import mixture
from sdmodel.condition import Condition
from sdmodel.config.noise import Prediction, ScheduleName
from sdmodel.config.sampling import TIMESTEPS, SamplerName
from sdmodel.denoise.unet2d import UNet2D
from sdmodel.noise.interpolation import expand
from sdmodel.noise.prediction import of_clean
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.sample.ancestral import SeededNoise
from sdmodel.sample.guidance import guided
from sdmodel.sample.schedulers import SCHEDULERS, follow_scheduler, scheduler_of

STABLE: dict[str, Any] = {
    "_class_name": "PNDMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "clip_sample": False,
}
"""scheduler_config.json of Stable Diffusion 1."""
UNET: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "cross_attention_dim": 8,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}
DIFFUSERS: Any = diffusers
PEERS: dict[SamplerName, Any] = {
    "dpm++2m": DIFFUSERS.DPMSolverMultistepScheduler.from_config(STABLE, use_karras_sigmas=True),
    "euler": DIFFUSERS.EulerDiscreteScheduler.from_config(STABLE),
    "heun": DIFFUSERS.HeunDiscreteScheduler.from_config(STABLE),
    "ddim": DIFFUSERS.DDIMScheduler.from_config(STABLE),
    "ddpm": DIFFUSERS.DDPMScheduler.from_config(STABLE),
}
SEEDS = [5, 6]


def network(schedule: NoiseSchedule) -> UNet2D:
    """With random weights, whose output is about as large as noise is."""
    torch.manual_seed(0)
    made = UNet2D(UNET, schedule)
    torch.nn.init.normal_(made.unet.conv_out.weight, std=0.3)
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("sampler", SCHEDULERS)
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_pictures_are_those_of_a_plain_loop(sampler: SamplerName, guidance: float):
    schedule = NoiseSchedule(STABLE)
    ours = network(schedule)
    states, empty = torch.randn(2, 2, 7, 8, generator=torch.Generator().manual_seed(1))
    captioned, without = (
        Condition(tokens[:, 0], tokens, torch.ones(2, 7, dtype=torch.bool)) for tokens in (states, empty)
    )
    predict = guided(ours, captioned, without, replace(TIMESTEPS, guidance=guidance))
    fresh = SeededNoise(SEEDS, (4, 8, 8), torch.device("cpu"))
    latents = follow_scheduler(predict, fresh(), fresh, schedule, "epsilon", sampler, 6)

    # As StableDiffusionPipeline does, from generators of the same seeds.
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    unet = ours.unet
    peer = PEERS[sampler]
    peer.set_timesteps(6)
    x = torch.cat([torch.randn(1, 4, 8, 8, generator=generator) for generator in generators])
    x = x * peer.init_noise_sigma
    for timestep in peer.timesteps:
        scaled = peer.scale_model_input(x, timestep)
        said = unet(scaled, timestep, states, return_dict=False)[0]
        if guidance != 1:
            unconditional = unet(scaled, timestep, empty, return_dict=False)[0]
            said = unconditional + guidance * (said - unconditional)
        options = {"generator": generators} if sampler == "ddpm" else {}
        x = peer.step(said, timestep, x, **options, return_dict=False)[0]
    assert x.std() > 0.3
    torch.testing.assert_close(latents, x, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sampler", SCHEDULERS)
@pytest.mark.parametrize("prediction", ["x0", "v", "velocity"])
def test_it_does_not_matter_what_the_network_predicts(prediction: Prediction, sampler: SamplerName):
    """Exact predictions of one picture, said in other words, lead to it."""
    schedule = NoiseSchedule.named("scaled_linear")
    picture = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(2)) - 0.5

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        return of_clean(prediction, picture, x_t, t)

    fresh = SeededNoise(SEEDS, (3, 4, 4), torch.device("cpu"))
    end = follow_scheduler(predict, fresh(), fresh, schedule, prediction, sampler, 8)
    # DDIM's and DDPM's last step ends at timestep 0 or before it, where some noise is left.
    torch.testing.assert_close(end, picture, atol=0.2 if sampler.startswith("dd") else 1e-3, rtol=0)


def test_a_time_is_told_as_the_timestep_that_it_was():
    schedule = NoiseSchedule.named("linear")
    timesteps = torch.cat([torch.arange(1000.0), torch.tensor([0.25, 998.5])])
    times = schedule.time(timesteps)
    torch.testing.assert_close(schedule.timestep(times), timesteps, atol=2e-2, rtol=0)
    assert torch.equal(schedule.timestep(times)[:1000], timesteps[:1000])
    alphas_cumprod = DIFFUSERS.DDPMScheduler.from_config(schedule.settings).alphas_cumprod
    t = times[:1000].double()
    torch.testing.assert_close(t**2 / (t**2 + (1 - t) ** 2), alphas_cumprod.double(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "own",
    [
        {"_class_name": "EulerDiscreteScheduler", "use_beta_sigmas": True},
        {
            "_class_name": "DPMSolverMultistepScheduler",
            "algorithm_type": "sde-dpmsolver++",
            "solver_order": 3,
        },
    ],
)
def test_a_pipelines_own_sampling_does_not_change_what_ours_is(own: dict[str, Any]):
    """What it was taught does, and not how it was drawn with."""
    noise = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    ends: list[Tensor] = []
    for settings in (STABLE, STABLE | own):
        fresh = SeededNoise(SEEDS, (3, 4, 4), torch.device("cpu"))
        how = (NoiseSchedule(settings), "epsilon", "dpm++2m", 6)
        ends.append(follow_scheduler(lambda x_t, t: x_t.tanh(), noise, fresh, *how))
    assert torch.equal(*ends)


@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_a_schedule_that_diffusers_knows_for_ddpm_alone(sampler: SamplerName):
    schedule = NoiseSchedule({"beta_schedule": "sigmoid", "beta_start": 1e-4, "beta_end": 0.02})
    assert float(schedule.table[0]) > 0.001
    picture = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(2)) - 0.5
    fresh = SeededNoise(SEEDS, (3, 4, 4), torch.device("cpu"))
    end = follow_scheduler(lambda x_t, t: picture, fresh(), fresh, schedule, "x0", sampler, 8)
    torch.testing.assert_close(end, picture, atol=0.2, rtol=0)


def test_a_schedule_that_ends_in_noise_alone():
    """Zero terminal SNR: v says something of the picture at each timestep."""
    schedule = NoiseSchedule.named("linear", zero_terminal_snr=True)
    picture = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(3)) - 0.5

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        r = expand(torch.hypot(t, 1 - t), x_t)
        x, alpha, sigma = x_t / r, expand(t, x_t) / r, (1 - expand(t, x_t)) / r
        return (alpha * x - picture) / sigma  # v of x = alpha x_0 + sigma eps

    fresh = SeededNoise(SEEDS, (3, 4, 4), torch.device("cpu"))
    for sampler in ("dpm++2m", "euler", "ddim", "ddpm"):
        end = follow_scheduler(predict, fresh(), fresh, schedule, "v", sampler, 10)
        torch.testing.assert_close(end, picture, atol=0.05, rtol=0)
    with pytest.raises(ValueError, match=r"sampler='heun' knows no schedule that begins at noise alone"):
        scheduler_of(schedule, "heun", "v")


@pytest.mark.parametrize("name", ["scaled_linear", "linear", "cosine"])
def test_the_default_ends_near_the_true_picture_on_each_schedule(name: ScheduleName):
    """Of single pixels from a mixture whose best denoiser is known."""
    schedule = NoiseSchedule.named(name)
    noise = mixture.noise(200)

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        t = t.to(x_t.dtype)
        return of_clean("v", mixture.denoise(x_t, t), x_t, t)

    fresh = SeededNoise([], (1, 1, 1), torch.device("cpu"))
    how = (TIMESTEPS.sampler, TIMESTEPS.steps)
    end = follow_scheduler(predict, noise, fresh, schedule, "v", *how)
    assert mixture.error(end, mixture.exact(noise)) < 0.03


def test_more_steps_than_timesteps_are_refused():
    fresh = SeededNoise(SEEDS, (3, 4, 4), torch.device("cpu"))
    schedule = NoiseSchedule({**STABLE, "num_train_timesteps": 10})
    with pytest.raises(ValueError, match=r"steps=11, but the model was taught 10 timesteps"):
        follow_scheduler(lambda x_t, t: x_t, fresh(), fresh, schedule, "epsilon", "ddim", 11)
