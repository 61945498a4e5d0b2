"""Sizes in stages: which one is seen when, and how they share other numbers of images."""

from hypothesis import given
from hypothesis import strategies as st

from sdmodel.config.sizes import images_left, of_images, size_at
from sdmodel.config.train import TrainConfig

STAGES = ((32, 100), (64, 40), (128, 60))
STAGE_LISTS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 200)), min_size=1, max_size=4)


def test_each_size_is_seen_as_long_as_it_says():
    assert [size_at(STAGES, images) for images in (0, 99, 100, 139, 140, 199, 200, 10**9)] == [
        32, 32, 64, 64, 128, 128, 128, 128,
    ]  # fmt: skip
    assert images_left(STAGES, 0) == list(STAGES)
    assert images_left(STAGES, 120) == [(64, 20), (128, 60)]
    assert images_left(STAGES, 200) == []


@given(STAGE_LISTS, st.integers(0, 900))
def test_what_is_left_is_what_will_be_seen(stages: list[tuple[int, int]], seen: int):
    total = sum(images for _, images in stages)
    left = [size for size, images in images_left(stages, seen) for _ in range(images)]
    assert left == [size_at(stages, images) for images in range(seen, total)]


@given(STAGE_LISTS, st.integers(1, 2000), st.integers(1, 64))
def test_another_number_of_images_is_shared_in_whole_batches(
    stages: list[tuple[int, int]], images: int, batch: int
):
    shared = of_images(stages, images, batch)
    assert sum(count for _, count in shared) == images
    assert shared[-1][0] == stages[-1][0]
    assert all(count >= 1 for _, count in shared)
    total = sum(count for _, count in stages)
    for seen in range(0, images, batch):
        first, last = (int((seen + way * batch) * total / images) for way in (-1, 1))
        assert size_at(shared, seen) in {size_at(stages, place) for place in range(first, last + 1)}


def test_times_are_shifted_from_the_first_size_on():
    plain = TrainConfig(size=64)
    staged = TrainConfig(size=64, images=200, sizes=((32, 140), (64, 60)))
    assert plain.shifted_noise == plain.noise
    assert staged.shifted_noise.shift_tokens == 32**2
    assert staged.of_images(100).sizes == ((32, 64), (64, 36))
