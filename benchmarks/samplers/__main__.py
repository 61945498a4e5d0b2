"""Measures how far from the true picture samplers end, for as many calls of the network.

    python -m benchmarks.samplers
    python -m benchmarks.samplers --model FOLDER --captions FILE [--name demo] [--steps 7]

Without a model: on single pixels from a mixture whose best denoiser is known (mixture.py), so that what is
missed is the sampler's own error; seconds. With a folder of a text-to-image model of the straight path and a
file of captions, one a line: how far its pictures are from its own after 200 steps, ours beside the earlier
default; each caption from one seed. Both write their rows into benchmarks/results/samplers.json, and end with
status 1 where a goal was missed.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

from benchmarks import schema
from benchmarks.samplers import mixture, peers
from benchmarks.schema import Row, row
from sdmodel.config.sampling import OURS, TIMESTEPS
from sdmodel.noise.interpolation import expand
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.sample.ancestral import SeededNoise
from sdmodel.sample.schedulers import follow_scheduler
from sdmodel.sample.solvers import Denoiser, multistep
from sdmodel.sample.times import sampling_times

RESULT = schema.RESULTS / "samplers.json"
PIXELS = 4000
REFERENCE = 200
"""Steps after which a model's own picture is taken to be right."""
CALLS = (8, 14, 20)
UNIT = "%, mean distance to the true end of the path in deviations of the data"
DIFFUSERS: Any = diffusers
FLOW: dict[str, Callable[[], Any]] = {
    "FlowMatchEulerDiscreteScheduler": DIFFUSERS.FlowMatchEulerDiscreteScheduler,
    "FlowMatchHeunDiscreteScheduler": DIFFUSERS.FlowMatchHeunDiscreteScheduler,
    "DPMSolverMultistepScheduler with flow sigmas": lambda: DIFFUSERS.DPMSolverMultistepScheduler(
        use_flow_sigmas=True, prediction_type="flow_prediction"
    ),
}
"""diffusers' schedulers of the straight path, at their own times."""
STOCK = {"skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1}
"""Settings of PNDMScheduler, which Stable Diffusion 1 comes with; its first step takes two calls."""


def on_mixture() -> list[Row]:
    """Ours beside others', on the mixture."""
    noise = mixture.noise(PIXELS)
    truth = mixture.exact(noise)

    def percent(end: Tensor) -> float:
        return 100 * mixture.error(end, truth)

    def ours(steps: int) -> float:
        return percent(multistep(mixture.denoise, noise, sampling_times(steps)))

    half = f"{OURS.steps} calls against {peers.EARLIER}"
    was = percent(peers.earlier(mixture.denoise, noise))
    rows = [row(f"error of the default sampler, {half}", UNIT, ours(OURS.steps), was, "the earlier default")]
    for calls in CALLS:
        for name, made in FLOW.items():
            heun = "Heun" in name
            steps = (calls + 2) // 2 if heun else calls  # no fewer calls than ours
            other = percent(peers.flow(made(), mixture.denoise, noise, steps))
            of = f", {2 * steps - 1} of the peer's" if heun else ""
            title = f"error of DPM++ 2M on the straight path, {calls} calls{of}, {name}"
            rows.append(row(title, UNIT, ours(calls), other, f"diffusers' {name}"))
    return rows + _on_timesteps(noise, percent)


def _on_timesteps(noise: Tensor, percent: Callable[[Tensor], float]) -> list[Row]:
    """On Stable Diffusion's schedule: the sampler that models with timesteps get, and what they come with."""
    schedule = NoiseSchedule.named("scaled_linear")
    settings = schedule.settings or {}
    fresh = SeededNoise([], (1, 1, 1), noise.device)

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        t = t.to(x_t.dtype)
        return (x_t - expand(t, x_t) * mixture.denoise(x_t, t)) / expand(1 - t, x_t)

    def ours(steps: int) -> float:
        return percent(follow_scheduler(predict, noise, fresh, schedule, "epsilon", "dpm++2m", steps))

    def stock(steps: int) -> float:
        scheduler = DIFFUSERS.PNDMScheduler.from_config({**settings, **STOCK})
        return percent(peers.timesteps(scheduler, schedule, mixture.denoise, noise, steps - 1))

    what, peer_name = "error of DPM++ 2M Karras on Stable Diffusion's schedule", "diffusers' PNDMScheduler"
    half, steps = "the default's calls against twice as many", TIMESTEPS.steps
    rows = [row(f"{what}, {half}", UNIT, ours(steps), stock(2 * steps), f"{peer_name}, which it comes with")]
    for calls in CALLS:
        title = f"{what}, {calls} calls, PNDMScheduler"
        rows.append(row(title, UNIT, ours(calls), stock(calls), f"{peer_name}, which it comes with"))
    return rows


@torch.no_grad()
def on_model(folder: Path, captions: list[str], name: str, steps: int) -> list[Row]:
    """Ours beside the earlier default, on a model: distance of pictures to its own after REFERENCE steps."""
    from sdmodel.diffusion.generate import CHUNK, load

    model = load(folder)
    process = model.model.process
    if process.schedule.discrete:
        raise ValueError(f"{folder}: has timesteps; this compares times of the straight path")
    shape = model.model.space.shape(model.size, model.size)
    amount = process.shift_of(shape[1] * shape[2])
    samplers: dict[str, Callable[[Denoiser, Tensor], Tensor]] = {
        "reference": lambda denoise, noise: multistep(denoise, noise, sampling_times(REFERENCE, amount)),
        "ours": lambda denoise, noise: multistep(denoise, noise, sampling_times(steps, amount)),
        "earlier": peers.earlier,
    }
    errors = {"ours": 0.0, "earlier": 0.0}
    for start in range(0, len(captions), CHUNK):
        some = captions[start : start + CHUNK]
        noise = SeededNoise(list(range(start, start + len(some))), shape, model.model.device)()
        denoise = model.denoiser(some, model.model.sampling)
        ends = {
            key: model.model.pictures(sampler(denoise, noise)).clamp(-1, 1)
            for key, sampler in samplers.items()
        }
        for key in errors:
            distance = (ends[key] - ends["reference"]).abs().mean((1, 2, 3)).sum()
            errors[key] += float(distance) / 2 / len(captions)
    title = f"error of the default sampler on the model {name}, {steps} calls against {peers.EARLIER}"
    unit = f"%, mean distance of pixels to the model's own after {REFERENCE} steps, of their range"
    return [row(title, unit, 100 * errors["ours"], 100 * errors["earlier"], "the earlier default")]


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="folder that `sdflow export models/NAME FOLDER` wrote")
    parser.add_argument("--captions", type=Path, help="text file, a caption a line")
    parser.add_argument("--name", default="demo", help="of the model, in the row")
    parser.add_argument("--steps", type=int, default=OURS.steps, help="of ours")
    given = parser.parse_args()
    if (given.model is None) != (given.captions is None):
        parser.error("--model and --captions go together")
    if given.model is None:
        rows = on_mixture()
    else:
        captions = [line.strip() for line in given.captions.read_text().splitlines() if line.strip()]
        rows = on_model(given.model, captions, given.name, given.steps)
    schema.update(RESULT, rows)
    return schema.report(rows)


if __name__ == "__main__":
    sys.exit(main())
