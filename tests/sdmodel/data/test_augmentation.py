import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sdmodel.config.learning import DataConfig
from sdmodel.data.augmentation import draw_augmentations
from sdmodel.data.reader import Augmentations

ALL = DataConfig(flip=True, crop=True, colour=0.4, augment=0.5)
CAPTIONS = [["a red hat", "a hat"], [], ["one", "two", "three"], ["a cat"]]


def drawn(first: int, count: int, seed: int = 5, data: DataConfig = ALL) -> Augmentations:
    places = np.arange(first, first + count)
    return draw_augmentations(data, seed, places, [CAPTIONS[place % 4] for place in places])


@settings(max_examples=25, deadline=None)
@given(first=st.integers(0, 2**40), cut=st.integers(1, 15), seed=st.integers(0, 2**63 - 1))
def test_each_place_has_its_own_whoever_asks(first: int, cut: int, seed: int):
    whole, some, others = drawn(first, 16, seed), drawn(first, cut, seed), drawn(first + cut, 16 - cut, seed)
    assert whole.captions == some.captions + others.captions
    for name in ("caption", "mirror", "crop", "colour", "augmented"):
        expected = getattr(whole, name)
        assert np.array_equal(expected, np.concatenate([getattr(some, name), getattr(others, name)]))


def test_every_choice_is_fair():
    made = drawn(0, 16_000)
    assert abs(made.mirror.mean() - 0.5) < 0.02
    assert (np.abs(made.crop.mean(0) - 0.5) < 0.02).all()
    assert abs(made.colour[3::4].mean() - 1) < 0.01
    assert np.abs(np.bincount(made.caption[2::4]) / 4000 - 1 / 3).max() < 0.03
    assert set(made.caption[1::4]) == {-1}
    assert set(made.captions[1::4]) == {""}


def test_choices_do_not_hang_together():
    made = drawn(0, 16_000)
    assert made.augmented is not None
    columns = [made.mirror[3::4], made.crop[3::4].T, made.colour[3::4].T, made.augmented[3::4].T]
    correlations = np.corrcoef(np.vstack(columns))[:6]
    assert np.abs(correlations - np.eye(*correlations.shape)).max() < 0.07


def test_what_is_not_asked_for_is_not_done():
    made = drawn(0, 64, data=DataConfig(flip=False))
    assert not made.mirror.any()
    assert (made.crop == 0.5).all()
    assert (made.colour == 1).all()
    assert made.augmented is None
