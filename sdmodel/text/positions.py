"""How a transformer knows the order of tokens: places that are added to them, or turned into attention.

Learned places are a table of the encoder's own. Sinusoids (Vaswani et al. 2017, arXiv:1706.03762, section
3.5) are fixed. Rotary ones (Su et al. 2021, arXiv:2104.09864) turn queries and keys, so that what attention
compares depends on how far apart two tokens stand, not on where.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sdmodel.text.attention import Attention

BASE = 10_000.0
"""Of both papers: the slowest angle comes round after about 2 pi times so many tokens."""


def angles(length: int, width: int) -> Tensor:
    """(length, width / 2) float32 radians: place l times BASE^(-2i / width) for channels 2i and 2i + 1."""
    theta = BASE ** (-torch.arange(0, width, 2).double() / width)
    return torch.outer(torch.arange(length).double(), theta).float()


def sinusoids(length: int, width: int) -> Tensor:
    """(length, width) float32 in [-1, 1]: sines in even channels, cosines in odd ones.

    ValueError: width is odd."""
    turned = angles(length, width)
    return torch.stack([turned.sin(), turned.cos()], -1).flatten(1)


def rotate(x: Tensor, turned: Tensor) -> Tensor:
    """(..., L, C) with channels 2i and 2i + 1 turned by the angles (L, C / 2); equation 34 of Su et al."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)  # (..., L, C/2)
    cos, sin = turned.cos(), turned.sin()
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2).to(x.dtype)


class RotaryAttention(Attention):
    """Attention of tokens among themselves, which knows how far apart they stand."""

    turned: Tensor

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__(width, heads)
        self.register_buffer("turned", angles(length, width // heads), persistent=False)

    def forward(self, queries: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """As `Attention.forward`; query l and token l of the context stand at place l."""
        B, L, D = queries.shape
        q = self.query(queries).view(B, L, self.heads, -1).transpose(1, 2)  # (B, H, L, D/H)
        k, v = (
            self.key_value(context).view(B, -1, 2, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        )  # (B, H, L, D/H)
        q, k = rotate(q, self.turned[:L]), rotate(k, self.turned[: k.shape[2]])
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).reshape(B, L, D))
