"""Convolutions over the tokens of a caption (Kim 2014, arXiv:1408.5882)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdmodel.config.text import TextConfig
from sdmodel.text.encoder import TextEncoder, Vocabulary


class CNN(TextEncoder):
    """Parallel convolutions of several spans, joined to one state a token: what it knows of the order is
    what lies within its widest span. Pooled is each channel's largest value over the tokens."""

    def __init__(self, config: TextConfig, tokenizer: Vocabulary) -> None:
        super().__init__(config, tokenizer)
        width = config.width
        self.token = nn.Embedding(len(tokenizer), width)
        self.dropout = nn.Dropout(config.dropout)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, kernel, padding=kernel // 2) for kernel in config.kernels
        )
        self.join = nn.Linear(len(config.kernels) * width, width)
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.token.weight, std=0.5)

    @property
    def embedding(self) -> nn.Module:
        """Of tokens."""
        return self.token

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextEncoder.forward`."""
        tokens = mask[..., None]
        # Zeros at padding are what a convolution sees beyond the end of a caption without any.
        x = (self.dropout(self.token(ids)) * tokens).transpose(1, 2)  # (B, D, L)
        seen = torch.cat([F.relu(convolution(x)) for convolution in self.convolutions], 1)
        states = self.norm(self.join(seen.transpose(1, 2))) * tokens
        return states, states.masked_fill(~tokens, -torch.inf).amax(1)


ENCODER = CNN
