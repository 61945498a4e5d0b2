"""The transformer over patches (ViT; Dosovitskiy et al. 2020, arXiv:2010.11929), of which part of the patches
can be left out. Its positions are computed, relative to the picture, so that it sees any size."""

from typing import ClassVar

from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.config.selfsupervised import PatchTransformerConfig
from sdmodel.denoise.dit import positions


class PatchTransformer(nn.Module):
    """(B, 3, H, W) in [-1, 1], sides multiples of the patch, to (B, width): the mean over the patches' last
    states, which have one normalisation."""

    adamw_layers = ("patches",)
    fused_layers: ClassVar = {"blocks.*.attn.qkv": (1, 3)}

    def __init__(self, config: PatchTransformerConfig):
        super().__init__()
        self.patch = config.patch
        self.patches = nn.Linear(3 * config.patch**2, config.width)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, qkv_bias=True) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, images: Tensor) -> Tensor:
        """(B, width) features."""
        return self.states(self.embed(images)).mean(1)

    def embed(self, images: Tensor) -> Tensor:
        """(B, N, width): patches with their positions, row by row. ValueError: sides are no multiples of the
        patch."""
        height, width = images.shape[-2:]
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"pictures of {height} x {width} cannot be cut into patches of {self.patch}; sides must be "
                "multiples of it"
            )
        x = self.patches(cut(images, self.patch))
        return x + positions(height // self.patch, width // self.patch, x.shape[-1], x.device)

    def states(self, tokens: Tensor) -> Tensor:
        """(B, K, width): what the blocks make of some patches (B, K, width), normalised."""
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Each block's states as a map (B, width, h, w), normalised."""
        x, maps = self.embed(images), list[Tensor]()
        grid = [side // self.patch for side in images.shape[-2:]]
        for block in self.blocks:
            x = block(x)
            maps.append(self.norm(x).transpose(1, 2).unflatten(2, grid))
        return maps


def cut(images: Tensor, patch: int) -> Tensor:
    """(B, N, 3 patch^2): pictures (B, 3, H, W) as patches, row by row."""
    return F.pixel_unshuffle(images, patch).flatten(2).transpose(1, 2)
