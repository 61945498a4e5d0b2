import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sdmodel.data.order import Order


@given(
    rows=st.integers(1, 50), seed=st.integers(0, 2**40), first=st.integers(0, 200), count=st.integers(1, 120)
)
def test_what_is_seen_nth_does_not_depend_on_what_was_asked_before(
    rows: int, seed: int, first: int, count: int
):
    order = Order(rows, seed)
    together = order.at(np.arange(first, first + count))
    for place in range(first, first + count):
        alone = order.at(np.array([place]))
        for one, many in zip(alone, together, strict=True):
            assert one[0] == many[place - first]


@given(rows=st.integers(1, 60), epoch=st.integers(0, 5))
def test_an_epoch_sees_every_row_once(rows: int, epoch: int):
    seen = Order(rows, 7).at(np.arange(rows * epoch, rows * (epoch + 1)))
    assert sorted(seen.rows) == list(range(rows))


def test_epochs_and_seeds_differ():
    orders = [Order(100, seed).at(np.arange(200)).rows for seed in (0, 1)]
    assert (orders[0] != orders[1]).any()
    assert (orders[0][:100] != orders[0][100:]).any()


def test_mirror_and_caption_are_fair():
    seen = Order(4000, 3).at(np.arange(4000))
    assert 0.45 < seen.mirror.mean() < 0.55
    assert 0.47 < seen.caption.mean() < 0.53
