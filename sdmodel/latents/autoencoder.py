"""A frozen autoencoder: pictures to the moments of their latents, and latents to pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from sdmodel.latents.space import LOG_VARIANCE
from sdmodel.latents.tiling import decode_tiled
from sdmodel.variant import variant_of

if TYPE_CHECKING:  # it takes seconds to import
    from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]

AT_ONCE = 2**20
"""Pixels, of all pictures that are encoded or decoded together: bounds memory, to some GiB."""
TILE = 512
"""Pixels to a side of the tiles that larger pictures are decoded in."""


class FrozenAutoencoder:
    """diffusers' AutoencoderKL (Rombach et al. 2021, arXiv:2112.10752), in float32 and without gradients.

    Its own scaling factors are not applied: latents are as the encoder gives them, and `Space` normalises
    them by what was measured.
    """

    def __init__(self, vae: "AutoencoderKL", device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.vae: Any = vae.float().eval().requires_grad_(False)
        self.vae.to(self.device)

    def to(self, device: torch.device) -> Self:
        """Itself, there."""
        if device != self.device:
            self.vae.to(device)
            self.device = device
        return self

    @property
    def channels(self) -> int:
        """Of a latent."""
        return int(self.vae.config.latent_channels)

    @property
    def factor(self) -> int:
        """Pixels to a side of one place of a latent."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def moments(self, pixels: Tensor) -> Tensor:
        """(B, 2 C, h, w) float32 on the CPU: posterior means, then log-variances within `LOG_VARIANCE`.

        Args:
            pixels: (B, 3, H, W) float32 in [-1, 1].

        Raises:
            ValueError: H and W are no multiples of `factor`.
        """
        height, width = pixels.shape[-2:]
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"pictures of {height} x {width} pixels don't fit the autoencoder, which makes one place of "
                f"{self.factor} x {self.factor}; take sides that are multiples of {self.factor}"
            )
        moments: list[Tensor] = []
        for some in pixels.split(max(1, AT_ONCE // (height * width))):
            parameters: Tensor = self.vae.encode(some.to(self.device), return_dict=False)[0].parameters
            mean, log_variance = parameters.float().chunk(2, dim=1)
            moments.append(torch.cat([mean, log_variance.clamp(*LOG_VARIANCE)], dim=1).cpu())
        return torch.cat(moments)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """(B, 3, H, W) float32 pixels, about [-1, 1], on the autoencoder's device. Pictures of more than
        AT_ONCE pixels are decoded in tiles.

        latents: (B, C, h, w), as the encoder gives them (`Space.restored`)."""
        height, width = (side * self.factor for side in latents.shape[-2:])
        rows = latents.to(self.device).float().split(max(1, AT_ONCE // (height * width)))
        if height * width > AT_ONCE:
            side = max(2, TILE // self.factor)
            return torch.cat([decode_tiled(self.vae, some, side, side * 3 // 8) for some in rows])
        return torch.cat([self.vae.decode(some, return_dict=False)[0].float() for some in rows])


def read_autoencoder_kl(folder: Path) -> "AutoencoderKL":
    """The model in a folder that diffusers wrote, float32. ValueError: there is none in it."""
    from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]

    try:
        # diffusers knows the names that weights had in older folders; no pickle is opened.
        return AutoencoderKL.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            torch_dtype=torch.float32,
            variant=variant_of(folder),
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{folder} holds no AutoencoderKL in diffusers' layout: {error}") from error


def load_autoencoder(folder: Path, device: torch.device | str = "cpu") -> FrozenAutoencoder:
    """The frozen autoencoder in a folder that diffusers wrote. ValueError: there is none in it."""
    return FrozenAutoencoder(read_autoencoder_kl(folder), device)
