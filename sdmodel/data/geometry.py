"""Non-leaking (conditional) augmentation: pictures moved in ways that the denoiser has as a condition, so
that samples show none of them.

Karras et al. 2022, arXiv:2206.00364, appendix F.2. The nine numbers of a picture, all 0 where it is as it
was: mirrored in x, in y (1 each), scaling (a standard normal), rotation (cos a - 1, sin a), anisotropic
scaling (how far times cos and sin of its direction), translation in x, in y (standard normals).

The paper's numbers for an anisotropic scaling by -w are those of one by w the opposite way, which does
something else. Here the numbers alone say what is done: a stretch of |w| that way; all in all they are the
same changes, equally often.
"""

import math

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

LABELS = 9
"""Numbers that say how a picture is moved."""
UNIFORMS = 14
"""Random numbers that `augmentation_labels` takes for a picture."""
SCALE = 0.2
"""Of one deviation, in powers of 2; of both scalings."""
SHIFT = 1 / 8
"""Of one deviation, as a part of the side."""


def augmentation_labels(uniforms: np.ndarray, probability: float) -> np.ndarray:
    """(B, 9) float32 from (B, 14) uniform on [0, 1): each of the six changes is made with `probability`."""
    on = uniforms[:, :6] < probability  # (B, 6)
    x, y = uniforms[:, 6] < 0.5, uniforms[:, 7] < 0.5
    turn, direction = math.pi * (2 * uniforms[:, 8] - 1), math.pi * (2 * uniforms[:, 9] - 1)
    # Not 0, of which the quantile is infinite.
    scale, stretch, right, down = ndtri(np.clip(uniforms[:, 10:14], 1e-9, 1 - 1e-9)).T
    columns = [x, y, scale, np.cos(turn) - 1, np.sin(turn)]
    columns += [stretch * np.cos(direction), stretch * np.sin(direction), right, down]
    which = [0, 1, 2, 3, 3, 4, 4, 5, 5]  # change that a column belongs to
    return np.where(on[:, which], np.stack(columns, axis=1), 0).astype(np.float32)


def warp(images: Tensor, labels: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1], like the images given, moved as (B, 9) labels say, mirrored beyond its edges.

    Rows whose labels are all 0 stay as they are."""
    moved = labels.any(1)
    if not moved.any():
        return images
    height, width = images.shape[-2:]
    to_unit = torch.diag(torch.tensor([2 / width, 2 / height, 1.0], dtype=torch.float64))  # pixels to [-1, 1]
    theta = to_unit @ _back(labels[moved].double(), height, width) @ to_unit.inverse()
    some = images[moved]
    grid = torch.nn.functional.affine_grid(theta[:, :2].to(some), list(some.shape), align_corners=False)
    seen = torch.nn.functional.grid_sample(
        some, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    result = images.clone()
    result[moved] = seen.clamp(-1, 1)
    return result


def _back(labels: Tensor, height: int, width: int) -> Tensor:
    """(M, 3, 3) float64: from places in the moved picture to those in the picture, in pixels from its
    centre."""
    x, y, scale, cosine, sine, along, across, right, down = labels.unbind(1)
    forward = _scaling(1 - 2 * x, 1 - 2 * y)
    size = torch.exp2(SCALE * scale)
    forward = _scaling(size, size) @ forward
    forward = _rotation(cosine + 1, sine) @ forward
    stretch = torch.hypot(along, across)
    angle = torch.atan2(across, along)
    wide = torch.exp2(SCALE * stretch)
    turn = _rotation(angle.cos(), angle.sin())
    forward = turn @ _scaling(wide, 1 / wide) @ turn.transpose(1, 2) @ forward
    shift = torch.eye(3, dtype=torch.float64).repeat(len(labels), 1, 1)
    shift[:, 0, 2], shift[:, 1, 2] = SHIFT * width * right, SHIFT * height * down
    return (shift @ forward).inverse()


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))  # (M, 3, 3)


def _rotation(cosine: Tensor, sine: Tensor) -> Tensor:
    zero, unit = torch.zeros_like(sine), torch.ones_like(sine)
    rows = [cosine, -sine, zero, sine, cosine, zero, zero, zero, unit]
    return torch.stack(rows, dim=1).unflatten(1, (3, 3))  # (M, 3, 3)
