"""A plain recurrent network (Elman 1990, Finding structure in time)."""

from torch import nn

from sdmodel.text.recurrent import Recurrent


class RNN(Recurrent):
    """States of `nn.RNN` in both directions."""

    cell = nn.RNN


ENCODER = RNN
