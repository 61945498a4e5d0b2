"""fastText: a bag of words that knows how they are written (Bojanowski et al. 2016, arXiv:1607.04606)."""

from collections.abc import Iterable
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from sdmodel.config.text import TextConfig
from sdmodel.text.encoder import TextEncoder, mean_pool
from sdmodel.text.subwords import Subwords
from sdmodel.text.tokenizer import PAD_ID, UNKNOWN_ID


class NgramEmbedding(nn.Module):
    """The mean of a word's own row and of those of its n-grams; an unknown word's is of its n-grams alone."""

    def __init__(self, rows: int, width: int):
        super().__init__()
        self.table = nn.Embedding(rows, width)
        nn.init.normal_(self.table.weight, std=0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L, G) ids of `Subwords` to (B, L, W)."""
        known = ids.where(ids != UNKNOWN_ID, PAD_ID).flatten(0, 1)  # (B L, G)
        bags = F.embedding_bag(known, self.table.weight, mode="mean", padding_idx=PAD_ID)
        return bags.unflatten(0, ids.shape[:2])


class FastText(TextEncoder):
    """A token's state is its word's, whatever stands beside it; pooled is the mean over the tokens."""

    def __init__(self, config: TextConfig, tokenizer: Subwords) -> None:
        super().__init__(config, tokenizer)
        self.words = NgramEmbedding(tokenizer.rows_needed, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.norm = nn.LayerNorm(config.width)

    @property
    def embedding(self) -> nn.Module:
        """Of words with their n-grams."""
        return self.words

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextEncoder.forward`; ids are (B, L, G)."""
        states = self.norm(self.dropout(self.words(ids))) * mask[..., None]
        return states, mean_pool(states, mask)

    @classmethod
    def learn_tokenizer(cls, config: TextConfig, captions: Iterable[str]) -> Subwords:
        """Whole words and their n-grams."""
        return Subwords.learn(captions, config.vocabulary, config.ngrams, config.buckets)

    @classmethod
    def load_tokenizer(cls, folder: Path) -> Subwords:
        """The words and n-grams that were saved in a folder."""
        return Subwords.load(folder)


ENCODER = FastText
