import torch

from sdmodel.denoise.dit import positions
from sdmodel.denoise.dit_block import DiTBlock, NormalisedAttention


def test_every_place_has_a_position_of_its_own():
    told = positions(7, 5, 16)
    assert told.shape == (35, 16)
    assert torch.cdist(told, told).add(10 * torch.eye(35)).min() > 0.1
    torch.testing.assert_close(told.view(7, 5, 16)[:3, :2], positions(3, 2, 16).view(3, 2, 16))


def test_a_block_begins_as_the_identity():
    block, x = DiTBlock(16, 2, 4.0), torch.randn(2, 6, 16)
    assert torch.equal(block(x, torch.randn(2, 16), torch.randn(2, 3, 16), None), x)


def test_large_inputs_do_not_sharpen_attention():
    torch.manual_seed(0)
    attend, x = NormalisedAttention(16, 16, 2), torch.randn(2, 6, 16)
    for layer in (attend.query, attend.key_value):
        torch.nn.init.zeros_(layer.bias)
    out = attend(x, x, None) - attend.out.bias
    torch.testing.assert_close(
        attend(1000 * x, 1000 * x, None) - attend.out.bias, 1000 * out, rtol=1e-3, atol=1e-2
    )
