"""A feature prior: a small diffusion model of pooled features, so that a denoiser which is told of a
picture's features can draw one that nobody shows it (representation-conditioned generation; Li et al. 2023,
arXiv:2312.03701)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.data.batch import Batch
from sdmodel.denoise.time import FEATURES, time_features
from sdmodel.noise.interpolation import interpolate, unit_scale
from sdmodel.noise.times import logit_normal
from sdmodel.sample.solvers import euler
from sdmodel.sample.times import sampling_times

MEAN, DEVIATION = 0.0, 1.5
"""Of the log-odds of the times that it learns at: no level of noise is more to be seen than another."""
STEPS = 24
"""Euler steps that features are drawn in. They cost next to nothing beside a denoiser's one."""


class FeaturePrior(nn.Module):
    """Of noisy features the clean ones, given the time and the caption: residual blocks of a perceptron that
    adds both before each activation (section 3.2 and appendix A)."""

    adamw_layers = ("stem", "time", "caption", "out")

    def __init__(self, features: int, caption: int, width: int, blocks: int) -> None:
        """Args:
        features: F, channels of the features, which have mean 0 and variance 1.
        caption: channels of what is known of the caption; 0: nothing is.
        width: channels of the blocks.
        blocks: their number."""
        super().__init__()
        self.features = features
        self.stem = nn.Linear(features, width)
        self.time = nn.Sequential(nn.Linear(FEATURES, width), nn.SiLU())
        self.caption = nn.Linear(caption, width) if caption else None
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, features)
        nn.init.zeros_(self.out.weight)  # zeros: untrained, it predicts the mean of all features
        nn.init.zeros_(self.out.bias)

    def forward(self, x_t: Tensor, t: Tensor, caption: Tensor) -> Tensor:
        """Features (B, F) at times t (B,), of captions (B, P), to the expected clean ones, float32."""
        embedding = self.time(time_features(t))
        if self.caption is not None:
            embedding = embedding + self.caption(caption)
        h = self.stem(unit_scale(t, 1.0)[:, None] * x_t)
        for block in self.blocks:
            h = block(h, embedding)
        return self.out(self.norm(h)).float()

    def loss(self, features: Tensor, caption: Tensor, batch: Batch) -> Tensor:
        """(B,) float32: the squared error of what is predicted of features (B, F) of captions (B, P), at
        random times. Neither gets a gradient."""
        t = logit_normal(batch.stratified("prior times"), MEAN, DEVIATION)
        eps = batch.normal("prior noise", self.features)
        x_0 = features.detach()
        predicted = self(interpolate(x_0, eps, t), t, caption.detach())
        return (predicted - x_0).square().mean(1)

    @torch.no_grad()
    def draw(self, noise: Tensor, caption: Tensor) -> Tensor:
        """Features (B, F) of captions (B, P), each of its noise (B, F) alone, of mean 0 and variance 1 as an
        encoder's are."""
        drawn = euler(lambda x_t, t: self(x_t, t, caption), noise, sampling_times(STEPS))
        return F.layer_norm(drawn, drawn.shape[1:])


class _Block(nn.Module):
    """Widens nothing and mixes channels twice, with time and caption between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        """(B, W) and (B, W) to (B, W)."""
        return h + self.second(F.silu(self.first(self.norm(h)) + embedding))
