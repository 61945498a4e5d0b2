"""A text encoder of our own: a learned tokenizer and the transformer over its ids."""

from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.config import TextConfig
from sdmodel.text.tokenizer import PAD_ID, Tokenizer
from sdmodel.text.transformer import TextTransformer


class Words(TextTransformer):
    """Captions to what a denoiser is told of them, learned together with it."""

    padded = True
    """Captions have tokens that are not to be attended to."""

    def __init__(self, config: TextConfig, tokenizer: Tokenizer):
        super().__init__(config, len(tokenizer))
        self.tokenizer = tokenizer
        self.length = config.length
        self.token_width = config.width

    def encode(self, captions: list[str]) -> Condition:
        """B captions of at most `length` tokens; "" stands for no caption."""
        ids: Tensor = self.tokenizer.encode(captions, self.length).to(self.position.device)  # (B, L)
        mask = ids != PAD_ID
        pooled, states = self(ids, mask)
        return Condition(pooled, states, mask)
