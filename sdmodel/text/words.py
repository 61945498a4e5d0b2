"""A text encoder of our own: a learned tokenizer and the transformer over its ids."""

import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.config import TextConfig
from sdmodel.text.tokenizer import PAD_ID, Tokenizer
from sdmodel.text.transformer import TextTransformer
from sdmodel.transfer import sent


class Words(TextTransformer):
    """Captions to what a denoiser is told of them, learned together with it."""

    padded = True
    """Captions have tokens that are not to be attended to."""

    def __init__(self, config: TextConfig, tokenizer: Tokenizer):
        super().__init__(config, len(tokenizer))
        self.tokenizer = tokenizer
        self.length = config.length
        self.token_width = config.width

    def encode(self, captions: list[str], dropped: Tensor | None = None) -> Condition:
        """B captions of at most `length` tokens; "" stands for no caption, and is taken where `dropped` (B,)
        bool is true."""
        rows = sent(self.tokenizer.encode([*captions, ""], self.length), self.position.device)
        ids, empty = rows[:-1], rows[-1:]  # (B, L), (1, L)
        if dropped is not None:
            ids = torch.where(dropped[:, None], empty, ids)
        mask = ids != PAD_ID
        pooled, states = self(ids, mask)
        return Condition(pooled, states, mask)
