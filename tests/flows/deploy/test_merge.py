"""The laws of the merge: what nobody touched follows the file, what somebody touched stays."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.deploy.merge import ABSENT, Change, merge

KEYS = st.sampled_from("abcd")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2),
    st.sampled_from([0.0, 1.0, "x", "y"]),
    st.lists(st.integers(0, 2), max_size=2),
    st.just({}),
)
TREES = st.dictionaries(
    KEYS, st.recursive(VALUES, lambda inner: st.dictionaries(KEYS, inner, max_size=3)), max_size=4
)


@given(TREES, TREES)
def test_what_nobody_touched_becomes_what_the_file_says(deployed: dict[str, Any], file: dict[str, Any]):
    merged = merge(deployed, deployed, file)
    assert merged.tree == file
    assert merged.updates == merged.changes


@given(TREES, TREES)
def test_a_file_that_did_not_change_changes_nothing(deployed: dict[str, Any], server: dict[str, Any]):
    merged = merge(deployed, server, deployed)
    assert merged.tree == server
    assert not merged.updates


@given(TREES, TREES, TREES)
def test_deployed_twice_the_second_time_changes_nothing(
    deployed: dict[str, Any], server: dict[str, Any], file: dict[str, Any]
):
    first = merge(deployed, server, file)
    second = merge(file, first.tree, file)
    assert second.tree == first.tree
    assert not second.updates


@given(TREES, TREES)
def test_where_nobody_knows_what_was_deployed_no_value_of_the_server_is_lost(
    server: dict[str, Any], file: dict[str, Any]
):
    def lies_in(part: Any, whole: Any) -> bool:
        if isinstance(part, dict) and part:
            return isinstance(whole, dict) and all(lies_in(part[key], whole.get(key)) for key in part)
        return part == whole

    tree = merge({}, server, file).tree
    assert all(lies_in(value, tree[key]) for key, value in server.items())


def test_values_merge_one_by_one():
    deployed = {"run": {"filter": {"min_words": 2, "max_words": 9}, "name": "birds"}}
    server = {"run": {"filter": {"min_words": 3, "max_words": 9}, "name": "birds"}, "extra": True}
    file = {"run": {"filter": {"min_words": 2, "max_words": 12, "min_side": 64}, "name": "birds"}}
    merged = merge(deployed, server, file)
    assert merged.tree == {
        "run": {"filter": {"min_words": 3, "max_words": 12, "min_side": 64}, "name": "birds"},
        "extra": True,
    }
    assert merged.changes == (
        Change(("run", "filter", "min_words"), 3, 2, by_hand=True),
        Change(("run", "filter", "max_words"), 9, 12, by_hand=False),
        Change(("run", "filter", "min_side"), ABSENT, 64, by_hand=False),
        Change(("extra",), True, ABSENT, by_hand=True),
    )


@pytest.mark.parametrize(
    ("deployed", "server", "file", "result"),
    [
        ({"cron": "0 3 * * *"}, {}, {"cron": "0 3 * * *"}, {}),  # deleted by hand: stays away
        ({"cron": "0 3 * * *"}, {}, {"cron": "0 4 * * *"}, {}),
        ({"cron": "0 3 * * *"}, {"cron": "0 3 * * *"}, {}, {}),  # taken out of the file
        ({}, {"cron": "0 5 * * *"}, {}, {"cron": "0 5 * * *"}),  # made by hand
        ({"a": 1}, {"a": True}, {"a": 2}, {"a": True}),  # true is not 1
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 2}}, {"a": {}}),  # an emptied block is a value
        ({"a": 1}, {"a": 5}, {"a": 5}, {"a": 5}),  # the same by hand and by file is no conflict
    ],
)
def test_cases_that_people_meet(
    deployed: dict[str, Any], server: dict[str, Any], file: dict[str, Any], result: dict[str, Any]
):
    assert merge(deployed, server, file).tree == result
