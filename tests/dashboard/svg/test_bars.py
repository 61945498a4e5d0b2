import pytest

from dashboard.svg.bars import LEAST, UNITS, bar


@pytest.mark.parametrize(
    ("part", "whole", "width"),
    [(1, 2, UNITS // 2), (5, 2, UNITS), (1, 10**9, LEAST), (0, 5, 0), (3, 0, 0), (-1, 5, 0)],
)
def test_a_bar_is_as_wide_as_its_share(part: int, whole: int, width: int):
    assert f'<rect class="bar" width="{width}"' in bar(part, whole)


def test_its_words_are_escaped():
    assert "&lt;x&#34;" in bar(1, 2, '<x"')
