"""Denoisers by name.

A denoiser is called `network(x_t, t, condition, augmented=None)` and estimates the clean arrays:
x_t (B, C, H, W) float32 noisy arrays of a `Space`, at times t (B,) in [0, 1] (0 is noise), under a
`Condition` of B captions, pictures moved as `augmented` (B, 9) says (None: not at all). The estimate is
(B, C, H, W) float32. Its `heavy` are the parts where its time is spent, worth compiling.
"""

from typing import Any

from torch import nn

from sdmodel.config.train import TrainConfig
from sdmodel.data.buckets import bucket_shapes
from sdmodel.latents.space import Space
from sdmodel.noise.interpolation import SIGMA_DATA


def build_denoiser(
    config: TrainConfig, space: Space, pooled_width: int, token_width: int, *, padded: bool = True
) -> nn.Module:
    """The denoiser that `config.network` names, with initial weights from torch's global generator.

    Args:
        config: its network's own config, size, and whether pictures are moved.
        space: what its arrays are.
        pooled_width: P of `Condition`.
        token_width: D of `Condition`.
        padded: whether captions have padding that is not to be attended to.

    Raises:
        ValueError: the config does not fit itself or the space.
    """
    arrays: dict[str, Any] = {
        "channels": space.channels,
        "deviation": 1.0 if space.latent else SIGMA_DATA,
        "augment": config.data.augment > 0,
    }
    match config.network:
        case "unet":
            from sdmodel.denoise.unet import UNet

            if config.data.buckets > 1:
                raise ValueError(
                    f'data.buckets={config.data.buckets}: network="unet" learns maps of one square size; '
                    'take buckets=1, or network="unet2d" or "dit"'
                )
            side = space.shape(config.size, config.size)[1]
            return UNet(config.unet, side, pooled_width, token_width, **arrays)
        case "unet2d":
            from sdmodel.denoise.unet2d import UNet2D

            return UNet2D(config.unet2d, pooled_width, token_width, **arrays, padded=padded)
        case "dit":
            from sdmodel.denoise.dit import DiT

            _check_buckets(config, space)
            return DiT(config.dit, pooled_width, token_width, **arrays, padded=padded)


def _check_buckets(config: TrainConfig, space: Space) -> None:
    """ValueError: pictures of some bucket cannot be cut into patches."""
    patch, data = config.dit.patch, config.data
    for height, width in bucket_shapes(config.size, data.buckets, data.max_aspect):
        _, h, w = space.shape(height, width)
        if h % patch or w % patch:
            raise ValueError(
                f"pictures of {height} x {width} are {h} x {w} for the denoiser, which cannot be cut into "
                f"dit.patch={patch}: take a smaller patch, another size, or data.buckets=1"
            )
