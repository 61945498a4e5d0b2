"""The denoising error on fixed times and noise: the same number for the same model, so that trainings can be
compared."""

from typing import Any

import torch
from torch import Tensor

from sdmodel.noise.interpolation import interpolate
from sdmodel.sample.generate import TextToImage

LEVELS = 8
CHUNK = 128
"""Images that are denoised at once: bounds memory."""


@torch.inference_mode()
def denoising_errors(
    model: TextToImage, images: Tensor, captions: list[str], seed: int = 0
) -> dict[str, Any]:
    """How well the model finds images in noise, for each of LEVELS equal spans of time.

    images: (N, 3, S, S) float32 in [-1, 1], at least 2. Every image is noised once in every span, at times
    that are stratified inside the span; times and noise depend on (seed, N, S) alone. The same is asked with
    captions of other images: where that is no worse, captions do not matter.

    Returns {"levels": [row, ...], **row}, noisiest level first and then the mean over levels; a row is
    {"from", "to" (times), "mse", "mae", "r2" (1 - mse / variance of the images), "mse_shuffled",
    "mae_shuffled", "r2_shuffled"}, pixels in [-1, 1].
    ValueError: fewer than 2 images, or another number of captions.
    """
    n = len(images)
    if n < 2 or len(captions) != n:
        raise ValueError(
            f"{n} images and {len(captions)} captions; denoising errors take as many of both, at least 2"
        )
    generator = torch.Generator().manual_seed(seed)
    variance = images.var(correction=0).item()
    others = derangement(n, generator)
    asked = {"": captions, "_shuffled": [captions[i] for i in others]}
    rows: list[dict[str, float]] = []
    for level in range(LEVELS):
        strata = (torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n
        t = (level + strata) / LEVELS
        eps = torch.randn(images.shape, generator=generator)
        row = {"from": level / LEVELS, "to": (level + 1) / LEVELS}
        for name, texts in asked.items():
            mse, mae = _errors(model, images, eps, t, texts)
            row |= {f"mse{name}": mse, f"mae{name}": mae, f"r2{name}": 1 - mse / variance}
        rows.append(row)
    mean = {key: sum(row[key] for row in rows) / LEVELS for key in rows[0] if key not in ("from", "to")}
    return {"levels": rows, "from": 0.0, "to": 1.0, **mean}


def derangement(n: int, generator: torch.Generator) -> list[int]:
    """Numbers below n >= 2 in an order that leaves none at its place: one random cycle through all."""
    cycle: list[int] = torch.randperm(n, generator=generator).tolist()
    following = dict(zip(cycle, cycle[1:] + cycle[:1], strict=True))
    return [following[i] for i in range(n)]


def _errors(
    model: TextToImage, images: Tensor, eps: Tensor, t: Tensor, captions: list[str]
) -> tuple[float, float]:
    """Mean squared and mean absolute error over all pixels."""
    device = next(model.model.parameters()).device
    squared, absolute = 0.0, 0.0
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        x_0, at = images[part].to(device), t[part].to(device)
        x_t = interpolate(x_0, eps[part].to(device), at).contiguous(memory_format=torch.channels_last)
        error = model.model.denoise(x_t, at, model.model.encode(captions[part])) - x_0
        squared += error.square().sum(dtype=torch.float64).item()
        absolute += error.abs().sum(dtype=torch.float64).item()
    return squared / images.numel(), absolute / images.numel()
