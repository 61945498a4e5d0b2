"""The forward process of a training: its times, its noise, and how a prediction's error counts."""

from typing import Any

import torch
from torch import Tensor

from sdmodel.config.noise import Distribution, Loss, NoiseConfig, Prediction
from sdmodel.data.batch import Batch
from sdmodel.noise.interpolation import expand, shift
from sdmodel.noise.prediction import EDGE, error_ratio, target
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.noise.times import edm, logit_normal, mode

PREDICTION_TYPES: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}
"""diffusers' words for what a network predicts."""


class ForwardProcess:
    """A config of noise without "auto": noise schedule, prediction, loss and times as they are."""

    def __init__(self, config: NoiseConfig, schedule: NoiseSchedule, prediction: Prediction) -> None:
        self.config, self.schedule = config, schedule
        self.prediction: Prediction = prediction
        self.loss: Loss = prediction if config.loss == "auto" else config.loss
        uniform: Distribution = "uniform" if schedule.discrete else "logit_normal"
        self.distribution: Distribution = uniform if config.times == "auto" else config.times

    @classmethod
    def of_config(cls, config: NoiseConfig, *, pixels: bool = False) -> "ForwardProcess":
        """That of a training from nothing; of pixels in [-1, 1], or of latents."""
        prediction = "x0" if config.prediction == "auto" else config.prediction
        return cls(config, _schedule(config, pixels), prediction)

    @classmethod
    def of_pipeline(cls, config: NoiseConfig, settings: dict[str, Any]) -> "ForwardProcess":
        """That of a training that starts from a pipeline with this scheduler_config.json.

        ValueError: the config asks for another schedule or prediction than the pipeline was taught, or it
        predicts something else than is known."""
        taught = settings.get("prediction_type", "epsilon")
        if taught not in PREDICTION_TYPES:
            known = ", ".join(PREDICTION_TYPES)
            raise ValueError(f"prediction_type={taught!r}; {known} are known")
        if config.schedule != "auto":
            raise _other("schedule", config.schedule, "which brings its own")
        return cls(config, NoiseSchedule(settings), _agreed(config, PREDICTION_TYPES[taught]))

    @classmethod
    def of_model(cls, config: NoiseConfig, model: "ForwardProcess") -> "ForwardProcess":
        """That of a training that starts from one of our models, of which `model` is.

        ValueError: the config asks for another schedule or prediction than the model was taught."""
        theirs = model.schedule.settings
        pixels = theirs is not None and bool(theirs.get("clip_sample"))
        if config.schedule != "auto" and _schedule(config, pixels).settings != theirs:
            raise _other("schedule", config.schedule, "which was taught on another")
        return cls(config, model.schedule, _agreed(config, model.prediction))

    @classmethod
    def restored(cls, described: dict[str, Any]) -> "ForwardProcess":
        """That of a saved model, to sample from; `described` is what the method of that name said."""
        config = NoiseConfig(shift=described["shift"], shift_tokens=described["shift_tokens"])
        return cls(config, NoiseSchedule(described["schedule"]), described["prediction"])

    def described(self) -> dict[str, Any]:
        """What decides what a network's weights mean, as JSON; `restored` reads it."""
        return {
            "schedule": self.schedule.settings,
            "prediction": self.prediction,
            "shift": self.config.shift,
            "shift_tokens": self.config.shift_tokens,
        }

    def shift_of(self, places: int) -> float:
        """By how much the times of arrays of so many places (h w) are shifted towards noise, when training
        and sampling."""
        config = self.config
        return config.shift * ((places / config.shift_tokens) ** 0.5 if config.shift_tokens else 1.0)

    def times(self, batch: Batch, places: int, view: str = "") -> Tensor:
        """(B,) in [0, 1] for arrays of so many places (h w). view: before the name of the random numbers'
        stream; another one gives other times."""
        u = batch.stratified(f"{view}times") if self.config.stratified else batch.uniform(f"{view}times")
        config = self.config
        match self.distribution:
            case "uniform":
                t = self.schedule.times(u)
            case "logit_normal":
                t = logit_normal(u, _or(config.mean, -0.6), _or(config.deviation, 1.6))
            case "mode":
                t = mode(u, config.mode_scale)
            case "edm":
                t = edm(u, _or(config.mean, -1.2), _or(config.deviation, 1.2))
        amount = self.shift_of(places)
        return self.schedule.clamp(t if amount == 1 else shift(t, amount))

    def known(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Arrays (B, C, H, W) at times t (B,) as the network can be asked about them: where t is beyond the
        first or last time that it knows, at that time, with the variance of that. From noise alone the noise
        tells nothing of the clean array, so that a network that predicts it is asked from EDGE on."""
        known = self.schedule.clamp(t)
        if self.prediction == "epsilon":
            known = known.clamp(min=EDGE)
        return x_t * expand(_radius(known) / _radius(t), x_t), known

    def noise(self, batch: Batch, shape: torch.Size, view: str = "") -> Tensor:
        """(B, *shape) float32, of unit variance but for `offset`, for arrays (C, H, W). view: before the
        names of the random numbers' streams; another one gives other noise."""
        eps = batch.normal(f"{view}noise", *shape)
        if self.config.offset:
            eps = eps + self.config.offset * batch.normal(f"{view}offset", shape[0], 1, 1)
        return eps

    def error(self, predicted: Tensor, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """(B, C, H, W) float32: the error of a prediction, measured as `loss` says and squared, or
        pseudo-Huber where the config says so."""
        error = predicted - target(self.prediction, x_0, eps, t)
        weight = None if self.loss == self.prediction else expand(self.weight(t), error)
        if self.config.huber:
            return pseudo_huber(error if weight is None else weight.sqrt() * error, self.config.huber)
        return error.square() if weight is None else weight * error.square()

    def weight(self, t: Tensor) -> Tensor:
        """(B,): the factor on the squared error of what is predicted, at times t (B,); finite at all."""
        match self.loss:
            case "min_snr":
                snr = error_ratio("epsilon", self.prediction, t)
                return snr.minimum(self.config.gamma * error_ratio("x0", self.prediction, t))
            case "learned":
                return error_ratio("v", self.prediction, t)
            case "x0" | "epsilon" | "v" | "velocity":
                return error_ratio(self.loss, self.prediction, t)


def pseudo_huber(error: Tensor, bend: float) -> Tensor:
    """The square of small errors, 2 bend |error| of large ones: 2 c (sqrt(e^2 + c^2) - c) (Charbonnier et al.
    1997, as in diffusers' trainings)."""
    return 2 * bend * ((error.square() + bend**2).sqrt() - bend)


def _schedule(config: NoiseConfig, pixels: bool) -> NoiseSchedule:
    name = "flow" if config.schedule == "auto" else config.schedule
    return NoiseSchedule.named(name, zero_terminal_snr=config.zero_terminal_snr, clip_sample=pixels)


def _agreed(config: NoiseConfig, taught: Prediction) -> Prediction:
    if config.prediction not in ("auto", taught):
        raise _other("prediction", config.prediction, f"which was taught to predict {taught!r}")
    return taught


def _other(key: str, value: str, why: str) -> ValueError:
    return ValueError(
        f"train.noise.{key}={value!r} is not that of the model to start from, {why}; leave it out"
    )


def _radius(t: Tensor) -> Tensor:
    return torch.hypot(t, 1 - t)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
