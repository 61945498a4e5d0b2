"""A small transformer over the tokens of a caption (Vaswani et al. 2017, arXiv:1706.03762), pre-norm."""

from typing import Any

import torch
from torch import Tensor, nn

from sdmodel.config.text import TextConfig
from sdmodel.text.attention import Attention
from sdmodel.text.encoder import TextEncoder, Vocabulary, mean_pool
from sdmodel.text.positions import RotaryAttention, sinusoids


class TransformerBlock(nn.Module):
    """Pre-norm attention and a two-layer perceptron, each added to its input."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = (
            RotaryAttention(width, heads, config.length)
            if config.positions == "rotary"
            else Attention(width, heads)
        )
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.drop_1, self.drop_2 = nn.Dropout(config.dropout), nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D). mask: (B, 1, 1 or L, L) bool, true where a token may be attended to."""
        h = self.norm_1(x)
        x = x + self.drop_1(self.attention(h, h, mask))
        return x + self.drop_2(self.mlp(self.norm_2(x)))


class Transformer(TextEncoder):
    """Pooled is the mean over the tokens."""

    position: Tensor | None
    """(length, D) that is added to tokens: learned, or fixed and not saved; None where attention turns."""

    def __init__(self, config: TextConfig, tokenizer: Vocabulary) -> None:
        super().__init__(config, tokenizer)
        self.token = nn.Embedding(len(tokenizer), config.width)
        if config.positions == "learned":
            self.position = nn.Parameter(torch.randn(config.length, config.width) * 0.02)
            self.register_load_state_dict_pre_hook(_cut)
        elif config.positions == "sinusoidal":
            self.register_buffer("position", sinusoids(config.length, config.width), persistent=False)
        else:
            self.position = None
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.drop = nn.Dropout(config.dropout)
        nn.init.normal_(self.token.weight, std=0.5)

    @property
    def embedding(self) -> nn.Module:
        """Of tokens, without their places."""
        return self.token

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextEncoder.forward`."""
        states = self._states(ids, mask, mask[:, None, None, :])
        return states, mean_pool(states, mask)

    def causal_states(self, ids: Tensor, mask: Tensor) -> list[tuple[Tensor, int]]:
        """The same blocks, each token attending to none that comes after it: (B, L, D), 1."""
        L = ids.shape[1]
        before = torch.ones(L, L, dtype=torch.bool, device=ids.device).tril()
        return [(self._states(ids, mask, mask[:, None, None, :] & before), 1)]

    def _states(self, ids: Tensor, mask: Tensor, keys: Tensor) -> Tensor:
        x = self.token(ids)
        if self.position is not None:
            x = x + self.position[: ids.shape[1]]
        x = self.drop(x)
        for block in self.blocks:
            x = block(x, keys)
        return self.norm(x) * mask[..., None]


def _cut(module: nn.Module, weights: dict[str, Any], prefix: str, *_: Any) -> None:
    """Of a longer encoder's places those that a shorter one knows."""
    assert isinstance(module, Transformer)
    if (position := weights.get(f"{prefix}position")) is not None:
        weights[f"{prefix}position"] = position[: module.length]


ENCODER = Transformer
