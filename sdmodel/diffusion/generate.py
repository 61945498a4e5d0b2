"""From captions to images with a trained model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sdmodel.condition import Condition, ConditionValues
from sdmodel.config.picture import PICTURE
from sdmodel.config.sampling import Sampling, SamplingConfig
from sdmodel.device import flushed_denormals
from sdmodel.diffusion import folder as folders
from sdmodel.diffusion.model import Diffusion
from sdmodel.diffusion.sizes import check_size
from sdmodel.noise.prediction import clean
from sdmodel.sample.ancestral import SeededNoise, ancestral
from sdmodel.sample.guidance import GuidanceStep, guided, guided_in_steps
from sdmodel.sample.schedulers import follow_scheduler
from sdmodel.sample.solvers import Denoiser, Progress, euler, heun, multistep, quiet
from sdmodel.sample.times import sampling_times

UNCHANGED = SamplingConfig()
SOLVERS = {"euler": euler, "ddim": euler, "heun": heun, "dpm++2m": multistep}
"""Deterministic samplers of the straight path by name; on it Euler's step is DDIM's."""
CHUNK = 64
"""Images that are sampled at once: bounds memory."""


class TextToImage:
    """A trained text-to-image model, ready to sample."""

    def __init__(self, model: Diffusion):
        self.model = model.eval().requires_grad_(False)
        self.size = model.config.size

    @flushed_denormals()
    @torch.no_grad()  # not inference mode: a training that is sampled from goes on
    def sample(
        self,
        captions: list[str],
        seeds: list[int],
        sampling: SamplingConfig = UNCHANGED,
        progress: Progress = quiet,
        size: tuple[int, int] | None = None,
        weak: "TextToImage | None" = None,
        conditions: Mapping[str, Sequence[Any]] | None = None,
        pictures: Sequence[Tensor | None] | Tensor | None = None,
    ) -> Tensor:
        """Images (B, 3, H, W) float32 in [-1, 1], on the CPU: each of its caption and its seed alone.

        sampling: what shall be otherwise than the model's folder says.
        progress: called with (images finished, images in all), fractions of a chunk rounded down.
        size: (H, W), pixels; None is the square it was taught on last.
        weak: a worse model of the same kind, such as an early average of the same training, which guidance
            leads away from, both reading the caption (autoguidance).
        conditions: what is asked of each image besides, by condition: {"shape": ["circle", None]}, None
            leaves it out; as `ConditionLayout.parse` reads it. Each present one leads by its own scale.
        pictures: what each image is to be like, (3, H, W) float32 in [-1, 1] of any sides, None of one
            without; the condition "picture". A feature prior draws features for those without one.
        ValueError: captions and seeds differ in number; the size does not fit; the weak model is of another
        kind, or is to read a negative caption too; the model has fewer timesteps than steps; a
        condition or its value is not known.
        """
        if len(captions) != len(seeds):
            raise ValueError(f"{len(captions)} captions and {len(seeds)} seeds; each image takes one of both")
        height, width = size or (self.size, self.size)
        space = self.model.space
        if size is not None:
            check_size(size, *self.model.layout, space.factor)
        shape = space.shape(height, width)
        chosen = sampling.over(self.model.sampling)
        if weak is not None:
            self._check_weak(weak, chosen)
            if sampling.conditions:
                raise ValueError(
                    f"scales of the conditions {', '.join(map(repr, sampling.conditions))}: autoguidance "
                    "leads by one scale, away from the weak model, which is told of the same conditions; "
                    "leave one of both out"
                )
        known = self.model.known({**(conditions or {}), **_shown(pictures)}, len(captions))
        images: list[Tensor] = []
        for start in range(0, len(captions), CHUNK):
            part = slice(start, start + CHUNK)
            count = len(captions[part])
            fresh = SeededNoise(seeds[part], shape, self.model.device)

            def report(done: int, total: int, start: int = start, count: int = count) -> None:
                progress(start + count * done // total, len(captions))

            own = {name: values.rows(part.start, part.stop) for name, values in known.items()}
            own = self.model.drawn(captions[part], seeds[part], own)
            denoise = self._guided(captions[part], chosen, weak, own)
            x = self._arrays(denoise, chosen, fresh, report)
            images.append(self.model.pictures(x).clamp(-1, 1).cpu())
        return torch.cat(images or [torch.empty(0, 3, height, width)]).contiguous()

    def denoiser(
        self,
        captions: list[str],
        sampling: Sampling,
        weak: "TextToImage | None" = None,
        conditions: Mapping[str, Sequence[Any]] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Denoiser:
        """The clean arrays that are expected behind x_t (B, C, h, w) at times t (B,) of the straight path,
        for B captions, with guidance; for samplers of one's own, without gradients. Arguments as of
        `sample`; seeds are those of features that a prior draws, 0 to B - 1 unless told."""
        known = self.model.known(conditions or {}, len(captions))
        known = self.model.drawn(captions, range(len(captions)) if seeds is None else seeds, known)
        return self._clean(self._guided(captions, sampling, weak, known))

    def _clean(self, predict: Denoiser) -> Denoiser:
        process = self.model.process

        @torch.no_grad()
        def denoise(x_t: Tensor, t: Tensor) -> Tensor:
            if process.prediction == "epsilon" and not t[0]:  # noise alone says nothing of the picture
                return torch.zeros_like(x_t)
            x_t, t = process.known(x_t, t)
            return clean(process.prediction, predict(x_t, t), x_t, t)

        return denoise

    def _arrays(self, predict: Denoiser, chosen: Sampling, fresh: SeededNoise, progress: Progress) -> Tensor:
        """(B, C, h, w) clean arrays."""
        process, noise = self.model.process, fresh()
        if process.schedule.discrete:
            how = (process.schedule, process.prediction, chosen.sampler, chosen.steps)
            return follow_scheduler(predict, noise, fresh, *how, progress)
        denoise = self._clean(predict)
        times = sampling_times(chosen.steps, process.shift_of(noise.shape[2] * noise.shape[3]))
        if chosen.sampler == "ddpm":
            return ancestral(denoise, noise, times, fresh, progress)
        return SOLVERS[chosen.sampler](denoise, noise, times, progress)

    def _guided(
        self,
        captions: list[str],
        chosen: Sampling,
        weak: "TextToImage | None",
        known: Mapping[str, ConditionValues],
    ) -> Denoiser:
        """What the network predicts of these captions and of what is known beside them, led away from the
        other prediction."""
        model = self.model
        captioned = model.encode_captions(captions, given=known)
        if weak is not None:
            other = weak.model.encode_captions(captions, given=known)
            return guided(self._predict, captioned, other, chosen, weak._predict)
        other = [chosen.negative] * len(captions)
        scales = self._scales(chosen)
        given: dict[str, ConditionValues] = {}
        steps: list[GuidanceStep] = []
        for name, values in known.items():
            if values.present.any():
                given[name] = values
                steps.append(GuidanceStep(model.encode_captions(other, given=given), scales[name]))
        # Where no caption is read, or none differs, both predictions would be the same.
        reads = model.text.pooled_width + model.text.token_width > 0
        if reads and (not steps or captions != other):
            steps.append(GuidanceStep(captioned, chosen.guidance))
        return guided_in_steps(self._predict, model.encode_captions(other), steps, chosen)

    def _scales(self, chosen: Sampling) -> dict[str, float]:
        """Guidance by each condition. ValueError: a scale is of one that the model does not know."""
        layouts = self.model.conditions.layouts if self.model.conditions else ()
        scales = {layout.name: layout.guidance for layout in layouts}
        if unknown := sorted(set(chosen.conditions) - set(scales)):
            raise ValueError(
                f"sampling.conditions names {', '.join(unknown)}; conditions of the model: "
                f"{', '.join(scales) or 'none'}"
            )
        return scales | dict(chosen.conditions)

    def _predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return self.model.predict(x_t, t, condition)

    def _check_weak(self, weak: "TextToImage", chosen: Sampling) -> None:
        mine, other = self.model, weak.model
        if chosen.negative:
            raise ValueError(
                f"negative={chosen.negative!r}: autoguidance leads away from the weak model, which reads the "
                "same captions; leave one of both out"
            )
        if _layouts(mine) != _layouts(other):
            raise ValueError(
                f"the weak model of autoguidance knows the conditions {_layouts(other)}, the model "
                f"{_layouts(mine)}; take an earlier average of its training"
            )
        if mine.space != other.space or mine.process.described() != other.process.described():
            raise ValueError(
                "the weak model of autoguidance must be of the same space, noise schedule and prediction as "
                "the model; take an earlier average of its training"
            )


def _shown(pictures: Sequence[Tensor | None] | Tensor | None) -> dict[str, Sequence[Tensor | None]]:
    return {} if pictures is None else {PICTURE: list(pictures)}


def _layouts(model: Diffusion) -> dict[str, Any]:
    """What the values of its conditions mean, by name, whatever the scale of guidance."""
    described = model.conditions.described() if model.conditions else []
    return {each["name"]: {key: each[key] for key in each if key != "guidance"} for each in described}


def load(folder: Path, device: str = "cpu") -> TextToImage:
    """The model in a folder that the diffusion objective wrote. ValueError: it holds no such model."""
    return TextToImage(folders.load(folder).to(device))
