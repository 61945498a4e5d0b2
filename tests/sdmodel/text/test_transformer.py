from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from sdmodel.config.text import TextConfig
from sdmodel.text.positions import rotate, sinusoids
from sdmodel.text.transformer import ENCODER as TRANSFORMER
from sdmodel.text.transformer import Transformer, TransformerBlock

CONFIG = TextConfig(width=16, heads=2, queries=3, length=8, vocabulary=300)
WORDS = ["a red hat", "a blue cat", "two green hats"] * 2
POSITIONS = ("learned", "sinusoidal", "rotary")


@pytest.fixture(params=POSITIONS)
def text(request: pytest.FixtureRequest) -> Transformer:
    torch.manual_seed(0)
    return TRANSFORMER.learn(replace(CONFIG, positions=request.param, layers=2), WORDS)


def test_padding_does_not_change_what_is_read(text: Transformer):
    ids = torch.tensor([[1, 7, 9, 2]])
    padded = torch.cat([ids, torch.zeros(1, 3, dtype=torch.int64)], 1)
    states, pooled = text(ids, ids != 0)
    states_padded, pooled_padded = text(padded, padded != 0)
    assert_close(pooled, pooled_padded)
    assert_close(states, states_padded[:, :4])
    assert not states_padded[:, 4:].any()


def test_the_order_of_words_matters(text: Transformer):
    ids = torch.tensor([[1, 7, 9, 2], [1, 9, 7, 2]])
    _, pooled = text(ids, ids != 0)
    assert not torch.allclose(pooled[0], pooled[1])


def test_states_ahead_know_nothing_of_what_follows(text: Transformer):
    ids = torch.tensor([[1, 7, 9, 8, 2], [1, 7, 9, 2, 0]])
    ((states, offset),) = text.causal_states(ids, ids != 0)
    assert offset == 1
    assert_close(states[0, :3], states[1, :3])
    assert not torch.allclose(states[0, 3], states[1, 3])
    assert not states[1, 4].any()
    assert not torch.allclose(text(ids, ids != 0)[0][0, :3], text(ids, ids != 0)[0][1, :3])


def stock(block: TransformerBlock) -> nn.TransformerEncoderLayer:
    """torch's own layer with a block's weights."""
    width, attention = block.norm_1.normalized_shape[0], block.attention
    layer = nn.TransformerEncoderLayer(
        width, attention.heads, 2 * width, 0.0, F.silu, batch_first=True, norm_first=True
    )
    held = {
        "self_attn.in_proj_weight": torch.cat(
            [block.attention.query.weight, block.attention.key_value.weight]
        ),
        "self_attn.in_proj_bias": torch.zeros(3 * width),
    }
    names = {
        "self_attn.out_proj": attention.out,
        "linear1": block.mlp[0],
        "linear2": block.mlp[2],
        "norm1": block.norm_1,
        "norm2": block.norm_2,
    }
    for name, module in names.items():
        held |= {f"{name}.{part}": value for part, value in module.state_dict().items()}
    layer.load_state_dict(held)
    return layer.train()  # its fast path for evaluation is other arithmetic


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
@pytest.mark.parametrize("causal", [False, True])
def test_states_are_those_of_stock_layers(positions: str, causal: bool):
    torch.manual_seed(1)
    text = TRANSFORMER.learn(replace(CONFIG, positions=positions, layers=2), WORDS)
    ids = text.tokenizer.token_ids(WORDS[:3], 8)
    mask = ids != 0
    x = text.token(ids) + text.position
    later = nn.Transformer.generate_square_subsequent_mask(8, dtype=torch.float32) if causal else None
    padding = torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))
    for block in text.blocks:
        assert isinstance(block, TransformerBlock)
        x = stock(block)(x, src_mask=later, src_key_padding_mask=padding)
    wanted = text.norm(x) * mask[..., None]
    assert_close(text.causal_states(ids, mask)[0][0] if causal else text(ids, mask)[0], wanted)


def test_sinusoids_are_those_of_the_paper():
    table = sinusoids(6, 8)
    assert table[0].tolist() == [0, 1] * 4
    assert_close(table[5, 4], torch.tensor(5 / 10_000 ** (4 / 8)).sin())
    assert_close(table[5, 5], torch.tensor(5 / 10_000 ** (4 / 8)).cos())


@given(places=st.tuples(st.integers(0, 20), st.integers(0, 20)), shift=st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_rotary_products_depend_on_the_distance_alone(places: tuple[int, int], shift: int):
    q, k = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(0))

    def product(one: int, other: int) -> Tensor:
        theta = torch.tensor([1.0, 0.5, 0.1, 0.01])
        return (rotate(q, one * theta[None]) * rotate(k, other * theta[None])).sum()

    assert_close(product(places[0] + shift, places[1] + shift), product(*places), atol=1e-4, rtol=1e-4)


def test_rotation_is_multiplication_of_complex_numbers():
    x, turned = torch.randn(2, 5, 8), torch.rand(5, 4) * 6
    wanted = torch.view_as_complex(x.unflatten(-1, (4, 2))) * torch.polar(torch.ones(5, 4), turned)
    assert_close(rotate(x, turned), torch.view_as_real(wanted).flatten(-2))


def test_dropout_is_off_where_nothing_learns():
    torch.manual_seed(0)
    text = TRANSFORMER.learn(replace(CONFIG, dropout=0.5), WORDS)
    assert not torch.equal(text.encode_captions(WORDS).pooled, text.encode_captions(WORDS).pooled)
    assert torch.equal(text.eval().encode_captions(WORDS).pooled, text.encode_captions(WORDS).pooled)


def test_a_saved_one_begins_a_shorter_one_with_dropout(text: Transformer, tmp_path: Path):
    text.save(tmp_path, text.state_dict())
    again = TRANSFORMER.load(tmp_path, TextConfig(length=6, dropout=0.1, rate=0.5, queries=2)).eval()
    assert again.config == replace(text.config, length=6, dropout=0.1, rate=0.5, queries=2)
    ids = text.tokenizer.token_ids(["a red hat"], 6)
    assert_close(again(ids, ids != 0)[0], text(ids, ids != 0)[0])
