"""The symmetric contrastive loss of CLIP (Radford et al. 2021, arXiv:2103.00020, figure 3)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive_loss(image: Tensor, text: Tensor, scale: Tensor, ids: Tensor) -> Tensor:
    """Mean of image-to-text and text-to-image cross-entropy, a float32 scalar.

    image, text: (B, D) of length 1; scale: factor on cosines; ids: (B, L) tokens of the captions. Rows with
    the same caption are no negatives of each other: in small worlds many pictures share one."""
    logits = scale.float() * image.float() @ text.float().T  # (B, B)
    same = (ids[:, None] == ids[None]).all(-1)
    logits = logits.masked_fill(
        same & ~torch.eye(len(ids), dtype=torch.bool, device=ids.device), float("-inf")
    )
    target = torch.arange(len(ids), device=ids.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
