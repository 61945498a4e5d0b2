"""Which sizes of pictures a text-to-image model draws. Imports no torch: commands ask before they load a
model."""

from collections.abc import Mapping
from typing import Any

from sdmodel.pipeline_family import UNCONDITIONAL


def check_size(size: tuple[int, int], network: str | None, settings: Mapping[str, Any], factor: int) -> None:
    """ValueError: a model cannot draw pictures of that size.

    Args:
        size: (H, W), pixels.
        network: as `TrainConfig.network` has it; None: one that the caller brought.
        settings: that network's own config, of unet2d diffusers'.
        factor: pixels to a side of a place of its arrays: 1 of pixels, else its autoencoder's.
    """
    height, width = size
    multiple = factor
    if network in ("unet", "dit"):
        multiple *= settings["patch"]
    # These halve the sides on every level but the last; diffusers' other UNet finds its way back by itself.
    if network == "unet":
        multiple *= 2 ** (len(settings["channels"]) - 1)
    elif settings.get("_class_name") == UNCONDITIONAL:
        multiple *= 2 ** (len(settings["block_out_channels"]) - 1)
    if min(size) < multiple or height % multiple or width % multiple:
        raise ValueError(
            f"{width}x{height} pixels, width by height: this model draws sides that are multiples of "
            f"{multiple}"
        )
