import pytest
import torch

from sdmodel.config import TextConfig
from sdmodel.text.transformer import TextTransformer

CONFIG = TextConfig(width=16, heads=2, queries=3, length=8)


def test_padding_does_not_change_what_is_read():
    torch.manual_seed(0)
    text, ids = TextTransformer(CONFIG, 20), torch.tensor([[1, 7, 9, 2]])
    padded = torch.cat([ids, torch.zeros(1, 3, dtype=torch.int64)], 1)
    pooled, states = text(ids, ids != 0)
    pooled_padded, states_padded = text(padded, padded != 0)
    assert pooled.shape == (1, 48)
    torch.testing.assert_close(pooled, pooled_padded)
    torch.testing.assert_close(states, states_padded[:, :4])


def test_the_order_of_words_matters():
    torch.manual_seed(0)
    text, ids = TextTransformer(CONFIG, 20), torch.tensor([[1, 7, 9, 2], [1, 9, 7, 2]])
    pooled, _ = text(ids, ids != 0)
    assert not torch.allclose(pooled[0], pooled[1])


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width 16 cannot be divided among 3 heads"):
        TextTransformer(TextConfig(width=16, heads=3), 20)
