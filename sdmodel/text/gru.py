"""Gated recurrent units (Cho et al. 2014, arXiv:1406.1078)."""

from torch import nn

from sdmodel.text.recurrent import Recurrent


class GRU(Recurrent):
    """States of `nn.GRU` in both directions."""

    cell = nn.GRU


ENCODER = GRU
