"""The block of a diffusion transformer: attention to places, attention to words, perceptron."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """Root mean square normalisation of the last axis (Zhang and Sennrich 2019, arXiv:1910.07467), in the
    precision of what it is given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., W) to (..., W)."""
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), 1e-6)


class NormalisedAttention(nn.Module):
    """Attention (QK normalisation) of N tokens (B, N, W) to M others (B, M, V), queries and keys normalised
    in each head.

    Normalised queries and keys keep the logits from growing, on which half precision otherwise breaks (Henry
    et al. 2020, arXiv:2010.04245; Dehghani et al. 2023, arXiv:2302.05442).
    """

    fused_layers: ClassVar = {"key_value": (1, 2)}

    def __init__(self, width: int, context: int, heads: int, dropout: float = 0.0) -> None:
        """dropout: share of the output that is left out."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context, 2 * width)
        self.query_norm, self.key_norm = RMSNorm(width // heads), RMSNorm(width // heads)
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        """mask: (B, 1, 1, M) bool, true where a token may be attended to; None is everywhere."""
        q = self._split(self.query(x))
        k, v = (self._split(part) for part in self.key_value(context).chunk(2, dim=-1))
        q, k = self.query_norm(q).to(v.dtype), self.key_norm(k).to(v.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.drop(self.out(mixed.transpose(1, 2).flatten(2)))

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, W) to (B, heads, N, W / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class DiTBlock(nn.Module):
    """Self-attention and perceptron as in DiT with adaLN-Zero (Peebles and Xie 2022, arXiv:2212.09748,
    section 3.2), between them attention to the caption's words (Chen et al. 2023, PixArt-alpha,
    arXiv:2310.00426, section 2.3).

    It begins as the identity.
    """

    adamw_layers = ("modulation",)

    def __init__(self, width: int, heads: int, mlp: float, dropout: float = 0.0) -> None:
        """mlp: inner width of the perceptron, as a factor on width. dropout: share of what each part adds
        that is left out."""
        super().__init__()
        self.width = width
        hidden = round(width * mlp)
        self.places = NormalisedAttention(width, width, heads, dropout)
        self.words = NormalisedAttention(width, width, heads, dropout)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.drop = nn.Dropout(dropout)
        self.modulation = nn.Linear(width, 6 * width)
        for layer in (self.modulation, self.words.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, condition: Tensor, words: Tensor, mask: Tensor | None) -> Tensor:
        """Places (B, N, W) under a condition (B, W) and words (B, L, W), masked as `NormalisedAttention` is,
        to places."""
        parts = self.modulation(F.silu(condition))[:, None].chunk(6, dim=-1)  # (B, 1, W) each
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = parts
        h = modulated(x, shift_1, scale_1)
        x = x + gate_1 * self.places(h, h, None)
        x = x + self.words(x, words, mask)
        h = modulated(x, shift_2, scale_2)
        return x + gate_2 * self.drop(self.narrow(F.gelu(self.widen(h), approximate="tanh")))


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Adaptive layer normalisation (adaLN) of (B, N, W), whose scale and shift, (B, 1, W) each, the condition
    decides."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:]), 1 + scale)
