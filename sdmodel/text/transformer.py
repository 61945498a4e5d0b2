"""A small text transformer, trained jointly with the denoiser that it conditions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdmodel.config import TextConfig


class Attention(nn.Module):
    """Multi-head attention of queries (B, Q, D) on keys and values of a context (B, L, D), with a padding
    mask."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(
                f"width {width} cannot be divided among {heads} heads; choose heads that divide the width"
            )
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


class Block(nn.Module):
    """Pre-norm attention and a two-layer perceptron, each added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        h = self.norm_1(x)
        x = x + self.attention(h, h, mask)
        return x + self.mlp(self.norm_2(x))


class TextTransformer(nn.Module):
    """Token ids to a pooled vector and one state a token.

    The pooled vector is what learned queries read from the states, side by side: a mean over the tokens
    dilutes the few words that matter, and was measured to teach the denoiser worse.
    """

    def __init__(self, config: TextConfig, vocabulary: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, config.width)
        self.position = nn.Parameter(torch.randn(config.length, config.width) * 0.02)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.queries = nn.Parameter(torch.randn(config.queries, config.width) * 0.5)
        self.pool = Attention(config.width, config.heads)
        self.pooled_width = config.queries * config.width
        nn.init.normal_(self.token.weight, std=0.5)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Ids (B, L) int64 and mask (B, L) bool, true for tokens, to pooled (B, queries * width) and states
        (B, L, width)."""
        keys = mask[:, None, None, :]  # (B, 1, 1, L)
        x = self.token(ids) + self.position[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, keys)
        x = self.norm(x)
        queries = self.queries.expand(len(ids), -1, -1)  # (B, Q, D)
        return self.pool(queries, x, keys).flatten(1), x
