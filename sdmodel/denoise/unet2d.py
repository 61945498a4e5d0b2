"""diffusers' UNet2DConditionModel as a denoiser: the network of Stable Diffusion 1 and 2 (Rombach et al.
2021, arXiv:2112.10752)."""

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.config.model import UNet2DConfig
from sdmodel.denoise.augmentation_condition import AugmentationCondition
from sdmodel.noise.interpolation import SIGMA_DATA, unit_scale

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel  # pyright: ignore[reportPrivateImportUsage]

TIMESTEPS = 1000
"""Its time runs from 0, the data, to so many, the noise."""


class UNet2D(nn.Module):
    """The clean array that is expected behind a noisy one, given its time and its caption."""

    def __init__(
        self,
        config: UNet2DConfig,
        pooled_width: int,
        token_width: int,
        *,
        channels: int = 3,
        deviation: float = SIGMA_DATA,
        augment: bool = False,
        padded: bool = True,
    ) -> None:
        """Arguments as of `DiT`."""
        super().__init__()
        self.unet: Any = unet_of(config, channels, token_width)
        self.deviation, self.padded = deviation, padded
        width = config.channels[0] * 4  # of its embedding of the time
        self.caption = nn.Linear(pooled_width, width)
        self.augmentation = AugmentationCondition(width) if augment else None
        nn.init.zeros_(self.unet.conv_out.weight)  # zeros: untrained, it predicts the mean of all data
        nn.init.zeros_(self.unet.conv_out.bias)

    @property
    def heavy(self) -> list[nn.Module]:
        """Its levels."""
        return levels(self.unet)

    def forward(
        self, x_t: Tensor, t: Tensor, condition: Condition, augmented: Tensor | None = None
    ) -> Tensor:
        """(B, C, H, W) at times t (B,) to the estimate (B, C, H, W), float32.

        augmented: (B, 9), how the pictures were moved; None is not at all."""
        embedding = self.caption(condition.pooled)
        if self.augmentation is not None:
            embedding = self.augmentation(embedding, augmented)
        prediction: Tensor = self.unet(
            unit_scale(t, self.deviation)[:, None, None, None] * x_t,
            TIMESTEPS * (1 - t),
            condition.states,
            class_labels=embedding,  # added to the embedding of the time
            encoder_attention_mask=condition.mask if self.padded else None,
            return_dict=False,
        )[0]
        return prediction.float()


def unet_of(config: UNet2DConfig, channels: int, token_width: int) -> "UNet2DConditionModel":
    """With initial weights."""
    widths, attention = config.channels, config.attention
    down = tuple("CrossAttnDownBlock2D" if asks else "DownBlock2D" for asks in attention)
    up = tuple("CrossAttnUpBlock2D" if asks else "UpBlock2D" for asks in reversed(attention))
    heads = tuple(max(1, width // config.head_width) for width in widths)
    # Only who has such a denoiser waits for it: it takes seconds to import.
    from diffusers import UNet2DConditionModel  # pyright: ignore[reportPrivateImportUsage]

    return UNet2DConditionModel(
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        down_block_types=down,
        up_block_types=up,
        layers_per_block=config.blocks,
        cross_attention_dim=token_width,
        # diffusers reads this as the number of heads.
        attention_head_dim=heads,  # pyright: ignore[reportArgumentType] - its type has one level
        norm_num_groups=config.groups,
        class_embed_type="identity",
    )


def levels(unet: Any) -> list[nn.Module]:
    """Of a UNet2DConditionModel, down, middle and up."""
    return [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
