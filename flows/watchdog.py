"""Says that a flow's process was killed, which itself cannot; `python -m flows.watchdog RUN_ID` waits for it.

A worker of Prefect's that is stopped kills the processes of its runs (SIGKILL), and ends without a word about
them: the server would show them Running, with their places in the pool's limit, until the automation for lost
runs ends them. So a flow that a worker runs has a process beside it, at whose pipe the end can be seen.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from uuid import UUID

GRACE = 5.0
"""Seconds that a living worker has to say it first: it knows the exit status."""
MESSAGE = (
    "its process was killed, as by a worker that was stopped; what is finished is kept, and a retry goes on"
)


class Watchdog:
    """A process that calls a flow run Crashed once this process is gone without a word."""

    def __init__(self, flow_run_id: UUID) -> None:
        """Begin to watch. The process inherits the address of Prefect's server and its password."""
        self._state: UUID | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.watchdog", str(flow_run_id)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PREFECT_CLIENT_MAX_RETRIES": "0"},  # a server that is away has the automation
            start_new_session=True,
        )

    def note(self, state_id: UUID) -> None:
        """The run's state as this process has set it: under another one the run is somebody else's."""
        if state_id != self._state and self._process.stdin is not None:
            self._state = state_id
            with suppress(BrokenPipeError):  # somebody has ended the watchdog, which is not worth a run
                os.write(self._process.stdin.fileno(), f"{state_id}\n".encode())

    def end(self) -> None:
        """Watch no more: whatever comes now, the run's end is said by this process."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _watch(flow_run_id: UUID) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the worker, and sent to all of its processes
    os.chdir("/")  # a worker may take the flow's folder away, which Prefect would look into
    states = sys.stdin.read().split()  # until the other end closes
    time.sleep(GRACE)
    if states:
        _crash(flow_run_id, UUID(states[-1]))


def _crash(flow_run_id: UUID, state_id: UUID) -> None:
    # Prefect takes seconds and memory to import: only where it is needed. Nothing of ours is: the worker may
    # have run the flow from a copy, which it takes away when it stops.
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run_id).state
        if state is not None and state.id == state_id and state.is_running():
            client.set_flow_run_state(flow_run_id, Crashed(message=MESSAGE))


if __name__ == "__main__":
    _watch(UUID(sys.argv[1]))
