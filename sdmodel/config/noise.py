"""What can be chosen of a diffusion's noise: its schedule, what is predicted, where the error is measured, at
which times."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from annotated_types import Interval

from sdmodel.config.limits import Amount, Config, Mistake, Share, Weight

Prediction = Literal["x0", "epsilon", "v", "velocity"]
"""What a network may predict, see `sdmodel.noise.prediction`."""
ScheduleName = Literal["flow", "linear", "scaled_linear", "cosine"]
"""Noise schedules by name."""
Loss = Literal["x0", "epsilon", "v", "velocity", "min_snr", "learned"]
"""Where an error may be measured."""
Distribution = Literal["uniform", "logit_normal", "mode", "edm"]
"""Distributions of training times."""


@dataclass(frozen=True, kw_only=True)
class NoiseConfig(Config):
    """Noise schedule, prediction, loss weight and training times; for the diffusion objective. "auto" is what
    the pipeline to start from was taught, else our recipe."""

    schedule: Literal["auto", "flow", "linear", "scaled_linear", "cosine"] = "auto"
    """"flow" is the straight path (rectified flow); the others are DDPM's variances at 1,000 timesteps,
    linear from 1e-4 to 0.02, as Stable Diffusion scales them, or as a cosine. auto is the start's, or
    flow."""
    zero_terminal_snr: bool = False
    """The last timestep of a DDPM schedule is noise alone (Lin et al. 2023, arXiv:2305.08891, algorithm
    1); needs a schedule by name."""
    prediction: Literal["auto", "x0", "epsilon", "v", "velocity"] = "auto"
    """What the network predicts: the clean picture, the noise, v of both, or the velocity from noise to
    picture. auto is the start's, or x0."""
    loss: Literal["auto", "x0", "epsilon", "v", "velocity", "min_snr", "learned"] = "auto"
    """Where the error is measured, whatever is predicted: of the clean picture, the noise, v or the velocity;
    "min_snr" weighs the picture's by the signal-to-noise ratio up to gamma (Hang et al. 2023,
    arXiv:2303.09556), "learned" weighs v's, which is the weight of Karras et al. 2022 for data of variance 1,
    by an uncertainty that is learned for each noise level (Karras et al. 2023, arXiv:2312.02696, equation
    15). auto is of what is predicted."""
    gamma: Annotated[float, Interval(gt=0, le=10**6)] = 5.0
    """Largest weight of min_snr."""
    times: Literal["auto", "uniform", "logit_normal", "mode", "edm"] = "auto"
    """Training times: "uniform", over timesteps where the schedule has some; "logit_normal" and "mode" (Esser
    et al. 2024, arXiv:2403.03206, section 3.1); "edm", a log-normal noise level (Karras et al. 2022,
    arXiv:2206.00364, table 1). auto is uniform where the schedule has timesteps, else logit_normal."""
    mean: Annotated[float, Interval(ge=-20, le=20)] | None = None
    """Of logit_normal, of the logit of time, below 0 leans towards noise; of edm, of the logarithm of noise
    over signal. null: -0.6, and -1.2 of edm."""
    deviation: Annotated[float, Interval(gt=0, le=20)] | None = None
    """Standard deviation of the same. null: 1.6, and 1.2 of edm."""
    mode_scale: Annotated[float, Interval(ge=-1, le=1.75)] = 1.29
    """Of mode: above 0 favours the middle, below 0 the ends."""
    stratified: bool = True
    """Each batch covers all times evenly, for less variance of the loss; false draws each time by itself."""
    shift: Annotated[float, Interval(gt=0, le=1000)] = 1.0
    """Moves times towards noise, when training and sampling: the odds of picture to noise are divided by it.
    1 leaves them."""
    shift_tokens: Amount = 0
    """Places of an array (pixels, or places of a latent) for which shift is meant; times of larger ones are
    moved by the root of their ratio besides (Esser et al. 2024, equation 23). 0: all alike."""
    offset: Share = 0.0
    """Deviation of noise that a whole channel shares, on top, which lets a model learn very dark and bright
    pictures; 0: none."""
    huber: Weight = 0.0
    """Error from which on it counts linearly rather than squared (pseudo-Huber); 0: never."""

    def conflicts(self) -> Iterator[Mistake]:
        """Noise at which nothing could be learned, or options of what is not chosen."""
        straight = self.schedule in ("auto", "flow")
        if self.zero_terminal_snr and straight:
            yield self.mistake(
                "is of DDPM's schedules; the straight path begins at noise alone anyway",
                "zero_terminal_snr",
                "schedule",
            )
        elif self.zero_terminal_snr and self.prediction == "epsilon":
            yield self.mistake(
                "where there is noise alone, the noise says nothing of the picture; predict v or x0",
                "zero_terminal_snr",
                "prediction",
            )
        if straight and self.prediction == "epsilon" and self.loss in ("x0", "v", "velocity"):
            yield self.mistake(
                "at noise alone, where the straight path begins, this error of a network that predicts the "
                "noise has no bound; measure epsilon's, or min_snr's",
                *("schedule", "prediction", "loss"),
            )
        if self.offset and self.zero_terminal_snr:
            yield self.mistake(
                "both are for very dark and bright pictures, and samples begin with noise without offset, "
                "which the last timestep is alone; take one",
                *("offset", "zero_terminal_snr"),
            )
        yield from self._unread()

    def _unread(self) -> Iterator[Mistake]:
        """Options of a loss or distribution that is not chosen."""
        if self.gamma != _default("gamma") and self.loss != "min_snr":
            yield self.mistake("is min_snr's; leave it out, or choose that", "gamma", "loss")
        if self.mode_scale != _default("mode_scale") and self.times != "mode":
            yield self.mistake("is mode's; leave it out, or choose that", "mode_scale", "times")
        uniform = self.times == "auto" and self.schedule not in ("auto", "flow")
        for key in ("mean", "deviation"):
            if getattr(self, key) is not None and (uniform or self.times in ("uniform", "mode")):
                yield self.mistake(
                    "is of logit_normal and edm; leave it out, or choose one of them",
                    *(key, "times", "schedule"),
                )


def _default(name: str) -> Any:
    return next(field.default for field in fields(NoiseConfig) if field.name == name)
