"""The conditioner: captions as a denoiser's condition, the states of one text encoder or of several, and what
learned queries read from them (attention pooling).

The queries' answers, side by side, are the caption as one vector: a mean over the tokens dilutes the few
words that matter, and was measured to teach the denoiser worse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, cast

import torch
from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.config.text import TextConfig
from sdmodel.text import build
from sdmodel.text.attention import Attention
from sdmodel.text.encoder import TextEncoder
from sdmodel.text.lengths import CaptionReader
from sdmodel.weights import submodule_weights

ENCODERS = "encoders."
"""Beginning of the names of the encoders' weights."""


class TextConditioner(nn.Module):
    """Text encoders side by side, their states joined."""

    padded = True
    """Captions have tokens that are not to be attended to."""

    def __init__(self, encoders: Sequence[TextEncoder], *, pooled: bool = True):
        """The joined states have the width of the first encoder; queries and their heads are its config's.

        pooled: whether there are queries, for denoisers that read what they answer; else the caption as one
        vector has no channels. Parameters that no loss depends on would hold DistributedDataParallel up."""
        super().__init__()
        first = encoders[0]
        self.encoders = nn.ModuleList(encoders)
        self.match = nn.ModuleList(nn.Linear(each.width, first.width) for each in encoders[1:])
        self.pooled_width, self.token_width = first.config.queries * first.width * pooled, first.width
        if pooled:
            self.queries = nn.Parameter(torch.randn(first.config.queries, first.width) * 0.5)
            self.pool = Attention(first.width, first.config.heads)
        self.train()  # what is frozen has no dropout from the start

    @classmethod
    def learn(
        cls,
        configs: Sequence[TextConfig],
        captions: Iterable[str],
        starts: Sequence[Path | None] = (),
        *,
        pooled: bool = True,
    ) -> Self:
        """Encoders that begin with the weights in a folder where `starts` has one, else with random ones.

        ValueError: a config does not fit its kind or folder."""
        known, folders = list(captions), starts or [None] * len(configs)
        return cls(
            [
                build.load(folder, config, known) if folder else build.learn(config, known)
                for config, folder in zip(configs, folders, strict=True)
            ],
            pooled=pooled,
        )

    def encode_captions(self, captions: list[str], dropped: Tensor | None = None) -> Condition:
        """B captions; "" stands for no caption, and is taken where `dropped` (B,) bool is true: pooled
        (B, P), states (B, L, D) and mask (B, L), of all encoders' tokens one after the other."""
        conditions: list[Condition] = [encoder.encode_captions(captions, dropped) for encoder in self.each()]
        states = [conditions[0].states]
        states += [match(other.states) for match, other in zip(self.match, conditions[1:], strict=True)]
        joined, mask = torch.cat(states, 1), torch.cat([condition.mask for condition in conditions], 1)
        if not self.pooled_width:
            return Condition(joined.new_zeros(len(captions), 0), joined, mask)
        queries = self.queries.expand(len(captions), -1, -1)  # (B, Q, D)
        pooled = self.pool(queries, joined, mask[:, None, None, :]).flatten(1)
        return Condition(pooled, joined, mask)

    def set_rates(self, configs: Sequence[TextConfig]) -> None:
        """The encoders learn as these configs say, one for each; a model's folder does not say it."""
        for encoder, config in zip(self.each(), configs, strict=True):
            encoder.config = replace(encoder.config, rate=config.rate, dropout=config.dropout)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As of modules, but what is frozen has no dropout."""
        super().train(mode)
        for encoder in self.each():
            if not encoder.config.rate:
                encoder.eval()
        return self

    @classmethod
    def load(cls, configs: Sequence[TextConfig], folder: Path, *, pooled: bool = True) -> Self:
        """The encoders that `save` wrote; queries and what matches widths are random."""
        folders = [folder / str(number) for number in range(len(configs))]
        return cls.learn(configs, (), folders, pooled=pooled)

    def save(self, folder: Path, weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
        """Writes each encoder into a folder of its own below `folder`, which is made: one to start from.

        weights: of a model that holds this module under `prefix`, by the names of its `state_dict`. Returns
        those that no encoder has."""
        for number, encoder in enumerate(self.each()):
            own, place = f"{prefix}{ENCODERS}{number}.", folder / str(number)
            place.mkdir(parents=True)
            encoder.save(place, submodule_weights(weights, own))
        return {name: value for name, value in weights.items() if not name.startswith(prefix + ENCODERS)}

    @property
    def readers(self) -> Sequence[CaptionReader]:
        """The encoders."""
        return self.each()

    def each(self) -> list[TextEncoder]:
        """The encoders."""
        return [cast(TextEncoder, encoder) for encoder in self.encoders]
