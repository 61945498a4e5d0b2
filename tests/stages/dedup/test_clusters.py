import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.dedup.clusters import best_first, leaders


def edges_of(rows: list[tuple[int, int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    unique = {(a, b): d for a, b, d in rows if a < b}
    first = np.array([a for a, _ in unique], dtype=np.int64)
    second = np.array([b for _, b in unique], dtype=np.int64)
    return first, second, np.array(list(unique.values()), dtype=np.float32)


graphs = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 11), st.sampled_from([0.0, 0.01, 0.02])), max_size=40
)


@given(graphs, st.permutations(range(12)), st.randoms(use_true_random=False))
def test_every_member_has_an_edge_to_the_better_row_that_stands_for_it(rows, ranks, random):
    first, second, distance = edges_of(rows)
    rank = np.array(ranks, dtype=np.int64)
    result, far = leaders(rank, first, second, distance)
    edges = {frozenset((a, b)): d for a, b, d in zip(first.tolist(), second.tolist(), distance, strict=True)}
    for row, leader in enumerate(result.tolist()):
        assert result[leader] == leader
        if leader != row:
            assert far[row] == edges[frozenset((row, leader))]
            assert rank[leader] < rank[row]
    # no two kept rows are copies of each other
    kept = [row for row, leader in enumerate(result.tolist()) if row == leader]
    assert not any(frozenset((a, b)) in edges for a in kept for b in kept if a != b)

    shuffled = list(range(len(first)))
    random.shuffle(shuffled)
    order = np.array(shuffled, dtype=np.int64)
    turned, _ = leaders(rank, second[order], first[order], distance[order])
    assert np.array_equal(result, turned)


def test_a_chain_is_not_merged_end_to_end():
    # 0 - 1 - 2 - 3: neighbours are alike, the ends are not; 0 is best
    result, _ = leaders(np.arange(4), np.array([0, 1, 2]), np.array([1, 2, 3]), np.zeros(3, dtype=np.float32))
    assert result.tolist() == [0, 0, 2, 2]


def test_a_row_joins_the_nearest_kept_row():
    result, far = leaders(
        np.arange(3), np.array([0, 1]), np.array([2, 2]), np.array([0.02, 0.01], dtype=np.float32)
    )
    assert result.tolist() == [0, 1, 1]
    assert far.tolist() == np.array([0, 0, 0.01], dtype=np.float32).tolist()


def test_the_best_row_has_most_pixels_then_most_bytes_then_the_smallest_uid():
    uids = np.array(["d", "c", "b", "a"], dtype=object)
    rank = best_first(np.array([10, 20, 10, 10]), np.array([10, 10, 10, 10]), np.array([5, 1, 5, 4]), uids)
    assert [str(uids[i]) for i in np.argsort(rank)] == ["c", "b", "d", "a"]
