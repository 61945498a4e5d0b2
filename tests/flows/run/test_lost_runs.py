"""Limits of the automation for lost runs, and the environment that goes with them."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from flows.chain import links
from flows.deploy.settings import settings
from flows.run.lost_runs import ENVIRONMENT, HEARTBEAT, LIMIT, LOST, lost_runs
from flows.run.server import QUIET
from stages.config.run import Run

PROJECT = Path(__file__).parents[3]


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


def test_what_is_deployed_outlives_a_restart_of_the_server(tmp_path: Path):
    """A deployment's limit has a lease, which does not: Prefect ends the run where it is gone."""
    spec = yaml.safe_load((PROJECT / "prefect.yaml").read_text())
    for deployment in spec["deployments"]:
        assert "concurrency_limit" not in deployment, deployment["name"]
        assert deployment["work_pool"]["job_variables"]["env"] == ENVIRONMENT, deployment["name"]
    run = Run(name="birds", store=str(tmp_path))
    for link in links(run):
        tree = settings(run, link, folder=tmp_path, description="", schema={})
        assert "concurrency_limit" not in tree, link.suffix
        assert tree["job_variables"]["env"] == ENVIRONMENT, link.suffix
