import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.dedup.difference import differences, sketches

pictures = st.integers(0, 2**32 - 1).map(lambda seed: _blocks(np.random.default_rng(seed)))


def _blocks(rng: np.random.Generator) -> np.ndarray:
    cell = int(rng.choice([1, 4, 16, 32]))
    values = rng.integers(0, 256, (32 // cell, 32 // cell, 3))
    return np.kron(values, np.ones((cell, cell, 1))).astype(np.uint8)


@settings(max_examples=60)
@given(pictures, pictures, st.sampled_from([8, 31, 32, 63, 64, 500]))
def test_a_difference_is_symmetric_zero_for_equals_and_bounded_by_the_sketches(first, second, side):
    a, b, sides = first[None], second[None], np.array([side])
    difference = differences(a, b, sides)[0]
    assert difference == differences(b, a, sides)[0]
    assert differences(a, a, sides)[0] == 0
    assert 0 <= difference <= 1 + 1e-6
    assert np.abs(sketches(a) - sketches(b)).max() <= difference + 1e-5


def test_known_values():
    black, white = np.zeros((1, 32, 32, 3), np.uint8), np.full((1, 32, 32, 3), 255, np.uint8)
    blue = black.copy()
    blue[..., 2] = 255
    side = np.array([64])
    assert np.isclose(differences(black, white, side)[0], 1)  # luma
    assert np.isclose(differences(black, blue, side)[0], 0.5)  # Cb
    dot = black.copy()
    dot[0, 8:12, 8:12] = 255  # a block of luma: not averaged away
    assert np.isclose(differences(black, dot, side)[0], 1)
    assert np.isclose(
        differences(black, dot, np.array([40]))[0], 1 / 4
    )  # blocks are 8 x 8 for lesser pictures
    assert np.isclose(differences(black, dot, np.array([20]))[0], 1 / 16)


def test_pairs_of_several_sizes_are_each_compared_at_their_own():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 9, 32, 32, 3), dtype=np.uint8)
    sides = np.array([16, 40, 64] * 3)
    together = differences(first, second, sides)
    alone = [differences(first[n : n + 1], second[n : n + 1], sides[n : n + 1])[0] for n in range(9)]
    assert np.allclose(together, alone, atol=1e-6)
