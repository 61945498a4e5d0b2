"""Learning by giving back what is hidden: the encoder sees some patches, a light decoder draws the others
(MAE; He et al. 2021, arXiv:2111.06377)."""

from typing import ClassVar

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from sdmodel.config.selfsupervised import MaskedConfig, SelfSupervisedConfig
from sdmodel.data.batch import Batch
from sdmodel.denoise.dit import positions
from sdmodel.selfsupervised.masked_patches import chosen, hidden_patches, masked_error
from sdmodel.selfsupervised.noised import noised
from sdmodel.selfsupervised.patch_transformer import PatchTransformer, cut
from sdmodel.selfsupervised.pretext_task import PretextTask


class PatchDecoder(nn.Module):
    """A transformer that draws hidden patches from the states of the seen ones."""

    adamw_layers = ("out",)
    fused_layers: ClassVar = {"blocks.*.attn.qkv": (1, 3)}

    def __init__(self, config: MaskedConfig, features: int, patch: int):
        super().__init__()
        self.widen = nn.Linear(features, config.width)
        self.hidden = nn.Parameter(torch.zeros(config.width))
        """What stands in the place of a hidden patch."""
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, qkv_bias=True) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, 3 * patch**2)
        nn.init.normal_(self.hidden, std=0.02)

    def forward(self, states: Tensor, seen: Tensor, hidden: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, M, 3 patch^2): the hidden patches.

        states: (B, V, features) of the seen patches. seen, hidden: their places, (B, V) and (B, M), in a grid
        of so many rows and columns."""
        x = self.widen(states)
        everywhere = positions(*grid, x.shape[-1], x.device).expand(len(x), -1, -1)  # (B, N, W)
        x = torch.cat(
            [x + chosen(everywhere, seen), (self.hidden + chosen(everywhere, hidden)).to(x.dtype)], dim=1
        )
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x[:, seen.shape[1] :]))


class MaskedAutoencoder(PretextTask[PatchTransformer]):
    """The encoder, the head (a decoder), and the loss."""

    def __init__(self, config: SelfSupervisedConfig):
        super().__init__()
        self.config = config
        self.encoder = PatchTransformer(config.vit)
        self.head = PatchDecoder(config.masked, config.vit.width, config.vit.patch)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """{"selfsupervised": scalar}. What is given back is clean, where what is seen is noised, too."""
        patch = self.config.vit.patch
        tokens = self.encoder.embed(noised(batch, batch.images, self.config.noised))  # (B, N, F)
        u = batch.uniform("hidden patches", tokens.shape[1])
        seen, hidden = hidden_patches(u, self.config.masked.share)
        height, width = batch.images.shape[-2:]
        states = self.encoder.states(chosen(tokens, seen))
        predicted = self.head(states, seen, hidden, (height // patch, width // patch))
        return {"selfsupervised": masked_error(predicted, chosen(cut(batch.images, patch), hidden))}
