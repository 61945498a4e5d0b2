"""Conditioning by concatenation: what a condition says of each place stands beside the noisy array as further
channels (Saharia et al. 2021, arXiv:2104.07636, section 2.3; Brooks et al. 2022, arXiv:2211.09800, section
3.2)."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.condition import Condition

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def widened(layer: Layer, inputs: int) -> Layer:
    """The layer with so many further inputs behind its own, whose weights are zero, as Brooks et al. begin:
    it computes what it did, whatever they bring. It is changed in place; 0 leaves it as it is."""
    if not inputs:
        return layer
    weight = layer.weight.detach()
    zeros = weight.new_zeros(len(weight), inputs, *weight.shape[2:])
    layer.weight = nn.Parameter(torch.cat([weight, zeros], 1))
    if isinstance(layer, nn.Linear):
        layer.in_features += inputs
    else:
        assert layer.groups == 1
        layer.in_channels += inputs
    return layer


def concatenated(x: Tensor, condition: Condition, channels: int) -> Tensor:
    """(B, C, H, W) to (B, C + channels, H, W): the condition's channels behind, resized to x's sides.

    Bilinear; one value for all places is spread over them. channels: that the network was made for; 0 leaves
    x as it is."""
    if not channels:
        return x
    maps = condition.channels
    assert maps is not None, "a denoiser that was made for a condition's channels got none"
    assert maps.shape[1] == channels, (maps.shape, channels)
    if maps.shape[2:] == (1, 1):
        maps = maps.expand(-1, -1, *x.shape[2:])
    elif maps.shape[2:] != x.shape[2:]:
        smaller = maps.shape[2] > x.shape[2] or maps.shape[3] > x.shape[3]
        maps = F.interpolate(maps.float(), x.shape[2:], mode="bilinear", antialias=smaller)
    return torch.cat([x, maps.to(x.dtype)], 1)
