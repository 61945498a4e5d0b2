"""diffusers' UNet2DConditionModel as a denoiser: the network of Stable Diffusion 1 and 2 (Rombach et al.
2021, arXiv:2112.10752), with nothing on it that a stock pipeline has no room for."""

from typing import Any

import torch
from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.config.model import UNet2DConfig
from sdmodel.noise.interpolation import expand
from sdmodel.noise.schedule import NoiseSchedule

CONDITIONS = (
    "addition_embed_type",
    "class_embed_type",
    "encoder_hid_dim",
    "num_class_embeds",
    "time_cond_proj_dim",
)
"""Keys of a UNet's config that ask for conditions besides time and caption."""


class UNet2D(nn.Module):
    """What is predicted of a noisy array, given its timestep and its caption."""

    augmentation = None

    def __init__(self, settings: dict[str, Any], schedule: NoiseSchedule, *, padded: bool = True) -> None:
        """Args:
        settings: unet/config.json of a pipeline, or `settings_of` a config.
        schedule: whose timesteps it is told.
        padded: whether captions have tokens that are not to be attended to.

        ValueError: it needs other conditions than time and caption."""
        # Only who has such a denoiser waits for it: it takes seconds to import.
        from diffusers import UNet2DConditionModel  # pyright: ignore[reportPrivateImportUsage]

        super().__init__()
        check_unet(settings)
        self.settings, self.schedule, self.padded = settings, schedule, padded
        self.unet: Any = UNet2DConditionModel.from_config(settings)
        # Zeros: untrained, it predicts the mean of all data.
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)

    @property
    def heavy(self) -> list[nn.Module]:
        """Its levels."""
        return [*self.unet.down_blocks, self.unet.mid_block, *self.unet.up_blocks]

    def forward(
        self, x_t: Tensor, t: Tensor, condition: Condition, augmented: Tensor | None = None
    ) -> Tensor:
        """(B, C, H, W) at times t (B,) to the prediction (B, C, H, W), float32. augmented must be None."""
        prediction: Tensor = self.unet(
            x_t * expand(torch.rsqrt(t**2 + (1 - t) ** 2), x_t),  # variance preserving
            self.schedule.timestep(t),
            condition.states,
            encoder_attention_mask=condition.mask if self.padded else None,
            return_dict=False,
        )[0]
        return prediction.float()


def settings_of(config: UNet2DConfig, channels: int, token_width: int) -> dict[str, Any]:
    """diffusers' config of the network that a config describes, for arrays of so many channels and captions
    of that width."""
    widths, attention = config.channels, config.attention
    return {
        "in_channels": channels,
        "out_channels": channels,
        "block_out_channels": list(widths),
        "down_block_types": ["CrossAttnDownBlock2D" if asks else "DownBlock2D" for asks in attention],
        "up_block_types": ["CrossAttnUpBlock2D" if asks else "UpBlock2D" for asks in reversed(attention)],
        "layers_per_block": config.blocks,
        "cross_attention_dim": token_width,
        # diffusers reads this as the number of heads.
        "attention_head_dim": [max(1, width // config.head_width) for width in widths],
        "norm_num_groups": config.groups,
    }


def check_unet(settings: dict[str, Any]) -> None:
    """ValueError: a UNet asks for other conditions than time and caption."""
    if kind := next((key for key in CONDITIONS if settings.get(key) is not None), None):
        raise ValueError(
            f"a UNet with {kind}={settings[kind]!r} needs more conditions than time and caption; take one in "
            "the layout of Stable Diffusion 1 or 2"
        )
    if settings["in_channels"] != settings["out_channels"]:
        raise ValueError(
            f"a UNet from {settings['in_channels']} to {settings['out_channels']} channels sees more than a "
            "noisy array (inpainting?); take one whose in_channels are its out_channels"
        )
