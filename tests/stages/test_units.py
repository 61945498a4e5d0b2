import pytest

from stages.units import duration, file_size, rate


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (320, "5 min 20 s"),
        (3599.7, "1 h 0 min"),
        (11_520, "3 h 12 min"),
        (86_400 * 2 + 3 * 3600 + 59, "2 d 3 h"),
    ],
)
def test_durations_have_their_two_greatest_units(seconds: float, words: str):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 kB"), (12_300, "12 kB"), (3_400_000, "3.4 MB"), (1e9, "1.0 GB"), (2.5e12, "2.5 TB")],
)
def test_sizes_have_the_decimal_unit_that_suits(count: float, words: str):
    assert file_size(count) == words


@pytest.mark.parametrize(
    ("per_second", "words"), [(0.5, "0.5/s"), (12.34, "12.3/s"), (99.96, "100/s"), (1234.4, "1,234/s")]
)
def test_rate(per_second: float, words: str) -> None:
    assert rate(per_second) == words
