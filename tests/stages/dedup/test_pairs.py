import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.dedup import pairs
from stages.dedup.pairs import pairs_within


def brute_force(hashes: np.ndarray, bits: int) -> set[tuple[int, int]]:
    values = [int(h) for h in hashes]
    return {
        (i, j)
        for i, j in itertools.combinations(range(len(values)), 2)
        if (values[i] ^ values[j]).bit_count() <= bits
    }


def found(hashes: np.ndarray, bits: int) -> list[tuple[int, int]]:
    return [
        (int(i), int(j))
        for left, right in pairs_within(hashes, bits)
        for i, j in zip(left, right, strict=True)
    ]


# few distinct seeds with few flipped bits: near pairs, repeats and popular bands all occur
flips = st.lists(st.integers(0, 63), max_size=5)
near_hashes = st.lists(st.tuples(st.sampled_from([0, 2**64 - 1, 0x123456789ABCDEF0]), flips), max_size=30)


@given(near_hashes, st.integers(0, 3))
def test_banding_finds_exactly_the_pairs_of_a_brute_force_search(rows, bits):
    hashes = np.array([seed ^ sum(1 << b for b in set(flipped)) for seed, flipped in rows], dtype=np.uint64)
    result = found(hashes, bits)
    assert len(result) == len(set(result))
    assert set(result) == brute_force(hashes, bits)


def test_chunks_of_any_size_give_the_same_pairs(monkeypatch):
    hashes = np.random.default_rng(0).integers(0, 4, 200, dtype=np.uint64) << np.uint64(17)
    whole = set(found(hashes, 1))
    monkeypatch.setattr(pairs, "CHUNK", 7)
    batches = list(pairs_within(hashes, 1))
    assert max(len(i) for i, _ in batches) <= 7
    assert {(int(i), int(j)) for left, right in batches for i, j in zip(left, right, strict=True)} == whole


def test_planted_neighbours_among_many_random_hashes_are_all_found():
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, 20_000, dtype=np.uint64)
    copies = hashes[:500].copy()
    for _ in range(3):
        copies ^= np.uint64(1) << rng.integers(0, 64, 500, dtype=np.uint64)
    result = set(found(np.concatenate([hashes, copies]), 3))
    assert {(i, 20_000 + i) for i in range(500)} <= result
    assert len(result) < 510  # random hashes are 32 bits apart


@pytest.mark.parametrize("bits", [-1, 4])
def test_distances_that_four_bands_cannot_promise_are_refused(bits):
    with pytest.raises(ValueError, match=f"max_bits is {bits}.*0 to 3"):
        list(pairs_within(np.zeros(2, dtype=np.uint64), bits))
