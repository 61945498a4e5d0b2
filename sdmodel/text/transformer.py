"""A small transformer over the tokens of a caption (Vaswani et al. 2017, arXiv:1706.03762), pre-norm."""

import torch
from torch import Tensor, nn

from sdmodel.config_text import TextConfig
from sdmodel.text.attention import Attention
from sdmodel.text.encoder import Encoder, Vocabulary, mean_of


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


class Transformer(Encoder):
    """Pooled is the mean over the tokens."""

    def __init__(self, config: TextConfig, tokenizer: Vocabulary) -> None:
        super().__init__(config, tokenizer)
        self.token = nn.Embedding(len(tokenizer), config.width)
        self.position = nn.Parameter(torch.randn(config.length, config.width) * 0.02)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        nn.init.normal_(self.token.weight, std=0.5)

    @property
    def embedding(self) -> nn.Module:
        """Of tokens, without their places."""
        return self.token

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `Encoder.forward`."""
        keys = mask[:, None, None, :]  # (B, 1, 1, L)
        x = self.token(ids) + self.position[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, keys)
        x = self.norm(x) * mask[..., None]
        return x, mean_of(x, mask)


ENCODER = Transformer
