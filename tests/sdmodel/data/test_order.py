import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sdmodel.data.order import Order

WEIGHTS = st.lists(st.floats(0, 4), min_size=1, max_size=30).filter(lambda weights: sum(weights) > 0.1)


def order_of(rows: int, seed: int, weights: list[float] | None) -> Order:
    return Order(len(weights), seed, np.array(weights)) if weights else Order(rows, seed)


@settings(max_examples=60)
@given(
    rows=st.integers(1, 50),
    seed=st.integers(0, 2**40),
    weights=st.none() | WEIGHTS,
    first=st.integers(0, 200),
    count=st.integers(1, 60),
)
def test_what_is_seen_nth_does_not_depend_on_what_was_asked_before(
    rows: int, seed: int, weights: list[float] | None, first: int, count: int
):
    order = order_of(rows, seed, weights)
    together = order.at(np.arange(first, first + count))
    for place in range(first, first + count, 7):
        (alone,) = order_of(rows, seed, weights).at(np.array([place]))
        assert alone == together[place - first]


@given(rows=st.integers(1, 60), epoch=st.integers(0, 5))
def test_an_epoch_sees_every_row_once(rows: int, epoch: int):
    seen = Order(rows, 7).at(np.arange(rows * epoch, rows * (epoch + 1)))
    assert sorted(seen) == list(range(rows))


@settings(max_examples=50)
@given(weights=WEIGHTS, seed=st.integers(0, 100))
def test_an_epoch_sees_each_row_as_often_as_its_weight_says(weights: list[float], seed: int):
    order = Order(len(weights), seed, np.array(weights))
    begin = 0
    for epoch in range(5):
        length = order.length(epoch)
        if length:  # weights of less than one picture leave some epochs without any
            seen = order.at(np.arange(begin, begin + length))
            counts = np.bincount(seen, minlength=len(weights))
            assert (np.abs(counts - weights) < 1).all()
            assert len(seen) == length
            assert (order.epochs(np.arange(begin, begin + length))[0] == epoch).all()
        begin += length


def test_whole_weights_are_exact_and_fractions_come_out_in_the_long_run():
    weights = np.array([2, 1, 0, 0.25, 1.5, 0.25])
    order = Order(6, 3, weights)
    counts = np.array([np.bincount(order._epoch(epoch), minlength=6) for epoch in range(400)])
    assert (counts[:, :3] == weights[:3]).all()
    assert np.abs(counts.mean(axis=0) - weights).max() < 0.08
    assert len({tuple(row) for row in counts.tolist()}) > 2  # not the same rows in each epoch


def test_epochs_seeds_and_buckets_differ():
    orders = [Order(100, seed, None, b).at(np.arange(200)) for seed, b in [(0, 0), (1, 0), (0, 1)]]
    assert all((one != other).any() for one, other in [orders[:2], orders[1:], orders[::2]])
    assert (orders[0][:100] != orders[0][100:]).any()


def test_the_plain_order_stays():
    # Of trainings on which something was measured: who changes it changes their losses.
    seen = Order(7, 5).at(np.arange(10))
    assert seen.tolist() == [2, 1, 6, 5, 3, 4, 0, 1, 5, 0]
