import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.shard.split import SPLITS, splits_of

names = st.lists(st.text("0123456789abcdef", min_size=1, max_size=6), max_size=60)
shares = st.sampled_from([0.0, 0.02, 0.2, 0.49])


@given(names, shares, shares)
def test_every_cluster_is_placed_and_a_split_is_empty_where_its_share_is_less_than_one(
    clusters, validation, test
):
    splits = splits_of(clusters, validation, test)
    assert set(splits) == set(clusters)
    found = set(splits.values())
    assert found <= set(SPLITS)
    count = len(splits)
    shares = (("validation", validation), ("test", test))
    assert found == {"train" for _ in splits} | {
        name for name, share in shares if round(share * count, 6) >= 1
    }


@pytest.mark.parametrize("count", [1, 2, 3, 19])
def test_all_of_a_few_pictures_are_trained_on(count):
    assert set(splits_of(map(str, range(count)), 0.05, 0.02).values()) == {"train"}


@given(st.permutations(range(40)))
def test_the_order_of_the_clusters_does_not_matter(order):
    clusters = [f"{number:032x}" for number in order]
    assert splits_of(clusters, 0.1, 0.1) == splits_of(sorted(clusters), 0.1, 0.1)


def test_shares_are_kept_and_growth_moves_nobody():
    few = splits_of([f"{n}" for n in range(2_000)], 0.05, 0.1)
    many = splits_of([f"{n}" for n in range(20_000)], 0.05, 0.1)
    assert all(many[cluster] == split for cluster, split in few.items())
    counts = {split: sum(s == split for s in many.values()) / len(many) for split in SPLITS}
    assert abs(counts["validation"] - 0.05) < 0.006
    assert abs(counts["test"] - 0.1) < 0.008
