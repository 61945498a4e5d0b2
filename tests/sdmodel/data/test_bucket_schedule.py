import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdmodel.data.bucket_schedule import BucketSchedule

SIZES = st.lists(st.floats(0, 1000), min_size=1, max_size=8).filter(lambda sizes: sum(sizes) > 1)


@given(sizes=SIZES, first=st.integers(0, 10**7))
def test_turns_follow_each_other_from_anywhere(sizes: list[float], first: int):
    turns = BucketSchedule(sizes)
    had = turns.before(first)
    assert sum(had) == first
    for turn in range(first, first + 20):
        bucket, count = turns.at(turn)
        assert count == had[bucket]
        had[bucket] += 1
        assert turns.before(turn + 1) == had


@given(sizes=SIZES, turn=st.integers(0, 10**6))
def test_each_bucket_has_its_share_at_any_time(sizes: list[float], turn: int):
    turns = BucketSchedule(sizes)
    for had, share in zip(turns.before(turn), turns.shares, strict=True):
        assert abs(had - turn * share / turns.total) <= len(sizes) / 2 + 1
        assert share or not had


def test_turns_are_those_of_webster():
    # Seats of parties with 53, 24 and 23 votes given out one by one by the quotients v / (2 k + 1).
    votes = [53, 24, 23]
    quotients = sorted(
        ((votes[party] / (2 * k + 1), party) for party, k in itertools.product(range(3), range(20))),
        key=lambda pair: (-pair[0], pair[1]),
    )
    turns = BucketSchedule(votes)
    assert [turns.at(turn)[0] for turn in range(20)] == [party for _, party in quotients[:20]]


@pytest.mark.parametrize("sizes", [[1], [0, 1e9, 1]])
def test_the_smallest_bucket_has_a_turn_and_an_empty_one_none(sizes: list[float]):
    turns = BucketSchedule(sizes)
    had = turns.before(2**21)
    assert all(bool(count) == bool(size) for count, size in zip(had, sizes, strict=True))
