from dataclasses import replace

import numpy as np
import pytest

from sdmodel.config.learning import DataConfig
from sdmodel.data.index import Index
from sdmodel.data.sampling_weights import sampling_weights

INDEX = Index(
    uids=["a", "b", "c"],
    files=[],
    offsets=np.zeros(3, np.int64),
    lengths=np.zeros(3, np.int64),
    checksums=np.zeros(3, np.uint32),
    captions=[[]] * 3,
    multiplicity=np.array([1.0, 4.0, 9.0]),
    weight=np.array([1.0, 0.5, 0.0]),
)


def test_copies_and_weights_multiply():
    assert sampling_weights(INDEX, DataConfig()) is None
    found = [
        sampling_weights(INDEX, data)
        for data in (DataConfig(copies=0.5), DataConfig(weight="w"), DataConfig(copies=1, weight="w"))
    ]
    assert np.array_equal(found, [[1, 2, 3], [1, 0.5, 0], [1, 2, 0]])


def test_pictures_without_a_caption_are_seen_as_often_as_is_said():
    some = replace(INDEX, captions=[[], ["a cat"], ["a dog", "a hat"]])
    weights = [
        sampling_weights(some, data) for data in (DataConfig(uncaptioned=0.25), DataConfig(uncaptioned=0))
    ]
    assert np.array_equal(weights, [[0.25, 1, 1], [0, 1, 1]])
    both = sampling_weights(some, DataConfig(uncaptioned=0.5, copies=0.5))
    assert both is not None
    assert both.tolist() == [0.5, 2, 3]
    with pytest.raises(ValueError, match=r"data\.uncaptioned=0: .*some picture is seen at all"):
        sampling_weights(INDEX, DataConfig(uncaptioned=0))


@pytest.mark.parametrize("weight", [[1, -1, 1], [1, np.nan, 1], [0, 0, 0], [1, np.inf, 1]])
def test_weights_that_cannot_be_are_refused(weight: list[float]):
    with pytest.raises(ValueError, match=r"finite number of times.* look at [ab]"):
        sampling_weights(replace(INDEX, weight=np.array(weight)), DataConfig(weight="w"))


def test_a_column_that_is_missing_is_named():
    with pytest.raises(ValueError, match="no column 'multiplicity'"):
        sampling_weights(replace(INDEX, multiplicity=None), DataConfig(copies=1))
