import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sdmodel import philox

ROWS = torch.arange(64)
ANSWERS = (
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
)
"""Counter, key and words of philox4x32-10 in Random123's kat_vectors."""


def numbers(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), ANSWERS)
def test_words_are_random123_s(counter: str, key: str, answer: str):
    c0, c1, c2, c3 = (torch.tensor([word]) for word in numbers(counter))
    k0, k1 = numbers(key)
    words = philox.philox((c0, c1, c2, c3), (k0, k1))
    assert [word.item() for word in words] == numbers(answer)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**63 - 1]),
    first=st.sampled_from([0, 2**31 - 3, 2**32 - 3, 2**62]),
    shape=st.lists(st.integers(1, 5), max_size=3),
    cuts=st.lists(st.integers(0, 7), max_size=4),
)
def test_rows_are_the_same_however_they_are_cut(seed: int, first: int, shape: list[int], cuts: list[int]):
    rows = first + torch.arange(7)
    bounds = sorted({0, *cuts, 7})
    for draw in (philox.normal, philox.uniform):
        whole = draw(seed, rows, "noise", *shape)
        parts = [draw(seed, rows[begin:end], "noise", *shape) for begin, end in itertools.pairwise(bounds)]
        assert torch.equal(whole, torch.cat(parts))
        assert whole.shape == (7, *shape)
        assert whole.dtype == torch.float32
        more = draw(seed, rows, "noise", whole[0].numel() + 3)  # a larger draw begins as the smaller one
        assert torch.equal(more[:, :-3], whole.flatten(1) if shape else whole[:, None])


def test_numbers_are_standard_normal():
    x = philox.normal(1, ROWS, "noise", 3, 32, 32).double()
    n = x.numel()
    assert abs(x.mean()) < 4 / n**0.5
    assert abs(x.square().mean() - 1) < 4 * (2 / n) ** 0.5
    assert abs((x**3).mean()) < 4 * (15 / n) ** 0.5
    assert abs((x**4).mean() - 3) < 4 * (96 / n) ** 0.5
    assert stats.kstest(x.flatten().numpy(), "norm").pvalue > 0.01
    assert 4 < x.abs().max() < 6.7


def test_numbers_are_uniform():
    u = philox.uniform(1, ROWS, "times", 1000).double()
    assert stats.kstest(u.flatten().numpy(), "uniform").pvalue > 0.01
    assert 0 <= u.min() < u.max() < 1
    assert torch.equal(u * 2**24, (u * 2**24).round())


def test_nothing_that_differs_by_one_is_alike():
    """Neighbouring places, rows, seeds, halves of a seed, streams: correlations are those of chance."""
    x = philox.normal(7, ROWS, "noise", 4096)
    others = {
        "place": x.roll(1, 1),
        "pair": x.unflatten(1, (-1, 2)).flip(2).flatten(1),
        "row": x.roll(1, 0),
        "row above 2^32": philox.normal(7, ROWS + 2**32, "noise", 4096),
        "seed": philox.normal(8, ROWS, "noise", 4096),
        "seed above 2^32": philox.normal(7 + 2**32, ROWS, "noise", 4096),
        "stream": philox.normal(7, ROWS, "latent", 4096),
        "largest seed": philox.normal(2**63 - 1, ROWS, "noise", 4096),
    }
    for name, other in others.items():
        for f in (torch.clone, torch.abs):  # in sign and in size
            a, b = (f(y) - f(y).mean() for y in (x, other))
            correlation = (a * b).mean() / (a.std() * b.std())
            assert abs(correlation) < 4 / x.numel() ** 0.5, name


def test_a_draw_holds_no_more_than_its_own_rows(monkeypatch: pytest.MonkeyPatch):
    draws, plain = [], philox.philox

    def counted(counter: philox.FourWords, key: tuple[int, int]) -> philox.FourWords:
        words = plain(counter, key)
        draws.append(sum(word.numel() for word in words))
        return words

    monkeypatch.setattr(philox, "philox", counted)
    philox.normal(0, torch.arange(2**20, 2**20 + 8), "noise", 3, 16, 16)
    assert draws == [8 * 3 * 16 * 16]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="what a GPU draws is what a CPU draws")
def test_a_gpu_draws_the_same():
    for draw, tolerance in ((philox.uniform, 0.0), (philox.normal, 1e-5)):
        there = draw(2**63 - 1, ROWS.cuda() + 2**40, "noise", 3, 5)
        expected = draw(2**63 - 1, ROWS + 2**40, "noise", 3, 5)
        torch.testing.assert_close(there.cpu(), expected, rtol=tolerance, atol=tolerance)
