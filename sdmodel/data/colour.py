"""Other light on a picture: brightness, contrast and saturation. A caption that names a colour forbids it."""

import re

import torch
from torch import Tensor

NAMED = re.compile(
    r"\b(?:(?:light|dark|pale|deep|bright)?(?:black|white|gr[ae]y|red|green|blue|yellow|orange|purple|pink|brown"
    r"|cyan|magenta|turquoise|teal|violet|indigo|lilac|lavender|maroon|crimson|scarlet|ruby|navy|azure|beige"
    r"|cream|ivory|tan|khaki|olive|lime|mint|emerald|jade|coral|salmon|peach|gold|silver|bronze|copper|amber"
    r"|blond|blonde|brunette|ginger)(?:ish|en|s|y)?"
    r"|reddish|colou?r\w*|multicolou?red|monochrom\w*|sepia|dark|bright|pale|vivid|neon|pastel)\b",
    re.IGNORECASE,
)
"""English words for colours and for light; a word too many costs little, one too few teaches falsehood."""

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in brightness; ITU-R BT.601."""


def names_colour(caption: str) -> bool:
    """Whether a caption says what colour something has."""
    return NAMED.search(caption) is not None


def recolour(images: Tensor, factors: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1], like the images given.

    factors: (B, 3) on brightness, on contrast around the picture's mean brightness, and on saturation around
    each pixel's own, in this order; each result is clipped. Rows whose factors are all 1 stay as they are."""
    luma = images.new_tensor(LUMA)[:, None, None]
    brightness, contrast, saturation = factors.to(images)[:, :, None, None, None].unbind(1)  # (B, 1, 1, 1)
    light = ((images + 1) / 2 * brightness).clamp(0, 1)
    mean = (light * luma).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    light = mean.lerp(light, contrast).clamp(0, 1)
    grey = (light * luma).sum(1, keepdim=True)
    light = grey.lerp(light, saturation).clamp(0, 1)
    changed = (factors != 1).any(1).to(images.device)[:, None, None, None]
    return torch.where(changed, light * 2 - 1, images)
