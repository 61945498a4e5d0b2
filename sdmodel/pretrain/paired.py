"""Pictures and captions of a pair together (CLIP, Radford et al. 2021, arXiv:2103.00020, figure 3): an image
tower beside the text encoder that is pretrained."""

import math
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sdmodel.config.train import TrainConfig
from sdmodel.contrastive.foils import Foils
from sdmodel.contrastive.gather import gather
from sdmodel.contrastive.pairs import (
    FIRST_SCALE,
    directions,
    factor,
    foils_of,
    paired_loss,
    same_captions,
)
from sdmodel.contrastive.tower import ADAMW_LAYERS, build
from sdmodel.data.batch import Batch
from sdmodel.pretrain.predictions import Predictions
from sdmodel.text.encoder import TextEncoder

NEVER = -1e4
"""Logit of what is no candidate; finite, so that divergences are."""


class Pairing(nn.Module):
    """The image tower, the way from the pooled state to the space that both share, and the loss."""

    adamw_layers = ("project", *(f"tower.{name}" for name in ADAMW_LAYERS))

    def __init__(self, config: TrainConfig, width: int, captions: Iterable[str]):
        """width: of the pooled state. captions: that foils are learned from. ValueError: see tower.py."""
        super().__init__()
        self.tower = build(config)
        self.project = nn.Linear(width, config.contrastive.embedding, bias=False)
        self.scale = nn.Parameter(torch.tensor([math.log(FIRST_SCALE)]))
        self.foils, self.count = Foils(captions), config.contrastive.foils

    def images(self, pixels: Tensor) -> Tensor:
        """(B, D) float32 of length 1."""
        return directions(self.tower(pixels))

    def texts(self, pooled: Tensor) -> Tensor:
        """(B, D) float32 of length 1."""
        return directions(self.project(pooled))

    def loss(
        self,
        encoder: TextEncoder,
        image: Tensor,
        text: Tensor,
        ids: Tensor,
        batch: Batch,
    ) -> Tensor:
        """Over the global batch, a scalar; image and text are (B, D) of length 1, ids the captions'."""
        if self.count:
            others, mask = encoder.tokenize(foils_of(batch, self.foils, self.count))
            text = torch.cat([text, self.texts(encoder(others, mask)[1])])
            ids = torch.cat([ids, others])
        return paired_loss(image, text, ids, factor(self.scale))

    def predictions(self, image: Tensor, text: Tensor, ids: Tensor) -> Predictions:
        """Which picture of the global batch (W * B) each of this process's captions (B) is of; pictures with
        the same caption are no candidates. Nothing is learned of the pictures."""
        rank = dist.get_rank() if dist.is_initialized() else 0
        own = rank * len(text) + torch.arange(len(text), device=text.device)  # (B,)
        pictures = gather(image.detach())  # (W * B, D)
        equal = same_captions(gather(ids))[own]  # (B, W * B)
        equal[torch.arange(len(own), device=own.device), own] = False
        with torch.autocast(text.device.type, enabled=False):
            logits = (factor(self.scale) * text @ pictures.T).masked_fill(equal, NEVER)
        there = torch.ones(len(text), 1, dtype=torch.bool, device=text.device)
        # One picture for all captions would be right once in the global batch.
        return Predictions(logits[:, None], own[:, None], there, there, torch.zeros_like(own[0]))
