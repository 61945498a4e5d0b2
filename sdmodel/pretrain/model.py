"""A text encoder with the heads that it is pretrained through, and their losses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.pretrain.embedding_noise import disturbed
from sdmodel.pretrain.labels import LabelHeads, Labels
from sdmodel.pretrain.masked import Hidden, MaskedHead, hide, tokens_of
from sdmodel.pretrain.next_token import NextHead
from sdmodel.pretrain.paired import Pairing
from sdmodel.pretrain.predictions import Answer, divergence, error, flipped
from sdmodel.text.encoder import TextEncoder

Answers = dict[str, list[Answer]]
"""By the name of the loss: "contrastive", "labels", "masked", "next"."""
LOSSES = ("contrastive", "labels", "masked", "next")
"""Names of losses that come of predictions; config.pretrain has their weights."""
WHOLE = ("contrastive", "labels")
"""Those that whole captions are asked about."""


@dataclass(frozen=True)
class Asked:
    """What the heads are asked about a batch."""

    ids: Tensor
    """(B, L) or (B, L, G) int64, of the captions."""
    mask: Tensor
    """(B, L) bool."""
    image: Tensor | None
    """(B, D) directions of the pictures; None where they are not asked about."""
    hidden: Hidden | None
    """None where no token is to be guessed."""
    uids: Sequence[str]
    every: bool
    """Whether all labels are told, or those alone that teach."""


@dataclass(frozen=True)
class Told:
    """What the heads say of a batch."""

    ids: Tensor
    """(B, L) or (B, L, G) int64, of the captions."""
    image: Tensor | None
    """(B, D) directions of the pictures; None where the model does not look at them."""
    text: Tensor | None
    """(B, D) directions of the captions; likewise."""
    clean: Answers
    disturbed: Answers
    """The same with noise on the embeddings; empty where the config says none."""

    @property
    def flips(self) -> Tensor | None:
        """(2,) float64: predictions that the noise turns, and predictions in all, of pictures and labels
        where they are predicted, else of tokens; None without noise.

        A hidden token often has several good answers, whose order turns at the smallest noise."""
        if not self.disturbed:
            return None
        names = counted(self.clean)
        return torch.stack([flipped(self.clean[name], self.disturbed[name]) for name in names]).sum(0)


def counted(names: Iterable[str]) -> list[str]:
    """Those losses, of some, whose predictions are counted as flips."""
    known = list(names)
    return [name for name in WHOLE if name in known] or known


class Pretraining(nn.Module):
    """The encoder, and a head for each loss whose weight is above 0."""

    def __init__(self, config: TrainConfig, encoder: TextEncoder, captions: Sequence[str], labels: Labels):
        """captions: of the training split; foils and the commonest token are learned from them.

        ValueError: the encoder cannot learn by what the config asks for, or the image tower cannot see
        pictures of its size."""
        super().__init__()
        self.config = config.pretrain
        self.encoder = encoder
        seen = tokens_of(encoder.tokenizer, captions, encoder.length)
        wanted = config.pretrain
        self.pairing = Pairing(config, encoder.width, captions) if wanted.contrastive else None
        self.labels = LabelHeads(encoder.width, labels) if wanted.labels else None
        self.masked = MaskedHead(encoder, seen) if wanted.masked else None
        self.next = NextHead(encoder, seen) if wanted.next else None

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses by name, each a float32 scalar times its weight: "contrastive" over the global batch, the
        others means over rows."""
        return self.losses(self.told(batch, generator), batch, generator)

    def told(self, batch: Batch, generator: torch.Generator) -> Told:
        """The answers: while it learns of those labels alone that teach, else of all."""
        wanted, every = self.config, not self.training
        asked = self._asked(batch, generator, every)
        clean, text = self._answers(asked)
        noisy: Answers = {}
        if wanted.noise and (wanted.consistency or not self.training):
            with disturbed(self.encoder.embedding, wanted.noise, batch, generator):
                noisy, _ = self._answers(asked)
        return Told(asked.ids, asked.image, text, clean, noisy)

    def losses(self, told: Told, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of these answers, see `forward`."""
        wanted, clean, noisy = self.config, told.clean, told.disturbed
        losses: dict[str, Tensor] = {}
        if self.pairing and told.image is not None and told.text is not None:
            found = self.pairing.loss(self.encoder, told.image, told.text, told.ids, batch, generator)
            losses["contrastive"] = wanted.contrastive * found
        if self.labels:
            shares = self.labels.shares(every=not self.training)
            each = [error(one).mean() / share for one, share in zip(clean["labels"], shares, strict=True)]
            losses["labels"] = wanted.labels * torch.stack(each).mean()
        for name, weight in (("masked", wanted.masked), ("next", wanted.next)):
            if name in clean:
                losses[name] = weight * torch.stack([error(one).mean() for one in clean[name]]).mean()
        if wanted.consistency:
            pairs = [pair for name in clean for pair in zip(clean[name], noisy[name], strict=True)]
            apart = torch.stack([divergence(one, other).mean() for one, other in pairs]).mean()
            losses["consistency"] = wanted.consistency * apart
        if set(clean) == {"next"}:
            # What only whole captions pass is asked nothing: its gradient is 0, for who awaits one.
            losses["next"] = losses["next"] + 0 * sum(p.sum() for p in self.encoder.parameters())
        return losses

    @property
    def counted(self) -> list[str]:
        """The losses whose predictions are counted as flips."""
        return counted(name for name in LOSSES if getattr(self.config, name))

    def columns(self) -> list[str]:
        """Columns of the labels that it tells, in the order of its answers."""
        return list(self.labels.labels.columns) if self.labels else []

    def _asked(self, batch: Batch, generator: torch.Generator, every: bool) -> Asked:
        """What this batch's rows are asked; which tokens are hidden is drawn."""
        ids, mask = self.encoder.tokenize(batch.captions)
        hidden = None
        if self.masked:
            share, words = self.config.mask, self.masked.words
            hidden = hide(self.encoder.tokenizer, ids, share, words, batch, generator)
        image = self.pairing.images(batch.images) if self.pairing else None
        return Asked(ids, mask, image, hidden, batch.uids, every)

    def _answers(self, asked: Asked) -> tuple[Answers, Tensor | None]:
        """What each head in use says; and directions of captions (B, D), where pictures are asked about."""
        found: Answers = {}
        text = None
        if self.pairing or self.labels:
            _, pooled = self.encoder(asked.ids, asked.mask)
            if self.pairing and asked.image is not None:
                text = self.pairing.texts(pooled)
                found["contrastive"] = [self.pairing.answer(asked.image, text, asked.ids)]
            if self.labels:
                found["labels"] = self.labels(pooled, asked.uids, asked.every)
        if self.masked and asked.hidden:
            states, pooled = self.encoder(asked.hidden.ids, asked.mask)
            found["masked"] = [self.masked(states, pooled, asked.hidden)]
        if self.next:
            found["next"] = self.next(
                self.encoder.causal_states(asked.ids, asked.mask), asked.ids, asked.mask
            )
        return found, text
