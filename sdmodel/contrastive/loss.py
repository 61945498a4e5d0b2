"""The symmetric contrastive loss of CLIP (Radford et al. 2021, arXiv:2103.00020, figure 3), with foils."""

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive_loss(
    image: Tensor, text: Tensor, scale: Tensor, same: Tensor, foils: Tensor, none: Tensor
) -> Tensor:
    """Mean of image-to-text and text-to-image cross-entropy, a float32 scalar, under autocast too.

    image, text: (B, D) of length 1. scale: factor on cosines. same: (B, B) bool, rows whose captions are
    equal: they are no negatives of each other. foils: (B, K) cosines of images and their own foils, which are
    further negatives, K >= 0; none: (B, K) bool, where there is no foil."""
    with torch.autocast(image.device.type, enabled=False):  # in which `@` would be bf16 whatever it is given
        logits = scale.float() * image.float() @ text.float().T  # (B, B)
        target = torch.arange(len(logits), device=logits.device)
        logits = logits.masked_fill(same & (target[:, None] != target), float("-inf"))
        against = (scale.float() * foils.float()).masked_fill(none, float("-inf"))  # (B, K)
        to_text = F.cross_entropy(torch.cat([logits, against], dim=1), target)
        return (to_text + F.cross_entropy(logits.T, target)) / 2


def own_cosines(image: Tensor, text: Tensor) -> Tensor:
    """(B, K) float32 cosines of each image (B, D) with K texts of its own (B, K, D), all of length 1; under
    autocast too."""
    with torch.autocast(image.device.type, enabled=False):
        return torch.einsum("bd,bkd->bk", image.float(), text.float())
