"""Models with timesteps are sampled by diffusers' own schedulers, as a stock pipeline would."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sdmodel.config.noise import Prediction
from sdmodel.config.sampling import SamplerName
from sdmodel.noise.interpolation import expand
from sdmodel.noise.prediction import clean
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.sample.ancestral import SeededNoise
from sdmodel.sample.solvers import Denoiser, Progress, quiet

SCHEDULERS: dict[SamplerName, str] = {
    "dpm++2m": "DPMSolverMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
}
"""diffusers' class of each sampler."""
PREDICTIONS: dict[Prediction, str] = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}
"""diffusers' words for what a network predicts; the velocity has none, and is made the clean array."""
FAR, ALONE = 0.01, 0.001
"""Times of the first timestep below which Karras' noise levels are too many where nothing is decided yet, and
below which Heun's first step goes astray. Stable Diffusion's is 0.064, linear's 0.006, cosine's 0.00005."""
BETAS = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
OWN: Mapping[str, Any] = {
    "algorithm_type": "dpmsolver++",
    "solver_order": 2,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "use_karras_sigmas": False,
    "use_lu_lambdas": False,
}
"""What "dpm++2m" is, whatever else of a pipeline's own scheduler the settings say."""


def scheduler_of(schedule: NoiseSchedule, sampler: SamplerName, prediction: Prediction) -> Any:
    """diffusers' scheduler of a sampler, for a model that was taught a schedule with timesteps.

    "dpm++2m" takes the noise levels of Karras et al. 2022 (arXiv:2206.00364, equation 5), or of schedules
    that go further into noise those of Lu et al. 2022, even in log-SNR, which end nearer to the true picture
    there (at 25 steps 0.8 for 2.0 of linear, 2.0 for 13.4 of cosine, in percent of the data's deviation).
    "ddim" adds no noise (eta = 0). ValueError: the sampler does not know the schedule.
    """
    # Only who has timesteps waits for it: it takes seconds to import.
    import diffusers

    assert schedule.settings is not None, "the straight path has samplers of its own"
    settings: dict[str, Any] = {"clip_sample": False, **schedule.settings}
    first = float(schedule.table[0])
    if sampler == "heun" and first < ALONE:
        raise ValueError(
            "sampler='heun' knows no schedule that begins at noise alone, as this model was taught; take "
            "dpm++2m, euler, ddim or ddpm"
        )
    kind: Any = getattr(diffusers, SCHEDULERS[sampler])
    known = inspect.signature(kind.__init__).parameters
    # Schedulers differ in their defaults: what the settings leave out is as the model was taught.
    taught: Any = diffusers.DDPMScheduler.from_config(settings)  # pyright: ignore[reportPrivateImportUsage]
    settings |= {name: taught.config[name] for name in BETAS}
    if taught.config.beta_schedule == "sigmoid":  # which the others know as a table alone
        settings["trained_betas"] = taught.betas.tolist()
    settings["prediction_type"] = PREDICTIONS.get(prediction, "sample")
    if sampler == "dpm++2m":
        settings |= OWN
        settings["use_karras_sigmas" if first >= FAR else "use_lu_lambdas"] = True
    return kind(**{name: value for name, value in settings.items() if name in known})


def follow_scheduler(
    predict: Denoiser,
    noise: Tensor,
    fresh: SeededNoise,
    schedule: NoiseSchedule,
    prediction: Prediction,
    sampler: SamplerName,
    steps: int,
    progress: Progress = quiet,
) -> Tensor:
    """Clean arrays (B, C, H, W) of noise of that shape, by diffusers' scheduler of that name.

    Args:
        predict: says what the network predicts of x_t at times t (B,), coordinates of the straight path.
        noise: standard normal.
        fresh: whose generators "ddpm" draws the noise of each step from.
        schedule: that the model was taught, with timesteps.
        prediction: what the network predicts.
        sampler: whose scheduler.
        steps: of the scheduler; "heun" calls the network twice in each but the last.
        progress: called after each call of the network.

    Raises:
        ValueError: the sampler does not know the schedule, or it has fewer timesteps than steps.
    """
    scheduler = scheduler_of(schedule, sampler, prediction)
    if steps > scheduler.config.num_train_timesteps:
        raise ValueError(
            f"steps={steps}, but the model was taught {scheduler.config.num_train_timesteps} timesteps; take "
            "no more"
        )
    scheduler.set_timesteps(steps, device=noise.device)
    if hasattr(
        scheduler, "set_begin_index"
    ):  # else a first timestep that comes twice is taken for the second
        scheduler.set_begin_index(0)
    draws = "generator" in inspect.signature(scheduler.step).parameters
    options: dict[str, Any] = {"generator": fresh.generators} if draws else {}
    x = noise * scheduler.init_noise_sigma
    for number, timestep in enumerate(scheduler.timesteps, start=1):
        t = schedule.time(timestep.expand(len(x)))
        # Variance preserving, as a stock UNet takes it, and as x_t of the straight path.
        scaled = scheduler.scale_model_input(x, timestep)
        x_t = scaled * expand(torch.hypot(t, 1 - t), x)
        predicted = predict(x_t, t)
        if prediction not in PREDICTIONS:
            predicted = clean(prediction, predicted, x_t, t)
        x = scheduler.step(predicted, timestep, x, **options, return_dict=False)[0]
        progress(number, len(scheduler.timesteps))
    return x
