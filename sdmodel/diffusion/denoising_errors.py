"""The denoising error on fixed times and noise: the same number for the same model, so that trainings can be
compared."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sdmodel.condition import Condition, ConditionValues
from sdmodel.data.batch import Batch
from sdmodel.device import flushed_denormals
from sdmodel.diffusion.generate import TextToImage
from sdmodel.evaluate.regression import error_sums, figures
from sdmodel.noise.interpolation import interpolate

LEVELS = 8
"""Equal spans of time that errors are measured in; 0 is the noisiest."""
CHUNK = 128
"""Images that are denoised at once: bounds memory."""


def level_errors(
    denoise: Callable[[Tensor, Tensor, Condition], Tensor],
    x_0: Tensor,
    condition: Condition,
    batch: Batch,
) -> dict[str, Tensor]:
    """How well clean arrays are estimated from noise, as sums for each of LEVELS spans of time, which
    validation adds up; see `regression.error_sums`.

    denoise: (x_t (B, C, H, W), t (B,), condition) -> estimate of x_0, as `Diffusion.denoise`.
    x_0: (B, C, H, W), in the space of the denoiser. condition: of its B captions, none dropped.
    batch: whose rows they are. Each row is noised once; times are stratified over the global batch and, like
    the noise, drawn by `batch`, so that they are the same for one process or many."""
    t = batch.stratified("times")
    eps = batch.normal("noise", *x_0.shape[1:])
    estimate = denoise(interpolate(x_0, eps, t), t, condition)
    return error_sums(estimate, x_0, level_of(t), LEVELS)


def level_of(t: Tensor) -> Tensor:
    """The level of times t (B,) in [0, 1]: (B,) int64 in [0, LEVELS)."""
    return (t * LEVELS).long().clamp(max=LEVELS - 1)


@flushed_denormals()
@torch.no_grad()
def denoising_errors(
    model: TextToImage,
    images: Tensor,
    captions: list[str],
    seed: int = 0,
    conditions: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """How well the model finds images in noise, for each of LEVELS equal spans of time.

    images: (N, 3, S, S) float32 in [-1, 1], at least 2. Every image is noised once in every span, at times
    that are stratified inside the span; times and noise depend on (seed, N, S) alone. The same is asked with
    captions of other images: where that is no worse, captions do not matter. conditions: what else is known
    of each image, as of `TextToImage.sample`; it goes with its caption.

    Returns {"levels": [row, ...], **row}, noisiest level first and then the mean over levels; a row is
    {"from", "to" (times), "mse", "mae", "r2" (1 - mse / variance of the images), "mse_shuffled",
    "mae_shuffled", "r2_shuffled"}, in the model's space: pixels in [-1, 1], or latents of variance 1.
    ValueError: fewer than 2 images, or another number of captions.
    """
    n = len(images)
    if n < 2 or len(captions) != n:
        raise ValueError(
            f"{n} images and {len(captions)} captions; denoising errors take as many of both, at least 2"
        )
    images = torch.cat([model.model.target(some).cpu() for some in images.split(CHUNK)])  # (N, C, h, w)
    generator = torch.Generator().manual_seed(seed)
    others = derangement(n, generator)
    own = model.model.known(conditions or {}, n)
    theirs = {name: values.at(torch.tensor(others)) for name, values in own.items()}
    given = {"": (captions, own), "_shuffled": ([captions[i] for i in others], theirs)}
    rows: list[dict[str, float]] = []
    for level in range(LEVELS):
        strata = (torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n
        t = (level + strata) / LEVELS
        eps = torch.randn(images.shape, generator=generator)
        row = {"from": level / LEVELS, "to": (level + 1) / LEVELS}
        for suffix, (texts, known) in given.items():
            errors = _errors(model, images, eps, t, texts, known)
            row |= {f"{measure}{suffix}": errors[measure] for measure in ("mse", "mae", "r2")}
        rows.append(row)
    mean = {key: sum(row[key] for row in rows) / LEVELS for key in rows[0] if key not in ("from", "to")}
    return {"levels": rows, "from": 0.0, "to": 1.0, **mean}


def derangement(n: int, generator: torch.Generator) -> list[int]:
    """Numbers below n >= 2 in an order that leaves none at its place: one random cycle through all."""
    cycle: list[int] = torch.randperm(n, generator=generator).tolist()
    following = dict(zip(cycle, cycle[1:] + cycle[:1], strict=True))
    return [following[i] for i in range(n)]


def _errors(
    model: TextToImage,
    images: Tensor,
    eps: Tensor,
    t: Tensor,
    captions: list[str],
    known: Mapping[str, ConditionValues],
) -> dict[str, float]:
    """Figures over all pixels."""
    device = model.model.device
    sums: dict[str, Tensor] = {}
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        x_0, at = images[part].to(device), t[part].to(device)
        x_t = interpolate(x_0, eps[part].to(device), at).contiguous(memory_format=torch.channels_last)
        given = {name: values.rows(part.start, part.stop) for name, values in known.items()}
        condition = model.model.encode_captions(captions[part], given=given)
        estimate = model.model.denoise(x_t, at, condition)
        for name, value in error_sums(estimate, x_0, torch.zeros_like(at, dtype=torch.int64), 1).items():
            sums[name] = sums[name] + value if name in sums else value
    return figures({name: value.cpu() for name, value in sums.items()})
