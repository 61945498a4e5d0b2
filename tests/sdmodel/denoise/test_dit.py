import math

import torch

from sdmodel.denoise.dit import positions
from sdmodel.denoise.dit_block import DiTBlock, NormalisedAttention


def test_every_place_has_a_position_of_its_own():
    told = positions(7, 5, 16)
    assert told.shape == (35, 16)
    assert torch.cdist(told, told).add(10 * torch.eye(35)).min() > 0.1


def test_positions_are_relative_to_the_picture():
    """A place of a small picture lies where the four of a large one do that it is the mean of; the middle is
    the middle in any shape; and a token is as far from the next as pixels are."""
    slow = slice(13, 16)  # cosines and sines of the lowest frequencies, which are nearly linear
    small, large = (positions(side, side, 64).view(side, side, 64) for side in (4, 8))
    four = large.unflatten(0, (4, 2)).unflatten(2, (4, 2)).mean((1, 3))
    torch.testing.assert_close(small[..., slow], four[..., slow], atol=1e-4, rtol=1e-3)
    middles = [positions(h, w, 16).view(h, w, 16)[h // 2, w // 2] for h, w in ((3, 3), (5, 9), (9, 3))]
    for middle in middles[1:]:
        torch.testing.assert_close(middle, middles[0])
    wide = positions(4, 16, 16).view(4, 16, 16)
    right, down = (torch.atan2(a[0], a[4]) for a in (wide[0, 8, 8:16] - 0, wide[2, 0, :8]))
    assert math.isclose(right, 0.5 * 16 / 8, rel_tol=1e-4)
    assert math.isclose(down, 0.5 * 16 / 8, rel_tol=1e-4)


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
