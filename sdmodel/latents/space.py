"""The space that a denoiser works in: pixels, or the latents of an autoencoder, normalised by channel.

A latent diffusion model denoises what an autoencoder makes of a picture (Rombach et al. 2021,
arXiv:2112.10752, section 3.2); every channel is brought to mean 0 and deviation 1, which one scaling factor
for all channels does only roughly.
"""

import functools
import json
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

LOG_VARIANCE = (-30.0, 20.0)
"""Bounds of a posterior's log-variance, as in diffusers: its exponential stays finite."""


@dataclass(frozen=True)
class Space:
    """What the denoiser's arrays (B, C, h, w) are."""

    channels: int
    """C."""
    factor: int
    """Pixels to a side of one place; 1 in pixel space."""
    mean: tuple[float, ...]
    """Of each channel over the train split, before normalisation; zeros in pixel space."""
    deviation: tuple[float, ...]
    """Likewise; above 0."""

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.deviation) == self.channels or min(self.deviation, default=0) <= 0:
            raise ValueError(
                f"a space of {self.channels} channels needs a mean and a deviation above 0 for each; got "
                f"mean={self.mean}, deviation={self.deviation}"
            )

    @property
    def latent(self) -> bool:
        """Whether it is an autoencoder's; else it is that of pixels."""
        return self != PIXELS

    def normalised(self, images: Tensor, noise: Tensor) -> Tensor:
        """What the denoiser shall predict.

        Args:
            images: (B, 2 C, h, w), posterior means, then log-variances; in pixel space (B, 3, H, W) pixels in
                [-1, 1], which pass through.
            noise: (B, C, h, w) standard normal, of the posterior's sample; pixels ignore it.

        Returns:
            (B, C, h, w) float32.

        Raises:
            ValueError: the images are none of this space.
        """
        channels = 2 * self.channels if self.latent else self.channels
        if images.shape[1] != channels:
            raise ValueError(
                f"images of shape {tuple(images.shape)} have {images.shape[1]} channels; {self.describe()} "
                f"asks for {channels}: train and measure a model on what it was made for, pixels or cached "
                "latents"
            )
        if not self.latent:
            return images
        mean, log_variance = images.float().chunk(2, dim=1)  # (B, C, h, w) each
        sample = mean + (log_variance.clamp(*LOG_VARIANCE) / 2).exp() * noise
        return (sample - _column(self.mean, images.device)) / _column(self.deviation, images.device)

    def restored(self, x: Tensor) -> Tensor:
        """(B, C, h, w) float32 latents for the decoder, or pixels, of what a denoiser predicts."""
        if not self.latent:
            return x
        return x.float() * _column(self.deviation, x.device) + _column(self.mean, x.device)

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of a picture's array. ValueError: the sides are no multiples of `factor`."""
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"{height} x {width} pixels: the autoencoder takes sides that are multiples of {self.factor}"
            )
        return self.channels, height // self.factor, width // self.factor

    def describe(self) -> str:
        """What it is in words, for messages."""
        if not self.latent:
            return "pixel space"
        return f"a latent space of {self.channels} channels, {self.factor} pixels to a place"

    def to_json(self) -> str:
        """One line; `from_json` gives an equal space."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The space that `to_json` wrote."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """The space whose `dataclasses.asdict` went through JSON. ValueError: a field is missing or unfit."""
        try:
            return cls(
                int(fields["channels"]),
                int(fields["factor"]),
                tuple(float(value) for value in fields["mean"]),
                tuple(float(value) for value in fields["deviation"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{fields} describes no space: {error!r}") from error


@functools.lru_cache(maxsize=16)  # of every step: a GPU would be waited for each time
def _column(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]  # (C, 1, 1)


PIXELS = Space(3, 1, (0.0,) * 3, (1.0,) * 3)
"""Pixels in [-1, 1] as they are."""
