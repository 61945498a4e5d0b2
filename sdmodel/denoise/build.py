"""Denoisers by name.

A denoiser is called `network(x_t, t, condition, augmented=None)` and predicts what `train.noise.prediction`
says of x_t (B, C, H, W) float32 noisy arrays of a `Space`, at times t (B,) in [0, 1] (0 is noise), under a
`Condition` of B captions, pictures moved as `augmented` (B, 9) says (None: not at all). The prediction is
(B, C, H, W) float32. Its `heavy` are the parts where its time is spent, worth compiling.
"""

from typing import Any

from torch import nn

from sdmodel.config.conflicts import denoiser_conflicts
from sdmodel.config.limits import ConfigError
from sdmodel.config.train import TrainConfig
from sdmodel.latents.space import Space
from sdmodel.noise.interpolation import SIGMA_DATA
from sdmodel.noise.schedule import NoiseSchedule


def build_denoiser(
    config: TrainConfig,
    space: Space,
    pooled_width: int,
    token_width: int,
    schedule: NoiseSchedule,
    *,
    padded: bool = True,
    maps: int | None = None,
    beside: int = 0,
) -> nn.Module:
    """The denoiser that `config.network` names, with initial weights from torch's global generator.

    Args:
        config: its network's own config, size, and whether pictures are moved.
        space: what its arrays are.
        pooled_width: P of `Condition`.
        token_width: D of `Condition`.
        schedule: whose timesteps a UNet of diffusers is told.
        padded: whether captions have padding that is not to be attended to.
        maps: side of square arrays that "unet" learns positions for; None is that of the first of sizes.
        beside: channels of `Condition.channels`; 0 where conditions have none.

    Raises:
        ConfigError: the network cannot see pictures of that size in that space.
    """
    if mistakes := list(denoiser_conflicts(config, space.factor)):
        raise ConfigError("TrainConfig", mistakes)
    arrays: dict[str, Any] = {
        "channels": space.channels,
        "deviation": 1.0 if space.latent else SIGMA_DATA,
        "augment": config.data.augment > 0,
        "beside": beside,
    }
    match config.network:
        case "unet":
            from sdmodel.denoise.unet import UNet

            side = config.stages[0][0] // space.factor
            return UNet(config.unet, maps or side, pooled_width, token_width, **arrays)
        case "unet2d":
            from sdmodel.denoise.unet2d import UNet2D, settings_of

            settings = settings_of(config.unet2d, space.channels, token_width)
            return UNet2D(settings, schedule, padded=padded, beside=beside)
        case "dit":
            from sdmodel.denoise.dit import DiT

            return DiT(config.dit, pooled_width, token_width, **arrays, padded=padded)
