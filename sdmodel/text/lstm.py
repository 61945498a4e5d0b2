"""Long short-term memory (Hochreiter & Schmidhuber 1997; Graves & Schmidhuber 2005, in both directions)."""

from torch import nn

from sdmodel.text.recurrent import Recurrent


class LSTM(Recurrent):
    """States of `nn.LSTM` in both directions."""

    cell = nn.LSTM


ENCODER = LSTM
