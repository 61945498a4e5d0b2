"""From captions to images with a trained model."""

from pathlib import Path

import torch
from torch import Tensor

from sdmodel.config.sampling import SamplingConfig
from sdmodel.diffusion import folder as folders
from sdmodel.diffusion.model import Diffusion
from sdmodel.noise.interpolation import schedule
from sdmodel.sample.guidance import guided
from sdmodel.sample.solvers import Progress, multistep, quiet

UNCHANGED = SamplingConfig()
SHIFT = 4.0
"""How much the sampler's steps lean towards noise, where the picture is decided."""
CHUNK = 64
"""Images that are sampled at once: bounds memory."""


class TextToImage:
    """A trained text-to-image model, ready to sample."""

    def __init__(self, model: Diffusion):
        self.model = model.eval().requires_grad_(False)
        self.size = model.config.size

    @torch.no_grad()  # not inference mode: a training that is sampled from goes on
    def sample(
        self,
        captions: list[str],
        seeds: list[int],
        sampling: SamplingConfig = UNCHANGED,
        progress: Progress = quiet,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Images (B, 3, H, W) float32 in [-1, 1], on the CPU: each of its caption and its seed alone.

        sampling: what shall be otherwise than the model's folder says.
        progress: called with (images finished, images in all), fractions of a chunk rounded down.
        size: (H, W), pixels; None is the square it was taught on. The network "unet" knows no other.
        ValueError: captions and seeds differ in number, steps is below 1, or the size does not fit.
        """
        if len(captions) != len(seeds):
            raise ValueError(f"{len(captions)} captions and {len(seeds)} seeds; each image takes one of both")
        height, width = size or (self.size, self.size)
        chosen = sampling.over(self.model.sampling)
        guidance, steps, (_, until) = chosen.guidance, chosen.steps, chosen.interval
        times, images = schedule(steps, SHIFT), [torch.empty(0, 3, height, width)]
        for start in range(0, len(captions), CHUNK):
            part = slice(start, start + CHUNK)
            count = len(captions[part])
            noise = self.noise(seeds[part], height, width)
            denoise = guided(
                self.model.denoise,
                self.model.encode_captions(captions[part]),
                self.model.encode_captions([chosen.negative] * count),
                guidance,
                until,
            )

            def report(done: int, total: int, start: int = start, count: int = count) -> None:
                progress(start + count * done // total, len(captions))

            x = multistep(denoise, noise, times, report)
            images.append(self.model.pictures(x).clamp(-1, 1).cpu())
        return torch.cat(images).contiguous()

    def noise(self, seeds: list[int], height: int, width: int) -> Tensor:
        """(B, C, h, w) for pictures of that size: each from its own seed, drawn on the CPU so that all
        devices start alike."""
        shape = self.model.space.shape(height, width)
        rows = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(rows).to(self.model.device).contiguous(memory_format=torch.channels_last)


def load(folder: Path, device: str = "cpu") -> TextToImage:
    """The model in a folder that the diffusion objective wrote. ValueError: it holds no such model."""
    return TextToImage(folders.load(folder).to(device))
