"""diffusers' UNets as denoisers, with nothing on them that a stock pipeline has no room for.

UNet2DConditionModel is the network of Stable Diffusion 1 and 2 (Rombach et al. 2021, arXiv:2112.10752),
UNet2DModel the unconditional one of DDPM (Ho et al. 2020, arXiv:2006.11239).
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.config.model import UNet2DConfig
from sdmodel.denoise.concatenation import concatenated, widened
from sdmodel.noise.interpolation import expand
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.pipeline_family import UNCONDITIONAL, check_unet


class UNet2D(nn.Module):
    """What is predicted of a noisy array, given its timestep and its caption."""

    augmentation = None
    adamw_layers = ("unet.conv_in", "unet.conv_out", "unet.time_embedding", "unet.*.time_emb_proj")
    fused_layers: ClassVar = {"unet.*.ff.net.0.proj": (1, 2)}  # what is gated, and its gate (GEGLU)

    def __init__(
        self, settings: dict[str, Any], schedule: NoiseSchedule, *, padded: bool = True, beside: int = 0
    ) -> None:
        """Args:
        settings: config.json of a pipeline's UNet, whose `_class_name` says which it is, or `settings_of` a
            config.
        schedule: whose timesteps it is told.
        padded: whether captions have tokens that are not to be attended to.
        beside: channels of `Condition.channels`, which are concatenated with the arrays; `settings` are
            without them.

        ValueError: it needs other conditions than time and caption."""
        super().__init__()
        check_unet(settings)
        self.settings, self.schedule, self.padded = settings, schedule, padded
        self.unet: Any = unet_class(settings).from_config(settings)
        self.beside = 0
        self.widen(beside)
        # Zeros: untrained, it predicts the mean of all data.
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)

    def widen(self, channels: int) -> None:
        """Takes so many further channels of `Condition.channels`, to which it pays no heed at first."""
        widened(self.unet.conv_in, channels)
        self.beside += channels

    @property
    def conditional(self) -> bool:
        """Whether it reads captions."""
        return self.settings.get("_class_name") != UNCONDITIONAL

    @property
    def heavy(self) -> list[nn.Module]:
        """Its levels."""
        middle = [] if self.unet.mid_block is None else [self.unet.mid_block]
        return [*self.unet.down_blocks, *middle, *self.unet.up_blocks]

    def forward(
        self, x_t: Tensor, t: Tensor, condition: Condition, augmented: Tensor | None = None
    ) -> Tensor:
        """(B, C, H, W) at times t (B,) to the prediction (B, C, H, W), float32. augmented must be None."""
        x = x_t * expand(torch.rsqrt(t**2 + (1 - t) ** 2), x_t)  # variance preserving
        x = concatenated(x, condition, self.beside)
        arguments: dict[str, Any] = {}
        if self.conditional:
            mask = condition.mask if self.padded else None
            arguments = {"encoder_hidden_states": condition.states, "encoder_attention_mask": mask}
        prediction: Tensor = self.unet(x, self.schedule.timestep(t), **arguments, return_dict=False)[0]
        return prediction.float()


def unet_class(settings: dict[str, Any]) -> Any:
    """diffusers' class of the UNet with this config."""
    # Only who has such a denoiser waits for it: it takes seconds to import.
    import diffusers

    classes: Any = diffusers
    unconditional = settings.get("_class_name") == UNCONDITIONAL
    return classes.UNet2DModel if unconditional else classes.UNet2DConditionModel


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
        "dropout": config.dropout,
    }
