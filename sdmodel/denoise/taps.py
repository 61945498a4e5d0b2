"""Taps: the hidden features of a denoiser, which alignment and joint training compare with others.

A denoiser that has some says their channels in `tap_widths`, the first tap first, and takes two more
arguments: `taps`, numbers of taps in ascending order, makes it return `Tapped`; with `trunk` it ends at the
last of them, and predicts nothing. Without them, as in sampling, it returns its prediction alone. Features
are results like any other, so that they pass through DistributedDataParallel, torch.compile and activation
checkpointing, which hooks would not.
"""

from typing import Any

from torch import Tensor, nn

Tapped = tuple[Tensor | None, list[Tensor]]
"""The prediction, None of a trunk alone; and of each tap its features (B, C, h, w)."""


def tap_width(network: nn.Module, tap: int) -> int:
    """Channels of a tap's features.

    ValueError: the network has no taps; one that a caller brings need not have any."""
    widths: tuple[int, ...] = _widths(network)
    if tap >= len(widths):
        raise ValueError(
            f"the denoiser {type(network).__name__} has {len(widths)} taps and no number {tap}, which "
            "train.alignment or train.joint asks for; set their kind to none, or take network unet or dit"
        )
    return widths[tap]


def _widths(network: Any) -> tuple[int, ...]:
    return getattr(network, "tap_widths", ())
