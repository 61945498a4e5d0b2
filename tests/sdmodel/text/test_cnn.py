import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from sdmodel.config.text import TextConfig
from sdmodel.text.cnn import CNN
from sdmodel.text.cnn import ENCODER as CNN_ENCODER

CAPTIONS = ["a red hat on two blue cats"] * 2
CONFIG = TextConfig(kind="cnn", width=8, length=12, vocabulary=300, kernels=(1, 3))


@pytest.fixture(scope="module")
def cnn() -> CNN:
    torch.manual_seed(0)
    return CNN_ENCODER.learn(CONFIG, CAPTIONS)


def test_a_state_is_what_the_formula_finds_around_its_token(cnn: CNN):
    """c_i = f(w · x_{i:i+h-1} + b), equation 2, written out for one token in the midst and one at the end."""
    ids, mask = cnn.tokenize(CAPTIONS[:1])
    states, pooled = cnn(ids, mask)
    count = int(mask.sum())
    x = F.pad(cnn.token(ids[0, :count]), (0, 0, 1, 1))  # a zero on both sides
    one, three = cnn.convolutions
    for place in (3, count - 1):
        seen = [
            F.relu(one.weight[:, :, 0] @ x[place + 1] + one.bias),
            F.relu(sum(three.weight[:, :, k] @ x[place + k] for k in range(3)) + three.bias),
        ]
        assert_close(states[0, place], F.layer_norm(cnn.join(torch.cat(seen)), (8,)))
    assert_close(pooled[0], states[0, :count].max(0).values)


def test_a_token_is_seen_as_far_as_the_widest_kernel_reaches(cnn: CNN):
    ids, mask = cnn.tokenize(CAPTIONS[:1])
    other = ids.clone()
    other[0, 4] = 3
    told, changed = cnn(ids, mask)[0][0], cnn(other, mask)[0][0]
    assert (told != changed).any(1).nonzero().flatten().tolist() == [3, 4, 5]


def test_pooled_is_the_largest_where_all_are_negative(cnn: CNN):
    """Zeros at padding must not win."""
    with torch.no_grad():
        ids, mask = cnn.tokenize(["a"])
        bias = cnn.norm.bias.clone()
        cnn.norm.bias.fill_(-9.0)
        pooled = cnn(ids, mask)[1]
        cnn.norm.bias.copy_(bias)
    assert (pooled < 0).all()
