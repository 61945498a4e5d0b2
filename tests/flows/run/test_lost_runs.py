"""Limits of the automation for lost runs, and the environment that goes with them."""

from datetime import timedelta

import pytest

from flows.run.lost_runs import ENVIRONMENT, HEARTBEAT, LIMIT, LOST, lost_runs
from flows.run.server import QUIET


def test_a_run_is_lost_after_the_limit_and_no_sooner():
    automation = lost_runs(timedelta(minutes=4))
    assert automation.name == LOST
    assert automation.trigger.within == timedelta(minutes=4)
    assert lost_runs().trigger.within == LIMIT


def test_a_limit_that_healthy_runs_may_miss_is_refused():
    with pytest.raises(ValueError, match="limit=89 s is less than 90 s, three heartbeats; raise it"):
        lost_runs(timedelta(seconds=89))


def test_a_state_is_offered_for_most_of_the_limit():
    retries = int(ENVIRONMENT["PREFECT_CLIENT_MAX_RETRIES"])
    offered = timedelta(seconds=sum(2**attempt for attempt in range(1, retries + 1)))
    assert timedelta(minutes=8) < offered < LIMIT - HEARTBEAT


def test_commands_run_flows_as_deployments_do():
    assert ENVIRONMENT.items() <= QUIET.items()
