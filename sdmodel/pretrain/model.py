"""A text encoder with the heads that it is pretrained through, and their losses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.pretrain.embedding_noise import embedding_noise
from sdmodel.pretrain.labels import LabelHeads, Labels
from sdmodel.pretrain.masked import MaskedHead, MaskedTokens, mask_tokens, tokens_of
from sdmodel.pretrain.next_token import NextTokenHead
from sdmodel.pretrain.paired import Pairing
from sdmodel.pretrain.predictions import Predictions, count_flips, cross_entropy, divergence
from sdmodel.text.encoder import TextEncoder

PredictionsByLoss = dict[str, list[Predictions]]
"""By the name of the loss: "contrastive", "labels", "masked", "next"."""
LOSSES = ("contrastive", "labels", "masked", "next")
"""Names of losses that come of predictions; config.pretrain has their weights."""
WHOLE = ("contrastive", "labels")
"""Those whose predictions are of whole captions."""


@dataclass(frozen=True)
class HeadInputs:
    """What the heads predict from, for a batch."""

    ids: Tensor
    """(B, L) or (B, L, G) int64, of the captions."""
    mask: Tensor
    """(B, L) bool."""
    image: Tensor | None
    """(B, D) directions of the pictures; None where pictures are not compared."""
    hidden: MaskedTokens | None
    """None where no token is masked."""
    uids: Sequence[str]
    every: bool
    """Whether all labels count, or those alone that teach."""


@dataclass(frozen=True)
class HeadOutputs:
    """The heads' predictions for a batch."""

    ids: Tensor
    """(B, L) or (B, L, G) int64, of the captions."""
    image: Tensor | None
    """(B, D) directions of the pictures; None where the model does not look at them."""
    text: Tensor | None
    """(B, D) directions of the captions; likewise."""
    clean: PredictionsByLoss
    disturbed: PredictionsByLoss
    """The same with noise on the embeddings; empty where the config has none."""

    @property
    def flips(self) -> Tensor | None:
        """(2,) float64: predictions that the noise turns, and predictions in all, of pictures and labels
        where they are predicted, else of tokens; None without noise.

        A hidden token often has several good answers, whose order turns at the smallest noise."""
        if not self.disturbed:
            return None
        names = counted(self.clean)
        return torch.stack([count_flips(self.clean[name], self.disturbed[name]) for name in names]).sum(0)


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
        weights = config.pretrain
        self.pairing = Pairing(config, encoder.width, captions) if weights.contrastive else None
        self.labels = LabelHeads(encoder.width, labels) if weights.labels else None
        self.masked = MaskedHead(encoder, seen) if weights.masked else None
        self.next = NextTokenHead(encoder, seen) if weights.next else None

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses by name, each a float32 scalar times its weight: "contrastive" over the global batch, the
        others means over rows."""
        return self.losses(self.predict(batch), batch)

    def predict(self, batch: Batch) -> HeadOutputs:
        """The predictions: while it learns of those labels alone that teach, else of all."""
        config, every = self.config, not self.training
        inputs = self._inputs(batch, every)
        clean, text = self._predictions(inputs)
        noisy: PredictionsByLoss = {}
        if config.noise and (config.consistency or not self.training):
            with embedding_noise(self.encoder.embedding, config.noise, batch):
                noisy, _ = self._predictions(inputs)
        return HeadOutputs(inputs.ids, inputs.image, text, clean, noisy)

    def losses(self, outputs: HeadOutputs, batch: Batch) -> dict[str, Tensor]:
        """Losses of these predictions, see `forward`."""
        weights, clean, noisy = self.config, outputs.clean, outputs.disturbed
        losses: dict[str, Tensor] = {}
        if self.pairing and outputs.image is not None and outputs.text is not None:
            loss = self.pairing.loss(self.encoder, outputs.image, outputs.text, outputs.ids, batch)
            losses["contrastive"] = weights.contrastive * loss
        if self.labels:
            shares = self.labels.shares(every=not self.training)
            columns = zip(clean["labels"], shares, strict=True)
            each = [cross_entropy(column).mean() / share for column, share in columns]
            losses["labels"] = weights.labels * torch.stack(each).mean()
        for name, weight in (("masked", weights.masked), ("next", weights.next)):
            if name in clean:
                losses[name] = (
                    weight * torch.stack([cross_entropy(head).mean() for head in clean[name]]).mean()
                )
        if weights.consistency:
            pairs = [pair for name in clean for pair in zip(clean[name], noisy[name], strict=True)]
            apart = torch.stack([divergence(before, after).mean() for before, after in pairs]).mean()
            losses["consistency"] = weights.consistency * apart
        if set(clean) == {"next"}:
            # What only whole captions pass has no loss: its gradient is 0, for who awaits one.
            losses["next"] = losses["next"] + 0 * sum(p.sum() for p in self.encoder.parameters())
        return losses

    @property
    def counted(self) -> list[str]:
        """The losses whose predictions are counted as flips."""
        return counted(name for name in LOSSES if getattr(self.config, name))

    def columns(self) -> list[str]:
        """Columns of the labels that it predicts, in the order of its predictions."""
        return list(self.labels.labels.columns) if self.labels else []

    def _inputs(self, batch: Batch, every: bool) -> HeadInputs:
        """The heads' inputs for this batch; which tokens are hidden is drawn."""
        ids, mask = self.encoder.tokenize(batch.captions)
        hidden = None
        if self.masked:
            share, words = self.config.mask, self.masked.words
            hidden = mask_tokens(self.encoder.tokenizer, ids, share, words, batch)
        image = self.pairing.images(batch.images) if self.pairing else None
        return HeadInputs(ids, mask, image, hidden, batch.uids, every)

    def _predictions(self, inputs: HeadInputs) -> tuple[PredictionsByLoss, Tensor | None]:
        """The predictions of each head in use; and directions of captions (B, D), where pictures are
        compared."""
        predictions: PredictionsByLoss = {}
        text = None
        if self.pairing or self.labels:
            _, pooled = self.encoder(inputs.ids, inputs.mask)
            if self.pairing and inputs.image is not None:
                text = self.pairing.texts(pooled)
                predictions["contrastive"] = [self.pairing.predictions(inputs.image, text, inputs.ids)]
            if self.labels:
                predictions["labels"] = self.labels(pooled, inputs.uids, inputs.every)
        if self.masked and inputs.hidden:
            states, pooled = self.encoder(inputs.hidden.ids, inputs.mask)
            predictions["masked"] = [self.masked(states, pooled, inputs.hidden)]
        if self.next:
            predictions["next"] = self.next(
                self.encoder.causal_states(inputs.ids, inputs.mask), inputs.ids, inputs.mask
            )
        return predictions, text
