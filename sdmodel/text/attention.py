"""Multi-head attention on the tokens of captions."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention of queries (B, Q, D) on keys and values of a context (B, L, D), with a padding
    mask."""

    fused_layers: ClassVar = {"key_value": (1, 2)}

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """`mask` is (B, 1, 1, L) bool, true where a token may be attended to; every row has one such
        token."""
        B, Q, D = queries.shape
        q = self.query(queries).view(B, Q, self.heads, -1).transpose(1, 2)  # (B, H, Q, D/H)
        k, v = (
            self.key_value(context).view(B, -1, 2, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        )  # (B, H, L, D/H)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).reshape(B, Q, D))
