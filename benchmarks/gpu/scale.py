"""Shapes and sizes of the benchmark: the real ones, and tiny ones to rehearse it on a CPU."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdmodel.config.model import DiTConfig
from stages.forecast.shapes import UNET


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large everything is."""

    device: str
    """Of `TrainConfig.device`."""
    size: int
    """Pixels to a side; a place of a latent is 8 x 8 of them."""
    width: int
    """Channels of a text state."""
    length: int
    """Tokens of a caption."""
    dit_b: DiTConfig
    dit_xl: DiTConfig
    unet: Mapping[str, Any]
    """unet/config.json, without diffusers' defaults; the real one's is Stable Diffusion 1.5's."""
    batches: Mapping[str, int]
    """Images in a batch by network; "check" is that of what is not timed."""
    seconds: float
    """To time a training for, after the first batches."""


REAL = Scale(
    device="cuda",
    size=256,
    width=768,
    length=77,
    dit_b=DiTConfig(width=768, layers=12, heads=12, patch=2),
    dit_xl=DiTConfig(width=1152, layers=28, heads=16, patch=2),
    unet=UNET,
    batches={"dit_b": 256, "dit_xl": 96, "unet": 96, "check": 64},
    seconds=15.0,
)
TINY = Scale(
    device="cpu",
    size=32,
    width=32,
    length=8,
    dit_b=DiTConfig(width=32, layers=2, heads=2, patch=2),
    dit_xl=DiTConfig(width=64, layers=3, heads=2, patch=2),
    unet={**UNET, "block_out_channels": [32, 64], "layers_per_block": 1, "cross_attention_dim": 32}
    | {
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "attention_head_dim": 4,
    },
    batches=dict.fromkeys(("dit_b", "dit_xl", "unet", "check"), 4),
    seconds=0.2,
)
