"""Runs whose process is gone: called Crashed where they are still its own, else left alone."""

import os
import subprocess
import sys
from uuid import UUID, uuid4

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.states import Running

from flows.watchdog import Watchdog
from tests.flows.outage import wait_for

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.matrix]

PROCESS = """
import os, sys
from uuid import UUID
from flows.watchdog import Watchdog

run, ending, *states = sys.argv[1:]
watchdog = Watchdog(UUID(run))
for state in states:
    watchdog.note(UUID(state))
if ending == "in order":
    watchdog.end()
print(watchdog._process.pid)
sys.stdout.flush()
os._exit(1)
"""


def running(client: SyncPrefectClient) -> UUID:
    """A flow run that says of itself that it runs."""
    from prefect import flow

    @flow
    def watched() -> None:
        """Never called."""

    run = client.create_flow_run(watched)
    client.set_flow_run_state(run.id, Running(), force=True)
    return run.id


def state_id(client: SyncPrefectClient, run: UUID) -> UUID:
    state = client.read_flow_run(run).state
    assert state is not None
    return state.id


def die(run: UUID, ending: str, *states: UUID) -> int:
    """A process that is gone at once; the watchdog's id."""
    command = [sys.executable, "-c", PROCESS, str(run), ending, *map(str, states)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=dict(os.environ))
    return int(done.stdout)


def test_a_run_is_crashed_where_it_is_still_the_process_s_own(server: str):
    with get_client(sync_client=True) as client:
        own, anew, over = (running(client) for _ in range(3))
        earlier = state_id(client, anew)
        client.set_flow_run_state(anew, Running(), force=True)  # by another process
        watchdogs = [
            die(own, "killed", earlier, state_id(client, own)),
            die(anew, "killed", earlier),
            die(over, "in order", state_id(client, over)),
        ]
        wait_for("the watchdogs' ends", lambda: not any(map(psutil.pid_exists, watchdogs)))
        states = [client.read_flow_run(run).state for run in (own, anew, over)]
    assert [state.name for state in states if state is not None] == ["Crashed", "Running", "Running"]
    assert states[0] is not None
    assert states[0].message is not None
    assert states[0].message.startswith("its process was killed")


def test_a_watchdog_that_somebody_ends_is_not_worth_a_run():
    watchdog, run = Watchdog(uuid4()), psutil.Process()
    (process,) = [child for child in run.children() if "flows.watchdog" in child.cmdline()]
    process.kill()
    wait_for("its end", lambda: process.status() == psutil.STATUS_ZOMBIE)
    watchdog.note(uuid4())
    watchdog.end()
    assert not process.is_running()
