"""Recurrent text encoders: one network reads a caption from its start, another from its end.

The two ways are apart in all layers, as in ELMo (Peters et al. 2018, arXiv:1802.05365), so that each can
predict the token to come: in a stack of bidirectional layers, the second's way there has seen the first's
way back. With one layer it is the same as `bidirectional=True` of torch's modules.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sdmodel.config.text import TextConfig
from sdmodel.text.encoder import TextEncoder, Vocabulary


class RecurrentStack(nn.Module):
    """Layers of one direction. A layer is a module of its own, and so is dropout between them: torch's own is
    drawn by the process, not by row, and cuDNN's keeps a state that no seed sets."""

    def __init__(self, cell: Callable[..., nn.RNNBase], width: int, half: int, layers: int, dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(
            cell(half if layer else width, half, batch_first=True) for layer in range(layers)
        )
        self.dropouts = nn.ModuleList(nn.Dropout(dropout if layer else 0.0) for layer in range(layers))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, L, width), of which each row's first `lengths` (B,) count, to (B, L, half), 0 at the others.

        lengths: on the CPU, where packing asks for them."""
        length = x.shape[1]
        for dropout, layer in zip(self.dropouts, self.layers, strict=True):
            packed = pack_padded_sequence(dropout(x), lengths, batch_first=True, enforce_sorted=False)
            x = pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=length)[0]
        return x


class Recurrent(TextEncoder):
    """States are those of both ways side by side, half of the width each; pooled are their last ones."""

    cell: ClassVar[Callable[..., nn.RNNBase]]
    """nn.RNN, nn.GRU or nn.LSTM."""

    def __init__(self, config: TextConfig, tokenizer: Vocabulary) -> None:
        super().__init__(config, tokenizer)
        width, layers = config.width, config.layers
        self.token = nn.Embedding(len(tokenizer), width)
        self.dropout = nn.Dropout(config.dropout)
        self.onward, self.back = (
            RecurrentStack(type(self).cell, width, width // 2, layers, config.dropout) for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.token.weight, std=0.5)

    @property
    def embedding(self) -> nn.Module:
        """Of tokens."""
        return self.token

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextEncoder.forward`."""
        onward, back = self._ways(ids, mask)
        rows = torch.arange(len(ids), device=ids.device)
        last = torch.cat([onward[rows, mask.sum(1) - 1], back[:, 0]], 1)  # (B, D)
        return self.norm(torch.cat([onward, back], 2)) * mask[..., None], self.norm(last)

    def causal_states(self, ids: Tensor, mask: Tensor) -> list[tuple[Tensor, int]]:
        """See `TextEncoder.causal_states`: both ways, each (B, L, D / 2)."""
        onward, back = self._ways(ids, mask)
        return [(onward, 1), (back, -1)]

    def _ways(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The way there and the way back, (B, L, D / 2) each, 0 at padding."""
        x = self.dropout(self.token(ids))
        lengths = mask.sum(1)
        counted = lengths.cpu()
        back = self.back(reverse_tokens(x, lengths), counted)
        return self.onward(x, counted), reverse_tokens(back, lengths)


def reverse_tokens(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, L, D) with each row's first `lengths` (B,) vectors in reverse order, the rest in place."""
    place = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
    mirrored = lengths[:, None] - 1 - place  # (B, L)
    return x.gather(1, place.where(mirrored < 0, mirrored)[..., None].expand_as(x))
