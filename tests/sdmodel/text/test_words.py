import torch

from sdmodel.config import TextConfig
from sdmodel.text.tokenizer import Tokenizer
from sdmodel.text.words import Words


def test_a_dropped_caption_is_the_empty_one():
    torch.manual_seed(0)
    config = TextConfig(width=16, heads=2, queries=2, length=8, vocabulary=300)
    words = Words(config, Tokenizer.learn(["a red hat", "a blue cat"], 300))
    dropped = words.encode(["a red hat", "a blue cat"], torch.tensor([True, False]))
    told = words.encode(["", "a blue cat"])
    assert torch.equal(dropped.pooled, told.pooled)
    assert torch.equal(dropped.states, told.states)
    assert torch.equal(dropped.mask, told.mask)
