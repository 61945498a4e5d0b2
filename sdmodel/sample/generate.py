"""From captions to images with a trained model."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from sdmodel.diffusion import Diffusion, read_config
from sdmodel.noise.interpolation import schedule
from sdmodel.sample.guidance import guided
from sdmodel.sample.solvers import Progress, multistep, quiet
from sdmodel.text.tokenizer import Tokenizer

STEPS = 14
GUIDANCE = 2.0
UNTIL = 0.6
"""Time from which captions are no longer stressed."""
SHIFT = 4.0
"""How much the sampler's steps lean towards noise, where the picture is decided."""
CHUNK = 64
"""Images that are sampled at once: bounds memory."""


class TextToImage:
    """A trained text-to-image model, ready to sample."""

    def __init__(self, model: Diffusion):
        self.model = model.eval().requires_grad_(False)
        self.size = model.config.size

    @torch.inference_mode()
    def sample(
        self,
        captions: list[str],
        seeds: list[int],
        guidance: float = GUIDANCE,
        steps: int = STEPS,
        progress: Progress = quiet,
    ) -> Tensor:
        """Images (B, 3, S, S) float32 in [-1, 1], on the CPU: each of its caption and its seed alone.

        progress: called with (images finished, images in all), fractions of a chunk rounded down.
        ValueError: captions and seeds differ in number, or steps is below 1.
        """
        if len(captions) != len(seeds):
            raise ValueError(f"{len(captions)} captions and {len(seeds)} seeds; each image takes one of both")
        times, images = schedule(steps, SHIFT), [torch.empty(0, 3, self.size, self.size)]
        for start in range(0, len(captions), CHUNK):
            part = slice(start, start + CHUNK)
            count = len(captions[part])
            noise = self.noise(seeds[part])
            denoise = guided(
                self.model.denoise,
                self.model.encode(captions[part]),
                self.model.encode([""] * count),
                guidance,
                UNTIL,
            )

            def tell(done: int, total: int, start: int = start, count: int = count) -> None:
                progress(start + count * done // total, len(captions))

            images.append(multistep(denoise, noise, times, tell).clamp(-1, 1).cpu())
        return torch.cat(images).contiguous()

    def noise(self, seeds: list[int]) -> Tensor:
        """(B, 3, S, S): each image's from its own seed, drawn on the CPU so that all devices start alike."""
        shape = (3, self.size, self.size)
        rows = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        device = next(self.model.parameters()).device
        return torch.stack(rows).to(device).contiguous(memory_format=torch.channels_last)


def load(folder: Path, device: str = "cpu") -> TextToImage:
    """The model in a folder that the diffusion objective wrote. ValueError: it holds no such model."""
    model = Diffusion(read_config(folder), Tokenizer.load(folder))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return TextToImage(model.to(device))
