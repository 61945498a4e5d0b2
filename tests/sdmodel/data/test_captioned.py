"""What people are told of pictures without a caption."""

from dataclasses import replace

import pytest

from sdmodel.config.learning import DataConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.captioned import without_caption

CAPTIONS = [["a cat"], [], [], ["a dog"], []]


def test_where_most_have_none_the_way_to_see_captions_more_often_is_named():
    count, words = without_caption(CAPTIONS, TrainConfig())
    assert count == 3
    assert words.startswith("3 of 5 pictures to train on have no caption: they are learned without one")
    assert "data.uncaptioned below 1" in words


@pytest.mark.parametrize(
    ("captions", "data"),
    [(CAPTIONS[:2], DataConfig()), (CAPTIONS, DataConfig(uncaptioned=0.1))],
)
def test_who_has_half_of_them_or_has_chosen_is_not_told(captions: list[list[str]], data: DataConfig):
    _, words = without_caption(captions, replace(TrainConfig(), data=data))
    assert "learned without one" in words
    assert "data.uncaptioned" not in words
