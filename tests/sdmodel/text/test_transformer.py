import pytest
import torch

from sdmodel.config import TextConfig
from sdmodel.text.transformer import ENCODER as TRANSFORMER

CONFIG = TextConfig(width=16, heads=2, queries=3, length=8, vocabulary=300)
WORDS = ["a red hat", "a blue cat", "two green hats"] * 2


def test_padding_does_not_change_what_is_read():
    torch.manual_seed(0)
    text, ids = TRANSFORMER.learn(CONFIG, WORDS), torch.tensor([[1, 7, 9, 2]])
    padded = torch.cat([ids, torch.zeros(1, 3, dtype=torch.int64)], 1)
    states, pooled = text(ids, ids != 0)
    states_padded, pooled_padded = text(padded, padded != 0)
    torch.testing.assert_close(pooled, pooled_padded)
    torch.testing.assert_close(states, states_padded[:, :4])
    assert not states_padded[:, 4:].any()


def test_the_order_of_words_matters():
    torch.manual_seed(0)
    text, ids = TRANSFORMER.learn(CONFIG, WORDS), torch.tensor([[1, 7, 9, 2], [1, 9, 7, 2]])
    _, pooled = text(ids, ids != 0)
    assert not torch.allclose(pooled[0], pooled[1])


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width 16 cannot be divided among 3 heads"):
        TRANSFORMER.learn(TextConfig(width=16, heads=3, vocabulary=300), WORDS)
