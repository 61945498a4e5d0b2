"""What measures mean in words, and which way is better."""

import pytest

from dashboard.results.measures import explanation


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("validation.mse", "less is better"),
        ("similarity.mean", "more is better"),
        ("oracle.binding", "the drawn world"),
        ("validation.mse_shuffled", "captions of other pictures"),
    ],
)
def test_a_measure_is_explained_by_its_name_or_its_group(path: str, words: str):
    assert words in explanation(path)


def test_what_nobody_explains_stands_with_its_name_alone():
    assert explanation("novelty.score") == ""
    assert explanation("validation.novelty") == ""
    assert "better" not in explanation("validation.mse_shuffled")
