"""Next-token prediction (Radford et al. 2018, "Improving language understanding by generative pre-training",
equation 1), and where an encoder also reads backwards, the one before (ELMo, Peters et al. 2018,
arXiv:1802.05365, equation 1)."""

import torch
from torch import Tensor, nn

from sdmodel.pretrain.masked import commonest_token
from sdmodel.pretrain.predictions import Predictions
from sdmodel.text.encoder import TextEncoder


class NextTokenHead(nn.Module):
    """A classifier for each direction that an encoder reads in."""

    adamw_layers = ("layers",)

    guesses: Tensor
    """(directions,) int64: of each the commonest token that is predicted."""

    def __init__(self, encoder: TextEncoder, seen: Tensor):
        """seen: (N, L) tokens of captions. ValueError: the encoder's states know whole captions."""
        super().__init__()
        with torch.no_grad():
            self.offsets = [
                (states.shape[2], offset) for states, offset in encoder.causal_states(*encoder.tokenize([""]))
            ]
        self.layers = nn.ModuleList(nn.Linear(width, len(encoder.tokenizer)) for width, _ in self.offsets)
        targets = [seen[:, 1:] if offset == 1 else seen[:, :-1] for _, offset in self.offsets]
        guesses = [commonest_token(encoder.tokenizer, ids, (encoder.tokenizer.pad,)) for ids in targets]
        self.register_buffer("guesses", torch.stack(guesses), persistent=False)

    def forward(self, causal: list[tuple[Tensor, int]], ids: Tensor, mask: Tensor) -> list[Predictions]:
        """Predictions for each direction, of (B, L - 1) places, from `TextEncoder.causal_states` of these ids
        (B, L) or (B, L, G) and mask (B, L). The end is predicted too, and the start backwards."""
        own = ids if ids.ndim == 2 else ids[..., 0]
        there = mask[:, 1:]  # no token comes after padding: then both neighbours are tokens
        predictions: list[Predictions] = []
        for layer, (states, offset), guess in zip(self.layers, causal, self.guesses, strict=True):
            before, truth = (states[:, :-1], own[:, 1:]) if offset == 1 else (states[:, 1:], own[:, :-1])
            predictions.append(Predictions(layer(before).float(), truth, there, there, guess))
        return predictions
