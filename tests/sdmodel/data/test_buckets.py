import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sdmodel.config.buckets import bucket_shapes
from sdmodel.data.buckets import nearest_bucket


@given(steps=st.integers(2, 40), count=st.integers(2, 12), aspect=st.floats(1.2, 4))
def test_shapes_are_whole_steps_of_about_the_same_area(steps: int, count: int, aspect: float):
    size = 16 * steps
    found = bucket_shapes(size, count, aspect)
    assert 1 <= len(found) <= count
    for height, width in found:
        assert height % 16 == width % 16 == 0
        assert 0.7 < height * width / size**2 < 1.2
        assert max(height, width) <= aspect * min(height, width)
    assert {(width, height) for height, width in found} == set(found)  # upright ones as wide ones
    if count % 2:
        assert (size, size) in found


def test_shapes_reach_from_upright_to_wide():
    assert bucket_shapes(40, 1, 2.0) == [(40, 40)]
    assert bucket_shapes(256, 5, 2.0) == [(352, 176), (304, 208), (256, 256), (208, 304), (176, 352)]


def test_a_picture_goes_to_the_nearest_aspect():
    among = [(96, 48), (64, 64), (48, 96)]
    sizes = np.array([[1000, 10], [75, 50], [50, 50], [50, 65], [50, 75], [1, 3]])
    assert nearest_bucket(sizes, among).tolist() == [0, 0, 1, 1, 2, 2]
