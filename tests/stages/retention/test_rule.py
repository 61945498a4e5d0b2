from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.artifacts.reference import Reference
from stages.config.retention import RetainConfig
from stages.retention.rule import versions_to_keep

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def history(*times: str) -> list[Reference]:
    return [
        Reference("datasets/birds", number, "shard", f"{number:064x}", "0" * 64, time, {})
        for number, time in enumerate(times, 1)
    ]


def test_the_newest_stay_and_the_newest_of_each_of_the_last_months():
    entries = history(
        "2026-08-31T23:59:59+00:00",
        "2026-09-01T00:00:00+00:00",
        "2026-10-31T10:00:00+00:00",
        "2026-11-01T01:30:00+02:00",  # October, in UTC
        "2026-11-02T10:00:00+00:00",
        "2026-11-29T10:00:00+00:00",
        "2026-11-30T10:00:00+00:00",
    )
    assert set(versions_to_keep(entries, [], RetainConfig(last=1), NOW)) == {7}
    assert set(versions_to_keep(entries, [], RetainConfig(last=2, monthly=1), NOW)) == {6, 7}
    assert set(versions_to_keep(entries, [], RetainConfig(last=1, monthly=3), NOW)) == {2, 4, 7}
    keep = versions_to_keep(entries, [], RetainConfig(last=1, monthly=4), NOW)
    assert keep == {
        1: "the newest of 2026-08",
        2: "the newest of 2026-09",
        4: "the newest of 2026-11",
        7: "the newest",
    }


def test_what_latest_means_stays_and_no_more_versions_on_hold_than_others():
    entries = history(*["2026-11-30T10:00:00+00:00"] * 9)
    # 3 is what @latest means; 4 to 9 wait.
    keep = versions_to_keep(entries, [1, 4, 5, 6, 7, 8, 9], RetainConfig(last=2), NOW)
    assert set(keep) == {2, 3, 8, 9}
    # One on hold between others stays as long as those do.
    assert set(versions_to_keep(entries, [8], RetainConfig(last=2), NOW)) == {7, 8, 9}
    # None has been let through yet.
    assert set(versions_to_keep(entries, list(range(1, 10)), RetainConfig(last=1), NOW)) == {9}


def test_a_rule_that_keeps_everything_is_refused():
    with pytest.raises(ValueError, match="last=0 keeps every version"):
        versions_to_keep(history("2026-11-30T10:00:00+00:00"), [], RetainConfig(), NOW)


@given(
    st.integers(1, 30),
    st.sets(st.integers(1, 30)),
    st.integers(1, 5),
    st.integers(0, 5),
)
def test_the_highest_and_the_newest_of_those_let_through_always_stay(count, on_hold, last, monthly):
    entries = history(*[f"2026-{1 + n % 12:02d}-01T00:00:00+00:00" for n in range(count)])
    keep = versions_to_keep(entries, sorted(on_hold), RetainConfig(last=last, monthly=monthly), NOW)
    released = [number for number in range(1, count + 1) if number not in on_hold]
    assert count in keep
    assert set(released[-last:]) <= set(keep)
    assert len(keep) <= 2 * last + monthly + 1
