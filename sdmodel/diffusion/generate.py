"""From captions to images with a trained model."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.config.sampling import Sampling, SamplingConfig
from sdmodel.device import flushed_denormals
from sdmodel.diffusion import folder as folders
from sdmodel.diffusion.model import Diffusion
from sdmodel.diffusion.sizes import check_size
from sdmodel.noise.prediction import clean
from sdmodel.sample.ancestral import SeededNoise, ancestral
from sdmodel.sample.guidance import guided
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
    ) -> Tensor:
        """Images (B, 3, H, W) float32 in [-1, 1], on the CPU: each of its caption and its seed alone.

        sampling: what shall be otherwise than the model's folder says.
        progress: called with (images finished, images in all), fractions of a chunk rounded down.
        size: (H, W), pixels; None is the square it was taught on last.
        weak: a worse model of the same kind, such as an early average of the same training, which guidance
            leads away from, both reading the caption (autoguidance).
        ValueError: captions and seeds differ in number; the size does not fit; the weak model is of another
        kind, or is to read a negative caption too; the model has fewer timesteps than steps.
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
        images: list[Tensor] = []
        for start in range(0, len(captions), CHUNK):
            part = slice(start, start + CHUNK)
            count = len(captions[part])
            fresh = SeededNoise(seeds[part], shape, self.model.device)

            def report(done: int, total: int, start: int = start, count: int = count) -> None:
                progress(start + count * done // total, len(captions))

            x = self._arrays(captions[part], chosen, weak, fresh, report)
            images.append(self.model.pictures(x).clamp(-1, 1).cpu())
        return torch.cat(images or [torch.empty(0, 3, height, width)]).contiguous()

    def denoiser(
        self, captions: list[str], sampling: Sampling, weak: "TextToImage | None" = None
    ) -> Denoiser:
        """The clean arrays that are expected behind x_t (B, C, h, w) at times t (B,) of the straight path,
        for B captions, with guidance; for samplers of one's own, without gradients."""
        predict, process = self._guided(captions, sampling, weak), self.model.process

        @torch.no_grad()
        def denoise(x_t: Tensor, t: Tensor) -> Tensor:
            if process.prediction == "epsilon" and not t[0]:  # noise alone says nothing of the picture
                return torch.zeros_like(x_t)
            x_t, t = process.known(x_t, t)
            return clean(process.prediction, predict(x_t, t), x_t, t)

        return denoise

    def _arrays(
        self,
        captions: list[str],
        chosen: Sampling,
        weak: "TextToImage | None",
        fresh: SeededNoise,
        progress: Progress,
    ) -> Tensor:
        """(B, C, h, w) clean arrays."""
        process, noise = self.model.process, fresh()
        if process.schedule.discrete:
            predict = self._guided(captions, chosen, weak)
            how = (process.schedule, process.prediction, chosen.sampler, chosen.steps)
            return follow_scheduler(predict, noise, fresh, *how, progress)
        denoise = self.denoiser(captions, chosen, weak)
        times = sampling_times(chosen.steps, process.shift_of(noise.shape[2] * noise.shape[3]))
        if chosen.sampler == "ddpm":
            return ancestral(denoise, noise, times, fresh, progress)
        return SOLVERS[chosen.sampler](denoise, noise, times, progress)

    def _guided(self, captions: list[str], chosen: Sampling, weak: "TextToImage | None") -> Denoiser:
        """What the network predicts of these captions, led away from the other prediction."""
        captioned = self.model.encode_captions(captions)
        if weak is not None:
            other = weak.model.encode_captions(captions)
            return guided(self._predict, captioned, other, chosen, weak._predict)
        if not self.model.text.pooled_width + self.model.text.token_width:
            chosen = replace(chosen, guidance=1.0)  # no caption is read, so that both would be the same
        other = self.model.encode_captions([chosen.negative] * len(captions))
        return guided(self._predict, captioned, other, chosen)

    def _predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return cast(Tensor, self.model.network(x_t, t, condition))

    def _check_weak(self, weak: "TextToImage", chosen: Sampling) -> None:
        mine, other = self.model, weak.model
        if chosen.negative:
            raise ValueError(
                f"negative={chosen.negative!r}: autoguidance leads away from the weak model, which reads the "
                "same captions; leave one of both out"
            )
        if mine.space != other.space or mine.process.described() != other.process.described():
            raise ValueError(
                "the weak model of autoguidance must be of the same space, noise schedule and prediction as "
                "the model; take an earlier average of its training"
            )


def load(folder: Path, device: str = "cpu") -> TextToImage:
    """The model in a folder that the diffusion objective wrote. ValueError: it holds no such model."""
    return TextToImage(folders.load(folder).to(device))
