"""Cross-attention and self-attention in one: places of the image attend to the caption's words and to each
other."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.condition import Condition


class JointAttention(nn.Module):
    """Attention of the places of a feature map to the caption's tokens and to all places, added to the map.

    One softmax weighs words against places; words do not attend back. It begins as the identity.
    """

    def __init__(self, channels: int, token_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.fused_layers = dict.fromkeys(("words", "places"), (heads, 2))  # each head's keys, its values
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.words = nn.Linear(token_width, 2 * channels, bias=False)
        self.places = nn.Linear(channels, 2 * channels, bias=False)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        B, C, H, W = x.shape
        flat = self.norm(x.permute(0, 2, 3, 1).reshape(B, H * W, C))
        q = self._split(self.query(flat))
        k_words, v_words = self._split(self.words(condition.states)).chunk(2, dim=-1)
        k_places, v_places = self._split(self.places(flat)).chunk(2, dim=-1)
        k, v = (
            torch.cat([k_words, k_places], 2),
            torch.cat([v_words, v_places], 2),
        )  # (B, heads, L + H*W, C / heads)
        mask = F.pad(condition.mask[:, None, None, :], (0, H * W), value=True)  # (B, 1, 1, L + H*W)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
        return x + self.out(mixed.reshape(B, H * W, C)).view(B, H, W, C).permute(0, 3, 1, 2)

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, D) to (B, heads, N, D / heads)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)
