import pytest

from sdmodel.train.schedule import rate


def test_rate_rises_then_falls_to_zero():
    rates = [rate(images, 10_000, 1000) for images in range(0, 10_000, 100)]
    assert 0 < rates[0] < 0.01
    assert max(rates) == rates[10]  # where the warm-up ends
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rate(5500, 10_000, 1000) == pytest.approx(0.45)
    assert rate(10_000, 10_000, 1000) == 0


def test_no_warmup_begins_at_full_rate():
    assert rate(0, 100, 0) == 1
