import numpy as np
import pytest

from stages.evaluate.retrieval import r_at_1


def test_a_caption_counts_when_its_own_picture_is_nearest_in_its_group():
    pictures = np.eye(4, dtype=np.float32)
    assert r_at_1(pictures, pictures, 4) == 1.0
    assert r_at_1(pictures, np.roll(pictures, 1, axis=0), 4) == 0.0
    swapped = pictures[[1, 0, 2, 3]]
    assert r_at_1(pictures, swapped, 4) == 0.5
    # In groups of two the same vectors are rivals only of their neighbours.
    assert r_at_1(np.repeat(pictures[:2], 2, axis=0), np.repeat(pictures[:2], 2, axis=0), 2) == 0.5


def test_rows_that_fill_no_group_are_left_out():
    pictures = np.eye(5, dtype=np.float32)
    texts = pictures.copy()
    texts[4] = pictures[0]
    assert r_at_1(pictures, texts, 2) == 1.0
    with pytest.raises(ValueError, match="recall at 1 of 8 needs at least 8 pictures, got 5"):
        r_at_1(pictures, texts, 8)
