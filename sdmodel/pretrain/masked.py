"""Masked language modelling: which tokens are hidden, and the head that predicts them (BERT, Devlin et al.
2018, arXiv:1810.04805, section 3.1).

The head sees the state at the hidden place beside the pooled state. So an encoder whose states know nothing
of each other (a bag of words) learns too: from the words around, as CBOW does (Mikolov et al. 2013,
arXiv:1301.3781).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sdmodel.data.batch import Batch
from sdmodel.pretrain.predictions import Predictions
from sdmodel.text.encoder import TextEncoder, Vocabulary

MASKED, RANDOM = 0.8, 0.1
"""Shares of the hidden tokens in whose place stand the mask and some other token; the others stay as they
are."""
COUNTED = 20_000
"""Captions, at most, whose tokens are counted for the best constant prediction."""


@dataclass(frozen=True)
class MaskedTokens:
    """Captions some of whose tokens are hidden, and K places in each where that may be."""

    ids: Tensor
    """(B, L) or (B, L, G) int64, with something else where tokens are hidden."""
    places: Tensor
    """(B, K) int64."""
    truth: Tensor
    """(B, K) int64: the ids that stood there."""
    masked: Tensor
    """(B, K) bool: places where one is hidden, no special one; none in captions without a word."""


def ordinary_tokens(tokenizer: Vocabulary) -> Tensor:
    """(N,) int64 ids that stand for a part of a caption."""
    return torch.tensor([token for token in range(len(tokenizer)) if token not in tokenizer.special])


def tokens_of(tokenizer: Vocabulary, captions: Sequence[str], length: int) -> Tensor:
    """(N, L) int64: tokens of some captions, evenly spread over all of them, to count."""
    some = captions[:: math.ceil(len(captions) / COUNTED) or 1]
    ids = tokenizer.token_ids(some, length) if some else torch.full((1, length), tokenizer.pad)
    return ids if ids.ndim == 2 else ids[..., 0]


def commonest_token(tokenizer: Vocabulary, ids: Tensor, but: Iterable[int]) -> Tensor:
    """() int64: the commonest token of ids of any shape, leaving out some."""
    counts = torch.bincount(ids.flatten(), minlength=len(tokenizer))
    counts[list(but)] = -1
    return counts.argmax()


def mask_tokens(
    tokenizer: Vocabulary, ids: Tensor, share: float, words: Tensor, batch: Batch
) -> MaskedTokens:
    """Hides `share` of each caption's ordinary tokens, rounded, 1 at least.

    Args:
        tokenizer: that the ids are of.
        ids: (B, L) or (B, L, G).
        share: (0, 1).
        words: `ordinary_tokens(tokenizer)`, on the ids' device.
        batch: whose rows the captions are; what is drawn is theirs.
    """
    own = ids if ids.ndim == 2 else ids[..., 0]  # (B, L)
    draws = batch.uniform("masked", 3, own.shape[1])  # (B, 3, L)
    able = torch.isin(own, words)
    most = max(1, round(share * own.shape[1]))
    order, places = draws[:, 0].masked_fill(~able, -1).topk(most)  # (B, K)
    count = (share * able.sum(1, keepdim=True)).round().clamp(min=1)
    masked = (torch.arange(most, device=ids.device) < count) & (order >= 0)
    truth = own.gather(1, places)

    how, which = (draws[:, row].gather(1, places) for row in (1, 2))
    other = words[(which * len(words)).long()]
    put = torch.where(how < MASKED, tokenizer.mask, torch.where(how < MASKED + RANDOM, other, truth))
    # An unchanged token keeps its whole row: n-grams of an unknown word.
    unchanged = ~masked | (how >= MASKED + RANDOM)
    if ids.ndim == 2:
        hidden = ids.scatter(1, places, torch.where(unchanged, truth, put))
    else:
        where = places[..., None].expand(-1, -1, ids.shape[2])  # (B, K, G)
        rows = torch.where(unchanged[..., None], ids.gather(1, where), tokenizer.rows(put))
        hidden = ids.scatter(1, where, rows)
    return MaskedTokens(hidden, places, truth, masked)


class MaskedHead(nn.Module):
    """A classifier of hidden tokens (masked language model head) from states and pooled state."""

    adamw_layers = ("layers.3",)

    guess: Tensor
    words: Tensor
    """Ordinary tokens."""

    def __init__(self, encoder: TextEncoder, seen: Tensor):
        """seen: (N, L) tokens of captions, see `tokens_of`. ValueError: the tokenizer cannot hide tokens."""
        super().__init__()
        if encoder.tokenizer.mask < 0:
            raise ValueError(
                "pretrain.masked: the encoder's tokenizer has no token that stands for a hidden one; set "
                "pretrain.masked to 0, or start from random weights"
            )
        self.layers = nn.Sequential(
            nn.Linear(2 * encoder.width, encoder.width),
            nn.GELU(),
            nn.LayerNorm(encoder.width),
            nn.Linear(encoder.width, len(encoder.tokenizer)),
        )
        guess = commonest_token(encoder.tokenizer, seen, encoder.tokenizer.special)
        self.register_buffer("guess", guess, persistent=False)
        self.register_buffer("words", ordinary_tokens(encoder.tokenizer), persistent=False)

    def forward(self, states: Tensor, pooled: Tensor, hidden: MaskedTokens) -> Predictions:
        """What was hidden, from states (B, L, D) and pooled (B, D) of `hidden.ids`."""
        where = hidden.places[..., None].expand(-1, -1, states.shape[2])
        near = states.gather(1, where)  # (B, K, D)
        logits = self.layers(torch.cat([near, pooled[:, None].expand_as(near)], dim=-1)).float()
        return Predictions(logits, hidden.truth, hidden.masked, hidden.masked, self.guess)
